# shellcheck shell=bash
# Sourced by ser.sh and the other scripts of the template: how they ask m4ser.stages, which knows options, names, folders
# and steps. A script declares its options between two comment lines (see m4ser/stages/declared.py), which --help shows.

if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
    echo "error: bash $BASH_VERSION is too old; bash 4.4 or newer is needed" >&2
    exit 1
fi
# shellcheck source=path.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/path.sh"

option_fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# ask WORD...: sets the variables that m4ser.bin.stages answers with; --help is shown at once
ask() {
    local _answer
    while IFS= read -r -d '' _answer; do
        printf -v "${_answer%%=*}" '%s' "${_answer#*=}"
    done < <(python -m m4ser.bin.stages "$@")
    wait $! || return # its exit status
    if [ -n "${help_text:-}" ]; then
        printf '%s\n' "$help_text"
        exit 0
    fi
}
