"""What a run leaves: its outcome, tables that are not mixed up with those of other options, and its record."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from scanlink.options import RunOptions
from scanlink.pipeline import record as provenance
from scanlink.run import RunStats, peak_mib
from scanlink.tl.scan.rows import Plan

__all__ = ["Outcome", "blocks_record", "move_aside", "set_aside_old_tables", "statuses_record", "write_provenance"]

log = logging.getLogger("scanlink")

# Tables that the scan's options alone do not say everything of.
_EPISTASIS = ("enhancer_pairs", "epistasis", "heterogeneity")


@dataclass
class Outcome:
    """What a run came to.

    Attributes
    ----------
    folder
        The run folder.
    links
        The table; None when the run ended before it.
    enhancer_pairs, epistasis
        The tables; None when epistasis was not asked for.
    heterogeneity
        The table; None when there are fewer than two groups with enhancer pairs.
    alpha, epistasis_alpha
        False discovery rates below which a tested pair counts as a link, and an enhancer pair as interacting.
    stats
        Blocks of the scan found finished and computed, seconds, memory.
    epistasis_stats
        The same of the enhancer pairs of each group that has some, by its name.
    epistasis_plans
        Folder of their plan below ``parts``, by the same names.
    unfollowed
        Why a group has no enhancer pairs although they were asked for, by its name: blocks of its scan were set aside.
    seconds
        Wall time of each stage.
    report
        The HTML page; None where none was written.
    """

    folder: Path
    links: pd.DataFrame | None = None
    enhancer_pairs: pd.DataFrame | None = None
    epistasis: pd.DataFrame | None = None
    heterogeneity: pd.DataFrame | None = None
    alpha: float = 0.1
    epistasis_alpha: float = 0.1
    stats: RunStats = field(default_factory=RunStats)
    epistasis_stats: dict[str, RunStats] = field(default_factory=dict)
    epistasis_plans: dict[str, str] = field(default_factory=dict)
    unfollowed: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    report: Path | None = None

    @property
    def n_links(self) -> int:
        """Tested pairs below the false discovery rate."""
        return 0 if self.links is None else int((self.links["fdr"] < self.alpha).sum())

    @property
    def n_interactions(self) -> int:
        """Tested enhancer pairs below the false discovery rate."""
        return 0 if self.epistasis is None else int((self.epistasis["fdr"] < self.epistasis_alpha).sum())

    @property
    def failures(self) -> list[str]:
        """Every block that was set aside, of both stages, with its reason."""
        found = [f"block {number} of the scan: {reason}" for number, reason in sorted(self.stats.failed.items())]
        for group, stats in self.epistasis_stats.items():
            for number, reason in sorted(stats.failed.items()):
                found.append(f"block {number} of the enhancer pairs of {group}: {reason}")
        return found


def set_aside_old_tables(folder: Path, plan: Plan, options: RunOptions) -> None:
    """Tables of other options must not stand in a folder whose config.yaml says something else."""
    before = provenance.read_record(folder / "provenance.json")
    try:
        same_links = before["plan"] == plan.folder.name
        given, known = options.model_dump(mode="json"), before["options"]
        same = options.epistasis is not None and all(given[name] == known.get(name) for name in ("links", "epistasis"))
    except (KeyError, TypeError, AttributeError):
        same_links = same = False
    for name in ("links", *_EPISTASIS):
        if not (same_links and (same or name == "links")):
            move_aside(folder, name)


def move_aside(folder: Path, name: str) -> None:
    """Keep a table of other data or options under another name, if there is one."""
    table = folder / f"{name}.parquet"
    if table.exists():
        os.replace(table, folder / f"{name}.previous.parquet")
        log.warning("%s of other data or options are kept as %s.previous.parquet", name.replace("_", " "), name)


def write_provenance(outcome: Outcome, options: RunOptions, inputs: list[dict[str, Any]], plan: str | None) -> None:
    """Write provenance.json.

    Parameters
    ----------
    outcome
        Of the run.
    options, inputs
        What it was of.
    plan
        Name of the scan's plan; None for a run that ended before it.
    """
    links, stats, later = outcome.links, outcome.stats, outcome.epistasis_stats
    plans = outcome.epistasis_plans
    more: dict[str, Any] = {}
    if options.epistasis is not None and outcome.epistasis is not None:
        more["epistasis"] = {
            "seed": options.epistasis.seed,
            "groups": {name: {"plan": plans[name], **blocks_record(found)} for name, found in later.items()},
            "not_followed": outcome.unfollowed,
            "pairs": statuses_record(outcome.epistasis),
            "interactions": outcome.n_interactions,
        }
    provenance.write_record(
        outcome.folder / "provenance.json",
        options=options.model_dump(mode="json"),
        seed=options.scan.seed,
        plan=plan,
        inputs=inputs,
        seconds={stage: round(value, 3) for stage, value in outcome.seconds.items()},
        peak_memory_mib={
            "driver": round(peak_mib(), 1),
            "worker": round(max([stats.peak_mib, *(found.peak_mib for found in later.values())]), 1),
        },
        blocks=blocks_record(stats),
        pairs=None if links is None else statuses_record(links),
        links=outcome.n_links,
        **more,
    )


def blocks_record(stats: RunStats) -> dict[str, Any]:
    """What is recorded of the blocks of a table."""
    return {
        "all": stats.n_blocks,
        "found_finished": stats.n_found,
        "computed": stats.n_computed,
        "damaged": stats.damaged,
        "failed": stats.failed,
    }


def statuses_record(table: pd.DataFrame) -> dict[str, int]:
    """How many rows have each status."""
    return {str(status): int(number) for status, number in table["status"].value_counts().items()}
