"""What may happen to workers while blocks are computed, on worker processes of this machine."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import dask
import distributed  # noqa: F401  (its defaults go into Dask's settings, which a test may change only then)
import numpy as np
import pyarrow as pa
import pytest

from scanlink import cluster
from scanlink.errors import RunError
from scanlink.run import Block, Parts, cut, run_blocks
from scanlink.run.account import CostModel
from scanlink.run.compute import compute_block


@dataclass(frozen=True)
class Context:
    folder: str
    seconds: float = 0.0
    deadly: tuple[int, ...] = ()
    wrong: bool = False


def task(context: Context, block) -> pa.Table:
    trace = Path(context.folder) / f"{block.number}-{os.getpid()}-{time.monotonic_ns()}"
    trace.touch()
    if block.number in context.deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    if context.wrong:
        raise ArithmeticError("every time")
    time.sleep(context.seconds)
    trace.rename(trace.with_suffix(".done"))
    return pa.table({"row": list(range(block.first, block.last))})


@pytest.fixture
def blocks():
    return cut(np.arange(24), [np.ones(24)], owners_per_block=1)


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "calls").mkdir()
    return tmp_path


def finished_calls(folder: Path) -> list[int]:
    return sorted(int(path.name.split("-")[0]) for path in (folder / "calls").glob("*.done"))


@pytest.mark.slow
def test_farm__all_workers_killed_twice(folder, blocks):
    parts = Parts(folder / "parts", "f")
    kills: list[set[int]] = []

    def kill_all() -> None:
        # Called by the driver every two seconds; the workers are children's children.
        done = parts.present()
        if len(kills) < 2 and len(done) >= 4 * (len(kills) + 1):
            kills.append(done)
            for pid in client.run(os.getpid, nanny=False).values():
                os.kill(pid, signal.SIGKILL)

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 10}),
        cluster.client("local", n_workers=2) as client,
    ):
        stats = run_blocks(task, Context(str(folder / "calls"), 0.4), blocks, parts, client=client, problem=kill_all)
    assert len(kills) == 2
    assert (stats.n_found, stats.n_computed, stats.failed) == (0, 24, {})
    # No block that had its part was computed again. One whose task had ended, and not the writing of its part, may be.
    calls = finished_calls(folder)
    assert set(calls) == set(range(24))
    assert [calls.count(number) for number in sorted(kills[1])] == [1] * len(kills[1])
    assert parts.read(blocks)["row"].to_pylist() == list(range(24))


@pytest.mark.slow
def test_farm__a_block_that_kills_its_worker_is_set_aside_and_the_others_are_computed(folder, blocks):
    parts = Parts(folder / "parts", "f")
    settings = {"distributed.scheduler.allowed-failures": 1}
    with dask.config.set(settings), cluster.client("local", n_workers=2) as client:
        stats = run_blocks(task, Context(str(folder / "calls"), deadly=(3,)), blocks, parts, client=client)
    assert list(stats.failed) == [3]
    assert "every worker that computed it died" in stats.failed[3]
    assert stats.n_computed == 23
    again = run_blocks(task, Context(str(folder / "calls")), blocks, parts)
    assert (again.n_found, again.n_computed) == (23, 1)


@pytest.mark.parametrize("on_client", [False, True])
def test_run_blocks__when_every_block_fails_the_rest_is_not_tried(folder, on_client):
    many = cut(np.arange(500), [np.ones(500)], owners_per_block=1)
    parts, context = Parts(folder / "parts", "f"), Context(str(folder / "calls"), wrong=True)
    options = {"n_workers": 1, "processes": False, "host": None} if on_client else {}
    with (
        cluster.client("local" if on_client else "none", **options) as client,
        pytest.raises(RunError, match=r"the first 20 blocks all failed.*ArithmeticError: every time"),
    ):
        run_blocks(task, context, many, parts, client=client, retries=0)
    assert len(list((folder / "calls").iterdir())) < 100


def test_farm__workers_that_come_late(folder, blocks):
    with cluster.client("local", n_workers=0, processes=False, host=None) as client:
        questions: list[int] = []

        def one_more() -> None:
            questions.append(len(client.scheduler_info()["workers"]))
            if len(questions) == 2:
                client.cluster.scale(1)

        stats = run_blocks(
            task, Context(str(folder / "calls")), blocks, Parts(folder / "parts", "f"), client=client, problem=one_more
        )
    assert questions[0] == 0
    assert stats.n_computed == 24


def test_farm__a_lost_lock_or_queue_stops_it(folder, blocks):
    with cluster.client("local", n_workers=1, processes=False, host=None) as client:
        client.scanlink_problem = lambda: "no job starts: invalid partition"
        with pytest.raises(RunError, match=r"no job starts: invalid partition\. What is finished is kept"):
            run_blocks(task, Context(str(folder / "calls")), blocks, Parts(folder / "parts", "f"), client=client)


def test_compute_block__where_the_folder_is_not_the_drivers_nothing_is_written(tmp_path, blocks):
    (tmp_path / "calls").mkdir()
    other_folder = tmp_path / "own"
    other_folder.mkdir()
    report = compute_block(
        blocks[0],
        task=task,
        context=Context(str(tmp_path / "calls")),
        parts=Parts(other_folder, "f"),
        marker=str(other_folder / "progress.json"),
    )
    assert report.blind
    assert list(other_folder.iterdir()) == []
    assert finished_calls(tmp_path) == []


def test_compute_block__a_part_that_a_dead_worker_left_is_not_computed_again(folder, blocks):
    parts, context = Parts(folder / "parts", "f"), Context(str(folder / "calls"))
    reports = [compute_block(blocks[0], task=task, context=context, parts=parts) for _ in range(2)]
    assert [report.found_finished for report in reports] == [False, True]
    assert finished_calls(folder) == [0]


def test_cost_model__learns_the_groups_apart():
    model = CostModel()
    quick, slow = (cut(np.arange(50), [np.ones(50), np.ones(50)], owners_per_block=1)[i] for i in (0, 50))
    for _ in range(2000):
        model.observe(quick, 0.5)
        model.observe(slow, 4.0)
    assert model.seconds(quick) == pytest.approx(0.5, rel=0.1)
    assert model.seconds(slow) == pytest.approx(4.0, rel=0.1)
    assert model.mean() == pytest.approx(2.25)
    # A group of which nothing is known is like the others.
    assert model.seconds(Block(100, 2, 0, 1, 3.0)) == pytest.approx(3 * 2.25)
