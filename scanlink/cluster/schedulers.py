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
    """How a queue writes wall times: the queues differ in what a lone number or one colon means."""

    # Seconds of each field, by the number of colons.
    units: Mapping[int, tuple[int, ...]]
    # The same where a number of days and a hyphen stand before them; None where that is not understood.
    days: Mapping[int, tuple[int, ...]] | None = None
    example: str = '"04:00:00"'


@dataclass(frozen=True)
class JobList:
    """A command that lists the jobs of a user, a line a job."""

    command: tuple[str, ...]  # Its words; the user follows.
    separator: str | None  # Between the columns; None for white space.
    state: int  # Column with the state of a job.
    reason: int | None = None  # Column with what it waits for; None where the queue does not say.
    pending: tuple[str, ...] = ()  # States of jobs that wait to be started.
    over: tuple[str, ...] = ()  # States of jobs that have ended, though they are still listed.
    user_number: bool = False  # Whether the user is given by number.
    empty: str = ""  # What it says, as an error, where there is no job; empty where that is no error.


_HOURS = {0: (1,), 1: (60, 1), 2: (3600, 60, 1)}


@dataclass(frozen=True)
class Scheduler:
    """What is known of a queue system."""

    dask_class: str  # Class of dask-jobqueue that writes its job scripts.
    submit: str  # Command that takes a job script.
    cancels_many: bool = False  # Whether the command that cancels jobs takes many numbers.
    no_requeue: str | None = None  # Directive without which the queue might start a job again by itself, if any.
    requeue: str = "-r"  # Pattern of the directives that say so, or the opposite.
    walltime: WalltimeFormat | None = WalltimeFormat(_HOURS)  # None where jobs have no wall time.
    # What a profile has to say of the size of a job, each with an example.
    needs: tuple[tuple[str, str], ...] = (("cores", "1"), ("memory", "4GiB"))
    directives: type[list[str]] | type[dict[str, str]] = list  # Type of ``job-extra-directives``.
    jobs: JobList | None = None  # How its jobs are listed; None where it is not asked.
    never: tuple[str, ...] = ()  # What jobs wait for that never start.

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
