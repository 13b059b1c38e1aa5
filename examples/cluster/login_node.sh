#!/usr/bin/env bash
# The driver and the Dask scheduler on a login node; the workers are jobs. It goes on when you log out.
#   examples/cluster/login_node.sh run.yaml results slurm
# Only where the site allows long processes on its login nodes: the driver needs one core for a few per cent of the
# time and some GiB, but some sites end whatever runs for hours. There, see driver_job.sh.
set -euo pipefail
options=$1
out=$2
profile=${3:-slurm}

# Five minutes now, or a night for nothing: does the profile work?
scanlink doctor "$options" --cluster "$profile" --out "$out"

mkdir -p "$out/logs"
log=$out/logs/driver.log
# A driver that was stopped is started again by the same command, and goes on from what is finished.
command=$(printf '%q ' scanlink run "$options" --out "$out" --cluster "$profile")
if command -v tmux >/dev/null; then
  session=scanlink-$(basename "$out" | tr -c 'A-Za-z0-9\n' '-')
  tmux new-session -d -s "$session" "$command 2>&1 | tee -a $(printf %q "$log")"
  echo "it runs in tmux: tmux attach -t $session   (Ctrl-b d leaves it running, Ctrl-C stops it)"
else
  nohup bash -c "exec $command" >>"$log" 2>&1 </dev/null &
  echo "it runs as process $!: kill $! stops it, and cancels its jobs"
fi
echo "log: $log"
echo "how far it is: scanlink status $(printf %q "$out")"
