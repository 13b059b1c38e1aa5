"""Everything that is known of each queue system, one row a queue; a new one needs a row, and a profile to copy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["LIMIT", "PASSING", "SCHEDULERS", "JobList", "Scheduler", "WalltimeFormat"]

# What commands say when their queue cannot be reached for a while.
PASSING = re.compile(
    r"unable to contact slurm controller|socket timed out|connection (refused|timed out|reset)|zero bytes were "
    r"transmitted|temporarily (unavailable|unable)|standby mode|controller not responding|no response|timed out|"
    r"cannot (connect|contact|communicate)|communication (error|failure)|try again|not responding",
    re.IGNORECASE,
)
# What they say when a user has enough jobs, and may submit more later.
LIMIT = re.compile(r"limit|policy|quota|too many", re.IGNORECASE)


@dataclass(frozen=True)
class WalltimeFormat:
    """How a queue writes wall times: the queues differ in what a lone number or one colon means.

    Attributes
    ----------
    units
        Seconds of each field, by the number of colons.
    days
        The same where a number of days and a hyphen stand before them; None where that is not understood.
    example
        A wall time, for messages.
    """

    units: Mapping[int, tuple[int, ...]]
    days: Mapping[int, tuple[int, ...]] | None = None
    example: str = '"04:00:00"'


@dataclass(frozen=True)
class JobList:
    """A command that lists the jobs of a user, a line a job.

    Attributes
    ----------
    command
        Its words; the user follows.
    separator
        What stands between the columns; None for white space.
    state, reason
        Columns with the state of a job, and with what it waits for; None where the queue does not say.
    pending
        States of jobs that wait to be started.
    over
        States of jobs that have ended, though they are still listed.
    user_number
        Whether the user is given by number.
    empty
        What it says, as an error, where there is no job; empty where that is no error.
    """

    command: tuple[str, ...]
    separator: str | None
    state: int
    reason: int | None = None
    pending: tuple[str, ...] = ()
    over: tuple[str, ...] = ()
    user_number: bool = False
    empty: str = ""


_HOURS = {0: (1,), 1: (60, 1), 2: (3600, 60, 1)}


@dataclass(frozen=True)
class Scheduler:
    """What is known of a queue system.

    Attributes
    ----------
    dask_class
        Class of dask-jobqueue that writes its job scripts.
    submit
        Command that takes a job script.
    cancels_many
        Whether the command that cancels jobs takes many numbers.
    no_requeue
        Directive without which the queue might start a job again by itself; None where there is none.
    requeue
        Pattern of the directives that say so, or the opposite.
    walltime
        How it writes wall times; None where jobs have none.
    needs
        What a profile has to say of the size of a job, each with an example.
    directives
        Type of ``job-extra-directives``.
    jobs
        How its jobs are listed; None where it is not asked.
    never
        What jobs wait for that never start.
    """

    dask_class: str
    submit: str
    cancels_many: bool = False
    no_requeue: str | None = None
    requeue: str = "-r"
    walltime: WalltimeFormat | None = WalltimeFormat(_HOURS)
    needs: tuple[tuple[str, str], ...] = (("cores", "1"), ("memory", "4GiB"))
    directives: type[list[str]] | type[dict[str, str]] = list
    jobs: JobList | None = None
    never: tuple[str, ...] = ()

    @property
    def section(self) -> str:
        """Name of its section in dask-jobqueue's configuration."""
        return self.dask_class.removesuffix("Cluster").lower()


SCHEDULERS: Mapping[str, Scheduler] = MappingProxyType(
    {
        "slurm": Scheduler(
            dask_class="SLURMCluster",
            submit="sbatch",
            cancels_many=True,
            no_requeue="--no-requeue",
            requeue=r"--(no-)?requeue",
            walltime=WalltimeFormat(
                {0: (60,), 1: (60, 1), 2: (3600, 60, 1)}, days={0: (3600,), 1: (3600, 60), 2: (3600, 60, 1)}
            ),
            jobs=JobList(
                ("squeue", "--noheader", "--array", "--format=%i|%T|%r", "--user"),
                "|",
                state=1,
                reason=2,
                pending=("PENDING", "CONFIGURING", "REQUEUED"),
                over=("COMPLETING", "COMPLETED"),
                user_number=True,
            ),
            never=(
                "PartitionTimeLimit",
                "PartitionNodeLimit",
                "BadConstraints",
                "InvalidAccount",
                "InvalidQOS",
                "QOSMaxWallDurationPerJobLimit",
                "AssocMaxWallDurationPerJobLimit",
                "DependencyNeverSatisfied",
            ),
        ),
        "pbs": Scheduler(
            dask_class="PBSCluster",
            submit="qsub",
            cancels_many=True,
            no_requeue="-r n",
            jobs=JobList(("qstat", "-u"), None, state=9, pending=("Q", "H", "W", "T"), over=("E", "F", "X", "C")),
        ),
        "lsf": Scheduler(
            dask_class="LSFCluster",
            submit="bsub",
            cancels_many=True,
            no_requeue="-rn",
            requeue=r"-rn?\b",
            walltime=WalltimeFormat({0: (60,), 1: (3600, 60)}, example='"04:00" (hours and minutes)'),
            jobs=JobList(
                ("bjobs", "-w", "-u"),
                None,
                state=2,
                pending=("PEND", "PSUSP"),
                over=("DONE", "EXIT"),
                empty="No unfinished job found",
            ),
        ),
        "sge": Scheduler(
            dask_class="SGECluster",
            submit="qsub",
            cancels_many=True,
            no_requeue="-r n",
            jobs=JobList(("qstat", "-u"), None, state=4, pending=("qw", "hqw")),
        ),
        "oar": Scheduler(
            dask_class="OARCluster",
            submit="oarsub",
            walltime=WalltimeFormat({0: (3600,), 1: (3600, 60), 2: (3600, 60, 1)}),
        ),
        "htcondor": Scheduler(
            dask_class="HTCondorCluster",
            submit="condor_submit",
            walltime=None,
            needs=(("cores", "1"), ("memory", "4GiB"), ("disk", "4GiB")),
            directives=dict,
        ),
        "moab": Scheduler(dask_class="MoabCluster", submit="msub", no_requeue="-r n"),
    }
)
