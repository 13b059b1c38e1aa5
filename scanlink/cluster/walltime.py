"""Wall times of jobs, and the lifetime of their workers, which has to end before."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from scanlink.cluster.schedulers import SCHEDULERS, WalltimeFormat
from scanlink.errors import OptionError

__all__ = ["Lifetime", "format_walltime", "lifetime_for", "lifetime_of", "seconds_of", "walltime_for"]


@dataclass(frozen=True)
class Lifetime:
    """How long workers take new work: mean and stagger, in seconds.

    Each lives up to the stagger shorter or longer, drawn at random, so that not all leave at once.
    """

    seconds: float
    stagger: float

    @property
    def arguments(self) -> list[str]:
        return ["--lifetime", f"{self.seconds:.0f}s", "--lifetime-stagger", f"{self.stagger:.0f}s"]


def seconds_of(walltime: Any, kind: str, *, where: str) -> float:
    """Read a wall time, such as ``04:00:00``, ``2-00:00:00`` (Slurm) or ``04:00`` (LSF), as its queue does.

    Raises OptionError, which begins with ``where``, if it is no wall time of that queue, or not text: YAML reads
    12:00:00 without quotes as the number 43200.
    """
    if not isinstance(walltime, str):
        raise OptionError(f'{where}: found the number {walltime!r}: write the time in quotes, such as "04:00:00"')
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)((?::\d\d)*)", walltime.strip())
    days = None if match is None else match[1]
    form = _format_of(kind)
    units = form.units if days is None else form.days
    if match is None or units is None or match[3].count(":") not in units:
        raise OptionError(f"{where}: {walltime!r} is not a wall time of {kind}; expected such as {form.example}")
    fields = [int(match[2]), *(int(f) for f in match[3].split(":")[1:])]
    total = sum(f * u for f, u in zip(fields, units[len(fields) - 1], strict=True)) + 86400 * int(days or 0)
    if total <= 0:
        raise OptionError(f"{where}: the wall time {walltime!r} is no time at all")
    return total


def format_walltime(seconds: float, kind: str) -> str:
    """Write a wall time of at least so many seconds as the queue does."""
    minutes = math.ceil(seconds / 60)
    text = f"{minutes // 60:02d}:{minutes % 60:02d}"
    return f"{text}:00" if 2 in _format_of(kind).units else text


def _format_of(kind: str) -> WalltimeFormat:
    form = SCHEDULERS[kind].walltime
    assert form is not None, f"jobs of {kind} have no wall time"
    return form


def lifetime_for(walltime: float) -> Lifetime:
    """Derive the lifetime that a wall time leaves: the last worker is gone a while before its job is killed.

    With m = 5 min, or 5 % of the wall time w where that is more, or w / 4 where w is shorter than 20 min, the longest
    life is w - m, and the mean one (w - m) / 1.1 with a stagger of a tenth of itself. A job of 4 h has workers that
    leave after 3 h 7 min to 3 h 48 min. The clock of a worker starts when it has been imported, that of its job before.
    """
    margin = min(max(300.0, 0.05 * walltime), 0.25 * walltime)
    mean = (walltime - margin) / 1.1
    return Lifetime(mean, 0.1 * mean)


def walltime_for(lifetime: Lifetime) -> float:
    """Derive the wall time, in seconds, that a lifetime needs."""
    longest = lifetime.seconds + lifetime.stagger
    return longest + min(max(300.0, 0.05 * longest), longest / 3)


def lifetime_of(arguments: list[str], *, where: str) -> Lifetime | None:
    """Read the lifetime from the arguments of ``dask worker``; None where there is none.

    Raises OptionError if it is not a time.

    Examples
    --------
    >>> lifetime_of(["--lifetime", "55m", "--lifetime-stagger", "4m"], where="")
    Lifetime(seconds=3300.0, stagger=240.0)
    >>> lifetime_of(["--no-dashboard"], where="") is None
    True
    """
    values = {"--lifetime": 0.0, "--lifetime-stagger": 0.0}
    words = [word for argument in arguments for word in re.split(r"[\s=]+", str(argument).strip())]
    for word, value in zip(words, [*words, ""][1:], strict=True):
        if word in values:
            values[word] = _seconds(value, where=f"{where}: {word}")
    if not values["--lifetime"]:
        return None
    return Lifetime(values["--lifetime"], values["--lifetime-stagger"])


def _seconds(text: str, *, where: str) -> float:
    from dask.utils import parse_timedelta

    try:
        return float(parse_timedelta(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OptionError(f"{where} {text!r} is not a time; expected such as 55m or 3h") from error
