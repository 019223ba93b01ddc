# shellcheck shell=bash
# Sourced by recipes' run_study.sh: one comparison for each kind of text (a condition), and one table of all of them.
# shellcheck disable=SC2154  # conditions, rows, results, readme, exp: options of the script that sources this file

# name_of CONDITION: as the table has it
name_of() {
    case $1 in
        reference) echo "reference text" ;;
        white* | babble*) echo "${1%%[0-9]*} ${1##*[a-z]} dB" ;;
        *) echo "$1" ;;
    esac
}

# keep_comparison CONDITION: copy it to the folder of results, if one is named
keep_comparison() {
    [ -n "$results" ] || return 0
    mkdir -p "$results/$1"
    cp "$exp/$1/comparison.json" "$results/$1/comparison.json.new"
    mv "$results/$1/comparison.json.new" "$results/$1/comparison.json"
}

# study_table: of the conditions of this run, and those whose results were kept before; into the page, if one is named
study_table() {
    local shown=$conditions condition folder
    local folders=() names=()
    if [ -n "$results" ]; then
        shown="$rows $conditions"
        for folder in "$results"/*/; do # rows that are no default, or that were made elsewhere
            [ ! -d "$folder" ] || shown+=" $(basename -- "$folder")"
        done
    fi
    for condition in $shown; do
        case " $conditions " in
            *" $condition "*) folder=$exp/$condition ;;
            *) folder=$results/$condition ;;
        esac
        if [ -f "$folder/comparison.json" ] && [[ " ${folders[*]} " != *" $folder "* ]]; then
            folders+=("$folder")
            names+=("$(name_of "$condition")")
        fi
    done
    python -m m4ser.bin.table robustness --conditions "${folders[@]}" --names "${names[@]}" --out "$exp/study"
    [ -n "$readme" ] || return 0
    python -m m4ser.bin.table insert --readme "$readme" --name study --from "$exp/study.json"
    cp "$exp/study.png" "$(dirname "$readme")/study.png"
}
