"""What the doctor asks Slurm before a job is submitted: partition, nodes, limits, account."""

from __future__ import annotations

import re
import shutil
import subprocess

from scanlink.cluster.doctor.report import Case, Finding, Node, fault, gib, ok
from scanlink.cluster.walltime import format_walltime, seconds_of
from scanlink.errors import OptionError, first_few

_COMMANDS = ("sbatch", "squeue", "scancel", "sinfo", "scontrol")
# States of a node on which no job is started.
_AWAY = re.compile(r"down|drain|fail|maint|unk|no_respond|power|reboot|inval|plnd?\*", re.IGNORECASE)
_ASSOCIATIONS = "(sacctmgr show associations user=$USER format=account,partition,qos)"


def run(*words: str, text: str | None = None) -> tuple[int, str]:
    """Run a command, and return its exit code and what it said: its output, or if it failed its errors."""
    try:
        done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, str(error)
    return done.returncode, (done.stdout or done.stderr) if done.returncode == 0 else (done.stderr or done.stdout)


def _partitions() -> dict[str, dict[str, str]]:
    code, out = run("scontrol", "show", "partition", "--oneliner")
    tables = [dict(word.partition("=")[::2] for word in line.split()) for line in out.splitlines()] if code == 0 else []
    return {table["PartitionName"]: table for table in tables if "PartitionName" in table}


def _nodes_of(partition: str) -> list[Node]:
    code, out = run("sinfo", "--noheader", "--Node", f"--partition={partition}", "--format=%N|%c|%m|%T|%n")
    nodes = []
    for row in out.splitlines() if code == 0 else []:
        name, cores, memory, state, host = row.strip().split("|")
        nodes.append(Node(name, int(cores.rstrip("+")), int(memory.rstrip("+")) * 2**20, state, host))
    return nodes


def _usable(nodes: list[Node]) -> list[Node]:
    return [node for node in nodes if not _AWAY.search(node.state)]


def check_queue(case: Case) -> Finding:
    missing = [name for name in _COMMANDS if shutil.which(name) is None]
    if missing:
        remedy = "give this command on a login node, or load the module that brings Slurm (module avail slurm)"
        return fault(f"{', '.join(missing)} not found on this host", remedy)
    code, answer = run("scontrol", "ping")
    case.partitions = _partitions()
    if code or not case.partitions:
        problem = f"Slurm does not answer: {answer.strip() or 'no partitions'}"
        return fault(problem, "try again later, or ask its staff")
    return ok(f"Slurm answers; partitions {', '.join(case.partitions)}")


def check_partition(case: Case) -> Finding:
    queue = case.profile.options.get("queue")
    defaults = [name for name, table in case.partitions.items() if table.get("Default") == "YES"]
    names = str(queue).split(",") if queue else defaults
    absent = [name for name in names if name not in case.partitions]
    if absent or not names:
        problem = f"there is no partition {first_few(absent)}" if absent else "Slurm has no default partition"
        listed = ", ".join(case.partitions)
        return fault(f"{problem}; there are {listed}", f"queue: one of {listed}")
    if len(names) > 1:
        case.report.add("warning", "partition", f"of {queue} only {names[0]} is looked at")
    table, nodes = case.partitions[names[0]], _nodes_of(names[0])
    name = names[0] if queue else f"{names[0]} (the default)"
    number = f"{len(_usable(nodes))} of its {len(nodes)} nodes take jobs"
    if table.get("State") != "UP" or not _usable(nodes):
        others = [name for name, other in case.partitions.items() if other.get("State") == "UP" and name != names[0]]
        return fault(
            f"{name} is {table.get('State')}, and {number}",
            f"queue: another one ({', '.join(others) or 'none is up'}), or wait until it is up again",
        )
    case.partition, case.nodes = table, nodes
    return ok(f"{name} is up, {number}")


def check_size(case: Case) -> Finding:
    from dask.utils import parse_bytes

    options, nodes = case.profile.options, _usable(case.nodes)
    cores, memory = int(options.get("job_cpu") or options["cores"]), parse_bytes(options["memory"])
    limit = case.partition.get("MaxMemPerNode", "UNLIMITED")
    room = [min(node.memory, int(limit) * 2**20) if limit.isdigit() else node.memory for node in nodes]
    largest, most = max(room), max(node.cores for node in nodes)
    if memory > largest:
        return fault(
            f"a job asks for {gib(memory)}; the largest node of its partition has {gib(largest)}",
            f"memory: at most {largest // 2**20}MiB, with fewer cores and processes; or a queue with larger nodes",
        )
    if cores > most:
        problem = f"a job asks for {cores} cores; the largest node of the partition has {most}"
        return fault(problem, f"cores: at most {most}, and more jobs instead")
    fits = sum(node.cores >= cores and size >= memory for node, size in zip(nodes, room, strict=True))
    if not fits:
        problem = f"no node has both {cores} cores and {gib(memory)}"
        return fault(problem, "cores and memory: fewer of both, and more jobs instead")
    return ok(f"{cores} cores and {gib(memory)} fit on {fits} of {len(nodes)} nodes")


def check_walltime(case: Case) -> Finding:
    text, name = case.profile.options["walltime"], case.partition["PartitionName"]
    seconds, limit = seconds_of(text, "slurm", where="walltime"), _limit_of(case.partition)
    if limit is None:
        return ok(f"{text}; {name} has no limit")
    allows = f"{name} allows {case.partition['MaxTime']}"
    if seconds <= limit:
        return ok(f"{text}; {allows}")
    longer = [other for other, table in case.partitions.items() if (_limit_of(table) or seconds) >= seconds]
    remedy = f'walltime: "{format_walltime(limit - limit % 60, "slurm")}" at most'
    return fault(
        f"a job asks for {text}; {allows}: it never starts",
        remedy + (f"; or queue: {', '.join(longer)}" if longer else ""),
    )


def _limit_of(partition: dict[str, str]) -> float | None:
    try:
        return seconds_of(partition.get("MaxTime", "UNLIMITED"), "slurm", where="MaxTime")
    except OptionError:
        return None


def check_acceptance(case: Case) -> Finding | None:
    from scanlink.cluster.jobqueue import job_script

    if not case.report.ok:
        return None
    script = job_script("slurm", case.profile.options, scheduler="tcp://127.0.0.1:8786", name="scanlink")
    code, answer = run("sbatch", "--test-only", text=script)
    answer = " ".join(answer.split()).removeprefix("sbatch: ")
    if code == 0:
        begin = re.search(r"to start at (\S+)", answer)
        when = f"Slurm would start a job at {begin[1].replace('T', ' ')}" if begin else answer
        return ok(f"{when} (sbatch --test-only)")
    remedy = "mend the profile; ask the staff of the cluster what it means, if it is not clear"
    if re.search("account", answer, re.IGNORECASE):
        remedy = f"account: one of yours {_ASSOCIATIONS}"
    elif re.search("qos", answer, re.IGNORECASE):
        remedy = f"job-extra-directives: another --qos {_ASSOCIATIONS}"
    return fault(f"sbatch refuses the job: {answer}", remedy)
