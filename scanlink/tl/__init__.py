"""Analyses on MuData: which peaks are linked to which genes, which act together, and what perturbations do.

Calls are imported when they are first used, so that a worker imports only what it computes.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scanlink.ds.simulated_screen import SimulatedScreen, simulate_screen
    from scanlink.tl.analysis import Analysis
    from scanlink.tl.epistasis.call import epistasis
    from scanlink.tl.epistasis.enhancer_pairs import enhancer_pairs
    from scanlink.tl.epistasis.heterogeneity import heterogeneity
    from scanlink.tl.interactions.call import screen_interactions
    from scanlink.tl.interactions.power import power_screen
    from scanlink.tl.interactions.rows import target_pairs
    from scanlink.tl.kendall.call import kendall
    from scanlink.tl.scan.calibrate import Calibration, calibrate
    from scanlink.tl.scan.call import scan
    from scanlink.tl.scan.power import power
    from scanlink.tl.screen.call import screen
    from scanlink.tl.screen_links.call import screen_links
    from scanlink.tl.screen_links.summary import screen_links_summary

_HOMES = {
    "Calibration": "tl.scan.calibrate",
    "SimulatedScreen": "ds.simulated_screen",
    "calibrate": "tl.scan.calibrate",
    "enhancer_pairs": "tl.epistasis.enhancer_pairs",
    "epistasis": "tl.epistasis.call",
    "heterogeneity": "tl.epistasis.heterogeneity",
    "kendall": "tl.kendall.call",
    "power": "tl.scan.power",
    "power_screen": "tl.interactions.power",
    "scan": "tl.scan.call",
    "screen": "tl.screen.call",
    "screen_interactions": "tl.interactions.call",
    "screen_links": "tl.screen_links.call",
    "screen_links_summary": "tl.screen_links.summary",
    "simulate_screen": "ds.simulated_screen",
    "target_pairs": "tl.interactions.rows",
}
__all__ = [
    "ANALYSES",
    "Calibration",
    "SimulatedScreen",
    "calibrate",
    "enhancer_pairs",
    "epistasis",
    "heterogeneity",
    "kendall",
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


class _Calls(ModuleType):
    """The module itself. Importing the folder ``tl/scan`` must not put a module where the call ``tl.scan`` is."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Calls


def _analyses() -> tuple[Analysis, ...]:
    """List all analyses: the only place that knows them besides the experiments that offer them."""
    from scanlink.tl.epistasis import EPISTASIS
    from scanlink.tl.interactions import INTERACTIONS
    from scanlink.tl.kendall import KENDALL
    from scanlink.tl.scan import SCAN
    from scanlink.tl.screen import SCREEN
    from scanlink.tl.screen_links import SCREEN_LINKS

    return SCAN, EPISTASIS, KENDALL, SCREEN, INTERACTIONS, SCREEN_LINKS


def __getattr__(name: str) -> Any:
    if name == "ANALYSES":
        return _analyses()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    call = getattr(import_module(f"scanlink.{_HOMES[name]}"), name)
    globals()[name] = call
    return call


def __dir__() -> list[str]:
    return __all__
