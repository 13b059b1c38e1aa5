"""How fast jobs are looked after, and what counts as a failure of theirs."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass

from scanlink.cluster.queues import Ended, last_lines
from scanlink.cluster.schedulers import LIMIT

__all__ = ["PACE", "Failures", "Pace", "explain", "is_limit"]

log = logging.getLogger("scanlink")

# Seconds after which a queue that cannot be reached is tried again, at most.
_PASSING = 60.0


@dataclass(frozen=True)
class Pace:
    """How fast a keeper acts.

    Attributes
    ----------
    look
        Seconds between two looks at the workers.
    ask, ask_longest
        Seconds between two questions to the queue about jobs without workers: at first, and at most.
    retry, retry_longest
        Seconds before jobs are submitted again after such that failed: at first, then twice as long each time, and at
        most.
    silent
        Seconds after which a job is given up that has lost its workers while the queue still has it: until then its
        nanny may start them again.
    young
        Seconds of a worker's life below which its job counts as failed.
    hint
        Seconds without any worker after which it is said, once, what the jobs wait for.
    attempts
        Failures in a row, without a worker in between, after which no more is submitted.
    at_once
        Jobs that are submitted at one look.
    """

    look: float = 1.0
    ask: float = 2.0
    ask_longest: float = 30.0
    retry: float = 5.0
    retry_longest: float = 300.0
    silent: float = 60.0
    young: float = 30.0
    hint: float = 30.0
    attempts: int = 4
    at_once: int = 20


PACE = Pace()


@dataclass
class Failures:
    """Failures of jobs in a row.

    Attributes
    ----------
    count
        Number of times that jobs failed.
    passing
        Number of times that the queue could not be reached; that is no failure of the jobs.
    when
        Time of the last failure, by ``time.monotonic``.
    why
        What was wrong the last time.
    not_before
        Time from which the next jobs may be submitted, by ``time.monotonic``.
    """

    count: int = 0
    passing: int = 0
    when: float = 0.0
    why: str = ""
    not_before: float = 0.0

    def note(self, why: str, pace: Pace) -> None:
        """Count a failure of jobs: the next wait twice as long as those before.

        Examples
        --------
        >>> failures = Failures()
        >>> failures.note("job 12 ended as FAILED", PACE)
        >>> failures.count, round(failures.not_before - failures.when)
        (1, 5)
        """
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
    """Whether a queue refused a job because it has enough of this user's, and may take it later.

    Examples
    --------
    >>> is_limit("Batch job submission failed: Job violates accounting/QOS policy (job submit limit, ...)")
    True
    """
    return bool(LIMIT.search(message))


def explain(ended: Ended, python: str) -> str:
    """Quote the last words of a job for a message, and say what they mean where that is known.

    Parameters
    ----------
    ended
        How the job ended.
    python
        Interpreter that its workers were to have.

    Examples
    --------
    >>> from pathlib import Path
    >>> ended = Ended("FAILED", "127:0", "n1", Path("a.err"), "line 9: /my/python: No such file or directory")
    >>> print(explain(ended, "/my/python"))
    ; the last lines of a.err:
      line 9: /my/python: No such file or directory
    The nodes cannot start /my/python: give the profile a python on a file system that they share
    """
    lines = last_lines(ended.log, ended.text)
    text = f"; {lines}" if lines else ""
    if re.search(rf"{re.escape(python)}.*(no such file|not found|permission denied)", lines, re.IGNORECASE):
        text += f"\nThe nodes cannot start {python}: give the profile a python on a file system that they share"
    return text
