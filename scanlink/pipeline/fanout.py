"""From links to enhancer pairs to contrasts, group by group: a group does not wait until the others are tested."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scanlink.files import replace_file
from scanlink.io.peaks import parse_peaks
from scanlink.options import EpistasisOptions, GroupOptions, LinksOptions
from scanlink.run import PartError, RunStats, Work, run_work
from scanlink.store.store import Store
from scanlink.tl.context import context_of
from scanlink.tl.designs import group_designs
from scanlink.tl.epistasis.block import epistasis_block
from scanlink.tl.epistasis.call import DOSAGE, collect_epistasis, compute_epistasis, epistasis_columns
from scanlink.tl.epistasis.enhancer_pairs import enhancer_columns, enhancer_pairs
from scanlink.tl.epistasis.rows import EpistasisPlan, make_epistasis_plan
from scanlink.tl.scan.block import scan_block
from scanlink.tl.scan.rows import Plan
from scanlink.tl.scan.table import collect_groups

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["FOLLOWED", "FanOut"]

log = logging.getLogger("scanlink")

# Beside the parts of a scan: which plans of enhancer pairs follow from its groups so far.
FOLLOWED = "followed.json"


class FanOut:
    """A scan, and the enhancer pairs that follow from its links.

    Parameters
    ----------
    plan
        Of the scan.
    store
        The counts.
    links
        How links are called. With the scope ``all`` a group's links depend on all groups, and enhancer pairs are made
        when the last group is tested.
    epistasis
        How enhancer pairs are tested.
    groups
        How cells are grouped.

    Attributes
    ----------
    pairs
        Enhancer pairs of each group that is followed up, by its number.
    plans
        Their plans, of groups that have any.
    stats
        What was done for these.
    unfollowed
        Why a group is not followed up, by its name.

    Raises
    ------
    MissingKeyError, DesignError, InputError
        Whatever would make the second stage fail is found before the first: unknown names, missing covariates, peaks
        without a place, no usable group.
    """

    def __init__(
        self, plan: Plan, store: Store, *, links: LinksOptions, epistasis: EpistasisOptions, groups: GroupOptions
    ) -> None:
        self.plan, self.store, self.links, self.options, self.groupby = plan, store, links, epistasis, groups.by
        self.pairs: dict[int, pd.DataFrame] = {}
        self.plans: dict[int, EpistasisPlan] = {}
        self.stats: dict[int, RunStats] = {}
        self.unfollowed: dict[str, str] = {}
        self._works: dict[Work, int] = {}
        self._tested: set[int] = set()
        n_states = 2**epistasis.order
        log.info("enhancer pairs: looking at cells and covariates of each group")
        group_designs(
            store,
            formula=epistasis.formula,
            groupby=groups.by,
            groups=groups.only,
            cluster=epistasis.cluster,
            min_cells=epistasis.min_cells * n_states,
            n_tested=n_states - 1,
        )
        parse_peaks(pd.unique(store.peaks))
        if epistasis.coding == "dosage":
            log.warning(DOSAGE)

    def compute(self, *, client: Client | None = None, problem: Callable[[], str | None] = lambda: None) -> RunStats:
        """Compute what is not finished of the scan and of all that follows from it.

        Parameters
        ----------
        client, problem
            As in :func:`scanlink.run.run_work`.

        Returns
        -------
        RunStats
            Of the scan; ``stats`` has those of the enhancer pairs.
        """
        self._tell()
        scan = Work(scan_block, context_of(self.plan), self.plan.blocks, self.plan.parts)
        found = run_work([scan], client=client, problem=problem, then=self._then)
        self.stats = {self._works[work]: stats for work, stats in found.items() if work is not scan}
        first, rest = found[scan], list(self.stats.values())
        for number, reason in sorted(first.unfollowed.items()):
            self.unfollowed[self._name(number)] = reason
        if first.unfollowed and self.links.scope == "all":
            reason = f"links are called over all groups, and {', '.join(self.unfollowed)} is not tested as a whole"
            self.unfollowed |= {self._name(number): reason for number in sorted(self._tested)}
        for name, reason in self.unfollowed.items():
            log.warning("no enhancer pairs of group %s: %s. The same command goes on from there", name, reason)
        self._tell()
        for words, many in (("scan", [first]), ("epistasis", rest)):
            log.info(
                "%s: %d blocks, %d found finished, %d computed in %.1f s of tasks",
                words,
                *(sum(getattr(stats, name) for stats in many) for name in ("n_blocks", "n_found", "n_computed")),
                sum(stats.task_seconds for stats in many),
            )
        return first

    def tables(self, *, problem: Callable[[], str | None] = lambda: None) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Enhancer pairs and their contrasts, in the order of the scan's groups.

        Parameters
        ----------
        problem
            As in :func:`scanlink.run.run_work`, where a part was altered and is computed again.
        """
        if not self.plans:
            columns = epistasis_columns(self.options.order, family=self.options.family)
            return self._no_pairs(), self._empty(columns)
        pairs = [self.pairs[number] for number in sorted(self.plans)]
        tables = [self._collected(number, problem) for number in sorted(self.plans)]
        if "theta_converged" in tables[0].columns:
            # A group without an estimate has no truth value to go by.
            tables = [table.astype({"theta_converged": object}) for table in tables]
        return pd.concat(pairs, ignore_index=True), pd.concat(tables, ignore_index=True)

    def _then(self, work: Work, group: int) -> list[Work]:
        """What follows from a group of the scan that is tested."""
        self._tested.add(group)
        ready: Collection[int] = [group]
        if self.links.scope == "all":
            ready = range(len(self.plan.groups)) if len(self._tested) == len(self.plan.groups) else []
            if len(self._tested) == 1 and not ready:
                log.info("links are called over all groups: enhancer pairs are made when the last group is tested")
        if not ready:
            return []
        links = collect_groups(self.plan, self.links, groups=ready)
        works = [self._follow(number, links[links["group"] == self._name(number)]) for number in ready]
        self._tell()
        return [work for work in works if work is not None]

    def _follow(self, number: int, links: pd.DataFrame) -> Work | None:
        name = self._name(number)
        fdr = self.links.alpha if self.options.links_fdr is None else self.options.links_fdr
        called = links[links["fdr"] < fdr] if fdr < 1 else links[links["fdr"].notna()]
        if called.empty:
            self.pairs[number] = self._no_pairs()
        else:
            self.pairs[number] = enhancer_pairs(
                called,
                fdr=fdr,
                order=self.options.order,
                min_distance=self.options.min_distance,
                max_distance=self.options.max_distance,
            )
        pairs = self.pairs[number]
        log.info(
            "group %s is tested: %d links, %d enhancer pairs of %d genes",
            name,
            len(called),
            len(pairs),
            pairs["gene"].nunique(),
        )
        if pairs.empty:
            return None
        plan = make_epistasis_plan(
            self.store, pairs, self.plan.folder.parent, options=self.options, groupby=self.groupby, strict=False
        )
        work = Work(epistasis_block, context_of(plan), plan.blocks, plan.parts, leaf=True)
        self.plans[number], self._works[work] = plan, number
        return work

    def _collected(self, number: int, problem: Callable[[], str | None]) -> pd.DataFrame:
        plan, stats = self.plans[number], self.stats[number]
        try:
            return collect_epistasis(plan, set_aside=stats.failed)
        except PartError as error:
            # Altered since it was written; a few blocks are computed here.
            log.warning("%s", error)
            stats.add(compute_epistasis(plan, problem=problem))
            return collect_epistasis(plan, set_aside=stats.failed)

    @property
    def _columns(self) -> list[str]:
        return enhancer_columns(self.options.order)

    def _name(self, number: int) -> str:
        return self.plan.groups[number].name

    def _no_pairs(self) -> pd.DataFrame:
        return self._empty(["group", "gene", *self._columns, "distance"])

    def _empty(self, columns: list[str]) -> pd.DataFrame:
        """A table without rows, whose columns have the types that they have elsewhere."""
        texts = {"group", "gene", "status", "theta_converged", *self._columns}
        found: dict[str, Any] = {}
        for name in columns:
            if name in texts:
                found[name] = np.empty(0, dtype=object)
            elif name == "distance":
                found[name] = pd.array([], dtype="Int64")
            else:
                found[name] = np.empty(0, dtype=np.int64 if name.startswith("n_") else np.float64)
        return pd.DataFrame(found)

    def _tell(self) -> None:
        """For ``scanlink status``: how many pairs each group has, and where their plan is."""
        said = {
            self._name(number): {
                "pairs": len(pairs),
                "plan": self.plans[number].folder.name if number in self.plans else None,
            }
            for number, pairs in sorted(self.pairs.items())
        }
        said |= {name: {"reason": reason} for name, reason in self.unfollowed.items()}
        text = json.dumps(said, indent=1)
        path: Path = self.plan.folder / FOLLOWED
        replace_file(path, lambda temporary: temporary.write_text(text))
