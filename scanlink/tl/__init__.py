"""Analyses on MuData: which peaks are linked to which genes."""

from scanlink.tl.scan import scan

__all__ = ["scan"]
