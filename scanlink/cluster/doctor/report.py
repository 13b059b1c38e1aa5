"""What the doctor found, how it is printed, and what to change where a job says why it did not start."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from scanlink.cluster.profile import Profile
from scanlink.cluster.queues import Ended, last_lines

__all__ = ["Check", "Report", "State", "gib", "last_words", "line", "remedy_for", "remedy_for_reason"]

State = Literal["ok", "warning", "fault", "untried"]

_MARKS = {"ok": "ok", "warning": "WARNING", "fault": "FAULT", "untried": "-"}
_LONGER = "wait longer (--wait), or ask for less of cores, memory and walltime"
# What the last words of a job mean, and what to change; the first that fits.
_LAST_WORDS = {
    r"No module named '?(distributed|dask|tornado|msgpack)": "python: an interpreter that has scanlink and Dask, such "
    "as {here}; the profile's is {python}",
    r"is not a valid network interface": "interface: one that the nodes have too; they have those that the line lists",
    r"(Timed out|timed out|Connection refused|No route to host|unreachable|Name or service not known)": "interface: a "
    "network that nodes and this host share (ib0, eno1, ...); or ask whether a firewall closes the ports between them, "
    "and run the driver in a job then (scanlink submit)",
    r"(MemoryError|\boom|OOM|Out Of Memory|memory limit|Cannot allocate memory|\bKilled\b)": "memory: more; what takes "
    "more than its job asked for is killed",
    r"(No such file or directory|not found|Permission denied|cannot execute)": "python: one that the nodes can start, "
    "on a file system that they share; here {here} runs. If the line names another file, correct job-script-prologue",
}
# What Slurm says of a job that waits, and what to change.
_REASONS = {
    "Resources": f"the nodes are busy: {_LONGER}",
    "Priority": f"other jobs go first: {_LONGER}",
    "PartitionDown": "queue: another partition; this one is down",
    "PartitionInactive": "queue: another partition; this one is inactive",
    "PartitionTimeLimit": "walltime: less than the partition allows",
    "ReqNodeNotAvail": "nodes are away or reserved, for maintenance perhaps (scontrol show reservation): a shorter "
    "walltime may fit before it",
    "BadConstraints": "job-extra-directives: what they ask for is on no node",
    "InvalidAccount": "account: one of yours",
    "InvalidQOS": "job-extra-directives: a --qos of yours",
}
# How Python says what went wrong: the cause stands above what followed from it.
_ERROR = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Killed\w*): .*$", re.MULTILINE)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    state
        ``ok``; ``warning``: it works, and may cost time or be wrong on another day; ``fault``: a run would fail, or
        wait for ever; ``untried``: not looked at, because something before it is at fault.
    name
        What was looked at, in a word or two.
    found
        What was found.
    remedy
        What to change; empty where nothing is wrong.
    """

    state: State
    name: str
    found: str
    remedy: str = ""


@dataclass
class Report:
    """All checks of a profile; printed, it is a table.

    Attributes
    ----------
    profile
        Name, path or address of the profile.
    checks
        Checks in the order in which they were made.
    listener
        Function that is called with each check when it is made.

    Examples
    --------
    >>> report = Report("slurm")
    >>> report.add("ok", "partition", "debug is up")
    >>> report.add("fault", "memory", "64 GiB; a node has 8", "memory: at most 7.8GiB")
    >>> print(report)
    ok       partition     debug is up
    FAULT    memory        64 GiB; a node has 8
                           -> memory: at most 7.8GiB
    1 fault, 0 warnings: slurm cannot be used as it is
    >>> report.ok
    False
    """

    profile: str
    checks: list[Check] = field(default_factory=list)
    listener: Callable[[Check], object] | None = None

    def add(self, state: State, name: str, found: str, remedy: str = "") -> None:
        """Write down a check."""
        self.checks.append(Check(state, name, found, remedy))
        if self.listener is not None:
            self.listener(self.checks[-1])

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not self.of("fault")

    def of(self, state: State) -> list[Check]:
        """List the checks of a state."""
        return [check for check in self.checks if check.state == state]

    def summary(self) -> str:
        """Write the last line: how many faults and warnings."""
        faults, warnings = len(self.of("fault")), len(self.of("warning"))
        verdict = "cannot be used as it is" if faults else "can be used"
        numbers = f"{faults} fault{'' if faults == 1 else 's'}, {warnings} warning{'' if warnings == 1 else 's'}"
        return f"{numbers}: {self.profile} {verdict}"

    def __str__(self) -> str:
        return "\n".join([*map(line, self.checks), self.summary()])


def line(check: Check) -> str:
    """Write a check as rows of the table."""
    indent = " " * 23
    rows = [f"{_MARKS[check.state]:<9}{check.name:<14}" + _wrapped(check.found, indent)]
    if check.remedy:
        rows.append(f"{indent}-> " + _wrapped(check.remedy, indent + "   "))
    return "\n".join(rows)


def _wrapped(text: str, indent: str) -> str:
    lines: list[str] = []
    for paragraph in text.splitlines():
        # Lines of a log keep their own breaks, and stand a little to the right.
        inner = " " * (len(paragraph) - len(paragraph.lstrip()))
        lines += textwrap.wrap(
            paragraph, 118 - len(indent), subsequent_indent=inner, break_long_words=False, break_on_hyphens=False
        ) or [""]
    return f"\n{indent}".join(lines)


def gib(size: float) -> str:
    """Write a number of bytes for people.

    Examples
    --------
    >>> gib(4 * 2**30), gib(350 * 2**20)
    ('4.0 GiB', '350 MiB')
    """
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def last_words(ended: Ended) -> str:
    """Quote the lines of a job's log that say what went wrong, or if none does its last ones; empty without a log.

    Examples
    --------
    >>> from pathlib import Path
    >>> log = "Traceback ...\\n  File ...\\nValueError: 'ib0' is not there\\n\\nRuntimeError: Nanny failed to start.\\n"
    >>> print(last_words(Ended("FAILED", "1:0", "n1", Path("a.err"), log)))
    its log, a.err, says:
      ValueError: 'ib0' is not there
      RuntimeError: Nanny failed to start.
    """
    errors = list(dict.fromkeys(_ERROR.findall(ended.text)))
    if not errors:
        return last_lines(ended.log, ended.text)
    return f"its log, {ended.log}, says:\n" + "\n".join(f"  {line[:200]}" for line in errors[-4:])


def remedy_for(words: str, profile: Profile) -> str:
    """Say what to change, from the log of a job.

    Examples
    --------
    >>> remedy_for("OSError: [Errno 12] Cannot allocate memory", Profile("slurm", None, "slurm"))
    'memory: more; what takes more than its job asked for is killed'
    """
    for pattern, remedy in _LAST_WORDS.items():
        if re.search(pattern, words):
            return remedy.format(here=sys.executable, python=profile.options.get("python"))
    if not words:
        return f"log-directory: a folder that the nodes see too; it is {profile.options.get('log_directory')}"
    return "what the last lines of its log say"


def remedy_for_reason(reason: str) -> str:
    """Say what to change, from the reason for which Slurm lets a job wait.

    Examples
    --------
    >>> remedy_for_reason("PartitionDown")
    'queue: another partition; this one is down'
    """
    for word, remedy in _REASONS.items():
        if word in reason:
            return remedy
    if re.search(r"QOS|Assoc|Limit", reason):
        return (
            "jobs, cores or memory: fewer; a limit of your account is reached (sacctmgr show associations user=$USER)"
        )
    return "man squeue, JOB REASON CODES, says what it means"
