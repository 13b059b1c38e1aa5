"""Workers: wait until those of a killed driver are gone, and let this process forget that it was one."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import _lru_cache_wrapper
from pathlib import Path

__all__ = ["forget", "kill_driver", "wait_for_session"]


def forget() -> None:
    """Workers remember what they have opened of a plan; this process was one."""
    for found in gc.get_objects():
        if isinstance(found, _lru_cache_wrapper) and str(found.__module__).startswith("scanlink.tl"):
            found.cache_clear()


def kill_driver(command: Sequence[str], *, when: Callable[[], bool], seconds: float = 180.0) -> None:
    """Start a run, and kill its driver alone as soon as something holds; its workers find out by themselves."""
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    until = time.monotonic() + seconds
    while not when():
        assert driver.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.002)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    wait_for_session(driver.pid)


def wait_for_session(leader: int, *, seconds: float = 60.0) -> None:
    """Wait until no process is left of those that a driver started, which was the first of a session of its own."""
    until = time.monotonic() + seconds
    while left := _members(leader):
        assert time.monotonic() < until, f"processes {left} have outlived their driver by {seconds:g} s"
        time.sleep(0.05)


def _members(leader: int) -> list[int]:
    members = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name, which may hold blanks: state, parent, process group, session.
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state != "Z":
            members.append(int(path.parent.name))
    return members
