#!/usr/bin/env bash
# The driver and the Dask scheduler in a job of their own, which submits the jobs of the workers.
#   sbatch examples/cluster/driver_job.sh run.yaml results slurm
# `scanlink submit run.yaml --out results --cluster slurm` writes and submits such a script; with --chain it goes on
# in further jobs when the wall time is up.
#SBATCH --job-name=scanlink-driver
#SBATCH --output=scanlink-driver-%j.log
#SBATCH --open-mode=append
# The driver computes nothing: one core. Its memory is for reading the data, if that has not been done before.
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=24:00:00
# If its node fails, it is put back in the queue and goes on from what is finished.
#SBATCH --requeue
# Five minutes before the time is up it is told to stop. It cancels its workers and ends with exit code 75: submit it
# again, and it goes on.
#SBATCH --signal=B:USR1@300
set -euo pipefail
options=$1
out=$2
profile=${3:-slurm}
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1
# exec: the signal is for the shell of the job, and this makes it scanlink's.
exec scanlink run "$options" --out "$out" --cluster "$profile"
