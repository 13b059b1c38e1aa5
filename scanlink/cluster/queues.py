"""Ask a queue about its jobs: which it still has, and why one has ended."""

from __future__ import annotations

import getpass
import os
import re
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scanlink.cluster.schedulers import PASSING, SCHEDULERS

__all__ = ["Ended", "JobState", "how_it_ended", "is_passing", "list_jobs", "logs_of", "parse_states", "run"]

# Seconds after which a command of the queue is given up; the next look asks again.
_PATIENCE = 60.0


@dataclass(frozen=True)
class JobState:
    """What the queue says of a job that it has."""

    state: str  # As the queue writes it: ``PENDING``, ``Q``, ``qw``, ``PEND``, ``RUNNING``, ...
    reason: str = ""  # Why a job is pending, where the queue says so.
    pending: bool = False


@dataclass(frozen=True)
class Ended:
    """How a job has ended."""

    state: str = ""  # ``FAILED``, ``TIMEOUT``, ``CANCELLED``, ``NODE_FAIL``, ...; empty where it is not known.
    code: str = ""  # As the queue writes it.
    node: str = ""
    log: Path | None = None  # File of what it printed to the error stream.
    text: str = ""  # The end of that file.

    @property
    def from_outside(self) -> bool:
        """Whether someone took the job away, so that it is no fault of its own."""
        # A job on its way out does not show its state yet, but Slurm's last words are in its log.
        words = re.search(r"\*\*\* \w+ \S+ ON \S+ CANCELLED AT (.*)\*\*\*", self.text)
        taken = self.state == "COMPLETING" and words is not None and "TIME LIMIT" not in words[1]
        return taken or self.state in ("CANCELLED", "PREEMPTED", "NODE_FAIL", "REVOKED")

    @property
    def last_lines(self) -> str:
        """The last lines of the log, for a message; empty if there are none."""
        lines = [line.rstrip() for line in self.text.splitlines() if line.strip()]
        quoted = "\n".join(f"  {line[:300]}" for line in lines[-5:])
        return f"the last lines of {self.log}:\n{quoted}" if lines else ""

    def __str__(self) -> str:
        where = f"on {self.node} " if self.node else ""
        if self.state == "RUNNING":
            return f"{where}runs, but its workers are lost"
        return f"{where}ended as {self.state} (exit code {self.code})" if self.state else "is gone"


def is_passing(message: str) -> bool:
    """Whether a command failed only because the queue could not be reached."""
    return bool(PASSING.search(message))


def parse_states(kind: str, text: str) -> dict[str, JobState]:
    """Read the list of jobs that a queue prints: the state of each that is not over, by id. Headings are left out."""
    jobs = SCHEDULERS[kind].jobs
    assert jobs is not None, f"jobs of {kind} cannot be listed"
    states = {}
    for line in text.splitlines():
        words = line.strip().split(jobs.separator)
        match = re.match(r"\s*(\d+(_\d+|\[\d+\])?)", line)
        if match is None or len(words) <= jobs.state:
            continue
        state = words[jobs.state].strip()
        if state not in jobs.over:
            reason = "" if jobs.reason is None else words[jobs.reason].strip()
            states[match[1]] = JobState(state, reason, state in jobs.pending)
    return states


def run(*command: str) -> tuple[int, str, str]:
    """Run a command, and return its exit code, output and error text; one that does not exist has exit code 127."""
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=_PATIENCE, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return 124, "", f"{command[0]} timed out after {_PATIENCE:.0f} s"
    except OSError as error:
        return 127, "", f"{command[0]}: {error.strerror}"
    return done.returncode, done.stdout, done.stderr


def list_jobs(kind: str) -> dict[str, JobState] | None:
    """List the jobs of this user that the queue has, by id; None where it cannot be asked, now or at all."""
    jobs = SCHEDULERS[kind].jobs
    if jobs is None:
        return None
    code, out, err = run(*jobs.command, str(os.getuid()) if jobs.user_number else getpass.getuser())
    return parse_states(kind, out) if code == 0 or (jobs.empty and jobs.empty in err) else None


def how_it_ended(kind: str, job: str, *, logs: Iterable[Path] = ()) -> Ended:
    """Ask how a job has ended; ``logs`` may hold what it printed, where the queue does not say."""
    code, out, _ = run("scontrol", "show", "job", "--oneliner", job) if kind == "slurm" else (1, "", "")
    # Of an array all elements are shown, the newest first.
    words = out.splitlines()[0].split() if code == 0 and out else []
    fields = dict(word.partition("=")[::2] for word in words)
    # Slurm leaves the %J of dask-jobqueue as it is: the id of the job, or of one element of an array.
    log = fields.get("StdErr", "").replace("%J", fields.get("JobId", ""))
    file, text = tail([Path(log) if log else None, *logs])
    node = fields.get("NodeList", "").replace("(null)", "")
    return Ended(fields.get("JobState", ""), fields.get("ExitCode", ""), node, file, text)


def logs_of(options: dict[str, Any], job: str) -> list[Path]:
    """Name the files to which a job prints, by the options of its profile and its number."""
    name = Path(str(options["log_directory"])) / f"{options['job_name']}-{job}"
    return [name.with_suffix(".err"), name.with_suffix(".out")]


def tail(files: Iterable[Path | None]) -> tuple[Path | None, str]:
    """Read the end of the first of these files that has any text: its name and at most 8 kB."""
    for file in files:
        with suppress(OSError):
            if file is not None and file.is_file():
                with file.open("rb") as handle:
                    handle.seek(max(0, file.stat().st_size - 8192))
                    text = handle.read().decode(errors="replace")
                if text.strip():
                    return file, text
    return None, ""
