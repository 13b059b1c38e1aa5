"""Ladders of replicates: ever more of them for ever smaller p-values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scanlink.errors import OptionError

__all__ = ["Ladder"]

_NAMED: dict[str, tuple[tuple[int, float | None], ...]] = {
    # SCENT v1.0.1: each stage is entered when the p-value of the one before is below the number beside that one.
    "scent": ((100, 0.1), (500, 0.05), (2_500, 0.01), (25_000, 0.001), (50_000, None)),
    "capstone": ((100, 0.1), (2_500, None)),
    # Of enhancer pairs, in the same work.
    "epistasis": ((100, 0.1), (5_000, None)),
    # Permutations of Zhou et al. 2024, who go on while p is at most 10 / permutations.
    "glimmirs": ((100, 0.1), (1_000, 0.01), (10_000, None)),
    "none": (),
}


@dataclass(frozen=True)
class Ladder:
    """How many replicates a pair gets: stages ``(replicates, go on below p)``, each drawn anew.

    Attributes
    ----------
    stages
        Replicates of each stage, and the p-value below which the next stage is entered; None ends the ladder.
    name
        ``"scent"``, ``"capstone"``, ``"epistasis"``, ``"glimmirs"``, ``"none"`` (without stages) or ``"custom"``.

    Notes
    -----
    ``"scent"`` is the ladder of SCENT 1.0.1 (Sakaue et al. 2024, Nat Genet 56:615), with a floor of 2 / 50,000;
    ``"capstone"`` stops after 2,500, with a floor of 0.0008, and ``"epistasis"`` after 5,000. ``"glimmirs"``
    is that of Zhou et al. 2024 (Cell Genomics 4:100672), for :func:`scanlink.stats.permutation_p`, where each stage
    contains the one before.
    """

    stages: tuple[tuple[int, float | None], ...]
    name: str = "custom"

    @classmethod
    def of(cls, ladder: str | Ladder | Iterable[tuple[int, float | None]] | None) -> Ladder:
        """Make a ladder from its name, or from a list of ``(replicates, go on below p)``.

        Parameters
        ----------
        ladder
            ``"scent"``, ``"capstone"``, ``"epistasis"``, ``"glimmirs"``, ``"none"`` or None for no replicates, a list
            of stages such as ``[(2500, None)]``, or a ladder.

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
        if ladder is None:
            ladder = "none"
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
        """Count the replicates of all stages together."""
        return sum(replicates for replicates, _ in self.stages)
