"""Checks for everything that would keep a run from working with a cluster profile."""

from scanlink.cluster.doctor.examine import doctor

__all__ = ["doctor"]
