"""Blocks, parts and the driver, with tasks that know no statistics."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import distributed
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanlink import cluster
from scanlink.errors import RunError
from scanlink.run import Block, Parts, client_for, cut, run_blocks


@dataclass(frozen=True)
class Context:
    folder: str
    fail: tuple[int, ...] = ()


def task(context: Context, block: Block) -> pa.Table:
    """Leaves a trace of every call, so that a test can count them."""
    (Path(context.folder) / f"call-{block.number}-{time.monotonic_ns()}").touch()
    if block.number in context.fail:
        raise ArithmeticError(f"no number for {block.number}")
    return pa.table({"row": list(range(block.first, block.last))})


def calls(folder: Path) -> list[int]:
    return sorted(int(path.name.split("-")[1]) for path in folder.glob("call-*"))


@pytest.fixture
def blocks():
    return cut(np.repeat(np.arange(12), 3), [np.ones(36)], target=6.0)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.floats(0.5, 20), st.integers(1, 3))
def test_cut__covers_every_row_once_and_never_splits_an_owner(sizes, target, n_groups):
    owners = np.repeat(np.arange(len(sizes)), sizes)
    blocks = cut(owners, [np.ones(owners.size)] * n_groups, target=target)
    assert [block.number for block in blocks] == list(range(len(blocks)))
    for group in range(n_groups):
        mine = [block for block in blocks if block.group == group]
        assert [row for block in mine for row in range(block.first, block.last)] == list(range(owners.size))
        for block in mine:
            inside = set(owners[block.first : block.last])
            assert inside.isdisjoint(set(owners[: block.first]) | set(owners[block.last :]))
            assert block.cost <= target or len(inside) == 1


def test_cut__a_fixed_number_of_owners():
    blocks = cut(np.repeat(np.arange(5), 2), [np.ones(10)], owners_per_block=2)
    assert [(block.first, block.last) for block in blocks] == [(0, 4), (4, 8), (8, 10)]


def test_run_blocks__in_process_then_again_computes_nothing(tmp_path, blocks):
    parts = Parts(tmp_path / "parts", "f")
    first = run_blocks(task, Context(str(tmp_path)), blocks, parts)
    assert (first.n_found, first.n_computed) == (0, len(blocks))
    assert parts.read(blocks)["row"].to_pylist() == list(range(36))
    second = run_blocks(task, Context(str(tmp_path)), blocks, parts)
    assert (second.n_found, second.n_computed) == (len(blocks), 0)
    assert len(calls(tmp_path)) == len(blocks)


def test_run_blocks__recomputes_only_what_is_truncated_or_of_another_plan(tmp_path, blocks):
    parts = Parts(tmp_path / "parts", "f")
    run_blocks(task, Context(str(tmp_path)), blocks, parts)
    damaged = parts.path(blocks[1])
    damaged.write_bytes(damaged.read_bytes()[:-20])
    Parts(tmp_path / "parts", "other").write(blocks[2], pa.table({"row": [1]}))
    parts.path(blocks[3]).write_bytes(b"")
    stats = run_blocks(task, Context(str(tmp_path)), blocks, parts)
    assert (stats.n_computed, sorted(stats.damaged)) == (3, [1, 2, 3])
    assert parts.read(blocks)["row"].to_pylist() == list(range(36))


@pytest.mark.parametrize("cost", [0.0, 1e6], ids=["in process", "on a client"])
def test_run_blocks__a_block_that_fails_does_not_stop_the_others(tmp_path, blocks, cost):
    parts = Parts(tmp_path / "parts", "f")
    with client_for(None, cost=cost) as client:
        assert (client is None) == (cost == 0)
        stats = run_blocks(task, Context(str(tmp_path), (2,)), blocks, parts, client=client, retries=1)
        with pytest.raises(RunError, match=r"1 of 6 blocks failed: 'block 2: ArithmeticError: no number for 2'"):
            stats.raise_failures()
        failed = json.loads((parts.folder / "failed.json").read_text())
        assert "in task" in failed["2"]["traceback"]
        assert [block.number for block in blocks if not parts.is_done(block)] == [2]
        assert calls(tmp_path).count(2) == (1 if client is None else 2)
        again = run_blocks(task, Context(str(tmp_path)), blocks, parts, client=client)
    assert (again.n_found, again.n_computed) == (5, 1)
    assert not (parts.folder / "failed.json").exists()


def task_after(context: Context, block: Block) -> pa.Table:
    """The first fails, and the others wait until the driver has stopped."""
    if block.number == 0:
        raise RunError("the disk is full")
    end = time.monotonic() + 300
    while not (Path(context.folder) / "stopped").exists() and time.monotonic() < end:
        time.sleep(0.02)
    return task(context, block)


def states_of_tasks(dask_scheduler) -> set[str]:
    """What has become of the tasks that the scheduler, and the workers of this process, know."""
    known = [*dask_scheduler.tasks.values()]
    for worker in (worker for worker in distributed.Worker._instances if worker.status.name == "running"):
        known += worker.state.tasks.values()
    return {task.state for task in known}


def test_run_blocks__when_it_stops_nothing_more_is_computed(tmp_path):
    many = cut(np.arange(30), [np.ones(30)], owners_per_block=1)
    parts = Parts(tmp_path / "parts", "f")
    with cluster.client("local", n_workers=1, processes=False, host=None) as client:
        with pytest.raises(RunError, match="the disk is full"):
            run_blocks(task_after, Context(str(tmp_path)), many, parts, client=client, retries=0)
        # Three more were waiting on the one thread, and are called back; the one that began meanwhile may end.
        end = time.monotonic() + 60
        ended = {"erred", "error", "cancelled"}
        while not client.run_on_scheduler(states_of_tasks) <= ended and time.monotonic() < end:
            time.sleep(0.05)
        (tmp_path / "stopped").touch()
        time.sleep(1.5)
        assert len(calls(tmp_path)) <= 1


def test_run_blocks__many_more_blocks_than_the_window(tmp_path):
    many = cut(np.arange(300), [np.ones(300)], owners_per_block=1)
    parts = Parts(tmp_path / "parts", "f")
    with client_for(None, cost=1e6) as client:
        stats = run_blocks(task, Context(str(tmp_path)), many, parts, client=client)
    assert stats.n_computed == 300
    assert parts.read(many)["row"].to_pylist() == list(range(300))


def test_client_for__small_work_stays_here():
    with client_for(None, cost=0.1) as client:
        assert client is None
