"""What the doctor found: a list of checks, and how it is printed."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Check", "Report", "State", "gib"]

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
        As it was given.
    checks
        In the order in which they were made.
    listener
        Is told each check when it is made.

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
        """The checks that came out so."""
        return [check for check in self.checks if check.state == state]

    def summary(self) -> str:
        """The last line: how many faults and warnings."""
        faults, warnings = len(self.of("fault")), len(self.of("warning"))
        verdict = "cannot be used as it is" if faults else "can be used"
        return (
            f"{faults} fault{'' if faults == 1 else 's'}, {warnings} warning{'' if warnings == 1 else 's'}: "
            f"{self.profile} {verdict}"
        )

    def __str__(self) -> str:
        return "\n".join([*map(line, self.checks), self.summary()])


def line(check: Check) -> str:
    """A check as rows of the table."""
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
    """Bytes for people.

    Examples
    --------
    >>> gib(4 * 2**30), gib(350 * 2**20)
    ('4.0 GiB', '350 MiB')
    """
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
