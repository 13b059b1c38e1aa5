"""What the doctor examines, how it walks through its table of checks, and how what it found is printed."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from scanlink.cluster.profile import Profile

State = Literal["ok", "warning", "fault", "untried"]

_MARKS = {"ok": "ok", "warning": "WARNING", "fault": "FAULT", "untried": "-"}


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
    """Write a number of bytes for people: ``4.0 GiB``, ``350 MiB``."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


# What a check has to say: the state, what was found, and what to change.
Finding = tuple[State, str, str]


def call_here(function: Callable[..., Any], *words: Any) -> Any:
    return function(*words)


def ok(found: str) -> Finding:
    return "ok", found, ""


def warning(found: str, remedy: str = "") -> Finding:
    return "warning", found, remedy


def fault(found: str, remedy: str) -> Finding:
    return "fault", found, remedy


class Node(NamedTuple):
    """A node of a partition: its cores, its memory (bytes), its state and the host that it is."""

    name: str
    cores: int
    memory: int
    state: str
    host: str


@dataclass
class Case:
    """A profile under examination, and what its checks have learned so far."""

    profile: Profile
    report: Report
    folder: Path | None = None
    files: list[str] = field(default_factory=list)
    # Slurm's partitions by name, and that of the profile, with the fields of ``scontrol show partition``; its nodes.
    partitions: dict[str, dict[str, str]] = field(default_factory=dict)
    partition: dict[str, str] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    # Runs a function on the worker that is looked at; and what ``probe.describe_process`` says of that worker.
    ask: Callable[..., Any] = call_here
    worker: dict[str, Any] = field(default_factory=dict)


class Row(NamedTuple):
    """A check: its name and function, the kinds of profiles it is for, and the check that must have been passed."""

    name: str
    check: Callable[[Case], Finding | None]
    kinds: Collection[str] = ()
    after: str = ""


def walk(rows: Iterable[Row], case: Case) -> None:
    """Make the checks of a table that fit a case, and add them to its report."""
    for row in rows:
        states = {check.name: check.state for check in case.report.checks}
        fits = not row.kinds or case.profile.kind in row.kinds
        if fits and (not row.after or states.get(row.after) in ("ok", "warning")):
            finding = row.check(case)
            if finding is not None:
                case.report.add(finding[0], row.name, *finding[1:])
