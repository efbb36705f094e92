#!/usr/bin/env bash
# A real Slurm on this one machine, as root, without systemd or a database, to try the profile:
#
#   one-machine.sh start FOLDER [GPUS]   munged, slurmctld and slurmd, all they keep in FOLDER;
#                                        GPUS devices that are none stand for GPUs (none)
#   one-machine.sh run FOLDER COMMAND    a command that sees this Slurm: run F snakemake --profile ...
#   one-machine.sh stop FOLDER           ends exactly what start began
#
# Needs the packages slurm-wlm and munge: apt-get install slurm-wlm munge
set -euo pipefail
usage() { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit "$1"; }
[ "${1:-}" != --help ] || usage 0
[ $# -ge 2 ] || usage 2
what=$1 folder=$(realpath -m "$2"); shift 2
export SLURM_CONF=$folder/slurm.conf

start() {
  local gpus=${1:-0} host cores memory
  for program in munged slurmctld slurmd sbatch; do
    PATH=$PATH:/usr/sbin command -v $program > /dev/null || {
      echo "error: no $program on this machine; install it: apt-get install slurm-wlm munge" >&2; exit 3; }
  done
  [ "$(id -u)" = 0 ] || { echo "error: a Slurm of one's own needs root" >&2; exit 3; }
  [ ! -e "$folder/slurm.conf" ] || { echo "error: $folder: in use; stop it first" >&2; exit 1; }
  host=$(hostname -s) cores=$(nproc --all) memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
  mkdir -p "$folder"/{state,spool,devices,bin}
  chmod 755 "$folder"
  # two controllers of two folders get two pairs of ports
  local port=$((20000 + $$ % 20000))
  cat > "$folder/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmUser=root
ReturnToService=2
KillWait=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
JobRequeue=1
MinJobAge=3600
SchedulerParameters=sched_interval=2
$([ "$gpus" = 0 ] || echo "GresTypes=gpu")
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory $([ "$gpus" = 0 ] || echo "Gres=gpu:$gpus ")State=UNKNOWN
PartitionName=cpu Nodes=$host Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=$host MaxTime=INFINITE State=UP
CONF
  # the plugin's job step forgets SLURM_CONF, and nothing outside of FOLDER is to be written
  printf '#!/bin/sh\nSLURM_CONF=%q exec %q "$@"\n' "$folder/slurm.conf" "$(command -v srun)" > "$folder/bin/srun"
  chmod +x "$folder/bin/srun"
  : > "$folder/gres.conf"
  for ((n = 0; n < gpus; n++)); do
    mknod "$folder/devices/gpu$n" c 1 3 # as /dev/null
    echo "Name=gpu File=$folder/devices/gpu$n" >> "$folder/gres.conf"
  done
  [ -d /run/munge ] || mkdir -p /run/munge
  (umask 077 && head -c 1024 /dev/urandom > "$folder/munge.key")
  munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" --seed-file="$folder/munged.seed"
  slurmctld
  slurmd
  for _ in $(seq 60); do
    [ "$(sinfo --noheader --format=%t --partition=cpu 2> /dev/null)" != idle ] || {
      sinfo --format='%P %D %t %c %m %G'; return; }
    sleep 0.5
  done
  echo "error: the node is not ready after 30 s; see $folder/*.log" >&2
  stop
  exit 1
}

stop() {
  local pid
  [ ! -e "$folder/slurmctld.pid" ] || scancel --state=PENDING --state=RUNNING --user=root 2> /dev/null || true
  sleep 1
  for daemon in slurmd slurmctld munged; do
    [ -s "$folder/$daemon.pid" ] || continue
    pid=$(< "$folder/$daemon.pid")
    [ "$(cat "/proc/$pid/comm" 2> /dev/null)" = $daemon ] || continue
    kill "$pid"
    for _ in $(seq 100); do [ -e "/proc/$pid" ] || break; sleep 0.1; done
  done
  rm -f "$folder/slurm.conf"
}

case $what in
  start) start "$@" ;;
  run) PATH=$folder/bin:$PATH exec "$@" ;;
  stop) stop ;;
  *) usage 2 ;;
esac
