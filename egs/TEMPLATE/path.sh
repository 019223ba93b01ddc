# shellcheck shell=bash
# Sourced by options.sh: the environment that `make -C tools` has installed. --help needs none.

M4SER_ROOT=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
if [ -f "$M4SER_ROOT/tools/activate_python.sh" ]; then
    # shellcheck disable=SC1091
    . "$M4SER_ROOT/tools/activate_python.sh"
elif [[ " $* " == *" --help "* || " $* " == *" -h "* ]]; then
    python() { python3 "$@"; }
else
    echo "error: $M4SER_ROOT/tools/activate_python.sh is missing; install first: make -C $M4SER_ROOT/tools" >&2
    exit 1
fi

# The code of this checkout, also where several checkouts share one environment.
export PYTHONPATH="$M4SER_ROOT${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONIOENCODING=UTF-8
export PYTHONUNBUFFERED=1
export LC_ALL=C.UTF-8
# Small models on few cores run up to fifty times slower when several threads share a core.
export OMP_NUM_THREADS=1
export TOKENIZERS_PARALLELISM=false
# glibc gives the memory of every large tensor back to the system and asks for it again: a training step of the small
# models takes a tenth less time on CPU if it is kept (no effect elsewhere).
export MALLOC_MMAP_THRESHOLD_=${MALLOC_MMAP_THRESHOLD_:-33554432}
export MALLOC_TRIM_THRESHOLD_=${MALLOC_TRIM_THRESHOLD_:-1073741824}
export MALLOC_TOP_PAD_=${MALLOC_TOP_PAD_:-67108864}
