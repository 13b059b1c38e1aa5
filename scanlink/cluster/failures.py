"""How fast jobs are looked after, and what counts as a failure of theirs."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass

from scanlink.cluster.queues import Ended
from scanlink.cluster.schedulers import LIMIT

__all__ = ["PACE", "Failures", "Pace", "explain", "is_limit"]

log = logging.getLogger("scanlink")

# Seconds after which a queue that cannot be reached is tried again, at most.
_PASSING = 60.0


@dataclass(frozen=True)
class Pace:
    """How fast a keeper acts: times in seconds."""

    look: float = 1.0  # Between two looks at the workers.
    ask: float = 2.0  # Between two questions to the queue about jobs without workers: at first, and at most.
    ask_longest: float = 30.0
    retry: float = 5.0  # Before jobs are submitted again after such that failed: at first, then twice as long, at most.
    retry_longest: float = 300.0
    # After this a job is given up that has lost its workers while the queue still has it: until then its nanny may
    # start them again.
    silent: float = 60.0
    young: float = 30.0  # A worker's life below which its job counts as failed.
    hint: float = 30.0  # Without any worker for so long, it is said, once, what the jobs wait for.
    attempts: int = 4  # Failures in a row, without a worker in between, after which no more is submitted.
    at_once: int = 20  # Jobs that are submitted at one look.


PACE = Pace()


@dataclass
class Failures:
    """Failures of jobs in a row."""

    count: int = 0  # Times that jobs failed.
    passing: int = 0  # Times that the queue could not be reached; that is no failure of the jobs.
    when: float = 0.0  # Time of the last failure, by ``time.monotonic``.
    why: str = ""  # What was wrong the last time.
    not_before: float = 0.0  # Time from which the next jobs may be submitted, by ``time.monotonic``.

    def note(self, why: str, pace: Pace) -> None:
        """Count a failure of jobs: the next wait twice as long as those before."""
        self.count, self.when, self.why = self.count + 1, time.monotonic(), why
        pause = min(pace.retry * 2 ** (self.count - 1), pace.retry_longest)
        self.not_before = self.when + pause
        if self.count < pace.attempts:
            log.warning("%s\njobs are submitted again in %.0f s", why, pause)

    def note_passing(self, why: str, pace: Pace) -> None:
        """Count that the queue could not be reached: it is tried again without end."""
        self.passing += 1
        self.not_before = time.monotonic() + min(pace.retry * 2 ** (self.passing - 1), pace.retry_longest, _PASSING)
        if self.passing == 1:
            log.warning("%s; it is tried again", why)


def is_limit(message: str) -> bool:
    """Whether a queue refused a job because it has enough of this user's, and may take it later."""
    return bool(LIMIT.search(message))


def explain(ended: Ended, python: str) -> str:
    """Quote the last words of a job for a message, and say where it is known that nodes cannot start its ``python``.

    Examples
    --------
    >>> from pathlib import Path
    >>> ended = Ended("FAILED", "127:0", "n1", Path("a.err"), "line 9: /my/python: No such file or directory")
    >>> print(explain(ended, "/my/python"))
    ; the last lines of a.err:
      line 9: /my/python: No such file or directory
    The nodes cannot start /my/python: give the profile a python on a file system that they share
    """
    lines = ended.last_lines
    text = f"; {lines}" if lines else ""
    if re.search(rf"{re.escape(python)}.*(no such file|not found|permission denied)", lines, re.IGNORECASE):
        text += f"\nThe nodes cannot start {python}: give the profile a python on a file system that they share"
    return text
