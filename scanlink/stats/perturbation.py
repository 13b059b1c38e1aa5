"""How probable it is that a cell's target is perturbed, from the guides it holds and how well they work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from scanlink.errors import InputError
from scanlink.stats._types import Bools, Floats

__all__ = ["perturbation_probability"]


def perturbation_probability(calls: Sequence[ArrayLike] | Bools, efficiency: ArrayLike) -> Floats:
    """Compute the probability that at least one of a target's guides works in a cell.

    Parameters
    ----------
    calls
        Whether each guide of the target is in a cell: a list of arrays of shape ``(n_cells,)``, or one array of shape
        ``(n_guides, n_cells)``. Truth values, or 0 and 1.
    efficiency
        Probability that each guide perturbs the target where it is. Shape ``(n_guides,)``, 0 to 1.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_cells,)``, 0 to 1: 0 without a guide, and with one guide its efficiency, to the last bit.

    Raises
    ------
    InputError
        If there is no guide, arrays differ in length, a call is neither 0 nor 1, or an efficiency is missing or not
        from 0 to 1.

    Notes
    -----
    ``x_i = 1 - prod_g (1 - G_gi eff_g)``, Zhou et al. 2024 (Cell Genomics 4:100672), section 4 of the epistasis notes.
    Guides work independently of each other. The product is taken guide after guide, in the order given.

    Examples
    --------
    >>> perturbation_probability([[0, 1, 0, 1], [0, 0, 1, 1]], [0.6, 0.5]).tolist()
    [0.0, 0.6, 0.5, 0.8]
    """
    eff = np.atleast_1d(np.asarray(efficiency, dtype=np.float64))
    if eff.ndim != 1 or len(calls) != eff.size or not eff.size:
        raise InputError(
            f"found calls of {len(calls)} guides and efficiencies of shape {eff.shape}; expected one efficiency for "
            "each guide, and at least one guide"
        )
    if not ((eff >= 0) & (eff <= 1)).all():
        raise InputError(
            f"efficiencies run from {eff.min():g} to {eff.max():g}, expected numbers from 0 to 1: fill in what is "
            "not known"
        )
    x: Floats | None = None
    for guide, share in zip(calls, eff.tolist(), strict=True):
        called = np.asarray(guide)
        if x is None:
            x = np.zeros(called.shape)
        if called.ndim != 1 or called.shape != x.shape:
            raise InputError(f"calls of guides have shapes {x.shape} and {called.shape}, expected (n_cells,) for each")
        present = called if called.dtype == bool else called.astype(bool)
        if present is not called and not np.array_equal(present, called):
            raise InputError("calls of guides must be 0 or 1: compare UMI counts with a threshold first")
        # The same as the product, and exact where there is one guide.
        x += present * share * (1.0 - x)
    assert x is not None
    return x
