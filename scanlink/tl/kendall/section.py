"""What the page and the command line tell of Kendall's correlations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scanlink.report.asked import in_words
from scanlink.report.counts import summary_lines
from scanlink.report.references import Method, Reference
from scanlink.report.sections import Section

if TYPE_CHECKING:
    from scanlink.report.result import Result

__all__ = ["SECTION"]

_KENDALL = Reference(
    "Kendall MG. The treatment of ties in ranking problems. Biometrika 33, 239-251 (1945).", "10.2307/2332303"
)


def _test(options: Mapping[str, Any]) -> str:
    return (
        f"Kendall's tau of log1p(10,000 counts / {options.get('depth')}) with open peaks, in groups of at least "
        f"{options.get('min_cells')} cells"
    )


def _lead(result: Result) -> str:
    if result.table is None:
        return ""
    return f"{result.counts.tested:,} of {result.counts.asked:,} pairs have a rank correlation."


SECTION = Section(
    title="Rank correlations",
    blocks="the rank correlations",
    needs={"kendall": ("group", "gene", "peak", "tau", "status")},
    columns=("group", "gene", "peak", "distance", "tau"),
    asked=lambda options: in_words(options, ("Rank correlations", "kendall", _test)),
    lead=_lead,
    intro=lambda result: (
        "Kendall's tau says how the expression of a gene goes with whether a peak is open, from -1 to 1. It is a score "
        "and no test: cells with more counts have more of everything, so that tau is above 0 where nothing is linked."
    ),
    absent=lambda run: "This run did not compute rank correlations. A section `kendall:` in run.yaml asks for them.",
    methods=lambda result: [Method("Rank correlation of expression and open peaks (Kendall's tau)", (_KENDALL,))],
    summary=lambda table, rates, not_followed: summary_lines(
        table, f"rank correlations asked for in {table['group'].nunique()} groups"
    ),
)
