"""Plans of all analyses of a run: those that stand at its start, and those that follow from groups of others.

A group does not wait until the others are tested, unless what follows needs all of them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pandas as pd

from scanlink.files import replace_file
from scanlink.pipeline.surroundings import booked
from scanlink.run import Plan, RunStats, Work
from scanlink.tl.analysis import Analysis, Given
from scanlink.tl.call import work_of

__all__ = ["FOLLOWED", "Follow"]

log = logging.getLogger("scanlink")

# Beside the parts of a plan: which plans follow from its groups so far.
FOLLOWED = "followed.json"


@dataclass
class _State:
    """Where an analysis stands."""

    plans: dict[str, Plan] = field(default_factory=dict)  # by name of group; "" where one plan has all groups
    groups: dict[str, None] = field(default_factory=dict)  # those that are there as a whole, or have no rows


class Follow:
    """The analyses of a run, in the order of the page, as they become known.

    ``not_followed`` has by analysis, and by group, why it has no rows there: blocks of what it follows were set aside.
    """

    def __init__(self, given: Given, analyses: Sequence[Analysis], seconds: dict[str, float] | None = None) -> None:
        self.given, self.analyses = given, analyses
        # Wall time by analysis, to which that of planning what follows is added.
        self._seconds = {} if seconds is None else seconds
        self.not_followed: dict[str, dict[str, str]] = {}
        self._states = {analysis.name: _State() for analysis in analyses}
        self._works: dict[Work, tuple[Analysis, str]] = {}
        self._last: tuple[tuple[str, ...], pd.DataFrame] | None = None
        # In the order of the groups of what stands at the start.
        self._group_names: list[str] = []

    def start(self) -> list[Work]:
        """Plan what stands at the start, and check what follows, so that it fails before the first task."""
        works = []
        for analysis in self.analyses:
            if analysis.follows is None and (plan := analysis.rows(self.given, self._options(analysis))) is not None:
                works.append(self._planned(analysis, "", plan))
                self._group_names += [name for name in plan.group_names if name not in self._group_names]
        for analysis in self.analyses:
            analysis.check(self.given, self._options(analysis))
        self._write()
        return works

    def then(self, work: Work, group: int) -> list[Work]:
        """Plan what follows from a group, by its index in the plan of a work, that is there as a whole."""
        works = self._advance(*self.group_of(work, group))
        self._last = None
        self._write()
        return works

    def finish(self, stats: Mapping[Work, RunStats]) -> None:
        """Note which groups were not gone on from."""
        for work, done in stats.items():
            analysis, label = self._works[work]
            names = self._states[analysis.name].plans[label].group_names
            reasons = {names[group]: reason for group, reason in sorted(done.unfollowed.items())}
            if reasons:
                self._give_up(analysis, reasons)
        rows = {analysis.name: analysis.table.row for analysis in self.analyses}
        for name, groups in self.not_followed.items():
            for group, reason in groups.items():
                log.warning("no %s of group %s: %s. The same command goes on from there", rows[name], group, reason)
        self._write()

    def plans(self, analysis: Analysis) -> dict[str, Plan]:
        """Give the plans of an analysis by name of group, in the order of the groups; "" is of all groups."""
        plans = self._states[analysis.name].plans
        order = {name: place for place, name in enumerate(self._group_names)}
        return dict(sorted(plans.items(), key=lambda item: order.get(item[0], -1)))

    def works(self, analysis: Analysis) -> dict[str, Work]:
        """Give the works of an analysis, by the same names as its plans."""
        works = {label: work for work, (one, label) in self._works.items() if one is analysis}
        return {label: works[label] for label in self.plans(analysis)}

    def group_of(self, work: Work, group: int) -> tuple[Analysis, str]:
        """Give the analysis of a work, and the name of one of its groups."""
        analysis, label = self._works[work]
        return analysis, self._states[analysis.name].plans[label].group_names[group]

    def cost(self) -> float:
        """Estimate the seconds on one core of what is known so far."""
        return sum(plan.cost for state in self._states.values() for plan in state.plans.values())

    def _options(self, analysis: Analysis) -> object:
        return self.given.sections[analysis.name]

    def _sources(self, analysis: Analysis) -> list[Analysis]:
        """List what an analysis follows, of what is asked for."""
        if analysis.follows is None or analysis.block is None:
            return []
        names = analysis.follows.names(self._options(analysis))
        return [source for source in self.analyses if source.name in names]

    def _followers(self, analysis: Analysis) -> Iterable[Analysis]:
        return (one for one in self.analyses if analysis in self._sources(one))

    def _planned(self, analysis: Analysis, label: str, plan: Plan) -> Work:
        work = work_of(analysis, plan, leaf=not any(self._followers(analysis)))
        self._states[analysis.name].plans[label] = plan
        self._works[work] = (analysis, label)
        return work

    def _is_whole(self, analysis: Analysis) -> bool:
        """Tell whether all groups of an analysis are there."""
        if analysis.follows is None:
            names: Iterable[str] = [n for plan in self._states[analysis.name].plans.values() for n in plan.group_names]
        else:
            names = self._group_names
        return set(names) <= self._states[analysis.name].groups.keys()

    def _advance(self, source: Analysis, group: str) -> list[Work]:
        """Plan what follows from a group of an analysis."""
        groups = self._states[source.name].groups
        groups[group] = None
        works = []
        for follower in self._followers(source):
            sources = self._sources(follower)
            assert follower.follows is not None
            if follower.follows.by_group and not follower.follows.waits(self.given):
                if all(group in self._states[one.name].groups for one in sources):
                    works += self._follow(follower, sources, [group])
            elif all(self._is_whole(one) for one in sources):
                names = self._group_names if follower.follows.by_group else [""]
                works += self._follow(follower, sources, names)
            elif len(groups) == 1:
                log.info(
                    "%s are called over all groups: %s are made when the last group is tested",
                    source.table.called,
                    follower.table.row,
                )
        return works

    def _follow(self, follower: Analysis, sources: Sequence[Analysis], groups: Sequence[str]) -> list[Work]:
        """Plan an analysis for some groups, from the tables of what it follows."""
        with booked(self._seconds, follower.name):
            tables = {source.table.name: self.table(source, groups) for source in sources}
        works = []
        for group in groups:
            own = {name: table if not group else table[table["group"] == group] for name, table in tables.items()}
            given = replace(self.given.having(**own), group=group, strict=False)
            with booked(self._seconds, follower.name):
                plan = follower.rows(given, self._options(follower))
            if plan is not None:
                works.append(self._planned(follower, group, plan))
            else:
                for name in [group] if group else self._group_names:
                    works += self._advance(follower, name)
        return works

    def table(self, source: Analysis, groups: Sequence[str]) -> pd.DataFrame:
        """Make the table of some groups of an analysis while others are computed; "" stands for all.

        The last one is kept until :meth:`then` is through: it is also what those see who follow the run.
        """
        key = (source.name, *groups)
        if self._last is None or self._last[0] != key:
            self._last = (key, self._make(source, groups))
        return self._last[1]

    def _make(self, source: Analysis, groups: Sequence[str]) -> pd.DataFrame:
        plans = self.plans(source)
        if "" not in plans:
            wanted = [plan for label, plan in plans.items() if label in groups or groups == [""]]
            return source.finish(wanted, self.given, self._options(source), groups=[0])
        names = plans[""].group_names
        numbers = range(len(names)) if groups == [""] else [names.index(group) for group in groups]
        return source.finish([plans[""]], self.given, self._options(source), groups=numbers)

    def _give_up(self, source: Analysis, reasons: Mapping[str, str]) -> None:
        """Note that groups of an analysis are not whole, for all that follows."""
        for follower in self._followers(source):
            assert follower.follows is not None
            told = self.not_followed.setdefault(follower.name, {})
            told |= reasons
            if not follower.follows.by_group or follower.follows.waits(self.given):
                lost, called = ", ".join(reasons), source.table.called
                reason = f"{called} are called over all groups, and {lost} is not tested as a whole"
                told |= dict.fromkeys(self._states[source.name].groups, reason)
            self._give_up(follower, told)

    def _write(self) -> None:
        """Leave beside each plan what follows from its groups, for those who ask how far a run is."""
        for source in self.analyses:
            plan = self._states[source.name].plans.get("")
            if plan is None:
                continue
            content = {follower.name: self._progress(follower) for follower in self._followers(source)}
            if content:
                replace_file(plan.folder / FOLLOWED, partial(Path.write_text, data=json.dumps(content, indent=1)))
            else:
                (plan.folder / FOLLOWED).unlink(missing_ok=True)

    def _progress(self, follower: Analysis) -> dict[str, dict[str, object]]:
        """Say of each group that is known how many rows follow from it, and in which plan they are."""
        state = self._states[follower.name]
        progress: dict[str, dict[str, object]] = {name: {"rows": 0, "plan": None} for name in state.groups}
        for label, plan in state.plans.items():
            rows = max((block.last for block in plan.blocks), default=0)
            progress[label or "all"] = {"rows": rows, "plan": plan.folder.name}
        return progress | {name: {"reason": r} for name, r in self.not_followed.get(follower.name, {}).items()}
