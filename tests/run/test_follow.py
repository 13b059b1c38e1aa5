"""Work that follows from a group as soon as that group is complete, while others are still computed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask
import distributed  # noqa: F401  (its defaults go into Dask's settings, which a test may change only then)
import numpy as np
import pyarrow as pa
import pytest

from scanlink import cluster
from scanlink.errors import RunError
from scanlink.run import Block, Parts, RunStats, Work, cut, driver, run_work
from scanlink.run.parts import content_digest

N_GROUPS, N_BLOCKS = 3, 4


@dataclass(frozen=True)
class Context:
    """What a block does, by words such as ``scan-1-6``: work, group, number."""

    folder: str
    name: str
    seconds: float = 0.0
    fail: tuple[str, ...] = ()
    kill: tuple[str, ...] = ()
    kill_after_a_part: bool = False
    wait: tuple[tuple[str, str], ...] = ()
    delete: tuple[tuple[str, str], ...] = ()


def wait_until(happened: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 120
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come")
        time.sleep(0.02)


def task(context: Context, block: Block) -> pa.Table:
    """Leaves a trace of its begin and of its end."""
    word, folder = f"{context.name}-{block.group}-{block.number}", Path(context.folder)
    stamp = time.monotonic_ns()
    (folder / f"begin-{word}-{stamp}").touch()
    if word in context.kill:
        if context.kill_after_a_part:
            wait_until(lambda: list(folder.glob("*/block-*.parquet")), "a part")
        os.kill(os.getpid(), signal.SIGKILL)
    if word in context.fail:
        raise ArithmeticError(f"no number for {word}")
    if word in dict(context.wait):
        wait_until((folder / dict(context.wait)[word]).exists, dict(context.wait)[word])
    if word in dict(context.delete):
        marker = folder / dict(context.delete)[word]
        wait_until(marker.exists, marker.name)
        marker.unlink()
    time.sleep(context.seconds)
    (folder / f"end-{word}-{time.monotonic_ns()}").touch()
    # The last: who waits for it finds the time of the end.
    (folder / f"ended-{word}").touch()
    return pa.table({"group": [block.group] * (block.last - block.first), "row": list(range(block.first, block.last))})


class Project:
    """A scan of some groups, and a work of a few blocks that follows from each."""

    def __init__(self, folder: Path, *, n_groups: int = N_GROUPS, n_follow: int = 3, **words: Any) -> None:
        self.folder, self.n_follow, self.words = folder, n_follow, words
        self.blocks = cut(np.arange(N_BLOCKS), [np.ones(N_BLOCKS)] * n_groups, owners_per_block=1)
        self.called: list[tuple[str, int]] = []
        folder.mkdir(exist_ok=True)

    def work(self, name: str, blocks: list[Block], **more: Any) -> Work:
        context = Context(str(self.folder), name, **self.words)
        return Work(task, context, blocks, Parts(self.folder / name, f"plan of {name}"), **more)

    @property
    def scan(self) -> Work:
        return self.work("scan", self.blocks)

    def then(self, work: Work, group: int) -> list[Work]:
        self.called.append((work.context.name, group))
        if work.context.name != "scan":
            return []
        rows = work.parts.read([block for block in work.blocks if block.group == group])
        assert rows["row"].to_pylist() == list(range(N_BLOCKS))
        blocks = cut(np.arange(self.n_follow), [np.ones(self.n_follow)], owners_per_block=1)
        return [self.work(f"follow{group}", [replace(block, group=group) for block in blocks])]

    def run(self, **options: Any) -> dict[str, RunStats]:
        stats_of = run_work([self.scan], then=self.then, **options)
        return {work.context.name: stats for work, stats in stats_of.items()}

    def traces(self, kind: str = "begin") -> list[str]:
        """Words of the blocks that were begun (or ended), in that order."""
        names = [path.name.removeprefix(f"{kind}-").rsplit("-", 1) for path in self.folder.glob(f"{kind}-*")]
        return [word for word, stamp in sorted(names, key=lambda name: int(name[1]))]

    def parts(self) -> dict[str, tuple[int, int]]:
        """Number and time of the file of each part."""
        files = {str(path.relative_to(self.folder)): path.stat() for path in self.folder.glob("*/block-*.parquet")}
        return {name: (status.st_ino, status.st_mtime_ns) for name, status in files.items()}


def counts(stats_of: dict[str, RunStats]) -> dict[str, tuple[int, int, int]]:
    return {name: (stats.n_found, stats.n_computed, len(stats.failed)) for name, stats in stats_of.items()}


@contextmanager
def here_or(threads: int | None) -> Iterator[Any]:
    """None, or a client with so many threads of this process."""
    if threads is None:
        yield None
        return
    options = {"n_workers": 1, "threads_per_worker": threads, "processes": False, "host": None}
    with cluster.client("local", **options) as client:
        yield client


both = pytest.mark.parametrize("threads", [None, 2], ids=["in process", "on a client"])


@both
def test_run_work__every_group_is_followed_once_and_its_blocks_are_computed(tmp_path, threads):
    project = Project(tmp_path / "run")
    with here_or(threads) as client:
        stats_of = project.run(client=client)
        follow = {f"follow{group}": (0, 3, 0) for group in range(N_GROUPS)}
        assert counts(stats_of) == {"scan": (0, 12, 0), **follow}
        assert next(iter(stats_of)) == "scan"
        assert Counter(project.called) == Counter(
            [("scan", group) for group in range(N_GROUPS)] + [(f"follow{group}", group) for group in range(N_GROUPS)]
        )
        assert set(Counter(project.traces()).values()) == {1}
        files = project.parts()
        for name in stats_of:
            progress = json.loads((project.folder / name / "progress.json").read_text())
            assert (progress["state"], progress["computed"], progress["blocks"]) == (
                "finished",
                *2 * [stats_of[name].n_computed],
            )
        again = project.run(client=client)
    assert counts(again) == {"scan": (12, 0, 0), **dict.fromkeys(follow, (3, 0, 0))}
    assert project.parts() == files


def test_run_work__in_process_a_group_comes_after_the_other_with_what_follows_at_once(tmp_path):
    project = Project(tmp_path / "run")
    project.run()
    expected = []
    for group in range(N_GROUPS):
        expected += [f"scan-{group}-{group * N_BLOCKS + i}" for i in range(N_BLOCKS)]
        expected += [f"follow{group}-{group}-{i}" for i in range(3)]
    assert project.traces() == expected


@pytest.mark.parametrize(
    "options",
    [
        {"n_workers": 1, "threads_per_worker": 2, "processes": False, "host": None},
        pytest.param({"n_workers": 2}, marks=pytest.mark.slow),
    ],
    ids=["threads", "processes"],
)
def test_run_work__what_follows_is_computed_while_another_group_is(tmp_path, options):
    # A block of group 1 ends only when one that follows from group 0 has: a barrier between them would last for ever.
    project = Project(tmp_path / "run", wait=(("scan-1-5", "ended-follow0-0-0"),))
    with cluster.client("local", **options) as client:
        stats_of = project.run(client=client)
    assert counts(stats_of)["scan"] == (0, 12, 0)
    ends = project.traces("end")
    assert ends.index("follow0-0-0") < ends.index("scan-1-5")


@both
def test_run_work__same_bits_in_any_order(tmp_path, threads):
    one, other = Project(tmp_path / "one"), Project(tmp_path / "other", seconds=0.01)
    one.run()
    other.blocks = [replace(block, cost=1.0 + (7 * block.number) % 5) for block in other.blocks]
    with here_or(threads) as client:
        other.run(client=client)
    assert one.traces() != other.traces()
    for work in ("scan", *(f"follow{group}" for group in range(N_GROUPS))):
        blocks = one.blocks if work == "scan" else cut(np.arange(3), [np.ones(3)], owners_per_block=1)
        parts = [Parts(project.folder / work, f"plan of {work}") for project in (one, other)]
        assert content_digest(parts[0].read(blocks)) == content_digest(parts[1].read(blocks))


def run_until_killed(folder: str, kill: list[str], in_then: list[Any] | None, threads: int | None) -> None:
    project = Project(Path(folder), seconds=0.01, kill=tuple(kill), kill_after_a_part=True)

    def then(work: Work, group: int) -> list[Work]:
        if [work.context.name, group] == in_then:
            os.kill(os.getpid(), signal.SIGKILL)
        return project.then(work, group)

    with here_or(threads) as client:
        run_work([project.scan], client=client, then=then)


# Imports what a run needs once, and has each run in a process of its own that is a copy of this one.
SERVER = """\
import json, os, sys, traceback
sys.path.insert(0, sys.argv[1])
import test_follow

for line in sys.stdin:
    pid = os.fork()
    if not pid:
        try:
            test_follow.run_until_killed(**json.loads(line))
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def exit_code_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., int]]:
    """Run in a process of its own; returns the exit code."""
    errors = tmp_path_factory.mktemp("server") / "stderr"
    command = [sys.executable, "-c", SERVER, str(Path(__file__).parent)]
    # With threads of its own a process cannot safely be copied.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with (
        open(errors, "w") as stderr,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
        ) as server,
    ):
        assert server.stdin is not None
        assert server.stdout is not None

        def run(**options: Any) -> int:
            server.stdin.write(json.dumps(options) + "\n")
            server.stdin.flush()
            answer = server.stdout.readline()
            assert answer, errors.read_text()
            return int(answer)

        yield run
        server.stdin.close()
        print(errors.read_text(), file=sys.stderr)


@both
@pytest.mark.parametrize(
    ("kill", "in_then"),
    [(("scan-0-2",), None), (("scan-2-10",), None), (("follow1-1-1",), None), ((), ("scan", 1)), ((), ("follow2", 2))],
    ids=["first group", "last group", "what follows", "between", "at the end"],
)
def test_run_work__killed_and_started_again_computes_no_finished_block(tmp_path, exit_code_of, threads, kill, in_then):
    folder = tmp_path / "run"
    assert exit_code_of(folder=str(folder), kill=kill, in_then=in_then, threads=threads) == -signal.SIGKILL
    project = Project(folder)
    left = project.parts()
    n_left = Counter(name.split("/")[0] for name in left)
    assert 0 < len(left) < 12 + 9 or in_then == ("follow2", 2)
    with here_or(threads) as client:
        stats_of = project.run(client=client)
    assert {name: stats.n_found for name, stats in stats_of.items()} == {name: n_left[name] for name in stats_of}
    assert sum(stats.n_found + stats.n_computed for stats in stats_of.values()) == 12 + 9
    assert {name: status for name, status in project.parts().items() if name in left} == left
    assert len(project.parts()) == 21
    assert Counter(name for name, _ in project.called)["scan"] == N_GROUPS
    # Only what was under way, at most the two on two threads, was begun twice.
    assert sum(Counter(project.traces()).values()) - 21 <= (threads or 1)


@both
def test_run_work__a_group_with_a_failed_block_is_not_gone_on_from(tmp_path, caplog, threads):
    project = Project(tmp_path / "run", fail=("scan-1-6", "follow2-2-0"))
    with here_or(threads) as client:
        with caplog.at_level("INFO", logger="scanlink"):
            stats_of = project.run(client=client, retries=0)
        assert counts(stats_of) == {"scan": (0, 11, 1), "follow0": (0, 3, 0), "follow2": (0, 2, 1)}
        assert stats_of["scan"].failed == {6: "ArithmeticError: no number for scan-1-6"}
        assert stats_of["follow2"].failed == {0: "ArithmeticError: no number for follow2-2-0"}
        assert stats_of["scan"].unfollowed == {1: "1 of its 4 blocks were set aside"}
        assert stats_of["follow2"].unfollowed == {2: "1 of its 3 blocks were set aside"}
        assert "group 1 of scan is not gone on from: 1 of its 4 blocks were set aside" in caplog.text
        for name, number in (("scan", "6"), ("follow2", "0")):
            content = json.loads((project.folder / name / "failed.json").read_text())
            assert list(content) == [number]
            assert "in task" in content[number]["traceback"]
        assert not (project.folder / "follow0" / "failed.json").exists()
        project.words = {}
        again = project.run(client=client)
    assert counts(again) == {"scan": (11, 1, 0), "follow0": (3, 0, 0), "follow1": (0, 3, 0), "follow2": (2, 1, 0)}
    assert not again["scan"].unfollowed
    assert not list(project.folder.glob("*/failed.json"))


@both
def test_run_work__what_follows_stops_when_it_is_hopeless(tmp_path, threads):
    words = tuple(f"follow0-0-{number}" for number in range(30))
    project = Project(tmp_path / "run", n_follow=30, fail=words)
    with here_or(threads) as client, pytest.raises(RunError, match="the first 20 blocks all failed"):
        project.run(client=client, retries=0)
    progress = json.loads((project.folder / "follow0" / "progress.json").read_text())
    assert (progress["state"], progress["computed"]) == ("failed", 0)
    assert "the first 20 blocks all failed" in progress["reason"]


@both
def test_run_work__failures_of_several_works_are_not_taken_together(tmp_path, threads):
    # 27 of 39 blocks, 9 of 9 in each of the works that follow.
    words = tuple(f"follow{group}-{group}-{number}" for group in range(3) for number in range(9))
    project = Project(tmp_path / "run", n_follow=9, fail=words)
    with here_or(threads) as client:
        stats_of = project.run(client=client, retries=0)
    assert counts(stats_of) == {"scan": (0, 12, 0), **{f"follow{group}": (0, 0, 9) for group in range(3)}}


@both
def test_run_work__an_exception_of_the_callback_stops_everything(tmp_path, threads):
    project = Project(tmp_path / "run", seconds=0.2)

    def then(work: Work, group: int) -> list[Work]:
        if (work.context.name, group) == ("scan", 1):
            raise LookupError("no such gene")
        return project.then(work, group)

    with here_or(threads) as client:
        with pytest.raises(LookupError, match="no such gene"):
            run_work([project.scan], then=then, client=client)
        begun = len(project.traces())
        progress = json.loads((project.folder / "scan" / "progress.json").read_text())
        assert (progress["state"], progress["reason"]) == ("failed", "no such gene")
        time.sleep(1.0)
        # What a thread had begun goes on; what was sent beyond that was called back.
        assert len(project.traces()) <= begun + 2
        wait_until(lambda: len(project.parts()) == len(project.traces()), "the parts of what had begun")
        left = project.parts()
        assert len(left) < 21
        project.words = {}
        stats_of = project.run(client=client)
    assert sum(stats.n_found for stats in stats_of.values()) == len(left)
    assert sum(stats.n_found + stats.n_computed for stats in stats_of.values()) == 21


@both
def test_run_work__a_part_altered_before_it_is_gone_on_from_is_computed_anew(tmp_path, caplog, threads):
    project, parts = Project(tmp_path / "run"), []

    def then(work: Work, group: int) -> list[Work]:
        if work.context.name == "scan" and group == 1 and not parts:
            parts.append(work.parts.path(work.blocks[5]))
            parts[0].write_bytes(parts[0].read_bytes()[:-20])
        return project.then(work, group)

    with here_or(threads) as client:
        stats_of = run_work([project.scan], then=then, client=client)
    by_name = {work.context.name: stats for work, stats in stats_of.items()}
    assert counts(by_name)["scan"] == (0, 12, 0)
    assert list(by_name["scan"].damaged) == [5]
    assert "part block-000005.parquet cannot be used" in caplog.text
    assert Counter(project.called)["scan", 1] == 2
    assert Counter(project.traces())["scan-1-5"] == 2
    assert all(f"follow{group}" in by_name for group in range(N_GROUPS))


@both
def test_run_work__a_part_that_is_altered_again_ends_it(tmp_path, threads):
    project = Project(tmp_path / "run")

    def then(work: Work, group: int) -> list[Work]:
        work.parts.path(work.blocks[N_BLOCKS * group]).write_bytes(b"")
        return project.then(work, group)

    with here_or(threads) as client, pytest.raises(RunError, match=r"part block-\d+.parquet cannot be used"):
        run_work([project.scan], then=then, client=client)


@both
def test_run_work__groups_without_blocks_and_works_without_groups(tmp_path, threads):
    project = Project(tmp_path / "run", n_groups=1)
    works = [project.work("empty", []), project.work("some", project.blocks, groups=(0, 1, 7))]
    with here_or(threads) as client:
        stats_of = run_work(works, then=project.then, client=client)
    assert [(stats.n_blocks, stats.n_computed) for stats in stats_of.values()] == [(0, 0), (4, 4)]
    assert sorted(project.called) == [("some", 0), ("some", 1), ("some", 7)]
    for work in works:
        assert json.loads(work.marker.read_text())["state"] == "finished"


def test_run_work__groups_found_finished_are_gone_on_from_at_once(tmp_path):
    first = Project(tmp_path / "run", n_groups=1)
    run_work([first.scan])
    # One thread, which the first block of another group keeps until what follows is sent.
    project = Project(tmp_path / "run", wait=(("scan-1-4", "follow0/progress.json"),))
    with here_or(1) as client:
        stats_of = project.run(client=client)
    assert counts(stats_of)["scan"] == (4, 8, 0)
    assert project.called[0] == ("scan", 0)


def test_run_work__workers_have_something_to_do_while_the_callback_takes_its_time(tmp_path):
    # The first block of a group does not end before the callback of the group before has begun, and that does not end
    # before two of these blocks have. Of four threads three may wait, so that the blocks of a group always go on.
    firsts = [f"scan-{group}-{N_BLOCKS * group}" for group in range(1, 4)]
    waits = tuple((word, f"called-{group}") for group, word in enumerate(firsts))
    project, called = Project(tmp_path / "run", n_groups=4, wait=waits), []

    def then(work: Work, group: int) -> list[Work]:
        called.append(group)
        if group < 3:
            (project.folder / f"called-{group}").touch()
            ended = [project.folder / f"ended-scan-{group + 1}-{N_BLOCKS * (group + 1) + i}" for i in range(2)]
            wait_until(lambda: all(path.exists() for path in ended), "two blocks of the next group")
        return []

    with here_or(4) as client:
        run_work([project.scan], then=then, client=client)
    assert sorted(called) == [0, 1, 2, 3]


def test_run_work__one_marker_a_work(tmp_path):
    # The one thread deletes the marker of what follows, and is then to compute it. On a busy machine Dask turns blocks
    # around that are sent at nearly the same time, so that one of it may come before.
    project = Project(tmp_path / "run", seconds=0.2, delete=(("scan-1-4", "follow0/progress.json"),))
    with here_or(1) as client, pytest.raises(RunError, match=r"do not see the folder .*follow0 \('inproc"):
        project.run(client=client)
    assert len([word for word in project.traces() if word.startswith("follow0")]) < project.n_follow


@pytest.mark.slow
def test_run_work__a_second_chance_for_each_block_of_each_work(tmp_path):
    project = Project(tmp_path / "run", n_groups=2, kill=("scan-1-5", "follow0-0-1"))
    settings = {"distributed.scheduler.allowed-failures": 1}
    with dask.config.set(settings), cluster.client("local", n_workers=2) as client:
        stats_of = project.run(client=client)
    assert counts(stats_of) == {"scan": (0, 7, 1), "follow0": (0, 2, 1)}
    for stats in stats_of.values():
        assert all("every worker that computed it died" in reason for reason in stats.failed.values())
    times = Counter(project.traces())
    # Two workers died under it, and two when it was tried again; it may have waited on one that the other block killed.
    assert min(times["scan-1-5"], times["follow0-0-1"]) >= 2
    assert times["scan-1-5"] + times["follow0-0-1"] >= 6


@pytest.mark.slow
def test_run_work__workers_killed_while_both_kinds_are_computed(tmp_path):
    project, kills = Project(tmp_path / "run", n_groups=2, n_follow=4, seconds=0.8), []

    def kill_all() -> None:
        done = project.parts()
        if not kills and any(name.startswith("follow0") for name in done):
            kills.append(done)
            for pid in client.run(os.getpid, nanny=False).values():
                os.kill(pid, signal.SIGKILL)

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 10}),
        cluster.client("local", n_workers=2) as client,
    ):
        stats_of = project.run(client=client, problem=kill_all)
    assert counts(stats_of) == {"scan": (0, 8, 0), "follow0": (0, 4, 0), "follow1": (0, 4, 0)}
    # No part that was there was written again.
    assert {name: project.parts()[name] for name in kills[0]} == kills[0]


def test_run_work__time_left_is_estimated_for_each_task_by_itself(tmp_path):
    # What follows is said to cost a thousand times as much as the scan, and takes as long.
    project = Project(tmp_path / "run", n_groups=2, seconds=0.05)

    def then(work: Work, group: int) -> list[Work]:
        works = project.then(work, group)
        return [replace(follow, blocks=[replace(b, cost=1000.0) for b in follow.blocks]) for follow in works]

    def problem() -> str | None:
        return "told to stop" if len(project.traces("end")) >= 4 + 3 + 1 else None

    with pytest.raises(RunError, match="told to stop"):
        run_work([project.scan], then=then, problem=problem)
    progress = json.loads((project.folder / "scan" / "progress.json").read_text())
    # Four blocks of the scan were left, of 0.05 s each or, on a busy machine, some times that; not of 50 s.
    assert 0.2 <= progress["seconds_left"] < 20.0


class LateParts(Parts):
    """Parts on a file system that shows only after a while what was written."""

    def present(self) -> set[int]:
        numbers = super().present()
        since = self.folder.parent / "since"
        if numbers and not since.exists():
            since.touch()
        return numbers if numbers and time.time() - since.stat().st_mtime > 1.5 else set()


def test_run_work__parts_that_are_shown_late_are_waited_for(tmp_path):
    project = Project(tmp_path / "run")
    scan = project.scan
    late = replace(scan, parts=LateParts(scan.parts.folder, scan.parts.fingerprint))
    begin, seen = time.monotonic(), []

    def then(work: Work, group: int) -> list[Work]:
        seen.append(time.monotonic() - begin)
        return project.then(work, group)

    stats_of = run_work([late], then=then)
    assert min(seen) > 1.4
    assert len(stats_of) == 1 + N_GROUPS


def test_run_work__parts_that_are_never_shown_end_it(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "_SHOWN_WITHIN", 0.3)
    project = Project(tmp_path / "run")
    scan = project.scan
    late = replace(scan, parts=LateParts(scan.parts.folder, scan.parts.fingerprint))
    with pytest.raises(RunError, match=r"workers wrote 4 parts that do not appear in .*scan on this host"):
        run_work([late], then=project.then)


def test_run_work__two_works_in_one_folder_are_refused(tmp_path):
    project = Project(tmp_path / "run")
    with pytest.raises(ValueError, match="each needs a folder of its own"):
        run_work([project.scan, project.scan])
