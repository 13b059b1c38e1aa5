"""Analyses on MuData: which peaks are linked to which genes, and which of them act together."""

from scanlink.tl.calibrate import Calibration, calibrate
from scanlink.tl.enhancer_pairs import enhancer_pairs
from scanlink.tl.epistasis import epistasis
from scanlink.tl.heterogeneity import heterogeneity
from scanlink.tl.power import power
from scanlink.tl.scan import scan

__all__ = ["Calibration", "calibrate", "enhancer_pairs", "epistasis", "heterogeneity", "power", "scan"]
