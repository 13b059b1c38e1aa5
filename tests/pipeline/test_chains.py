"""Analyses that follow others, made up: group by group, when all groups are there, and one behind the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from scanlink.options import Options
from scanlink.pipeline.follow import Follow
from scanlink.run import Block, Plan, run_work, write_plan
from scanlink.tables import GROUP, STATUSES, Column, Table
from scanlink.tl.analysis import Analysis, Follows, Given

GROUPS = ("B", "NK", "T")


class Numbers(Options):
    factor: float = 1.0


TABLE = Table(
    "numbers",
    lambda options: [GROUP, Column("value", "number", "a number"), Column("n_before", "count", "rows gone on from")],
    STATUSES,
    "numbers",
    "numbers",
    effect="value",
)


def block(plan: Plan, block: Block) -> pa.Table:
    rows = np.arange(block.first, block.last)
    values = plan.row_array("values")[rows]
    if np.isnan(values).any():
        raise ArithmeticError("no number")
    n_before = np.full(rows.size, plan.about["n_before"])
    columns = {"group": np.full(rows.size, block.group), "row": rows, "value": values, "n_before": n_before}
    return pa.table(columns, schema=TABLE.schema(None))


def planned(given: Given, name: str, groups: tuple[str, ...], values: np.ndarray, n_before: int) -> Plan:
    cut = np.array_split(np.arange(values.size), len(groups))
    blocks = [Block(k, k, int(rows[0]), int(rows[-1]) + 1, 1.0) for k, rows in enumerate(cut)]
    about = {"n_before": n_before, "name": name, "group": given.group}
    return write_plan(
        Plan,
        name,
        given.parts,
        about=about,
        groups=[{"name": group} for group in groups],
        digested={},
        rows={"values": values},
        blocks=blocks,
    )


def finish(plans: Any, given: Given, options: Numbers, *, set_aside: Any = None, groups: Any = None) -> pd.DataFrame:
    tables = []
    for plan in plans:
        blocks = [b for b in plan.blocks if groups is None or b.group in groups]
        table = plan.parts.read(blocks).to_pandas()
        tables.append(table.assign(group=np.array(plan.group_names)[table["group"]], status="ok"))
    return pd.concat(tables, ignore_index=True) if tables else TABLE.empty(None)


def analysis(name: str, rows: Any, *, follows: Follows | None = None) -> Analysis:
    table = replace(TABLE, name=f"{name}_table")
    section: Any = SimpleNamespace(blocks=f"the {name}", title=name)
    return Analysis(name, table, Numbers, rows, block, finish, section, follows=follows)


FIRST = analysis("first", lambda given, options: planned(given, "first", GROUPS, np.arange(9.0) * options.factor, 0))


def after(name: str, source: str, *, skip: str = "", **how: Any) -> Analysis:
    """Make an analysis of the sums of what it follows."""

    def rows(given: Given, options: Numbers) -> Plan | None:
        table = given.tables[f"{source}_table"]
        if given.group == skip and skip:
            return None
        groups = (given.group,) if given.group else tuple(dict.fromkeys(table["group"]))
        sums = table.groupby("group", sort=False)["value"].sum()
        return planned(given, name, groups, np.array([sums[group] for group in groups]), len(table))

    return analysis(name, rows, follows=Follows(lambda options: (source,), **how))


def computed(folder: Path, *analyses: Analysis, factor: float = 1.0) -> tuple[Follow, dict[str, pd.DataFrame]]:
    sections = {one.name: Numbers(factor=factor) for one in analyses}
    given = Given(folder, sections)
    follow = Follow(given, analyses)
    stats = run_work(follow.start(), then=follow.then)
    follow.finish(stats)
    tables = {one.name: finish(list(follow.plans(one).values()), given, sections[one.name]) for one in analyses}
    return follow, tables


def test_follow__group_by_group_and_all_at_once(tmp_path):
    by_group, whole = after("by_group", "first"), after("whole", "first", by_group=False)
    follow, tables = computed(tmp_path, FIRST, by_group, whole)
    assert list(follow.plans(by_group)) == list(GROUPS)
    assert list(follow.plans(whole)) == [""]
    for name, n_before in (("by_group", 3), ("whole", 9)):
        assert tables[name]["group"].tolist() == list(GROUPS)
        assert tables[name]["value"].tolist() == [3.0, 12.0, 21.0]
        assert set(tables[name]["n_before"]) == {n_before}


@pytest.mark.parametrize("waits", [False, True])
def test_follow__a_chain_goes_on_from_group_to_group(waits, tmp_path):
    second = after("second", "first", waits=lambda given: waits)
    third, last = after("third", "second", skip="NK"), after("last", "third", by_group=False)
    _, tables = computed(tmp_path, FIRST, second, third, last)
    assert tables["third"]["value"].tolist() == [3.0, 21.0]
    # A group without rows does not keep what needs all groups waiting.
    assert tables["last"]["group"].tolist() == ["B", "T"]
    assert set(tables["last"]["n_before"]) == {2}
    again, same = computed(tmp_path, FIRST, second, third, last)
    assert {name: list(again.plans(one)) for name, one in (("third", third), ("last", last))} == {
        "third": ["B", "T"],
        "last": [""],
    }
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, same[name])


def test_follow__nothing_is_gone_on_from_where_blocks_failed(tmp_path):
    broken = replace(
        FIRST, rows=lambda given, options: planned(given, "first", GROUPS, np.r_[np.zeros(6), [np.nan] * 3], 0)
    )
    second, whole = after("second", "first"), after("whole", "first", by_group=False)
    sections = {one.name: Numbers() for one in (broken, second, whole)}
    follow = Follow(Given(tmp_path, sections), (broken, second, whole))
    follow.finish(run_work(follow.start(), then=follow.then))
    assert list(follow.plans(second)) == ["B", "NK"]
    assert follow.plans(whole) == {}
    assert set(follow.not_followed["second"]) == {"T"}
    assert set(follow.not_followed["whole"]) == set(GROUPS)
