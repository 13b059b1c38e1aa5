"""The case bootstrap of SCENT: its p-value, and the ladder of ever more replicates for ever smaller p-values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanlink.errors import OptionError

__all__ = ["Ladder", "basic_p", "climb"]

Floats = NDArray[np.float64]

_NAMED: dict[str, tuple[tuple[int, float | None], ...]] = {
    # SCENT v1.0.1: each stage is entered when the p-value of the one before is below the number beside that one.
    "scent": ((100, 0.1), (500, 0.05), (2_500, 0.01), (25_000, 0.001), (50_000, None)),
    "capstone": ((100, 0.1), (2_500, None)),
}


@dataclass(frozen=True)
class Ladder:
    """How many replicates a pair gets: stages ``(replicates, go on below p)``, each drawn anew.

    Attributes
    ----------
    stages
        Replicates of each stage, and the p-value below which the next stage is entered; None ends the ladder.
    name
        ``"scent"``, ``"capstone"`` or ``"custom"``.

    Notes
    -----
    ``"scent"`` is the ladder of SCENT 1.0.1 (Sakaue et al. 2024, Nat Genet 56:615), with a floor of 2 / 50,000;
    ``"capstone"`` stops after 2,500, with a floor of 0.0008.
    """

    stages: tuple[tuple[int, float | None], ...]
    name: str = "custom"

    @classmethod
    def of(cls, ladder: str | Ladder | Iterable[tuple[int, float | None]]) -> Ladder:
        """A ladder from its name, or from a list of ``(replicates, go on below p)``.

        Parameters
        ----------
        ladder
            ``"scent"``, ``"capstone"``, a list of stages such as ``[(2500, None)]``, or a ladder.

        Raises
        ------
        OptionError
            If the name is unknown, a stage has no replicates, or a stage before the last has no threshold.

        Examples
        --------
        >>> Ladder.of("capstone").stages
        ((100, 0.1), (2500, None))
        >>> Ladder.of([(2500, None)]).most
        2500
        """
        if isinstance(ladder, Ladder):
            return ladder
        if isinstance(ladder, str):
            if ladder not in _NAMED:
                raise OptionError(
                    f"ladder {ladder!r} is not known; expected one of {', '.join(map(repr, _NAMED))} "
                    "or a list of (replicates, go on below p) such as [[100, 0.1], [2500, null]]"
                )
            return cls(_NAMED[ladder], ladder)
        try:
            stages = tuple((int(replicates), None if below is None else float(below)) for replicates, below in ladder)
        except (TypeError, ValueError) as error:
            raise OptionError(f"ladder {ladder!r} is not a list of (replicates, go on below p)") from error
        if not stages or any(replicates < 1 for replicates, _ in stages):
            raise OptionError(f"ladder {stages!r}: every stage needs at least one replicate, and there must be one")
        if any(below is None or not 0 < below <= 1 for _, below in stages[:-1]) or stages[-1][1] is not None:
            raise OptionError(
                f"ladder {stages!r}: every stage but the last needs a p-value between 0 and 1 to go on below, "
                "the last one None"
            )
        return cls(stages)

    @property
    def most(self) -> int:
        """Replicates of all stages together."""
        return sum(replicates for replicates, _ in self.stages)


def basic_p(estimate: float, replicates: Floats) -> float:
    """Two-sided p-value of the basic bootstrap, as SCENT takes it.

    Parameters
    ----------
    estimate
        Coefficient of the unweighted fit.
    replicates
        Coefficient of each replicate. Shape ``(n_replicates,)``. NaN, where a replicate left it undefined, counts as
        ``q_r > 0``, as SCENT has it, so that many of them make the p-value depend on the sign of the estimate.

    Returns
    -------
    float
        ``2 / R`` when all of ``q_r = 2 b - b*_r`` lie on one side of 0, else ``2 min(k / R, 1 - k / R)`` with
        ``k = #{r: q_r <= 0}``. It is never below ``2 / R``, and never above 1.

    Examples
    --------
    >>> import numpy as np
    >>> basic_p(1.0, np.array([0.5, 1.5, 2.5, 1.0]))
    0.5
    """
    n = replicates.size
    k = int(np.count_nonzero(2.0 * estimate - replicates <= 0))
    if k in (0, n):
        return min(2.0 / n, 1.0)
    return 2.0 * min(k / n, (n - k) / n)


def climb(
    estimate: float, ladder: Ladder, replicate: Callable[[int, int], Floats], *, block: int = 500
) -> tuple[float, int]:
    """Bootstrap p-value along a ladder.

    Parameters
    ----------
    estimate
        Coefficient of the unweighted fit.
    ladder
        The stages.
    replicate
        Given a half-open range of replicate numbers, the coefficient of each. Stages take successive ranges, so that
        none uses a replicate of another.
    block
        Replicates asked for at once, which bounds the memory of their weights.

    Returns
    -------
    tuple of float and int
        p-value of the last stage entered, and its replicates.

    Examples
    --------
    >>> import numpy as np
    >>> climb(0.0, Ladder.of("scent"), lambda first, last: np.resize([-1.0, 1.0], last - first))
    (1.0, 100)
    """
    first = 0
    p, n = np.nan, 0
    for replicates, below in ladder.stages:
        values = np.concatenate(
            [replicate(first + begin, first + min(begin + block, replicates)) for begin in range(0, replicates, block)]
        )
        p, n = basic_p(estimate, values), replicates
        first += replicates
        if below is None or not p < below:
            break
    return p, n
