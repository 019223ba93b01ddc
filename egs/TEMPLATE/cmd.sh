# shellcheck shell=bash
# Sourced by ser.sh: sets `launcher`, the command that runs the split jobs of all stages, from `cmd_backend`:
#   local   this machine
#   slurm   a Slurm cluster, with the options of the recipe's conf/slurm.conf, else of egs/TEMPLATE/conf/slurm.conf
# Another scheduler is another case here: a command with the same options (python -m m4ser.launch.local --help).

# shellcheck disable=SC2034  # read by ser.sh
case ${cmd_backend:-local} in
    local) launcher=(python -m m4ser.launch.local) ;;
    slurm)
        slurm_conf=conf/slurm.conf
        [ -f "$slurm_conf" ] || slurm_conf=$M4SER_ROOT/egs/TEMPLATE/conf/slurm.conf
        launcher=(python -m m4ser.launch.slurm --config "$slurm_conf")
        ;;
    *)
        echo "error: --cmd-backend ${cmd_backend}: egs/TEMPLATE/cmd.sh has no such launcher" >&2
        exit 1
        ;;
esac
