"""What can be known of a run before anything is computed: that it will work, and what it will take."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from scanlink.cluster import Profile, load_profile
from scanlink.io.opening import existing_file
from scanlink.options import IsFile, Options
from scanlink.pipeline.experiment import Looked, Prepared, Run
from scanlink.pipeline.experiments import experiment_of
from scanlink.pipeline.outline import Outline
from scanlink.pp.formula import parse_formula
from scanlink.pp.groups import group_members
from scanlink.pp.query import named_columns, parse_query
from scanlink.run import Plan
from scanlink.run.local import available_cores
from scanlink.run.progress import duration
from scanlink.store.columns import FEATURE
from scanlink.tl.analysis import Analysis

__all__ = ["Estimate", "check"]

# Bytes of a count in the store: position and value. Of a number of a table: in a part, in the early table, in the last.
_COUNT_BYTES, _NUMBER_BYTES = 5, 3 * 8
# MiB of a process that has imported what it needs, and what a worker keeps of bootstrap weights.
_BASE_MIB, _WEIGHTS_MIB = 400, 256


@dataclass
class Estimate:
    """What a run would test and take; all figures but those of cells and groups are estimates."""

    n_cells: int
    n_pairs: int  # of features that are frequent enough, by a sample of cells
    n_pairs_most: int  # of all features
    groups: dict[str, tuple[int, str]]  # cells of each group, and what does not test it, why, or ""
    unfiltered: list[str]  # columns by which a run filters cells when it has computed them; not done here
    seconds: dict[str, float] = field(default_factory=dict)  # on one core, by analysis that stands at the start
    n_blocks: int = 0
    n_rows: int = 0  # of the tables of these, all groups together
    later: list[str] = field(default_factory=list)  # analyses whose work follows from results
    cores: int | None = 1  # None: of a cluster that is running already
    jobs: str = ""
    driver_mib: float = 0.0
    worker_mib: float = 0.0
    disk_mib: float = 0.0

    def lines(self) -> Iterator[str]:
        """Say it, one line each."""
        yield f"{self.n_cells:,} cells in {len(self.groups)} groups"
        for name, (n_cells, problem) in self.groups.items():
            yield f"  {name:<24}{n_cells:>9,}{f'  not tested: {problem}' if problem else ''}"
        if self.unfiltered:
            yield f"of all cells: the query needs {', '.join(self.unfiltered)}, computed from the counts"
        yield f"about {self.n_pairs:,} pairs a group, at most {self.n_pairs_most:,}"
        for name, seconds in self.seconds.items():
            yield f"{name}: about {duration(seconds)} on one core"
        if self.later:
            yield f"not in it, because it follows from results: {', '.join(self.later)}"
        if self.cores is not None:
            cores = min(self.cores, max(self.n_blocks, 1))
            wall = duration(sum(self.seconds.values()) / cores)
            yield f"{self.jobs}: about {wall} on {cores} cores, in {self.n_blocks:,} blocks"
        else:
            yield f"{self.jobs}: {self.n_blocks:,} blocks, on as many cores as it has"
        yield f"memory: about {self.driver_mib:,.0f} MiB of the driver, {self.worker_mib:,.0f} MiB of each worker"
        yield f"disk: about {self.disk_mib:,.0f} MiB in the run folder"


def check(options: Run) -> Estimate:
    """Check a run as far as that is possible without computing, and estimate what it will take.

    In this order: files, profile, names and metadata, groups and formulas of all analyses, pairs, plans; whatever a run
    would stop at raises as there. Counts that can stay on disk are not read, but for those of a thousand cells.
    """
    for path in _files(options):
        if not Path(path).is_dir():
            existing_file(path, "a file that the options name")
    profile, experiment = load_profile(options.cluster), experiment_of(options)
    looked = experiment.look(options)
    unfiltered = _filter(looked, options.cells.query)
    store = Outline(Path("outline"), looked.mdata, looked.computed, looked.components)
    sections = experiment.sections(options)
    analyses = experiment.asked(sections)
    members = group_members(store.cells, options.groups.by, options.groups.only)
    for analysis in analyses:
        if hasattr(sections[analysis.name], "formula"):
            parse_formula(sections[analysis.name].formula, store.cell_columns)
    tables = looked.tables()
    pairs = tables["pairs"]
    tables["pairs"] = frequent = _frequent(pairs, store, looked.min_fraction)
    groups = {name: (int(cells.size), "") for name, cells in members.items()}
    estimate = Estimate(store.n_cells, len(frequent), len(pairs), groups, unfiltered)
    with tempfile.TemporaryDirectory(prefix="scanlink-check-") as folder:
        given = experiment.given(options, Prepared(store, tables, []), Path(folder))
        for analysis in analyses:
            plan = analysis.rows(given, sections[analysis.name]) if analysis.follows is None else None
            if plan is not None:
                _add(estimate, analysis, plan, sections[analysis.name])
            elif analysis.follows is not None:
                estimate.later.append(analysis.name)
        for analysis in analyses:
            analysis.check(given, sections[analysis.name])
    _place(estimate, profile)
    _size(estimate, store, frequent)
    return estimate


def _filter(looked: Looked, query: str | None) -> list[str]:
    """Keep the cells of the query, unless it names columns that are computed from the counts: those are listed."""
    if query is None:
        return []
    from scanlink.pp.column_names import OTHER_NAMES
    from scanlink.pp.kept_cells import filter_cells

    there = {str(name) for part in (looked.mdata, *looked.mdata.mod.values()) for name in part.obs}
    computed = {name for ours in looked.computed for name in (ours, *OTHER_NAMES.get(ours, ("", ()))[1])}
    unknown = sorted((named_columns(parse_query(query)) - there) & computed)
    if not unknown:
        filter_cells(looked.mdata, query)
    return unknown


def _files(options: Options | Any) -> Iterator[str]:
    """List all files that options name."""
    for name, about in type(options).model_fields.items():
        value = getattr(options, name)
        if isinstance(value, Options):
            yield from _files(value)
        elif value is not None and any(isinstance(mark, IsFile) for mark in about.metadata):
            yield value


def _frequent(pairs: pd.DataFrame, store: Outline, least: float) -> pd.DataFrame:
    """Keep the pairs of features that are non-zero in enough cells, as far as a sample of cells tells."""
    for modality in store.modalities if least > 0 else ():
        name = FEATURE[modality]
        if name in pairs:
            common = store.features(modality)[store.fractions(modality) >= least]
            kept = pairs[pairs[name].isin(common)]
            # A sample may be too small to find any; then no better is known.
            pairs = kept if len(kept) else pairs
    return pairs.reset_index(drop=True)


def _add(estimate: Estimate, analysis: Analysis, plan: Plan, options: Any) -> None:
    """Add what an analysis would take."""
    estimate.seconds[analysis.name] = plan.cost
    estimate.n_blocks += len(plan.blocks)
    rows = sum(block.last - block.first for block in plan.blocks)
    estimate.n_rows += rows
    estimate.disk_mib += rows * len(analysis.table.columns(options)) * _NUMBER_BYTES / 2**20
    for group in plan.about["groups"]:
        n_cells, before = estimate.groups[group["name"]]
        if group.get("problem"):
            said = f"{analysis.name}: {group['problem']}"
            estimate.groups[group["name"]] = (n_cells, f"{before}; {said}" if before else said)


def _place(estimate: Estimate, profile: Profile) -> None:
    """Say where it would be computed, and on how many cores."""
    estimate.cores, estimate.jobs = 1, "in one process"
    if profile.kind == "local":
        estimate.cores = int(profile.options.get("n_workers") or available_cores())
        estimate.jobs = f"{estimate.cores} workers on this machine"
    elif profile.kind == "running":
        estimate.cores, estimate.jobs = None, f"the Dask cluster at {profile.address}"
    elif profile.kind != "none":
        processes, jobs = int(profile.options["processes"]), profile.jobs.maximum
        estimate.cores = jobs * processes
        memory = profile.options["memory"]
        estimate.jobs = f"{jobs} jobs of {processes} workers and {memory} each ({profile.name})"


def _size(estimate: Estimate, store: Outline, pairs: pd.DataFrame) -> None:
    """Estimate memory and disk: of the store, of the tables, and of the largest group in a worker."""
    n_counts = 0.0
    for modality in store.modalities:
        names, shares = store.features(modality), store.fractions(modality)
        used = names.isin(pairs[FEATURE[modality]]) if FEATURE[modality] in pairs else names == names
        n_counts += float(shares[used].sum()) * store.n_cells
    tables = estimate.disk_mib
    estimate.disk_mib += n_counts * _COUNT_BYTES / 2**20
    # The table is held while it is put together from its parts.
    estimate.driver_mib = _BASE_MIB + tables
    largest = max((n_cells for n_cells, _ in estimate.groups.values()), default=0)
    estimate.worker_mib = _BASE_MIB + _WEIGHTS_MIB + largest * 30 * 8 / 2**20
