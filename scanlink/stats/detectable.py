"""How large an effect would have to be for a test to see it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from scanlink.errors import DesignError, InputError, OptionError
from scanlink.stats._types import Floats

__all__ = ["null_se", "smallest_effect"]


def smallest_effect(se: ArrayLike, *, alpha: float = 0.05, power: float = 0.8) -> Floats:
    """Compute the smallest absolute effect that a two-sided test of a normal estimate calls with a given probability.

    Parameters
    ----------
    se
        Standard errors of the estimate. Any shape; NaN stays NaN.
    alpha
        P-value up to which an effect is called.
    power
        Probability with which an effect of that size is called.

    Returns
    -------
    numpy.ndarray
        On the scale of ``se`` (the natural logarithm, of coefficients). Shape of ``se``.

    Raises
    ------
    OptionError
        If ``alpha`` or ``power`` is no probability, or ``power`` is not above ``alpha``.

    Warnings
    --------
    The error is taken to be the same at that effect as without one, see :func:`null_se`. Of counts it is not: an effect
    that lowers them leaves a larger error and is seen less often than this says, one that raises them more often.
    ``benchmarks/screen_power.py`` prints by how much.

    Notes
    -----
    ``(z_{1 - alpha / 2} + z_power) se`` (Lachin 1981, Control Clin Trials 2:93).

    Examples
    --------
    >>> smallest_effect([0.1, 0.5]).round(3)
    array([0.28 , 1.401])
    """
    for name, value in (("alpha", alpha), ("power", power)):
        if not 0 < value < 1:
            raise OptionError(f"{name}: expected a number between 0 and 1; found {value!r}")
    if power <= alpha:
        raise OptionError(f"power: expected a number above alpha ({alpha:g}), the chance of a call; found {power!r}")
    return np.asarray((ndtri(power) - ndtri(alpha / 2)) * np.asarray(se, dtype=np.float64))


def null_se(
    expected: ArrayLike, tested: ArrayLike, design: ArrayLike, *, theta: float | None = None, dispersion: float = 0.0
) -> float:
    """Compute the standard error that a column's coefficient has where its effect is nothing, other columns fitted too.

    Parameters
    ----------
    expected
        Expected counts without the effect: of the model without the column, or of that with it, divided by
        ``exp(coefficient * tested)``. Shape ``(n_cells,)``.
    tested
        The column, such as the product of two perturbations. Shape ``(n_cells,)``.
    design
        The other columns, intercept included. Shape ``(n_cells, n_terms)``.
    theta
        Inverse dispersion of a negative binomial fit. None: the estimate is that of a Poisson fit.
    dispersion
        phi, where counts of which a Poisson fit is made vary as ``mu + phi mu^2``. 0: as Poisson counts.

    Returns
    -------
    float
        Natural log. NaN where the other columns explain the column, or expected counts are not all finite and above
        0, as where a fit ran away.

    Raises
    ------
    InputError
        If shapes differ.
    DesignError
        If the column or the design has values that are not finite.
    OptionError
        If ``theta`` or ``dispersion`` is negative, or both are given.

    Notes
    -----
    With ``w = mu / (1 + mu / theta)`` (``mu`` where there is no theta) and ``g`` what is left of the column x after its
    regression on the others with weights w::

        se^2 = sum (g_i w_i / mu_i)^2 v_i / (sum g_i^2 w_i)^2,    v = mu + mu^2 / theta  or  mu + phi mu^2

    which is ``1 / sum g_i^2 w_i`` for a negative binomial fit: the inverse Fisher information. At an estimate far
    from 0 the error is another one: where no count is left in the cells of an interaction it is as good as
    infinite, and says nothing about what the cells could have shown.

    Examples
    --------
    A hundred cells of two counts each, half of them perturbed: the log of each half's mean has an error of 0.1.

    >>> import numpy as np
    >>> perturbed = np.repeat([0.0, 1.0], 50)
    >>> round(null_se(np.full(100, 2.0), perturbed, np.ones((100, 1))), 4)  # sqrt(1 / 100 + 1 / 100)
    0.1414
    >>> round(null_se(np.full(100, 2.0), perturbed, np.ones((100, 1)), theta=1.0), 4)  # sqrt(1 + 2) times that
    0.2449
    """
    mu = np.asarray(expected, dtype=np.float64)
    x = np.asarray(tested, dtype=np.float64)
    z = np.asarray(design, dtype=np.float64)
    if mu.ndim != 1 or x.shape != mu.shape or z.ndim != 2 or z.shape[0] != mu.size:
        raise InputError(
            f"expected counts have shape {mu.shape}, the column {x.shape} and the design {z.shape}: expected "
            "(n_cells,), (n_cells,) and (n_cells, n_terms)"
        )
    if not (np.isfinite(x).all() and np.isfinite(z).all()):
        raise DesignError("the column and the design must be finite: remove or impute missing values first")
    if theta is not None and not theta > 0:
        raise OptionError(f"theta: expected a number above 0, or None; found {theta!r}")
    if not dispersion >= 0 or (theta is not None and dispersion):
        raise OptionError(f"dispersion: expected a number of at least 0, and 0 with theta; found {dispersion!r}")
    if not (np.isfinite(mu).all() and (mu > 0).all()):
        return float("nan")
    w = mu if theta is None else mu / (1.0 + mu / theta)
    # einsum sums in a fixed order, where a BLAS product depends on its number of threads.
    weighted = z * w[:, None]
    slope = np.linalg.lstsq(np.einsum("ij,ik->jk", weighted, z), np.einsum("ij,i->j", weighted, x), rcond=None)[0]
    g = x - np.einsum("ij,j->i", z, slope)
    information = float(np.sum(g * g * w))
    if not information > 1e-10 * float(np.sum(x * x * w)):
        return float("nan")
    variance = float(np.sum(g * g * w * (1.0 + dispersion * mu))) if theta is None else information
    return float(np.sqrt(variance) / information)
