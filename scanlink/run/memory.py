"""Memory that a process has used."""

from __future__ import annotations

import resource
import sys

__all__ = ["peak_mib"]


def peak_mib() -> float:
    """Return the largest resident memory of this process so far, MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
