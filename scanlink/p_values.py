"""Every kind of p-value, said once: its name as an option, its column, its words, its sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["KINDS", "PERMUTED_KINDS", "PValue", "PValueKind", "ScreenPValue", "Wording", "column_of"]

# Kinds that a test of cells as they are has, and those of tests whose perturbation can be given to other cells.
PValue = Literal["wald", "robust", "bootstrap", "tail"]
ScreenPValue = Literal["wald", "robust", "bootstrap", "tail", "permutation"]


@dataclass(frozen=True)
class Wording:
    """What a report says of a kind of p-value."""

    words: str  # the test in a few words
    method: str = ""  # what was done, for the list of methods; "" where it needs no mention
    references: tuple[str, ...] = ()  # names of publications in :mod:`scanlink.report.references`


@dataclass(frozen=True)
class PValueKind:
    """A kind of p-value."""

    name: str  # the value of the option ``p_value``
    column: str  # of a test of one effect; of a contrast or an interaction, ``_`` and its name follow
    effect: Wording
    interaction: Wording
    count: str = ""  # column with the number of replicates or permutations behind it; "" where none are drawn

    @property
    def resampled(self) -> bool:
        """Whether it comes from replicates, which take time."""
        return bool(self.count)


def _kind(name: str, column: str, effect: Wording, interaction: Wording | None = None, count: str = "") -> PValueKind:
    return PValueKind(name, column, effect, effect if interaction is None else interaction, count)


_ALL = (
    _kind("wald", "p", Wording("model-based Wald p-value")),
    _kind(
        "robust",
        "p_robust",
        Wording(
            "conditional randomisation test by saddlepoint",
            "Conditional randomisation test by saddlepoint approximation",
            ("crt", "sceptre", "spacrt"),
        ),
        Wording(
            "score test by saddlepoint, counts overdispersed",
            "Score test of the interaction by saddlepoint approximation",
            ("rstar", "spa"),
        ),
    ),
    _kind(
        "bootstrap",
        "p_boot",
        Wording("bootstrap of cells", "Basic bootstrap of cells with a ladder of replicates", ("boot", "scent")),
        count="n_boot",
    ),
    _kind(
        "tail",
        "p_tail",
        Wording(
            "saddlepoint tail of the bootstrap",
            "Tail of the bootstrap by saddlepoint approximation",
            ("saddlepoint", "tail"),
        ),
    ),
    _kind(
        "permutation",
        "p_perm",
        Wording(
            "permutation of the perturbation among cells",
            "Permutation of perturbations among cells; p-values count the data themselves",
            ("phipson", "sceptre"),
        ),
        count="n_perm",
    ),
)
# In the order of the columns.
PERMUTED_KINDS = {kind.name: kind for kind in _ALL}
KINDS = {name: kind for name, kind in PERMUTED_KINDS.items() if name != "permutation"}


def column_of(name: str, end: str = "") -> str:
    """Give the column of a kind of p-value, of a test of one effect or of a contrast, such as ``"interaction"``."""
    column = PERMUTED_KINDS[name].column
    return f"{column}_{end}" if end else column
