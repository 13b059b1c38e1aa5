"""Which methods a run of a screen used, and how to cite them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scanlink.report.methods import REFERENCES, Method, method, own_reference, tests
from scanlink.report.screen_folder import ScreenRun

__all__ = ["screen_methods"]


def screen_methods(run: ScreenRun, *, linked: bool) -> list[Method]:
    """Methods that the run used, in the order in which it used them.

    Parameters
    ----------
    run
        Its options decide; of a run without recorded options only what every run does is named.
    linked
        Whether it stands beside multiome links.
    """
    screen = run.section("screen")
    own = own_reference(run.record)
    found = [Method("All of the analysis, and data as MuData", (own, REFERENCES["mudata"]))]
    if run.section("genes").get("gencode") is not None:
        found.append(method("Genes of GENCODE", "gencode"))
    if run.section("guides").get("assign") == "mixture":
        found.append(method("Guides of a cell by a mixture of two distributions", "replogle"))
    found.append(
        method("Regression of a gene's counts on the probability of a perturbation, as in GLiMMIRS", "glimmirs")
    )
    found += _tests(screen, two=False)
    if screen:
        found.append(method("False discovery rate", str(screen.get("method", "bh"))))
    if run.interactions is not None:
        options = run.section("interactions")
        found.append(method("Interaction of two perturbations on the log scale, as in GLiMMIRS", "glimmirs"))
        found += _tests(options, two=True)
        found.append(method("Influence of single cells on an interaction (Cook's distance)", "cook"))
        if options.get("additive", True):
            found.append(method("Effects that add against effects that multiply, by AIC", "glimmirs", "aic"))
        found.append(method("False discovery rate", str(options.get("method", "bh"))))
    if linked:
        found.append(method("Links of peaks and genes beside the screen", "scent"))
    if str(run.options.get("cluster", "none")) != "none":
        found.append(method("Blocks of the analysis in parallel", "dask"))
    return list(dict.fromkeys(found))


def _tests(options: Mapping[str, Any], *, two: bool) -> list[Method]:
    found = tests(options, epistasis=two)
    if options.get("p_value") == "permutation":
        found.append(
            method("Permutation of perturbations among cells; p-values count the data themselves", "phipson", "sceptre")
        )
    return found
