"""Analyses on MuData: which peaks are linked to which genes."""

from scanlink.tl.calibrate import Calibration, calibrate
from scanlink.tl.power import power
from scanlink.tl.scan import scan

__all__ = ["Calibration", "calibrate", "power", "scan"]
