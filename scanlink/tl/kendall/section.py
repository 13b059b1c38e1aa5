"""What the page and the command line tell of Kendall's correlations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from scanlink.report.counts import summary_lines
from scanlink.report.references import Method, Reference
from scanlink.report.result_rows import GENE, GROUP, SYMBOL, Column
from scanlink.report.sections import Section

if TYPE_CHECKING:
    from scanlink.report.folder import Run
    from scanlink.report.result import Result

__all__ = ["SECTION"]

_KENDALL = Reference(
    "Kendall MG. The treatment of ties in ranking problems. Biometrika 33, 239-251 (1945).", "10.2307/2332303"
)

PAGE_COLUMNS = (
    GROUP,
    SYMBOL,
    GENE,
    Column("peak", "peak", "text", "peak"),
    Column("distance", "distance", "int", "bp from the TSS to the centre of the peak, positive downstream"),
    Column("tau", "tau", "num", "Kendall's tau-b of expression and open peak, from -1 to 1"),
)


def _asked(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    section = options.get("kendall")
    if isinstance(section, Mapping):
        yield (
            "Rank correlations",
            f"Kendall's tau of log1p(10,000 counts / {section.get('depth')}) with open peaks, in groups of at least "
            f"{section.get('min_cells')} cells",
        )


def _lead(result: Result) -> str:
    if result.table is None:
        return ""
    return f"{result.counts.tested:,} of {result.counts.asked:,} pairs have a rank correlation."


def _intro(result: Result) -> str:
    return (
        "Kendall's tau says how the expression of a gene goes with whether a peak is open, from -1 to 1. It is a score "
        "and no test: cells with more counts have more of everything, so that tau is above 0 where nothing is linked."
    )


def _absent(run: Run) -> str:
    return "This run did not compute rank correlations. A section `kendall:` in run.yaml asks for them."


def _methods(result: Result) -> list[Method]:
    return [Method("Rank correlation of expression and open peaks (Kendall's tau)", (_KENDALL,))]


def _summary(table: pd.DataFrame, alpha: float, not_followed: Mapping[str, str]) -> list[str]:
    return summary_lines(table, f"rank correlations asked for in {table['group'].nunique()} groups")


SECTION = Section(
    title="Rank correlations",
    blocks="the rank correlations",
    needs={"kendall": ("group", "gene", "peak", "tau", "status")},
    columns=PAGE_COLUMNS,
    asked=_asked,
    lead=_lead,
    intro=_intro,
    absent=_absent,
    methods=_methods,
    summary=_summary,
    shown=lambda run, table: run.with_symbols(table),
)
