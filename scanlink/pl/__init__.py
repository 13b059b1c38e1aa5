"""Pictures of results."""

from scanlink.pl.recovery import recovery

__all__ = ["recovery"]
