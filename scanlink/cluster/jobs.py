"""How many jobs are asked for, and what of the second way on Slurm, where the queue itself keeps their number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scanlink.cluster.profile_files import keywords_of, queue_keys, refuse_unknown, table_of
from scanlink.cluster.walltime import seconds_of
from scanlink.errors import OptionError

__all__ = ["ArrayOptions", "Jobs", "array_of", "jobs_of"]


@dataclass(frozen=True)
class Jobs:
    """How many jobs are asked for.

    Attributes
    ----------
    minimum, maximum
        Bounds between which the number is kept, as the work needs; where they are equal, at that number.
    """

    minimum: int = 0
    maximum: int = 0


@dataclass(frozen=True)
class ArrayOptions:
    """The second way on Slurm, where the queue itself keeps the number of workers.

    Attributes
    ----------
    size
        Number of elements of the array of worker jobs; as many run at once as ``jobs`` says.
    scheduler
        Keywords of the job that runs the Dask scheduler (cores, memory, walltime, queue, ...); None where the
        scheduler runs in the driver's process.
    folder
        Folder of the scheduler file, which all nodes see; None takes the folder of the logs.
    wait
        Seconds until the scheduler file has to be there.
    """

    size: int
    scheduler: dict[str, Any] | None
    folder: Path | None = None
    wait: float = 3600.0


def jobs_of(number: Any, *, where: str) -> Jobs:
    """Read how many jobs are asked for: a number, or bounds. Raises OptionError."""
    if number is None:
        raise OptionError(f"{where} is missing: say how many jobs, such as scanlink: {{jobs: 20}}")
    if isinstance(number, dict):
        refuse_unknown(number, ("minimum", "maximum"), where=where)
        low, high = number.get("minimum", 0), number.get("maximum", 0)
    else:
        low = high = number
    if any(not isinstance(n, int) or isinstance(n, bool) for n in (low, high)) or not 0 <= low <= high or high < 1:
        raise OptionError(
            f"{where}: expected a whole number of at least 1, or {{minimum: 0, maximum: 50}}; found {number!r}"
        )
    return Jobs(low, high)


def array_of(value: Any, kind: str, jobs: Jobs, *, where: str) -> ArrayOptions:
    """Read what is asked for of the second way. Raises OptionError."""
    if kind != "slurm":
        raise OptionError(f"{where}: arrays of workers are for slurm only; found {kind}")
    if jobs.minimum != jobs.maximum:
        raise OptionError(
            f"{where}: an array keeps one number of jobs; found minimum {jobs.minimum}, maximum {jobs.maximum}"
        )
    table = keywords_of(table_of(value, where))
    refuse_unknown(table, ("size", "scheduler", "folder", "wait"), where=where)
    size = table.get("size", 4 * jobs.maximum)
    if not isinstance(size, int) or isinstance(size, bool) or size < jobs.maximum:
        raise OptionError(f"{where}.size: expected at least the number of jobs, {jobs.maximum}; found {size!r}")
    wait = table.get("wait", 3600)
    if not isinstance(wait, (int, float)) or wait <= 0:
        raise OptionError(f"{where}.wait: expected seconds; found {wait!r}")
    folder = None if table.get("folder") is None else Path(str(table["folder"])).expanduser()
    scheduler = table.get("scheduler")
    if scheduler == "here":
        return ArrayOptions(size, None, folder, float(wait))
    if not isinstance(scheduler, dict) or "walltime" not in scheduler:
        raise OptionError(
            f"{where}.scheduler: expected 'here' (in the driver's process), or what its job needs, such as "
            f'{{walltime: "24:00:00", memory: 4GiB}}; found {scheduler!r}'
        )
    refuse_unknown(scheduler, queue_keys(kind), where=f"{where}.scheduler")
    seconds_of(scheduler["walltime"], kind, where=f"{where}.scheduler.walltime")
    return ArrayOptions(size, {"cores": 1, "memory": "4GiB", **keywords_of(scheduler)}, folder, float(wait))
