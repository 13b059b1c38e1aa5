#!/usr/bin/env bash
# A scan as a Slurm job array, without Dask: read once, test in slices, merge.
#   sbatch examples/job_array.sh run.yaml results
#SBATCH --job-name=scanlink
#SBATCH --array=1-20
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=04:00:00
# Before it, once:  scanlink run run.yaml --out results --until pairs
# After it, once:   scanlink merge results
# Where enhancer pairs follow from links, merge computes them; the same array, submitted again before it, does so in slices.
# A slice that was stopped goes on when it is submitted again; merge names the blocks that are missing.
set -euo pipefail
options=$1
out=$2
scanlink scan "$out/store" "$out/pairs.parquet" --config "$options" --out "$out" \
  --chunk "${SLURM_ARRAY_TASK_ID:?submit this with sbatch}/${SLURM_ARRAY_TASK_COUNT:-20}"
