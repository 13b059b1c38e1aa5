"""Whether Slurm would start a profile's jobs: partition, nodes, limits, account."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from dataclasses import dataclass
from typing import Any

from scanlink.cluster.doctor.report import Report, gib
from scanlink.cluster.profile import Profile
from scanlink.cluster.walltime import format_walltime, seconds_of
from scanlink.errors import OptionError, first_few

__all__ = ["Node", "check_slurm", "elsewhere", "nodes_of", "partitions"]

_COMMANDS = ("sbatch", "squeue", "scancel", "sinfo", "scontrol")
# Of a node in one of these states no job is started.
_AWAY = re.compile(r"down|drain|fail|maint|unk|no_respond|power|reboot|inval|plnd?\*", re.IGNORECASE)


@dataclass(frozen=True)
class Node:
    """A node of a partition: its cores, its memory (bytes), its state and the host that it is."""

    name: str
    cores: int
    memory: int
    state: str
    host: str

    @property
    def usable(self) -> bool:
        """Whether jobs are started there."""
        return not _AWAY.search(self.state)


def run(*words: str, text: str | None = None) -> tuple[int, str]:
    """A command's exit code, and what it said: its output, or if it failed its errors."""
    try:
        done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, str(error)
    return done.returncode, (done.stdout or done.stderr) if done.returncode == 0 else (done.stderr or done.stdout)


def partitions() -> dict[str, dict[str, str]]:
    """Slurm's partitions by name, with the fields of ``scontrol show partition``; the name is one of them."""
    code, out = run("scontrol", "show", "partition", "--oneliner")
    tables = [dict(word.partition("=")[::2] for word in line.split()) for line in out.splitlines()] if code == 0 else []
    return {table["PartitionName"]: table for table in tables if "PartitionName" in table}


def nodes_of(partition: str) -> list[Node]:
    """The nodes of a partition."""
    code, out = run("sinfo", "--noheader", "--Node", f"--partition={partition}", "--format=%N|%c|%m|%T|%n")
    nodes = []
    for row in out.splitlines() if code == 0 else []:
        name, cores, memory, state, host = row.strip().split("|")
        nodes.append(Node(name, int(cores.rstrip("+")), int(memory.rstrip("+")) * 2**20, state, host))
    return nodes


def elsewhere(nodes: list[Node]) -> list[str]:
    """Nodes that are not this host."""
    here = socket.gethostname().partition(".")[0]
    return [node.name for node in nodes if node.host.partition(".")[0] != here]


def check_slurm(profile: Profile, report: Report) -> list[Node]:
    """Look at everything that Slurm says before a job is submitted.

    Parameters
    ----------
    profile
        For Slurm.
    report
        Gets the checks.

    Returns
    -------
    list of Node
        The nodes of the partition; empty where it cannot be asked.
    """
    missing = [name for name in _COMMANDS if shutil.which(name) is None]
    if missing:
        report.add(
            "fault",
            "queue",
            f"{', '.join(missing)} not found on this host",
            "give this command on a login node, or load the module that brings Slurm (module avail slurm)",
        )
        return []
    code, said = run("scontrol", "ping")
    known = partitions()
    if code or not known:
        report.add(
            "fault",
            "queue",
            f"Slurm does not answer: {said.strip() or 'no partitions'}",
            "try again later, or ask its staff",
        )
        return []
    report.add("ok", "queue", f"Slurm answers; partitions {', '.join(known)}")
    partition = _partition(profile, known, report)
    if partition is None:
        return []
    nodes = nodes_of(partition["PartitionName"])
    if nodes:
        _size(profile, partition, nodes, report)
    _walltime(profile, partition, known, report)
    if report.ok:
        _accepted(profile, report)
    return nodes


def _partition(profile: Profile, known: dict[str, dict[str, str]], report: Report) -> dict[str, str] | None:
    asked = profile.options.get("queue")
    names = str(asked).split(",") if asked else [name for name, table in known.items() if table.get("Default") == "YES"]
    absent = [name for name in names if name not in known]
    if absent or not names:
        found = f"there is no partition {first_few(absent)}" if absent else "Slurm has no default partition"
        report.add("fault", "partition", f"{found}; there are {', '.join(known)}", f"queue: one of {', '.join(known)}")
        return None
    if len(names) > 1:
        report.add("warning", "partition", f"of {asked} only {names[0]} is looked at")
    table = known[names[0]]
    nodes = nodes_of(names[0])
    usable = [node for node in nodes if node.usable]
    default = "" if asked else " (the default)"
    if table.get("State") != "UP" or not usable:
        others = [name for name, other in known.items() if other.get("State") == "UP" and name != names[0]]
        report.add(
            "fault",
            "partition",
            f"{names[0]}{default} is {table.get('State')}, and {len(usable)} of its {len(nodes)} nodes take jobs",
            f"queue: another one ({', '.join(others) or 'none is up'}), or wait until it is up again",
        )
        return None
    report.add("ok", "partition", f"{names[0]}{default} is up, {len(usable)} of its {len(nodes)} nodes take jobs")
    return table


def _size(profile: Profile, partition: dict[str, str], nodes: list[Node], report: Report) -> None:
    from dask.utils import parse_bytes

    usable = [node for node in nodes if node.usable]
    cores = int(profile.options.get("job_cpu") or profile.options["cores"])
    memory = parse_bytes(profile.options["memory"])
    limit = partition.get("MaxMemPerNode", "UNLIMITED")
    room = [min(node.memory, int(limit) * 2**20) if limit.isdigit() else node.memory for node in usable]
    largest, most = max(room), max(node.cores for node in usable)
    if memory > largest:
        report.add(
            "fault",
            "job size",
            f"a job asks for {gib(memory)}; the largest node of its partition has {gib(largest)}",
            f"memory: at most {largest // 2**20}MiB, with fewer cores and processes; or a queue with larger nodes",
        )
    elif cores > most:
        report.add(
            "fault",
            "job size",
            f"a job asks for {cores} cores; the largest node of the partition has {most}",
            f"cores: at most {most}, and more jobs instead",
        )
    else:
        fits = sum(node.cores >= cores and size >= memory for node, size in zip(usable, room, strict=True))
        if not fits:
            report.add(
                "fault",
                "job size",
                f"no node has both {cores} cores and {gib(memory)}",
                "cores and memory: fewer of both, and more jobs instead",
            )
            return
        report.add("ok", "job size", f"{cores} cores and {gib(memory)} fit on {fits} of {len(usable)} nodes")


def _walltime(profile: Profile, partition: dict[str, str], known: dict[str, dict[str, str]], report: Report) -> None:
    asked = seconds_of(profile.options["walltime"], "slurm", where="walltime")
    limit = _limit(partition)
    name = partition["PartitionName"]
    if limit is not None and asked > limit:
        longer = [other for other, table in known.items() if (_limit(table) or asked) >= asked]
        report.add(
            "fault",
            "wall time",
            f"a job asks for {profile.options['walltime']}; {name} allows {partition['MaxTime']}: it never starts",
            f'walltime: "{format_walltime(limit - limit % 60, "slurm")}" at most'
            + (f"; or queue: {', '.join(longer)}" if longer else ""),
        )
        return
    allows = "has no limit" if limit is None else f"allows {partition['MaxTime']}"
    report.add("ok", "wall time", f"{profile.options['walltime']}; {name} {allows}")


def _limit(partition: dict[str, str]) -> float | None:
    text = partition.get("MaxTime", "UNLIMITED")
    try:
        return seconds_of(text, "slurm", where="MaxTime")
    except OptionError:
        return None


def _accepted(profile: Profile, report: Report) -> None:
    """Ask sbatch whether it would take the very script that will be submitted."""
    code, said = run("sbatch", "--test-only", text=_script(profile))
    said = " ".join(said.split()).removeprefix("sbatch: ")
    if code == 0:
        started = re.search(r"to start at (\S+)", said)
        when = f"Slurm would start a job at {started[1].replace('T', ' ')}" if started else said
        report.add("ok", "acceptance", f"{when} (sbatch --test-only)")
        return
    remedy = "mend the profile; ask the staff of the cluster what it means, if it is not clear"
    if re.search("account", said, re.IGNORECASE):
        remedy = "account: one of yours (sacctmgr show associations user=$USER format=account,partition,qos)"
    elif re.search("qos", said, re.IGNORECASE):
        remedy = (
            "job-extra-directives: another --qos (sacctmgr show associations user=$USER format=account,partition,qos)"
        )
    report.add("fault", "acceptance", f"sbatch refuses the job: {said}", remedy)


def _script(profile: Profile) -> str:
    from scanlink.cluster.jobqueue import cluster_class

    # What is for the cluster, and not for its jobs.
    options: dict[str, Any] = {
        k: v for k, v in profile.options.items() if k not in ("scheduler_options", "shared_temp_directory")
    }
    script: str = cluster_class("slurm").job_cls("tcp://127.0.0.1:8786", name="scanlink", **options).job_script()
    return script
