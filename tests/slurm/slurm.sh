#!/usr/bin/env bash
# A real Slurm on this machine, for tests: several slurmd on ports of loopback, no systemd, no container, no database.
# Everything is below one folder, and stop ends exactly what start has started.
#
#   slurm.sh start    write the configuration, start munged, slurmctld and the nodes, wait until they are idle
#   slurm.sh stop     cancel all jobs, stop the daemons
#   slurm.sh conf     print the path of slurm.conf, which SLURM_CONF has to name for sbatch and the others
#
# Settings by environment: SLURM_CI_DIR, SLURM_CI_PORT (the first of nodes + 1), SLURM_CI_NODES, SLURM_CI_CPUS and
# SLURM_CI_MEM (MiB) of each node, which may be more than the machine has.
set -euo pipefail

dir=${SLURM_CI_DIR:-${TMPDIR:-/tmp}/slurm-ci}
port=${SLURM_CI_PORT:-16817}
nodes=${SLURM_CI_NODES:-3}
cpus=${SLURM_CI_CPUS:-4}
memory=${SLURM_CI_MEM:-8000}
PATH=$PATH:/usr/sbin:/sbin
export SLURM_CONF=$dir/etc/slurm.conf

say() { echo "slurm.sh: $*" >&2; }

write_conf() {
  mkdir -p "$dir"/{etc,run,log,state,spool}
  chmod 755 "$dir" "$dir"/{etc,run,log,state,spool}
  rm -rf "$dir"/{log,state,spool}/*
  [ -s "$dir/etc/munge.key" ] || (umask 077 && head -c 1024 /dev/urandom >"$dir/etc/munge.key")
  local host names=n1 ports=$((port + 1))
  host=$(uname -n | cut -d. -f1)
  [ "$nodes" = 1 ] || names="n[1-$nodes]" ports="[$((port + 1))-$((port + nodes))]"
  cat >"$SLURM_CONF" <<CONF
ClusterName=ci
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
# cred_expire is also how long a job that is started again has to wait: 120 s by default.
AuthInfo=socket=$dir/run/munge.sock,cred_expire=5
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd.%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.%n.log
# By process group: linuxproc loses a worker whose shell dies before it.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
# Jobs get the cores and the memory that they ask for, of nodes as large as they claim to be.
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
DefMemPerCPU=500
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=5,sched_min_interval=100000,batch_sched_delay=0
KillWait=5
OverTimeLimit=0
ReturnToService=2
JobRequeue=1
MinJobAge=600
SlurmctldTimeout=30
SlurmdTimeout=30
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=$names NodeHostname=$host NodeAddr=127.0.0.1 Port=$ports CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=30 State=UP PriorityTier=10
PartitionName=short Nodes=ALL MaxTime=1 DefaultTime=1 State=UP PriorityTier=10
PartitionName=preempt Nodes=ALL MaxTime=INFINITE DefaultTime=30 State=UP PriorityTier=1
CONF
  # slurmd loads a cgroup plugin though nothing here uses one; v1 with nothing to do works everywhere before 23.11.
  local version plugin=cgroup/v1
  version=$(slurmctld -V | sed -E 's/[^0-9]*([0-9]+)\.([0-9]+).*/\1\2/')
  [ "$version" -lt 2311 ] || plugin=disabled
  echo "CgroupPlugin=$plugin" >"$dir/etc/cgroup.conf"
}

# running PROGRAM PIDFILE: prints the number if that process is still that program.
running() {
  local pid
  pid=$(cat "$2" 2>/dev/null) && [ -n "$pid" ] || return 1
  tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q "$1" || return 1
  echo "$pid"
}

# end PROGRAM PIDFILE...: TERM to all, wait, KILL what is left.
end() {
  local program=$1 file pid pids=()
  shift
  for file in "$@"; do
    if pid=$(running "$program" "$file"); then
      kill "$pid" 2>/dev/null || true
      pids+=("$pid")
    fi
  done
  for pid in "${pids[@]}"; do
    for _ in $(seq 100); do
      [ -d "/proc/$pid" ] || break
      sleep 0.1
    done
    [ ! -d "/proc/$pid" ] || kill -9 "$pid" 2>/dev/null || true
  done
  rm -f "$@"
}

start() {
  stop
  write_conf
  # --force accepts a key below /tmp; it is private to this folder.
  munged --force --key-file="$dir/etc/munge.key" --socket="$dir/run/munge.sock" --pid-file="$dir/run/munged.pid" \
    --log-file="$dir/log/munged.log" --seed-file="$dir/state/munge.seed" 2>>"$dir/log/munged.log"
  slurmctld -c
  local n
  for n in $(seq "$nodes"); do slurmd -c -N "n$n"; done
  for _ in $(seq 600); do
    if [ "$(sinfo -h -N -p debug -o %t 2>/dev/null | grep -cx idle)" = "$nodes" ]; then
      say "$nodes nodes of $cpus cores and $memory MiB are up: SLURM_CONF=$SLURM_CONF"
      return
    fi
    sleep 0.2
  done
  tail -n 15 "$dir"/log/slurm*.log >&2
  stop
  say "the nodes never became idle"
  return 1
}

stop() {
  [ -d "$dir/run" ] || return 0
  if running slurmctld "$dir/run/slurmctld.pid" >/dev/null; then
    timeout 20 scancel --state=PENDING --user="$(id -un)" 2>/dev/null || true
    timeout 20 scancel --user="$(id -un)" 2>/dev/null || true
    # A step outlives its slurmd: let all end first.
    for _ in $(seq 60); do
      [ -n "$(timeout 10 squeue -h 2>/dev/null)" ] || break
      sleep 0.25
    done
  fi
  end slurmd "$dir"/run/slurmd.*.pid
  end slurmctld "$dir/run/slurmctld.pid"
  end munged "$dir/run/munged.pid"
  rm -f "$dir"/run/munge.sock*
}

case ${1:-} in
  start | stop) "$1" ;;
  conf) echo "$SLURM_CONF" ;;
  *) sed -n '2,11p' "$0" && exit 2 ;;
esac
