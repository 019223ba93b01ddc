#!/usr/bin/env bash
# All stages of a speech emotion recognition recipe, from a corpus to a result table. A recipe's run.sh calls it from
# the recipe's folder with the recipe's own options, then `--` and what the user typed.
#
# This names the steps in their order, each a command of m4ser.bin. What depends on the options (names, folders, what a
# step is made from) is known to m4ser.stages, which is asked once at the start and then by each step that has work to do.
# shellcheck disable=SC2034,SC2154  # the options are read by m4ser.stages, which sets the folders
set -euo pipefail

template=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=options.sh
. "$template/options.sh"

# --- options
stage=0                           # [int] first stage to run
stop_stage=5                      # [int] last stage to run
force=false                       # [bool] run the asked stages again even if they are done
corpus=                           # [text] name of the corpus: its variable in db.local.sh; default: the recipe's folder
corpus_dir=                       # [path] folder of the corpus in its official layout; default: from db.local.sh
join_dumps=false                  # [bool] stages 1 and 2 take what the corpora's own recipes have made (egs/cross_corpus)
download=false                    # [bool] fetch the corpus first, to --corpus-dir or else the recipe's folder downloads
allow_partial=false               # [bool] accept an incomplete corpus
prepare_args=                     # [text] further options of local/prepare.py, quoted as one word
data=data                         # [text] folder of the data directories
dump=dump                         # [text] folder of audio, features, recognised text
exp=exp                           # [text] folder of the experiments
nj=                               # [int] jobs at a time; default: one per core, 8 at most
ngpu=0                            # [int] GPUs of each training
num_nodes=1                       # [int] machines of each training, with --cmd-backend slurm
cmd_backend=local                 # [local|slurm] what runs the jobs, see cmd.sh
pretrained_dir=                   # [path] where local copies of models are looked for first
skip_bad_audio=false              # [bool] leave unusable recordings out and list them, instead of stopping
min_duration=                     # [number] leave out shorter utterances, seconds
max_duration=                     # [number] leave out longer utterances, seconds
speech_encoder=                   # [path] offline:NAME, folder, hub id or none; default: Whisper tiny.en, or see the configuration
own_features=                     # [path] your own features instead: table by utterance, .npz or .scp; {set} in its name stands for each set
feats_layers=all                  # [text] hidden layers for features of stage 1: all, or numbers such as 0,2,4
feats_pool=8                      # [int] in those features, average this many consecutive frames; 1 keeps them all
speed_perturb=                    # [text] train on copies at these speeds too, e.g. "0.9 1.1"; for features of stage 1
altered_copies=0                  # [int] train on so many copies with other pauses, room, microphone, noise, line; for features
speech_language=                  # [text] of the corpus if it is not English, such as de: multilingual models by default, where installed
text_source=asr                   # [asr|ref|none] text to train and test with: recognised, reference or none at all
asr=faster_whisper                # [text] speech recogniser: a backend of m4ser.asr
asr_model=                        # [path] its model: offline:NAME, folder or hub id; default: the recogniser's own
asr_conf=                         # [text] its further settings: "name=value name=value"
asr_tag=                          # [text] name of its results in the dump; default: from recogniser, model, settings
normaliser=english                # [english|basic|none] text normaliser of WER and training text
text_encoder=                     # [path] text encoder: offline:NAME, folder or hub id; default: see the configuration
train_config=conf/train_m4ser.yaml  # [path] training configuration
train_args=                       # [text] training options that override the configuration, quoted as one word
init_exp=                         # [path] start from the models of this experiment, its tag or folder: same folds and seeds; or from one run of any, exp/TAG/fold1/seed1
tag=                              # [text] name of the experiment; default: from configuration and other than default options
folds=                            # [text] folds to train and test, e.g. "1 2"; default: all
seeds="1"                         # [ints] random seeds, e.g. "1 2 3"
baseline=                         # [path] experiment to compare with: its tag or folder
pack_run=                         # [text] run that stage 6 packs, e.g. fold2/seed1; default: the first fold and seed
pack_include=auto                 # [auto|all|none] pretrained models in the archive; auto: those that are not hub ids
pack_onnx=false                   # [bool] add the ONNX graph to the archive
hub_repo=                         # [text] where stage 7 uploads the archive to: org/name on the model hub
hub_private=true                  # [bool] make a new repository there private
# --- end of options
# stages: 0 data directories and folds   1 audio and speech features   2 speech recognition and word error rate
#         3 targets from recognition errors   4 training per fold and seed   5 predictions, scores, figures
#         6 one archive of a trained model   7 its upload (6 and 7 only when asked for: --stop-stage 6)
#
# A stage that is done is not run again unless its options or inputs have changed (see --force).

# shellcheck source=db.sh
. "$template/db.sh"
declare -A finished=()                # steps with nothing to do
declare -a prepare_words=() copies=() # --prepare-args word by word; speed0.9, altered1 ...
ask run --script "${BASH_SOURCE[0]}" --template "$template" --words "$@"
# shellcheck source=cmd.sh
. "$template/cmd.sh"
M4SER_MAIN_PID=$$ # the launchers end their jobs when this script is gone
export M4SER_COMMAND M4SER_MAIN_PID

say() { printf '[%(%H:%M:%S)T] %s\n' -1 "$*"; }

# ---------------------------------------------------------------------------------------------- steps
# begin STEP FOLDER: whether the step has work to do; the folder that it writes is locked until `finish`
begin() { # is asked by `if`, where errors do not end the script by themselves
    folder=$2
    [ "${finished[$1]:-}" != true ] || return 1
    mkdir -p "$folder" || exit 1
    exec 9>"$folder/.lock" || exit 1 # two runs can share a dump
    ask begin "$1" --plan "$plan" --folder "$folder" --lock-fd 9 || exit 1
    if [ "$todo" = false ]; then
        exec 9>&-
        return 1
    fi
    finished=() # what builds on this step has to be asked for again
    steps_run=$((steps_run + 1))
    say "stage $current: $what"
}

# finish: the step that began is complete
finish() {
    ask finish --folder "$folder" --marker "$marker"
    exec 9>&-
}

# split COMMAND ARGUMENT...: the parts of the step in parallel, then their join
split() {
    if [ "$join_dumps" = true ]; then # other recipes have done it
        python -m m4ser.bin.join_dumps --data "$data" --dump "$dump" --out "$folder"
        return
    fi
    local command=(python -m "m4ser.bin.$1" --out "$folder" "${@:2}" --nj "$nj") once=()
    [ "$cmd_backend,$1" != local,extract_feats ] || once=(--preload m4ser.models.encoders.frozen)
    "${launcher[@]}" --name "$1" --max-jobs-run "$nj" "${once[@]}" "JOB=1:$nj" "$folder/log/$1.JOB.log" \
        "${command[@]}" --job JOB
    "${command[@]}" --merge --keep-parts # `finish` removes them
}

# runs NAME MODULE COMMAND...: one job for each fold and seed; on this machine MODULE is imported once for all
runs() {
    local resources=(--max-jobs-run "$nj")
    [ "$ngpu" = 0 ] || resources=(--gpu "$ngpu")
    [ "$num_nodes" -le 1 ] || [ "$1" != train ] || resources+=(--num-nodes "$num_nodes")
    [ "$cmd_backend" != local ] || resources+=(--preload "$2")
    "${launcher[@]}" --name "$1" "${resources[@]}" "JOB=1:$count" "$exp_dir/log/$1.JOB.log" "${@:3}"
}

# ---------------------------------------------------------------------------------------------- stages
stage_0() {
    if begin data "$data"; then
        [ "$download" = false ] || prepare_words+=(--download true)
        python local/prepare.py --corpus-dir "$corpus_folder" --out "$data" "${prepare_words[@]}"
        finish
    fi
}

stage_1() {
    if begin audio "$audio_dir"; then
        split format_audio --data-dir "$data" --skip-bad-audio "$skip_bad_audio" \
            ${min_duration:+--min-duration "$min_duration"} ${max_duration:+--max-duration "$max_duration"}
        finish
    fi
    [ "$features" = true ] || return 0
    extract feats "$feats_dir"
    local copy
    for copy in "${copies[@]}"; do
        case $copy in
            speed*) extract "feats_$copy" "${feats_dir}_$copy" --speed "${copy#speed}" ;;
            altered*) extract "feats_$copy" "${feats_dir}_$copy" --altered "${copy#altered}" ;;
        esac
    done
}

# extract STEP FOLDER OPTION...: features of all utterances
extract() {
    if begin "$1" "$2"; then
        if [ -n "$own_features" ] && [ "$join_dumps" = false ]; then
            python -m m4ser.bin.own_feats --features "$own_features" --data "$data" --audio "$audio_dir" --out "$folder"
            finish
            return
        fi
        split extract_feats --data-dir "$audio_dir" --speech-encoder "$speech_encoder" --layers "$feats_layers" \
            --pool "$feats_pool" ${pretrained_dir:+--pretrained-dir "$pretrained_dir"} "${@:3}"
        finish
    fi
}

stage_2() {
    if [ "$text_source" != asr ]; then
        not_needed="not needed with --text-source $text_source"
        return 0
    fi
    if begin asr "$asr_dir"; then
        split asr_decode --data-dir "$audio_dir" --asr "$asr" --asr-model "$asr_model" --asr-conf "$asr_conf" \
            ${pretrained_dir:+--pretrained-dir "$pretrained_dir"}
        finish
    fi
    if begin wer "$asr_dir"; then
        python -m m4ser.bin.asr_score --data-dir "$audio_dir" --asr-dir "$asr_dir" --normaliser "$normaliser"
        finish
    fi
}

stage_3() {
    if [ "$text_source" = none ]; then
        not_needed="not needed with --text-source none"
        return 0
    fi
    if begin text "$text_dir"; then
        local source=(--source ref)
        [ "$text_source" != asr ] || source=(--asr-dir "$asr_dir")
        python -m m4ser.bin.make_targets --data-dir "$audio_dir" "${source[@]}" --out "$text_dir" \
            --normaliser "$normaliser"
        finish
    fi
    [ "$tokens" != 0 ] || return 0
    if begin tokens "$tokens_dir"; then
        python -m m4ser.bin.train_tokenizer --data "$data" --text "$text_dir" --tokens "$tokens" --out "$tokens_dir"
        finish
    fi
}

stage_4() {
    if begin train "$exp_dir"; then
        local training=(python -m m4ser.bin.train --data "$data" --audio "$audio_dir" --exp "$exp_dir"
            --config "$train_config" --seeds "$seeds" ${folds:+--folds "$folds"} --ngpu "$ngpu"
            --text-source "$text_source" ${init_exp:+--init-exp "$init_exp"}
            ${speech_encoder:+--speech-encoder "$speech_encoder"} ${text_encoder:+--text-encoder "$text_encoder"}
            ${pretrained_dir:+--pretrained-dir "$pretrained_dir"})
        [ "$features" = false ] || training+=(--feats "$feats_dir")
        local copy
        for copy in "${copies[@]}"; do
            training+=(--perturbed "${feats_dir}_$copy")
        done
        [ "$text_source" = none ] || training+=(--text "$text_dir")
        [ "$text_source" = none ] || [ "$tokens" = 0 ] || training+=(--tokenizers "$tokens_dir")
        [ "$text_source" != asr ] || training+=(--asr-dir "$asr_dir" --asr-tag "$asr_tag")
        if [ "$cmd_backend" = local ]; then
            runs train m4ser.training.task "${training[@]}" --plan --job JOB --train-args "$train_args"
        else # mistakes are found before the jobs wait in a queue
            "${training[@]}" --plan --train-args "$train_args"
            machines
            runs train m4ser.training.task "${start[@]}" "${training[@]}" --job JOB --train-args "$train_args$meeting"
            rm -f "$exp_dir"/.dist_init.* # where they met; PyTorch does not always remove it
        fi
        finish
    fi
}

# machines: sets `start` and `meeting`, what a training on several machines is started with. Slurm starts one process on
# each machine, and ESPnet's trainer one for each GPU; they meet at a file.
machines() {
    start=() meeting=''
    [ "$num_nodes" -gt 1 ] || return 0
    start=(srun --export=ALL --kill-on-bad-exit=1)
    meeting=" --multiprocessing_distributed true --dist_launcher slurm --dist_init_method "
    meeting+=$(printf '%q' "file://$(cd "$exp_dir" && pwd)/.dist_init.${RANDOM}.$$.")JOB
    [ "$ngpu" -gt 0 ] || meeting+=' --dist_backend gloo' # ESPnet's own choice needs GPUs
}

stage_5() {
    if begin score "$exp_dir"; then
        local which=(--data "$data" --exp "$exp_dir" --seeds "$seeds" ${folds:+--folds "$folds"})
        runs infer m4ser.training.evaluation python -m m4ser.bin.infer --job JOB "${which[@]}" --audio "$audio_dir" \
            --ngpu "$((ngpu > 0))"
        [ "$text_source" != asr ] || which+=(--asr-dir "$asr_dir" --normaliser "$normaliser")
        python -m m4ser.bin.score "${which[@]}" --audio-dir "$audio_dir" ${baseline:+--baseline "$baseline"} \
            >"$exp_dir/log/score.log"
        finish
    fi
    result=$exp_dir/log/score.log
}

stage_6() {
    if begin pack "$exp_dir"; then
        python -m m4ser.bin.pack "$exp_dir${pack_run:+/$pack_run}" --out "$archive" --include "$pack_include" \
            --onnx "$pack_onnx" ${pretrained_dir:+--pretrained-dir "$pretrained_dir"}
        finish
    fi
}

stage_7() {
    if begin upload "$exp_dir"; then # always: the hub knows what it has, unchanged files are not sent again
        python -m m4ser.bin.upload "$archive" --hub-repo "$hub_repo" --private "$hub_private"
        finish
    fi
}

# ---------------------------------------------------------------------------------------------- all together
result=
for ((current = stage; current <= stop_stage; current++)); do
    steps_run=0
    started=$SECONDS
    not_needed=
    "stage_$current"
    if [ -n "$not_needed" ]; then
        say "stage $current: $not_needed"
    elif [ "$steps_run" = 0 ]; then
        say "stage $current: done already"
    else
        say "stage $current: finished in $((SECONDS - started)) s"
    fi
done
if [ -n "$result" ]; then
    echo
    cat "$result"
    echo
fi
say "finished in $SECONDS s"
