"""What a job's log and Slurm's reasons mean, and what to change."""

from __future__ import annotations

import re
import sys

from scanlink.cluster.profile import Profile
from scanlink.cluster.queues import Ended, last_lines

__all__ = ["last_words", "remedy_for", "remedy_for_reason"]

# What the last words of a job mean, and what to change; the first that fits.
_LAST_WORDS = (
    (
        r"No module named '?(distributed|dask|tornado|msgpack)",
        "python: an interpreter that has scanlink and Dask, such as {here}; the profile's is {python}",
    ),
    (
        r"is not a valid network interface",
        "interface: one that the nodes have too; they have those that the line lists",
    ),
    (
        r"(Timed out|timed out|Connection refused|No route to host|unreachable|Name or service not known)",
        "interface: a network that nodes and this host share (ib0, eno1, ...); or ask whether a firewall closes the "
        "ports between them, and run the driver in a job then (scanlink submit)",
    ),
    (
        r"(MemoryError|\boom|OOM|Out Of Memory|memory limit|Cannot allocate memory|\bKilled\b)",
        "memory: more; what takes more than its job asked for is killed",
    ),
    (
        r"(No such file or directory|not found|Permission denied|cannot execute)",
        "python: one that the nodes can start, on a file system that they share; here {here} runs. If the line names "
        "another file, correct job-script-prologue",
    ),
)
# What Slurm says of a job that waits, and what to change.
_REASONS = {
    "Resources": "the nodes are busy: wait longer (--wait), or ask for less of cores, memory and walltime",
    "Priority": "other jobs go first: wait longer (--wait), or ask for less of cores, memory and walltime",
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
_MOST = 4


def last_words(ended: Ended) -> str:
    """The lines of a job's log that say what went wrong, or if none does its last ones; empty if there is no log.

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
    return f"its log, {ended.log}, says:\n" + "\n".join(f"  {line[:200]}" for line in errors[-_MOST:])


def remedy_for(words: str, profile: Profile) -> str:
    """What to change, from the log of a job.

    Examples
    --------
    >>> remedy_for("OSError: [Errno 12] Cannot allocate memory", Profile("slurm", None, "slurm"))
    'memory: more; what takes more than its job asked for is killed'
    """
    for pattern, remedy in _LAST_WORDS:
        if re.search(pattern, words):
            return remedy.format(here=sys.executable, python=profile.options.get("python"))
    if not words:
        return f"log-directory: a folder that the nodes see too; it is {profile.options.get('log_directory')}"
    return "what the last lines of its log say"


def remedy_for_reason(reason: str) -> str:
    """What to change, from the reason for which Slurm lets a job wait.

    Examples
    --------
    >>> remedy_for_reason("PartitionDown")
    'queue: another partition; this one is down'
    """
    for key, remedy in _REASONS.items():
        if reason.startswith(key) or key in reason:
            return remedy
    if re.search(r"QOS|Assoc|Limit", reason):
        return (
            "jobs, cores or memory: fewer; a limit of your account is reached (sacctmgr show associations user=$USER)"
        )
    return "man squeue, JOB REASON CODES, says what it means"
