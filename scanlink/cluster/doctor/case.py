"""What the doctor examines, and how it walks through its table of checks."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from scanlink.cluster.doctor.report import Report, State
from scanlink.cluster.profile import Profile

__all__ = ["Case", "Finding", "Node", "Row", "call_here", "fault", "ok", "walk", "warning"]

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
    """A profile under examination, and what its checks have learned so far.

    Attributes
    ----------
    partitions, partition
        Slurm's partitions by name, and that of the profile, with the fields of ``scontrol show partition``.
    nodes
        Nodes of that partition; empty where it cannot be asked.
    ask
        Runs a function on the worker that is looked at.
    worker
        Description of that worker, from :func:`scanlink.cluster.doctor.probe.describe_process`.
    """

    profile: Profile
    report: Report
    folder: Path | None = None
    files: list[str] = field(default_factory=list)
    partitions: dict[str, dict[str, str]] = field(default_factory=dict)
    partition: dict[str, str] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    ask: Callable[..., Any] = call_here
    worker: dict[str, Any] = field(default_factory=dict)

    def other_hosts(self) -> list[str]:
        """List the nodes that are not this host."""
        here = socket.gethostname().partition(".")[0]
        return [node.name for node in self.nodes if node.host.partition(".")[0] != here]


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
