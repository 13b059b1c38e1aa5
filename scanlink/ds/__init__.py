"""Datasets whose truth is known."""

from __future__ import annotations

from scanlink.ds.layout import write_gtf
from scanlink.ds.simulate import Simulation, simulate

__all__ = ["Simulation", "simulate", "write_gtf"]
