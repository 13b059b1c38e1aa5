"""One driver a folder, and none kept out by a dead one."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from scanlink.errors import RunError
from scanlink.run.lock import FolderLock, Owner

HOLD = """
import sys, time
from pathlib import Path
from scanlink.run.lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def put(folder: Path, **changes: object) -> Path:
    """A lock of somebody else."""
    path = folder / ".lock"
    path.write_text(json.dumps(replace(Owner.me(), **{"token": "theirs", **changes}).__dict__))
    return path


def test_lock__keeps_another_driver_out_and_is_gone_afterwards(tmp_path):
    with (
        FolderLock(tmp_path),
        pytest.raises(RunError, match=rf"in use by process {os.getpid()} on "),
        FolderLock(tmp_path),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    with FolderLock(tmp_path):
        pass


def test_lock__of_a_killed_process_is_taken_over_at_once(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(RunError, match=f"process {child.pid} on "), FolderLock(tmp_path):
        pass
    child.kill()
    child.wait()
    child.stdout.close()
    begin = time.monotonic()
    with FolderLock(tmp_path):
        # A lock of another host would be watched for 90 s.
        assert time.monotonic() - begin < 45
    assert list(tmp_path.iterdir()) == []


def test_lock__of_a_process_number_that_was_used_again(tmp_path):
    put(tmp_path, started=1)
    with FolderLock(tmp_path):
        pass


def test_lock__of_another_host_that_is_alive_is_respected_whatever_its_clock(tmp_path):
    path = put(tmp_path, host="elsewhere")
    ended = threading.Event()

    def touch() -> None:
        at = time.time() - 86400
        while not ended.wait(0.2):
            at += 0.2
            os.utime(path, (at, at))

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        with pytest.raises(RunError, match="on elsewhere"), FolderLock(tmp_path, beat=0.1, patience=30):
            pass
    finally:
        ended.set()
        thread.join()
    assert path.exists()


@pytest.mark.parametrize("content", [None, "", "{}"])
def test_lock__of_another_host_that_is_dead_is_taken_over(tmp_path, content):
    path = put(tmp_path, host="elsewhere")
    if content is not None:
        path.write_text(content)
    with FolderLock(tmp_path, beat=0.1, patience=0.5) as lock:
        assert lock.problem() is None
    assert list(tmp_path.iterdir()) == []


def test_lock__same_host_name_in_another_container_is_watched_and_not_looked_up(tmp_path):
    put(tmp_path, machine="another namespace", pid=2**22 + 1)
    begin = time.monotonic()
    with FolderLock(tmp_path, beat=0.1, patience=1.0):
        assert time.monotonic() - begin >= 1.0


def test_lock__that_was_taken_away_is_noticed(tmp_path):
    with FolderLock(tmp_path, beat=0.05) as lock:
        path = put(tmp_path)
        deadline = time.monotonic() + 120
        while lock.problem() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "is not this driver's any more" in str(lock.problem())
    assert path.exists(), "the lock of another driver was deleted"


def compete(folder: Path, results: multiprocessing.Queue) -> None:
    try:
        with FolderLock(folder, beat=0.1, patience=0.5):
            results.put("held")
            time.sleep(1.5)
    except RunError:
        results.put("kept out")


def test_lock__one_of_many_gets_that_of_a_dead_driver(tmp_path):
    put(tmp_path, started=1)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=compete, args=(tmp_path, results)) for _ in range(6)]
    for process in processes:
        process.start()
    outcomes = sorted(results.get(timeout=600) for _ in processes)
    for process in processes:
        process.join()
    assert "held" in outcomes
    assert list(tmp_path.iterdir()) == []


def test_lock__without_hard_links(tmp_path, monkeypatch):
    def refuse(*args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with FolderLock(tmp_path), pytest.raises(RunError, match="in use"), FolderLock(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
