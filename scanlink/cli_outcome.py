"""What the command line prints at the end of a run: what it came to, and where to look."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from scanlink.pipeline.run import Outcome
    from scanlink.pipeline.screen_pipeline import ScreenOutcome
    from scanlink.report.section import Analysis
    from scanlink.run import RunStats

__all__ = ["outcome_lines", "tell", "tell_screen"]


def outcome_lines(
    folder: Path,
    analyses: Sequence[Analysis],
    tables: Mapping[str, pd.DataFrame],
    *,
    alpha: Mapping[str, float],
    not_followed: Mapping[str, Mapping[str, str]],
    stats: Collection[RunStats],
    seconds: Mapping[str, float],
    failures: Sequence[str],
    report: Path | None,
) -> list[str]:
    """Say what a run came to.

    Parameters
    ----------
    folder
        The run folder.
    analyses
        Analyses of the run.
    tables
        Tables that it came to, by name; empty where it ended before.
    alpha
        False discovery rates below which rows are called, by analysis.
    not_followed
        By analysis, the reasons why groups have no rows.
    stats
        Blocks found finished and computed, of each plan.
    seconds
        Wall time of each stage.
    failures
        Blocks that were set aside, with their reasons.
    report
        The HTML page; None where none was written.
    """
    finished = [analysis for analysis in analyses if analysis.table.name in tables]
    if not finished:
        return [f"store and pairs are in {folder}"]
    lines: list[str] = []
    paths: list[str] = []
    for analysis in finished:
        reasons = not_followed.get(analysis.name, {})
        summary = analysis.section.summary(tables[analysis.table.name], alpha[analysis.name], reasons)
        lines += summary
        if summary:
            what = "table" if analysis is analyses[0] else analysis.section.title.lower()
            paths.append(f"{what}: {folder / analysis.table.name}.parquet")
    lines += [*_block_lines(stats, seconds, failures), *paths]
    return lines if report is None else [*lines, f"report: {report}"]


def _block_lines(stages: Collection[RunStats], seconds: Mapping[str, float], failures: Sequence[str]) -> list[str]:
    lines, n_blocks = [], sum(stats.n_blocks for stats in stages)
    if n_blocks:
        found, computed = sum(stats.n_found for stats in stages), sum(stats.n_computed for stats in stages)
        total = seconds.get("total", 0)
        lines.append(f"{n_blocks} blocks: {found} found finished, {computed} computed; {total:.1f} s in all")
    damaged = sum(len(stats.damaged) for stats in stages)
    if damaged:
        lines.append(f"{damaged} parts were damaged and computed anew")
    if failures:
        first, number = failures[0], len(failures)
        lines.append(
            f"{number} blocks failed again and again and were set aside; their pairs have the status 'failed'. "
            f"{first[0].upper()}{first[1:]}. The same command tries them again"
        )
    return lines


# The two outcomes that there are until all experiments have one.


def tell(outcome: Outcome) -> None:
    """Print what a run came to."""
    tables = {"links": outcome.links, "epistasis": outcome.epistasis}
    _print(
        outcome,
        {name: table for name, table in tables.items() if table is not None},
        alpha={"scan": outcome.alpha, "epistasis": outcome.epistasis_alpha},
        not_followed={"epistasis": outcome.unfollowed},
        stats=[outcome.stats, *outcome.epistasis_stats.values()],
    )


def tell_screen(outcome: ScreenOutcome) -> None:
    """Print what a run of a screen came to."""
    _print(outcome, outcome.tables, alpha=outcome.alpha, not_followed={}, stats=outcome.stats.values())


def _print(
    outcome: Outcome | ScreenOutcome,
    tables: Mapping[str, pd.DataFrame],
    *,
    alpha: Mapping[str, float],
    not_followed: Mapping[str, Mapping[str, str]],
    stats: Collection[RunStats],
) -> None:
    from scanlink.report.write import analyses_of

    lines = outcome_lines(
        outcome.folder,
        analyses_of(outcome.folder),
        tables,
        alpha=alpha,
        not_followed=not_followed,
        stats=stats,
        seconds=outcome.seconds,
        failures=outcome.failures,
        report=outcome.report,
    )
    print("\n".join(lines))
