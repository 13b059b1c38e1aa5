"""Datasets whose truth is known."""

from __future__ import annotations

from scanlink.ds.layout import write_gtf
from scanlink.ds.simulate import Simulation, simulate
from scanlink.ds.simulated_screen import SimulatedScreen, simulate_screen

__all__ = ["SimulatedScreen", "Simulation", "simulate", "simulate_screen", "write_gtf"]
