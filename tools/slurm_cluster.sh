#!/usr/bin/env bash
# A throw-away Slurm cluster of two nodes on this machine, for as long as a command runs:
#   tools/slurm_cluster.sh COMMAND [ARGUMENT...]      e.g. tools/slurm_cluster.sh bash
#
# Its files are in a folder of its own, its ports are free ones, and nothing is left of it afterwards, whatever ends it
# (only SIGKILL leaves it running). COMMAND finds the cluster through SLURM_CONF; `slurmd -N node1` starts a node again.
# Both nodes are this machine: the eight cores and the GPU of each are names, what runs there shares what is here.
#
# Needs root and Debian's packages slurm-wlm and munge, as they are installed: no service of theirs has to run.
set -euo pipefail

PATH=$PATH:/usr/local/sbin:/usr/sbin
fail() {
    echo "error: $*" >&2
    exit 1
}
[ $# -gt 0 ] || fail "no command; usage: $0 COMMAND [ARGUMENT...]"
[ "$(id -u)" -eq 0 ] || fail "$0: only root can start the daemons of a cluster"
for program in munged slurmctld slurmd; do
    command -v "$program" > /dev/null || fail "$program is not found; apt-get install slurm-wlm munge"
done

folder=$(mktemp -d /tmp/slurm.XXXXXX) # not in TMPDIR: the name of munge's socket may have 107 letters
chmod 755 "$folder"                   # munge asks for that
export SLURM_CONF=$folder/slurm.conf

# ours: ids of the cluster's processes and of their children, all of which have SLURM_CONF in their environment
ours() {
    env -u SLURM_CONF grep -lszFx "SLURM_CONF=$SLURM_CONF" /proc/[0-9]*/environ | env -u SLURM_CONF cut -d / -f 3
}

# stop STATUS: end jobs, daemons and what else there is of the cluster, then remove its folder
stop() {
    trap '' EXIT HUP INT TERM
    [ "$1" = 0 ] || [ -z "${M4SER_SLURM_LOGS:-}" ] || cp "$folder"/*.log "$M4SER_SLURM_LOGS"
    local signal ids
    for signal in TERM KILL KILL; do
        mapfile -t ids < <(ours)
        [ "${#ids[@]}" -gt 0 ] || break
        kill "-$signal" "${ids[@]}" 2> /dev/null || true
        for _ in {1..20}; do
            [ -n "$(ours)" ] || break
            sleep 0.1
        done
    done
    rm -rf "$folder"
    exit "$1"
}
trap 'stop $?' EXIT
trap 'stop 129' HUP
trap 'stop 130' INT
trap 'stop 143' TERM

# Below the ports that the system hands out by itself, and not in use.
free_ports() {
    local port found=0
    while [ "$found" -lt "$1" ]; do
        port=$((20000 + RANDOM % 12000))
        if ! (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
            echo "$port"
            found=$((found + 1))
        fi
    done
}
mapfile -t ports < <(free_ports 3)

host=$(hostname -s)
mkdir "$folder/state" "$folder/node1" "$folder/node2"
cat > "$SLURM_CONF" << END
ClusterName=throwaway
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
# A machine that is paused, or too busy to answer, is no dead node.
SlurmdTimeout=300
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
KillWait=5
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[1]} CPUs=8 RealMemory=8192 Gres=gpu:1
NodeName=node2 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[2]} CPUs=8 RealMemory=8192 Gres=gpu:1
PartitionName=main Nodes=ALL Default=YES State=UP
END
echo "NodeName=node[1-2] Name=gpu File=/dev/null" > "$folder/gres.conf"

(umask 077 && head -c 1024 /dev/urandom > "$folder/munge.key")
munged --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munged.seed"
slurmctld -c
slurmd -N node1
slurmd -N node2
for _ in {1..100}; do
    [ "$(sinfo --noheader --Node --format=%T 2> /dev/null | grep -cx idle)" != 2 ] || break
    sleep 0.1
done
[ "$(sinfo --noheader --Node --format=%T | grep -cx idle)" = 2 ] || {
    tail -n 5 "$folder"/*.log >&2
    fail "the nodes of the cluster do not answer"
}

# In the background, so that a signal to this script is not kept waiting.
"$@" <&0 &
wait $!
