"""Which block is begun next, and what is told of how far it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from scanlink.run import Block, Parts, RunStats, Work, cut
from scanlink.run.account import Account, Order
from scanlink.run.progress import Progress
from scanlink.run.work import Done, Job


def never(context: object, block: Block) -> pa.Table:
    raise AssertionError("nothing is computed here")


def accounts_of(folder: Path, *costs: list[list[float]], depths: tuple[int, ...] = (0, 1, 1)) -> dict[Work, Account]:
    """A work for each list of the costs of its groups' blocks."""
    accounts = {}
    for place, groups in enumerate(costs):
        blocks = cut(np.arange(len(groups[0])), [np.array(cost) for cost in groups], owners_per_block=1)
        work = Work(never, place, blocks, Parts(folder / str(place), "f"))
        accounts[work] = Account(work, place=place, depth=depths[place])
    return accounts


def begun(accounts: dict[Work, Account], *, by_group: bool, **options: object) -> list[tuple[int, int, float]]:
    """Work, group and cost of all jobs, the first that is begun first."""
    jobs = [job for account in accounts.values() for job in account.pending]
    np.random.default_rng(0).shuffle(jobs)
    jobs = [Job(*job) for job in jobs]
    Order(accounts, by_group=by_group).sort(jobs, **options)
    return [(job.work.context, job.block.group, job.block.cost) for job in reversed(jobs)]


COSTS = [[1.0, 5.0, 2.0], [9.0, 1.0, 3.0]], [[4.0, 6.0, 7.0]]


def test_order__longest_first_where_nothing_follows(tmp_path):
    order = begun(accounts_of(tmp_path, *COSTS), by_group=False)
    assert [cost for *_, cost in order] == [9.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 1.0]


def test_order__group_after_group_and_what_follows_first(tmp_path):
    order = begun(accounts_of(tmp_path, *COSTS), by_group=True)
    assert order == [
        *((1, 0, cost) for cost in (7.0, 6.0, 4.0)),
        *((0, 1, cost) for cost in (9.0, 3.0, 1.0)),
        *((0, 0, cost) for cost in (5.0, 2.0, 1.0)),
    ]


def test_order__a_block_that_would_be_left_over_goes_first(tmp_path):
    # 38 s in all on 3 threads: what takes more than 6.3 s is begun now.
    order = begun(accounts_of(tmp_path, *COSTS), by_group=True, threads=3)
    assert order[:2] == [(0, 1, 9.0), (1, 0, 7.0)]
    assert order[2:5] == [(1, 0, 6.0), (1, 0, 4.0), (0, 1, 3.0)]


@pytest.mark.parametrize("by_group", [False, True])
def test_order__second_chances_come_last_and_each_work_has_its_own_scale(tmp_path, by_group):
    accounts = accounts_of(tmp_path, [[2.0, 5.0, 3.0]], [[1.0, 1.0, 1.0]], depths=(0, 0))
    scan, other = accounts.values()
    for job in other.pending[:1]:
        other.record(Done(job, seconds=1000.0))
    jobs = [*scan.pending, *other.pending[1:]]
    late = {scan.pending[1]}
    Order(accounts, by_group=by_group).sort(jobs, late=late)
    assert jobs[0] in late
    if not by_group:
        assert [job.work.context for job in reversed(jobs)] == [1, 1, 0, 0, 0]


def test_account__of_parts_that_are_there(tmp_path):
    blocks = cut(np.arange(2), [np.ones(2)] * 3, owners_per_block=1)
    parts = Parts(tmp_path, "f")
    for block in blocks[:3]:
        parts.write(block, pa.table({"row": [block.first]}))
    account = Account(Work(never, None, blocks, parts, groups=(5,)))
    assert (account.stats.n_blocks, account.stats.n_found, account.left) == (6, 3, 3.0)
    assert account.open == {0, 1, 2, 5}
    assert [account.has_ended(group) for group in (0, 1, 2, 5)] == [True, False, False, True]
    # The whole group before the half of one, and those that are done last.
    assert sorted(account.rank, key=account.rank.__getitem__) == [2, 1, 0, 5]
    account.record(Done(account.pending[0], seconds=1.0))
    assert account.has_ended(1)
    # It was said to be computed, and is not there.
    assert account.unseen_parts(1) == [3]
    assert account.unseen_parts(0) == []


def state(path: Path) -> tuple[str, int]:
    progress = json.loads(path.read_text())
    return progress["state"], progress["computed"]


def test_progress__a_file_for_each_work_and_one_line_for_all(tmp_path, caplog):
    first, second, third = (tmp_path / name / "progress.json" for name in ("a", "b", "c"))
    with (  # noqa: PT012
        caplog.at_level("INFO", logger="scanlink"),
        pytest.raises(KeyboardInterrupt),
        Progress(pid=7) as progress,
    ):
        scan, follow = RunStats(4, n_found=1), RunStats(3)
        progress.add(scan, first)
        scan.n_computed = 3
        progress.add(follow, second)
        progress.finish(scan)
        follow.n_computed = 3
        progress.report(workers=2, threads=4, seconds_left=0.0)
        progress.report(workers=2, threads=4, seconds_left=0.0)
        progress.add(RunStats(5, failed={1: "why"}), third)
        assert json.loads(third.read_text())["pid"] == 7
        raise KeyboardInterrupt
    # The second is told to be finished by nobody.
    assert [state(path) for path in (first, second, third)] == [("finished", 3), ("stopped", 3), ("stopped", 0)]
    assert [message.split(",")[0] for message in caplog.messages] == ["7 of 7 blocks"]
