"""What a cluster profile says: where workers come from, how many, and how they are started."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scanlink.cluster.addresses import refuse_everywhere, refuse_for_scheduler
from scanlink.cluster.defaults import complete, exports
from scanlink.cluster.jobs import ArrayOptions, Jobs, array_of, jobs_of
from scanlink.cluster.profile_files import (
    distributed_keys,
    find_profile,
    keywords_of,
    local_keys,
    queue_keys,
    read_profile,
    refuse_unknown,
    table_of,
)
from scanlink.cluster.schedulers import SCHEDULERS
from scanlink.cluster.security import Files, files_of, protocol_of
from scanlink.errors import OptionError

__all__ = ["ArrayOptions", "Jobs", "Profile", "load_profile"]

# Each says where workers come from; a profile has one of them.
_SECTIONS = ("jobqueue", "local", "scheduler-address", "scheduler-file")
# And these beside it.
_OTHERS = ("distributed", "scanlink", "security", "temporary-directory")
# A task that loses its worker as often is given up: jobs that come and go are no fault of the task.
_QUEUE_CONFIG = {"distributed.scheduler.allowed-failures": 20, "distributed.comm.timeouts.connect": "60s"}


@dataclass(frozen=True)
class Profile:
    """A cluster profile, complete and checked.

    Attributes
    ----------
    name
        Name, path or address by which the user called it.
    path
        File it came from; None for ``none``, ``local``, an address or a scheduler file.
    kind
        ``none``, ``local``, ``running`` (an address or scheduler file), or the name of a queue, such as ``slurm``:
        one of :data:`scanlink.cluster.schedulers.SCHEDULERS`.
    options
        Keywords of ``distributed.LocalCluster`` or of dask-jobqueue's class.
    config
        Other settings of Dask as dotted names, for :func:`dask.config.set` before the scheduler starts.
    jobs
        Number of jobs; zeros where there is no queue.
    array
        Options of the second way; None for the first.
    address
        Address of the scheduler, or the path of its file; None where it is started.
    protocol
        How the processes of a cluster that is started talk: ``tls``, ``tcp`` (plain, where that was asked for), or
        ``inproc`` (threads of this process).
    security
        Credentials for a scheduler that is running already; None takes those of Dask's own configuration, if any.
    """

    name: str
    path: Path | None
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    jobs: Jobs = field(default_factory=Jobs)
    array: ArrayOptions | None = None
    address: str | None = None
    protocol: str = "tls"
    security: Files | None = None


def load_profile(profile: str | Path, **overrides: Any) -> Profile:
    """Read, complete and check a profile; nothing is started, and no scheduler or queue is asked.

    Parameters
    ----------
    profile
        ``"none"``, ``"local"``, an address, a scheduler file (.json), a profile (.yaml), or the bare name of one:
        see :func:`scanlink.cluster.profile_files.find_profile`.
    overrides
        Options that replace those of the profile: keywords of the cluster, ``jobs`` (a number, or a table of minimum
        and maximum), and ``n_workers``, the number of worker processes, for any profile that starts some.

    Returns
    -------
    Profile
        The profile with a value for everything that its file leaves out.

    Raises
    ------
    OptionError
        If the profile does not exist, has a key or value that is not known, or lacks one: names file and key.

    Examples
    --------
    >>> slurm = load_profile("slurm", n_workers=8, memory="6GiB")
    >>> slurm.kind, slurm.jobs, slurm.options["memory"]
    ('slurm', Jobs(minimum=8, maximum=8), '6GiB')
    >>> load_profile("tcp://10.0.0.1:8786").address
    'tcp://10.0.0.1:8786'
    """
    name = str(profile)
    if name == "none":
        return Profile(name, None, "none")
    if "://" in name or name.endswith(".json"):
        return _running(name, None, name, {}, overrides)
    path = find_profile(profile)
    if path is None:
        return _local(name, None, {}, {}, overrides)
    content = read_profile(path)
    where = f"profile {path}"
    section = _section(content, where)
    config = distributed_keys(
        table_of(content.get("distributed"), f"{where}: distributed"), where=f"{where}: distributed"
    )
    if "temporary-directory" in content:
        config["temporary-directory"] = content["temporary-directory"]
    if section in ("local", "scheduler-address", "scheduler-file") and table_of(content.get("scanlink"), where):
        raise OptionError(f"{where}: scanlink (jobs, array) goes with a job queue, and there is none")
    if section in ("local", "jobqueue") and "security" in content:
        raise OptionError(
            f"{where}: security goes with scheduler-address or scheduler-file: a cluster that scanlink starts has "
            "credentials of its own"
        )
    if section == "local":
        return _local(name, path, table_of(content["local"], f"{where}: local"), config, overrides)
    if section != "jobqueue":
        security = files_of(content.get("security"), folder=path.parent, where=f"{where}: security")
        return _running(name, path, _address(content[section], section, path), config, overrides, security)
    return _queue(name, path, content, config, overrides)


def _section(content: dict[str, Any], where: str) -> str:
    sections = [key for key in _SECTIONS if key in content]
    if len(sections) != 1 or not set(content) <= {*_SECTIONS, *_OTHERS}:
        odd = [str(key) for key in content if key not in (*_SECTIONS, *_OTHERS)]
        close = difflib.get_close_matches(odd[0], [*_SECTIONS, *_OTHERS], n=1) if odd else []
        hint = f"; did you mean {close[0]!r}?" if close else ""
        if odd and odd[0] in SCHEDULERS:
            hint = f"; did you mean jobqueue: {{{odd[0]}: ...}}?"
        raise OptionError(
            f"{where}: expected one section of {', '.join(map(repr, _SECTIONS))} (and {', '.join(_OTHERS)} beside it); "
            f"found {', '.join(repr(str(key)) for key in content) or 'nothing'}{hint}"
        )
    return sections[0]


def _local(
    name: str, path: Path | None, section: dict[str, Any], config: dict[str, Any], overrides: dict[str, Any]
) -> Profile:
    where = f"profile {path or name}: local"
    if section:
        refuse_unknown(section, local_keys(), where=where)
    if overrides:
        refuse_unknown(overrides, local_keys(), where="cluster.client")
    options = {**keywords_of(section), **overrides}
    refuse_everywhere(options, where=where)
    refuse_for_scheduler(table_of(options.get("scheduler_kwargs"), where), where=f"{where}.scheduler_kwargs")
    # Threads of one process have no need of a network.
    usual = "tls" if options.get("processes", True) else "inproc"
    protocol = protocol_of(options.pop("protocol", None) or usual, where=where, allowed=("tls", "tcp", "inproc"))
    return Profile(name, path, "local", options=options, config=config, protocol=protocol)


def _address(value: Any, section: str, path: Path) -> str:
    if not isinstance(value, str) or (section == "scheduler-address" and "://" not in value):
        example = "tcp://10.0.0.1:8786" if section == "scheduler-address" else "scheduler.json"
        raise OptionError(f"profile {path}: {section}: expected such as {example}; found {value!r}")
    # A file is meant beside its profile.
    return value if section == "scheduler-address" else str(path.parent / Path(value).expanduser())


def _running(
    name: str,
    path: Path | None,
    address: str,
    config: dict[str, Any],
    overrides: dict[str, Any],
    security: Files | None = None,
) -> Profile:
    others = [key for key in overrides if key != "security"]
    if others:
        raise OptionError(f"{', '.join(others)} cannot be set: the cluster at {address} is running already")
    if "security" in overrides:
        security = files_of(overrides["security"], folder=Path(), where="cluster.client: security")
    if security is not None and "://" in address and not address.startswith("tls://"):
        raise OptionError(
            f"{address} is not encrypted, and has no use for security: write tls:// where the scheduler talks TLS, or "
            "leave security out"
        )
    if "://" not in address and not Path(address).is_file():
        # Dask would wait for it without end.
        raise OptionError(f"scheduler file {address} does not exist: start the scheduler first, or correct the path")
    return Profile(name, path, "running", config=config, address=address, security=security)


def _queue(
    name: str, path: Path, content: dict[str, Any], config: dict[str, Any], overrides: dict[str, Any]
) -> Profile:
    where = f"profile {path}"
    queues = table_of(content["jobqueue"], f"{where}: jobqueue")
    refuse_unknown(queues, SCHEDULERS, where=f"{where}: jobqueue")
    if len(queues) != 1:
        raise OptionError(f"{where}: jobqueue: expected one queue; found {', '.join(queues) or 'none'}")
    ((kind, section),) = queues.items()
    here = f"{where}: jobqueue.{kind}"
    keys = queue_keys(kind) | {"protocol"}
    refuse_unknown(table_of(section, here), keys, where=here)
    numbers = {key: overrides[key] for key in ("jobs", "n_workers") if overrides.get(key) is not None}
    keywords = {key: value for key, value in overrides.items() if key not in ("jobs", "n_workers")}
    # What the file calls name is job_name as a keyword.
    refuse_unknown(keywords, {*keys - {"name"}, "job-name", "jobs", "n-workers"}, where="cluster.client")
    options = keywords_of(table_of(section, here))
    if "name" in options:
        options["job_name"] = options.pop("name")
    options |= keywords
    protocol = protocol_of(options.pop("protocol", None) or "tls", where=here)
    options = complete(kind, options, where=here)
    # These are for the processes of the jobs, and of no use in the driver.
    for_workers = {
        key: value for key, value in config.items() if key.startswith(("distributed.worker", "distributed.nanny"))
    }
    options["job_script_prologue"] = [*options["job_script_prologue"], *exports(for_workers)]
    scanlink = table_of(content.get("scanlink"), f"{where}: scanlink")
    refuse_unknown(scanlink, ("jobs", "array"), where=f"{where}: scanlink")
    number = numbers.get("jobs", scanlink.get("jobs"))
    if "n_workers" in numbers:
        number = -(-numbers["n_workers"] // options["processes"]) if numbers["n_workers"] else 0
    jobs = jobs_of(number, where=f"{where}: scanlink.jobs")
    array = None
    if "array" in scanlink:
        array = array_of(scanlink["array"], kind, jobs, where=f"{where}: scanlink.array")
    return Profile(name, path, kind, options, {**_QUEUE_CONFIG, **config}, jobs, array, protocol=protocol)
