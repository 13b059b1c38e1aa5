"""Complete and check the options of a job queue, where Dask's own defaults would not do."""

from __future__ import annotations

import logging
import re
import shlex
import sys
from typing import Any

from scanlink.cluster.addresses import refuse_arguments, refuse_for_scheduler
from scanlink.cluster.pages import LOOPBACK
from scanlink.cluster.profile_files import keywords_of, table_of
from scanlink.cluster.schedulers import SCHEDULERS
from scanlink.cluster.walltime import format_walltime, lifetime_for, lifetime_of, seconds_of, walltime_for
from scanlink.errors import OptionError

__all__ = ["DEATH_TIMEOUT", "LOG_FOLDER", "ONE_THREAD", "complete", "exports"]

log = logging.getLogger("scanlink")

# One thread a process for every library that would otherwise start as many as the machine has cores.
ONE_THREAD = {f"{name}_THREADS": "1" for name in ("OMP_NUM", "MKL_NUM", "OPENBLAS_NUM", "NUMBA_NUM", "VECLIB_MAXIMUM")}
# Where the queue writes what jobs print, below the working directory.
LOG_FOLDER = "scanlink-logs"
# Seconds that a worker looks for its scheduler: a job that starts after the driver has died ends after as long.
DEATH_TIMEOUT = 120
_LISTS = ("job_extra_directives", "job_script_prologue", "worker_extra_args", "job_directives_skip")
# A worker with less cannot even import what it needs.
_LEAST_MEMORY = 256 * 2**20


def complete(kind: str, options: dict[str, Any], *, where: str) -> dict[str, Any]:
    """Complete the options of a queue, keywords of dask-jobqueue's class, with everything that a scan needs.

    These are, wherever they were not there: processes (one a core), wall time, lifetime and stagger, one thread for
    numba and BLAS, no requeue by the queue itself, folder of logs and of workers, name, interpreter and death timeout.
    Raises OptionError if memory, cores or wall time are missing or impossible, or workers would outlive their job.
    """
    import dask

    scheduler = SCHEDULERS[kind]
    done = {key: value for key, value in options.items() if value is not None}
    for key in _LISTS:
        value = done.setdefault(key, scheduler.directives() if key == "job_extra_directives" else [])
        if not isinstance(value, (list, scheduler.directives)):
            raise OptionError(f"{where}.{key.replace('_', '-')}: expected a list such as [{value!r}]; found {value!r}")
    _check_size(done, kind, where)
    _complete_times(done, kind, where)
    text = "\n".join(str(line) for line in done["job_script_prologue"])
    missing = [f"{name}={value}" for name, value in ONE_THREAD.items() if f"{name}=" not in text]
    if missing:
        done["job_script_prologue"] = [*done["job_script_prologue"], f"export {' '.join(missing)}"]
    directives = done["job_extra_directives"]
    # A queue that starts a job again by itself would fight with the keeper that replaces it.
    if scheduler.no_requeue and not any(re.match(scheduler.requeue, str(line)) for line in directives):
        done["job_extra_directives"] = [*directives, scheduler.no_requeue]
    done.setdefault("python", sys.executable)
    done.setdefault("job_name", "scanlink")
    done.setdefault("log_directory", LOG_FOLDER)
    done.setdefault("death_timeout", DEATH_TIMEOUT)
    usual = dask.config.get(f"jobqueue.{scheduler.section}.local-directory", None)
    done.setdefault("local_directory", usual or dask.config.get("temporary-directory", None) or "${TMPDIR:-/tmp}")
    # Without this the dashboard would be open to everyone who can reach the host.
    options = table_of(done.get("scheduler_options"), f"{where}.scheduler-options")
    options = {key: value for key, value in keywords_of(options).items() if value is not None}
    done["scheduler_options"] = {"dashboard_address": LOOPBACK, **options}
    refuse_for_scheduler(done["scheduler_options"], where=f"{where}.scheduler-options")
    refuse_arguments(done["worker_extra_args"], where=f"{where}.worker-extra-args")
    return done


def exports(config: dict[str, Any]) -> list[str]:
    """Write the lines of a job script that give the Dask of that job some settings, by dotted name.

    Examples
    --------
    >>> exports({"distributed.scheduler.allowed-failures": 20, "distributed.scheduler.idle-timeout": "1h"})
    ['export DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=20', 'export DASK_DISTRIBUTED__SCHEDULER__IDLE_TIMEOUT=1h']
    """
    names = {key: key.upper().replace(".", "__").replace("-", "_") for key in config}
    # Dask reads what is a Python literal as that, and anything else as text.
    texts = {key: value if isinstance(value, str) else repr(value) for key, value in config.items()}
    return [f"export DASK_{names[key]}={shlex.quote(texts[key])}" for key in config]


def _check_size(done: dict[str, Any], kind: str, where: str) -> None:
    for key, example in SCHEDULERS[kind].needs:
        if key not in done:
            raise OptionError(f"{where}: {key} is missing: give what one job needs, such as {key}: {example}")
    done.setdefault("processes", done["cores"])
    for key in ("cores", "processes"):
        if not isinstance(done[key], int) or isinstance(done[key], bool) or done[key] < 1:
            raise OptionError(f"{where}.{key}: expected a whole number of at least 1; found {done[key]!r}")
    if done["processes"] > done["cores"]:
        raise OptionError(
            f"{where}: {done['processes']} processes would share {done['cores']} cores: expected one core a process"
        )
    share = _bytes(done["memory"], where=f"{where}.memory") / done["processes"]
    if share < _LEAST_MEMORY:
        raise OptionError(
            f"{where}.memory: {done['memory']!r} leaves each process {share / 2**20:.3g} MiB; expected such as 4GiB a "
            "process, with its unit"
        )


def _bytes(memory: Any, *, where: str) -> int:
    from dask.utils import parse_bytes

    try:
        size = int(parse_bytes(memory))
    except (ValueError, TypeError, AttributeError) as error:
        raise OptionError(f"{where}: {memory!r} is not an amount of memory; expected such as 4GiB") from error
    if re.fullmatch(r"\s*[\d.]+\s*[kMGTP]B?\s*", str(memory)):
        meant = re.sub(r"\s*([kMGTP])B?\s*$", lambda unit: unit[1].upper() + "iB", str(memory))
        message = "%s: %s are powers of ten, %.1f GiB, which the queue is given rounded: write %s"
        log.warning(message, where, memory, size / 2**30, meant)
    return size


def _complete_times(done: dict[str, Any], kind: str, where: str) -> None:
    arguments = [str(argument) for argument in done["worker_extra_args"]]
    lifetime = lifetime_of(arguments, where=f"{where}.worker-extra-args")
    if SCHEDULERS[kind].walltime is None:
        return
    if "walltime" not in done:
        if lifetime is None:
            raise OptionError(f'{where}: walltime is missing: give the time of one job, such as walltime: "04:00:00"')
        done["walltime"] = format_walltime(walltime_for(lifetime), kind)
    walltime = seconds_of(done["walltime"], kind, where=f"{where}.walltime")
    if lifetime is None:
        done["worker_extra_args"] = [*arguments, *lifetime_for(walltime).arguments]
        return
    if not lifetime.stagger:
        longest = min(0.1 * lifetime.seconds, 0.5 * max(walltime - lifetime.seconds, 0))
        done["worker_extra_args"] = [*arguments, "--lifetime-stagger", f"{longest:.0f}s"]
    if lifetime.seconds + lifetime.stagger >= walltime:
        fits = lifetime_for(walltime)
        raise OptionError(
            f"{where}: workers live up to {lifetime.seconds + lifetime.stagger:.0f} s (lifetime and stagger), and the "
            f"wall time {done['walltime']} ends their job after {walltime:.0f} s: leave the lifetime out, or give at "
            f"most {' '.join(fits.arguments)}"
        )
