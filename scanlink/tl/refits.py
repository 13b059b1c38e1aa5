"""Replicates of the bootstrap that have no shortcut: each is a regression of its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scanlink.stats import NegbinFit, RefittedPair, refit_negbin, refit_poisson
from scanlink.tl.cells import Fit, theta_of

__all__ = ["refitted"]

Floats = NDArray[np.float64]


def refitted(
    fit: Fit,
    counts: Floats,
    design: Callable[[], Floats],
    *,
    target: int,
    offset: Floats,
    reestimate: bool,
    pseudocount: float = 0.0,
) -> RefittedPair:
    """A test whose replicates are all refitted.

    Parameters
    ----------
    fit
        Of the data; replicates are of its family.
    counts
        Of the gene. Shape ``(n_cells,)``.
    design
        Makes the design when it is wanted: many tests may wait, and theirs would fill the memory.
    target
        Column that is tested.
    offset
        Shape ``(n_cells,)``.
    reestimate
        Whether theta is estimated in each replicate, and not that of the data.
    pseudocount
        Added to all counts.
    """

    def refit(weights: NDArray[np.uint16]) -> Floats:
        if not isinstance(fit, NegbinFit):
            return refit_poisson(counts + pseudocount, design(), weights, target=target, offset=offset, start=fit.coef)
        # Without overdispersion there is no theta, and the fit is that of Poisson counts.
        return refit_negbin(
            counts,
            design(),
            weights,
            target=target,
            offset=offset,
            start=fit.coef,
            theta=theta_of(fit) or np.inf,
            reestimate=reestimate,
            pseudocount=pseudocount,
        )

    return RefittedPair(float(fit.coef[target]), refit)
