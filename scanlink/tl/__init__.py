"""Analyses on MuData: which peaks are linked to which genes, which act together, and what perturbations do."""

from scanlink.tl.calibrate import Calibration, calibrate
from scanlink.tl.enhancer_pairs import enhancer_pairs
from scanlink.tl.epistasis import epistasis
from scanlink.tl.heterogeneity import heterogeneity
from scanlink.tl.power import power
from scanlink.tl.power_screen import power_screen
from scanlink.tl.scan import scan
from scanlink.tl.screen import screen
from scanlink.tl.screen_interactions import screen_interactions, target_pairs
from scanlink.tl.screen_links import screen_links
from scanlink.tl.screen_links_summary import screen_links_summary
from scanlink.tl.simulate_screen import SimulatedScreen, simulate_screen

__all__ = [
    "Calibration",
    "SimulatedScreen",
    "calibrate",
    "enhancer_pairs",
    "epistasis",
    "heterogeneity",
    "power",
    "power_screen",
    "scan",
    "screen",
    "screen_interactions",
    "screen_links",
    "screen_links_summary",
    "simulate_screen",
    "target_pairs",
]
