# shellcheck shell=bash
# Sourced. The option parser of ser.sh and of other scripts of the template.
#
# A script declares its options as plain assignments between two comment lines
#
#   # --- options
#   stop_stage=5      # [int] last stage to run
#   # --- end of options
#
# and calls `parse_options FILE "$@"`. The line sets the default and is the documentation: `--help` lists all of them.
# An option is typed --stop-stage 5, --stop_stage 5 or --stop-stage=5; a later one overrides an earlier one.
# The type is int or number (either may be empty where the default is), ints (a list), bool (true or false),
# one|two|three, path (see below), recipes (a list of folders of other recipes) or text.
#
# FILE is the script's path as typed in the current folder; messages and --help name it so. Where that script is called
# by another one that users type, the variable own_options names the other one: messages name that, and options in such
# a block of it are known too. Their default is empty, and they end up in the array own_words as `--name value`, files
# among them (type path) in own_files as well, and of other recipes the files that tell when their data has changed.
#
# A bare `--` among the words separates what a recipe's run.sh sets from what its user typed after it. The array `usual`
# has every option's value without the user's words: what the recipe sets, or the default. Relative paths are those of
# the recipe's folder; a typed one that exists where the user is, in $OLDPWD, means that one.

if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
    echo "error: bash $BASH_VERSION is too old; bash 4.4 or newer is needed" >&2
    exit 1
fi

option_fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# quote WORD...: the words as one would type them
quote() {
    local word line=""
    for word in "$@"; do
        if [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]]; then
            line+=" $word"
        else
            line+=" '${word//\'/\'\\\'\'}'"
        fi
    done
    printf '%s' "${line# }"
}

# split_words OPTION TEXT: the array `words` becomes the words of an option's text, which is quoted as for a shell
split_words() {
    # shellcheck disable=SC2034  # for the caller
    mapfile -d '' -t words < <(python -c '
import shlex, sys
option, text = sys.argv[1:]
try:
    words = shlex.split(text)
except ValueError as error:
    sys.exit(f"error: {option} {text!r}: {error}; quote it as for a shell")
for word in words:
    print(word, end="\0")' "$1" "$2")
    wait $! # for the exit status
}

# typed_words WORD...: the array `typed` becomes the words after the bare `--`, or all if there is none
typed_words() {
    local index
    # shellcheck disable=SC2034  # for the caller
    typed=("$@")
    for ((index = 1; index <= $#; index++)); do
        if [ "${!index}" = -- ]; then
            # shellcheck disable=SC2034
            typed=("${@:index+1}")
            return 0
        fi
    done
}

parse_options() {
    local file=$1 source line is_own inside=false script name word value by_user=false
    local -a names=() sources=("$1")
    local -A types=() helps=() defaults=() own=()
    declare -gA usual=()
    shift
    own_words=() own_files=()
    script=$file
    [[ $script != /* ]] || script=$(basename "$file") # another script has called it
    if [ -f "${own_options:-}" ]; then
        sources=("./$own_options" "$file")
        script="./$own_options"
    fi
    for source in "${sources[@]}"; do
        is_own=true
        [ "$source" != "$file" ] || is_own=false
        while IFS= read -r line; do
            case $line in
                "# --- options"*) inside=true ;;
                "# --- end of options"*) inside=false ;;
                *)
                    if $inside && [[ $line =~ ^([a-z_]+)=.*\#\ \[([^]]+)\]\ (.+)$ ]]; then
                        name=${BASH_REMATCH[1]}
                        [ -z "${types[$name]+known}" ] ||
                            option_fail "$own_options: --${name//_/-} is an option of $(basename "$file") already"
                        names+=("$name")
                        types[$name]=${BASH_REMATCH[2]}
                        helps[$name]=${BASH_REMATCH[3]}
                        if $is_own; then
                            own[$name]='' defaults[$name]=''
                        else
                            defaults[$name]=${!name}
                        fi
                        usual[$name]=${defaults[$name]}
                    fi
                    ;;
            esac
        done <"$source"
    done

    while [ $# -gt 0 ]; do
        word=$1
        shift
        case $word in
            --)
                by_user=true
                continue
                ;;
            --help | -h)
                option_help
                exit 0
                ;;
            --*) ;;
            *) option_fail "$word: unexpected word; options begin with --, and a value with spaces needs quotes" ;;
        esac
        name=${word%%=*}
        name=${name#--}
        name=${name//-/_}
        if [ -z "$name" ] || [ -z "${types[$name]+known}" ]; then
            option_fail "unknown option ${word%%=*}; $script --help lists all options"
        fi
        if [[ $word == *=* ]]; then
            value=${word#*=}
        elif [ $# -eq 0 ] || option_is_known "$1"; then
            option_fail "option $word needs a value; $script --help lists all options"
        else
            value=$1
            shift
        fi
        option_check "--${name//_/-}" "${types[$name]}" "${defaults[$name]}" "$value"
        if [ "${types[$name]}" = path ] && $by_user && [[ $value == [!/]* ]]; then
            if [ "${OLDPWD:-$PWD}" != "$PWD" ] && [ -e "$OLDPWD/$value" ]; then
                value=$OLDPWD/$value
                value=${value#"$PWD"/}
            fi
        fi
        if [ "${types[$name]}" = int ] && [ -n "$value" ]; then
            value=$((10#$value)) # 08 is eight
        fi
        # shellcheck disable=SC2034  # for the caller
        $by_user || usual[$name]=$value
        if [ -n "${own[$name]+known}" ]; then
            own[$name]=$value
        else
            printf -v "$name" '%s' "$value"
        fi
    done
    for name in "${names[@]}"; do
        value=${own[$name]:-}
        [ -n "$value" ] || continue
        # shellcheck disable=SC2034  # for the caller
        own_words+=("--${name//_/-}" "$value")
        case ${types[$name]} in
            path) [ ! -f "$value" ] || own_files+=("$value") ;;
            recipes) for word in $value; do recipe_files "${word#*=}"; done ;;
            *) ;;
        esac
    done
}

# recipe_files FOLDER: adds what tells when the data of another recipe has changed to own_files. FOLDER is the recipe's
# or one of its data folders, here or next to this recipe.
recipe_files() {
    local folder=$1 data=data file
    [ -d "$folder" ] || folder=../$folder
    if [ -f "$folder/folds.json" ]; then
        data=$(basename "$folder")
        folder=$(dirname "$folder")
    fi
    for file in "$folder/$data/folds.json" "$folder/dump${data#data}/audio/.done"; do
        # shellcheck disable=SC2034  # for the caller
        [ ! -f "$file" ] || own_files+=("$file")
    done
}

# Uses the tables of parse_options, which calls it.
option_is_known() {
    local name=${1#--}
    [[ $1 == --* && $1 != *[[:space:]=]* && -n "${types[${name//-/_}]+known}" ]]
}

option_check() {
    local option=$1 type=$2 default=$3 value=$4
    case $type in
        int | number)
            local shape='^[0-9]+$' what="a whole number"
            if [ "$type" = number ]; then
                shape='^[0-9]+(\.[0-9]+)?$' what="a number"
            fi
            if [ -z "$default$value" ] || [[ $value =~ $shape ]]; then
                return 0
            fi
            option_fail "$option must be $what, not '$value'"
            ;;
        ints)
            [[ $value =~ ^[0-9]+([[:space:],]+[0-9]+)*$ ]] ||
                option_fail "$option must be whole numbers, e.g. \"1 2 3\", not '$value'"
            ;;
        bool) [[ $value == true || $value == false ]] || option_fail "$option must be true or false, not '$value'" ;;
        *"|"*) [[ "|$type|" == *"|$value|"* && $value != *"|"* && -n $value ]] ||
            option_fail "$option must be one of ${type//|/, }, not '$value'" ;;
        *) ;;
    esac
}

option_help() {
    local name default
    printf 'usage: %s [options]\n\n' "$script"
    for name in "${names[@]}"; do
        default="; default: $(quote "${defaults[$name]}")"
        if [ -z "${defaults[$name]}" ]; then
            default=
            [[ ${helps[$name]} == *default:* ]] || default="; default: none"
        fi
        printf '  --%-18s %s%s%s\n' "${name//_/-}" "${helps[$name]}" "$(option_kind "${types[$name]}")" "$default"
    done
    printf '%s\n' "${usage_end:-}"
}

option_kind() {
    case $1 in
        bool) printf ': true or false' ;;
        *"|"*) printf ': %s' "${1//|/, }" ;;
        *) ;;
    esac
}
