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

__all__ = ["Ended", "JobState", "ask", "how_it_ended", "is_passing", "last_lines", "parse_states", "run", "tail"]

# Seconds after which a command of the queue is given up; the next look asks again.
_PATIENCE = 60.0


@dataclass(frozen=True)
class JobState:
    """What the queue says of a job that it has.

    Attributes
    ----------
    state
        As the queue writes it: ``PENDING``, ``Q``, ``qw``, ``PEND``, ``RUNNING``, ...
    reason
        Why a job is pending, where the queue says so.
    """

    state: str
    reason: str = ""

    @property
    def pending(self) -> bool:
        """Whether it waits to be started."""
        return self.state in ("PENDING", "CONFIGURING", "REQUEUED", "PEND", "PSUSP", "Q", "H", "W", "T") or bool(
            re.fullmatch(r"h?qw", self.state)
        )


@dataclass(frozen=True)
class Ended:
    """How a job has ended.

    Attributes
    ----------
    state
        ``FAILED``, ``TIMEOUT``, ``CANCELLED``, ``NODE_FAIL``, ``PREEMPTED``, ...; empty where it is not known.
    code
        Exit code, as the queue writes it.
    node
        Where it ran.
    log
        File of what it printed to the error stream.
    text
        The end of that.
    """

    state: str = ""
    code: str = ""
    node: str = ""
    log: Path | None = None
    text: str = ""

    @property
    def from_outside(self) -> bool:
        """Whether someone took the job away, so that it is no fault of its own."""
        # A job on its way out does not show its state yet, but Slurm's last words are in its log.
        words = re.search(r"\*\*\* \w+ \S+ ON \S+ CANCELLED AT (.*)\*\*\*", self.text)
        taken = self.state == "COMPLETING" and words is not None and "TIME LIMIT" not in words[1]
        return taken or self.state in ("CANCELLED", "PREEMPTED", "NODE_FAIL", "REVOKED")

    def __str__(self) -> str:
        where = f"on {self.node} " if self.node else ""
        if self.state == "RUNNING":
            return f"{where}runs, but its workers are lost"
        return f"{where}ended as {self.state} (exit code {self.code})" if self.state else "is gone"


@dataclass(frozen=True)
class _Listing:
    """A command that lists the jobs of this user, a line a job."""

    command: tuple[str, ...]
    separator: str | None
    state: int
    reason: int | None = None
    # States of jobs that are over, though still listed.
    over: tuple[str, ...] = ()


_LISTINGS = {
    "slurm": _Listing(
        ("squeue", "--noheader", "--array", "--format=%i|%T|%r", "--user"), "|", 1, 2, ("COMPLETING", "COMPLETED")
    ),
    "pbs": _Listing(("qstat", "-u"), None, 9, None, ("E", "F", "X", "C")),
    "sge": _Listing(("qstat", "-u"), None, 4),
    "lsf": _Listing(("bjobs", "-w", "-u"), None, 2, None, ("DONE", "EXIT")),
}

# What Slurm's commands say when its controller is away for a while.
_PASSING = re.compile(
    r"unable to contact slurm controller|socket timed out|connection (refused|timed out|reset)|zero bytes were "
    r"transmitted|temporarily (unavailable|unable)|standby mode|controller not responding|no response|timed out|"
    r"cannot (connect|contact|communicate)|communication (error|failure)|try again|not responding",
    re.IGNORECASE,
)


def is_passing(message: str) -> bool:
    """Whether a command failed only because the queue could not be reached.

    Examples
    --------
    >>> is_passing("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)")
    True
    >>> is_passing("sbatch: error: Batch job submission failed: Invalid partition name specified")
    False
    """
    return bool(_PASSING.search(message))


def parse_states(kind: str, text: str) -> dict[str, JobState]:
    """Read the list of jobs that a queue prints.

    Parameters
    ----------
    kind
        ``slurm``, ``pbs``, ``sge`` or ``lsf``.
    text
        What its command printed; headings are passed over.

    Returns
    -------
    dict
        State of each job that is not over, by id.

    Examples
    --------
    >>> parse_states("slurm", "12|RUNNING|None\\n13_2|PENDING|Resources\\n11|COMPLETING|None\\n")
    {'12': JobState(state='RUNNING', reason='None'), '13_2': JobState(state='PENDING', reason='Resources')}
    """
    listing = _LISTINGS[kind]
    states = {}
    for line in text.splitlines():
        words = line.strip().split(listing.separator)
        match = re.match(r"\s*(\d+(_\d+|\[\d+\])?)", line)
        if match is None or len(words) <= listing.state:
            continue
        state = words[listing.state].strip()
        if state not in listing.over:
            reason = "" if listing.reason is None else words[listing.reason].strip()
            states[match[1]] = JobState(state, reason)
    return states


def run(*command: str) -> tuple[int, str, str]:
    """Run a command; its exit code, output and error text. One that does not exist has exit code 127.

    Examples
    --------
    >>> run("echo", "12")
    (0, '12\\n', '')
    """
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=_PATIENCE, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return 124, "", f"{command[0]} timed out after {_PATIENCE:.0f} s"
    except OSError as error:
        return 127, "", f"{command[0]}: {error.strerror}"
    return done.returncode, done.stdout, done.stderr


def ask(kind: str) -> dict[str, JobState] | None:
    """The jobs of this user that the queue has.

    Returns
    -------
    dict or None
        None where it cannot be asked, now or at all: then nothing is known of any job.
    """
    if kind not in _LISTINGS:
        return None
    user = str(os.getuid()) if kind == "slurm" else getpass.getuser()
    code, out, err = run(*_LISTINGS[kind].command, user)
    # LSF takes it for an error that there is no job.
    return parse_states(kind, out) if code == 0 or "No unfinished job found" in err else None


def how_it_ended(kind: str, job: str, *, logs: Iterable[Path] = ()) -> Ended:
    """How a job has ended, as far as the queue still knows; only Slurm is asked.

    Parameters
    ----------
    kind
        The queue.
    job
        Id.
    logs
        Files that may hold what it printed, where the queue does not say.
    """
    code, out, _ = run("scontrol", "show", "job", "--oneliner", job) if kind == "slurm" else (1, "", "")
    # Of an array all elements are shown, the newest first.
    words = out.splitlines()[0].split() if code == 0 and out else []
    fields = dict(word.partition("=")[::2] for word in words)
    # Slurm leaves the %J of dask-jobqueue as it is: the id of the job, or of one element of an array.
    shown = fields.get("StdErr", "").replace("%J", fields.get("JobId", ""))
    file, text = tail([Path(shown) if shown else None, *logs])
    node = fields.get("NodeList", "").replace("(null)", "")
    return Ended(fields.get("JobState", ""), fields.get("ExitCode", ""), node, file, text)


def tail(files: Iterable[Path | None]) -> tuple[Path | None, str]:
    """The end of the first of these files that has any text: its name and at most 8 kB.

    Examples
    --------
    >>> tail([None, Path("there-is-none.err")])
    (None, '')
    """
    for file in files:
        with suppress(OSError):
            if file is not None and file.is_file():
                with file.open("rb") as handle:
                    handle.seek(max(0, file.stat().st_size - 8192))
                    text = handle.read().decode(errors="replace")
                if text.strip():
                    return file, text
    return None, ""


def last_lines(file: Path | None, text: str, *, most: int = 5) -> str:
    """The last lines of a text, for a message; empty if there are none.

    Examples
    --------
    >>> print(last_lines(Path("a.err"), "one\\n\\ntwo\\n", most=1))
    the last lines of a.err:
      two
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return f"the last lines of {file}:\n" + "\n".join(f"  {line[:300]}" for line in lines[-most:]) if lines else ""
