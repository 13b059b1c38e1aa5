"""The text of a driver's job script: plain bash that a person can read, change and submit by hand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scanlink.cluster.walltime import seconds_of
from scanlink.errors import OptionError

__all__ = ["CORES", "DriverJob", "mebibytes"]

# Among the words of a command: the cores that the job has.
CORES = "$SLURM_CPUS_PER_TASK"
_THREADS = "export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1"

_SINGLE = """\
# Worker jobs that scanlink submits carry this job's number in their name.
export SBATCH_JOB_NAME="$name-w$SLURM_JOB_ID"
# A job that is put back in the queue (its node failed, another job went first) may have left workers there.
scancel --user="$(id -un)" --name="$SBATCH_JOB_NAME" || true

# Instead of this shell, so that Slurm's signals reach it: it stops, and what is finished stays.
exec "${command[@]}"
"""

_CHAIN = """\
# ---- the chain ---------------------------------------------------------------------------------------------------
link=${1:-1}     # number of this link
before=${2:-}    # results that were there when the link before this one began
idle=${3:-0}     # links in a row that added none
previous=${4:-}  # job of the link before this one

say() { printf '%s link %s, job %s: %s\\n' "$(date '+%F %T')" "$link" "$SLURM_JOB_ID" "$*" | tee -a "$logs/chain.log"; }

# Store, pairs, finished blocks and tables: a link that gets anywhere changes their number.
results() {
  { find "$out" \\( -name '*.parquet' -o -name prepared.json \\) ! -name '.*' 2>/dev/null || true; } | wc -l
}

now=$(results)
if [ "$now" = "$before" ]; then idle=$((idle + 1)); else idle=0; fi
if [ "$idle" -ge 2 ]; then
  say "stopped: the last two links finished nothing new. Read their logs in $logs, and submit again with what" \\
    "they lack: more --walltime, more --memory, or smaller blocks (--set scan.block_genes=1)"
  exit 1
fi

# The next link is queued now and not at the end, so that it follows however this one ends: killed, out of time, or
# with its node. Where this one has finished, it is taken back.
next=
if [ "$link" -ge "$links" ]; then
  say "begins with $now results; it is the last of $links links"
elif next=$(sbatch --parsable --dependency="afterany:$SLURM_JOB_ID" --output="$log_names/driver-$((link + 1))-%j.log" \\
  "$script" "$((link + 1))" "$now" "$idle" "$SLURM_JOB_ID"); then
  next=${next%%;*}
  say "begins with $now results; job $next is to follow"
else
  next=
  say "begins with $now results; no job could be queued to follow, so that the chain ends here:" \\
    "submit again from a login node"
fi

# Workers of the link before this one: those that run leave when their scheduler is gone, those that wait would start
# for nothing. Their name carries that link's job, so that no other job is meant.
if [ -n "$previous" ]; then
  scancel --user="$(id -un)" --name="$name-w$previous" || true
fi
export SBATCH_JOB_NAME="$name-w$SLURM_JOB_ID"

# Slurm signals this shell before the time is up, and this shell tells scanlink, which stops. A signal also ends
# `wait`, so wait again.
driver=
signalled=
trap 'signalled=1; [ -z "$driver" ] || kill -USR1 "$driver" 2>/dev/null || true' USR1
trap 'signalled=1; [ -z "$driver" ] || kill -TERM "$driver" 2>/dev/null || true' TERM
"${command[@]}" &
driver=$!
while
  signalled=
  code=0
  wait "$driver" || code=$?
  [ -n "$signalled" ]
do :; done

case $code in
  0) ending="finished" ;;
  1) ending="stopped by an error, which its log has: $logs/driver-$link-$SLURM_JOB_ID.log" ;;
  3) ending="finished, but for blocks that fail: $logs/driver-$link-$SLURM_JOB_ID.log has which and why" ;;
  75) ending="stopped in time" ;;
  *) ending="ended with exit code $code (128 + the signal, if it was killed)" ;;
esac
ending="$ending; $(results) results"
case $code in
  0 | 1 | 3)
    [ -z "$next" ] || scancel "$next" || true
    say "$ending. The chain is at its end"
    exit "$code"
    ;;
esac
# Workers that a killed driver could not take back itself.
scancel --user="$(id -un)" --name="$name-w$SLURM_JOB_ID" || true
if [ -n "$next" ]; then
  say "$ending; job $next goes on"
  exit 0
fi
say "$ending; no link is left: the same scanlink submit goes on from there"
exit "$code"
"""


def mebibytes(memory: str) -> int:
    """Convert an amount of memory to MiB, rounded up: ``4GiB``, ``500MB`` or, as Slurm has it, ``4G`` for 4 GiB.

    Raises OptionError if it is no amount of memory.

    Examples
    --------
    >>> mebibytes("4GiB"), mebibytes("4G"), mebibytes("1GB")
    (4096, 4096, 954)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT])(i?B)?\s*", memory, flags=re.IGNORECASE)
    if not match or float(match[1]) <= 0:
        raise OptionError(f"memory {memory!r}: expected a number and a unit, such as 4GiB")
    base = 1000 if (match[3] or "").lower() == "b" else 1024
    power = "KMGT".index(match[2].upper()) + 1
    return -(-int(float(match[1]) * base**power) // 2**20)


@dataclass(frozen=True, kw_only=True)
class DriverJob:
    """A job that runs ``scanlink run``, alone or as a chain of links."""

    name: str  # Equal for all links, and for no other run.
    folder: Path  # Run folder, absolute.
    command: Sequence[str]  # ``$SLURM_CPUS_PER_TASK`` stands for the cores of the job.
    workdir: Path
    walltime: str = "04:00:00"  # Of one job, as Slurm writes it.
    memory: int = 4096  # Of one job, MiB.
    cores: int = 1
    queue: str | None = None  # None for the partition, and the account, that Slurm takes by itself.
    account: str | None = None
    links: int | None = None  # Most jobs of the chain; None for a single job.
    extra: Sequence[str] = ()  # More options of sbatch.
    scheduler: str = "slurm"  # Queue that it is for.

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def path(self) -> Path:
        return self.logs / "driver.sh"

    @property
    def margin(self) -> int:
        """Seconds before the limit at which Slurm says so: a tenth of the wall time, 30 at least and 300 at most."""
        return int(min(300, max(30, seconds_of(self.walltime, "slurm", where="--walltime") // 10)))

    def script(self) -> str:
        """Write the script as text; raises OptionError where Slurm's file names cannot have what the folder's has."""
        if re.search(r"[\n\\]", str(self.folder)):
            raise OptionError(
                f"run folder {str(self.folder)!r}: Slurm cannot write logs where a name has \\ or a new line"
            )
        # In Slurm's file names % begins a placeholder.
        log_names = str(self.logs).replace("%", "%%")
        chain = self.links is not None
        folder = shlex.quote(str(self.folder))
        command = " ".join(f'"{word}"' if word == CORES else shlex.quote(word) for word in self.command)
        directives = [
            f"job-name={self.name}",
            f"output={shlex.quote(f'{log_names}/driver-1-%j.log')}",
            "ntasks=1",
            f"cpus-per-task={self.cores}",
            f"mem={self.memory}M",
            f"time={self.walltime}",
            f"signal=B:USR1@{self.margin}",
            *(["no-requeue"] if chain else ["requeue", "open-mode=append"]),
            *([] if self.queue is None else [f"partition={shlex.quote(self.queue)}"]),
            *([] if self.account is None else [f"account={shlex.quote(self.account)}"]),
        ]
        variables = [
            f"out={folder}",
            'logs="$out/logs"',
            f"log_names={shlex.quote(log_names)}  # the same, as Slurm's file names have it",
            'script="$logs/driver.sh"',
            f"links={self.links}",
        ]
        lines = [
            "#!/usr/bin/env bash",
            "# Driver of a scanlink run, written by `scanlink submit`; `sbatch` submits it as it is.",
            f"# How far it is:  scanlink status {folder}",
            f"# To stop it:     scancel --name={self.name}",
            *(f"#SBATCH --{directive}" for directive in directives),
            *(f"#SBATCH {line}" for line in self.extra),
            "set -euo pipefail",
            "",
            f"name={self.name}",
            *(variables if chain else []),
            f"cd {shlex.quote(str(self.workdir))}",
            "",
            "# One thread a process: the blocks run side by side, and each is single-threaded.",
            _THREADS,
            f"command=({command})",
            "",
            _CHAIN if chain else _SINGLE,
        ]
        return "\n".join(lines)
