"""Whether driver and worker run the same programs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from scanlink.cluster.doctor.report import Report

__all__ = ["Ask", "check_versions", "versions"]

_NAMES = ("dask", "distributed", "numpy", "numba", "pyarrow", "pandas")
_MUST_AGREE = ("scanlink", "dask", "distributed")
# Text, and run by the worker's own interpreter: it may be of another version, and lack scanlink.
_VERSIONS = """
import importlib.metadata, json, platform, sys
found = {"python": platform.python_version(), "executable": sys.executable}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found[name] = None
try:
    import scanlink, scanlink.stats
    found["scanlink"] = scanlink.__version__
except Exception as error:
    found["scanlink"], found["error"] = None, f"{type(error).__name__}: {error}"
print(json.dumps(found))
"""

Ask = Callable[..., Any]


def versions(ask: Ask | None = None) -> dict[str, Any]:
    """Versions of the programs here, or of a worker.

    Parameters
    ----------
    ask
        Runs a function on the worker; None: here.

    Examples
    --------
    >>> versions()["python"].startswith("3.")
    True
    """
    if ask is None:
        out = subprocess.check_output([sys.executable, "-c", _VERSIONS, *_NAMES])
    else:
        python = ask(eval, "__import__('sys').executable")
        out = ask(subprocess.check_output, [python, "-c", _VERSIONS, *_NAMES])
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def check_versions(here: dict[str, Any], there: dict[str, Any], report: Report) -> bool:
    """Whether both sides can work together.

    Parameters
    ----------
    here, there
        From :func:`versions`.
    report
        Gets the check.

    Examples
    --------
    >>> ours = {"python": "3.11.7", "executable": "a/python", "scanlink": "0.1.0", "numpy": "2.4.6"}
    >>> report = Report("slurm")
    >>> check_versions(ours, {**ours, "python": "3.12.1", "executable": "b/python"}, report)
    False
    >>> print(report.checks[0].found)
    python 3.12.1 on the worker, 3.11.7 here
    """
    where = f"the worker runs {there['executable']}, the driver {here['executable']}"
    remedy = f"python: {here['executable']}, or the same versions on both sides; {where}"
    different = [name for name in here if name not in ("executable", "error") and here[name] != there.get(name)]
    apart = [f"{name} {there.get(name) or 'absent'} on the worker, {here[name] or 'absent'} here" for name in different]
    minor = here["python"].split(".")[:2] != there["python"].split(".")[:2]
    serious = minor or any(name in _MUST_AGREE or not there.get(name) for name in different if name != "python")
    if serious:
        why = f"; {there['error']}" if there.get("error") else ""
        report.add("fault", "versions", "; ".join(apart) + why, remedy)
        return False
    if different:
        report.add("warning", "versions", "; ".join(apart) + ": results may differ in the last digits", remedy)
    else:
        listed = ", ".join(f"{name} {here[name]}" for name in here if name != "executable")
        report.add("ok", "versions", f"the same on both sides: {listed}")
    return True
