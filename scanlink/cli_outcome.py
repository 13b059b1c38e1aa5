"""What the command line prints at the end of a run: what it came to, and where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scanlink.pipeline.outcome import Outcome

__all__ = ["tell"]


def tell(outcome: Outcome) -> None:
    """Print what a run came to."""
    if not outcome.tables:
        print(f"store and pairs are in {outcome.folder}")
        return
    written = [analysis for analysis in outcome.analyses if analysis.table.name in outcome.tables]
    for analysis in written:
        table, reasons = outcome.tables[analysis.table.name], outcome.not_followed.get(analysis.name, {})
        for line in analysis.section.summary(table, analysis.alpha(outcome.sections), reasons):
            print(line)
    _print_blocks(outcome)
    for analysis in written:
        what = "table" if analysis is written[0] else analysis.section.title.lower()
        print(f"{what}: {outcome.folder / analysis.table.name}.parquet")
    if outcome.report is not None:
        print(f"report: {outcome.report}")


def _print_blocks(outcome: Outcome) -> None:
    stats, failures = outcome.all_stats, outcome.failures
    if n_blocks := sum(one.n_blocks for one in stats):
        found, computed = sum(one.n_found for one in stats), sum(one.n_computed for one in stats)
        total = outcome.seconds.get("total", 0)
        print(f"{n_blocks} blocks: {found} found finished, {computed} computed; {total:.1f} s in all")
    if damaged := sum(len(one.damaged) for one in stats):
        print(f"{damaged} parts were damaged and computed anew")
    if failures:
        first, number = failures[0], len(failures)
        print(
            f"{number} blocks failed again and again and were set aside; their pairs have the status 'failed'. "
            f"{first[0].upper()}{first[1:]}. The same command tries them again"
        )
