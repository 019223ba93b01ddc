#!/usr/bin/env bash
# All stages of a speech emotion recognition recipe, from a corpus to a result table. A recipe's run.sh calls it from
# the recipe's folder with the recipe's own options, then `--` and what the user typed.
#
# Shell only orchestrates: each step is a command of m4ser.bin. Before a step, m4ser.bin.stage_marker says whether it
# has work to do; afterwards it leaves the marker `.done` in the folder that the step writes.
set -euo pipefail

template=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=options.sh
. "$template/options.sh"

# --- options
stage=0                           # [int] first stage to run
stop_stage=5                      # [int] last stage to run
force=false                       # [bool] run the asked stages again even if they are done
corpus=                           # [text] name of the corpus: its variable in db.sh; default: the recipe's folder
corpus_dir=                       # [path] folder of the corpus in its official layout; default: from db.sh
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
feats_layers=all                  # [text] hidden layers for features of stage 1: all, or numbers such as 0,2,4
feats_pool=8                      # [int] in those features, average this many consecutive frames; 1 keeps them all
speed_perturb=                    # [text] train on copies at these speeds too, e.g. "0.9 1.1"; for features of stage 1
text_source=asr                   # [asr|ref|none] text to train and test with: recognised, reference or none at all
asr=faster_whisper                # [text] speech recogniser: a backend of m4ser.asr
asr_model=                        # [path] its model: offline:NAME, folder or hub id; default: the recogniser's own
asr_conf=                         # [text] its further settings: "name=value name=value"
asr_tag=                          # [text] name of its results in the dump; default: from recogniser, model, settings
normaliser=english                # [english|basic|none] text normaliser of WER and training text
text_encoder=                     # [path] text encoder: offline:NAME, folder or hub id; default: see the configuration
train_config=conf/train_m4ser.yaml  # [path] training configuration
train_args=                       # [text] training options that override the configuration, quoted as one word
init_exp=                         # [path] start from the models of this experiment, its tag or folder: same folds and seeds
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

# shellcheck disable=SC2034  # read by options.sh
usage_end='
stages: 0 data directories and folds   1 audio and speech features   2 speech recognition and word error rate
        3 targets from recognition errors   4 training per fold and seed   5 predictions, scores, figures
        6 one archive of a trained model   7 its upload (6 and 7 only when asked for: --stop-stage 6)

A stage that is done is not run again unless its options or inputs have changed (see --force).'

typed_words "$@" # sets `typed`
M4SER_COMMAND=${M4SER_COMMAND:-"./run.sh${typed[*]:+ $(quote "${typed[@]}")}"}
M4SER_MAIN_PID=$$ # the launchers end their jobs when this script is gone
export M4SER_COMMAND M4SER_MAIN_PID
own_options=run.sh # a recipe can have options of its own, for its local/prepare.py
parse_options "${BASH_SOURCE[0]}" "$@"
[ ${#own_words[@]} = 0 ] || prepare_args="$(quote "${own_words[@]}") $prepare_args"
! $allow_partial || prepare_args="--allow-partial true${prepare_args:+ $prepare_args}"

[ "$stop_stage" -le 7 ] || option_fail "--stop-stage $stop_stage: the stages are 0 to 7"
[ "$stop_stage" -lt 7 ] || [[ $hub_repo =~ ^[^/]+/[^/]+$ ]] || option_fail "stage 7 needs --hub-repo org/name"
[[ $pack_run =~ ^(fold[^/]+/seed[0-9]+)?$ ]] || option_fail "--pack-run '$pack_run': must be like fold1/seed1"
[ "$stage" -le "$stop_stage" ] || option_fail "--stage $stage comes after --stop-stage $stop_stage"
[ "$num_nodes" -le 1 ] || [ "$cmd_backend" = slurm ] || option_fail "--num-nodes $num_nodes needs --cmd-backend slurm"
[ "$feats_pool" -ge 1 ] || option_fail "--feats-pool must be 1 or more"
[ "${nj:-1}" -ge 1 ] || option_fail "--nj must be 1 or more"
name_shape='^([A-Za-z0-9][A-Za-z0-9._+=-]*)?$'
[[ $tag =~ $name_shape ]] || option_fail "--tag '$tag': only letters, digits and . _ + = - are allowed"
[[ $asr_tag =~ $name_shape ]] || option_fail "--asr-tag '$asr_tag': only letters, digits and . _ + = - are allowed"
! $join_dumps || [ "$skip_bad_audio$min_duration$max_duration" = false ] ||
    option_fail "recordings cannot be left out here; do so in the corpora's own recipes"
seeds=${seeds//,/ } folds=${folds//,/ }

# shellcheck source=path.sh
. "$template/path.sh"
# shellcheck source=cmd.sh
. "$template/cmd.sh"
# shellcheck source=db.sh
. "$template/db.sh"

say() { printf '[%(%H:%M:%S)T] %s\n' -1 "$*"; }

# tag_of NAME: a model's name as part of a file name
tag_of() {
    local name=${1#offline:}
    case $name in
        /* | ./* | ../*) name=$(basename "$name") ;;
        *) ;;
    esac
    printf '%s' "$name" | tr -cs 'A-Za-z0-9._-' '_'
}

# ---------------------------------------------------------------------------------------------- names
if [ -z "$nj" ]; then
    nj=$(python -c 'from m4ser.launch.local import cores; print(min(8, cores()))')
fi

# What the training configuration reads: features of a frozen encoder, or the audio and its own speech encoder.
asked=$(python -m m4ser.bin.config_needs --config "$train_config" --train-args "$train_args")
features='' tokens='' encoder=''
for word in $asked; do
    printf -v "${word%%=*}" '%s' "${word#*=}"
done
default_encoder=offline:whisper-tiny.en
usual[speech_encoder]=${usual[speech_encoder]:-$default_encoder}
without_features=
own_features=false
if [ -n "$encoder" ] && [ -z "$speech_encoder" ]; then # the configuration is for these features, whole
    speech_encoder=$encoder own_features=true feats_pool=1
fi
if [ "$speech_encoder" = none ]; then
    features=false speech_encoder='' without_features=_none
elif $features; then
    speech_encoder=${speech_encoder:-$default_encoder}
fi

other_speeds=false # than the recipe's own
[ "$speed_perturb" = "${usual[speed_perturb]}" ] || other_speeds=true
if [ -n "$speed_perturb" ] && ! $features; then
    ! $other_speeds || echo "note: --speed-perturb alters features of stage 1, and $train_config reads none" >&2
    speed_perturb='' other_speeds=false
fi

feats_tag=$(tag_of "$speech_encoder")
[ "$feats_layers" = all ] || feats_tag+=_layers$(tag_of "$feats_layers")
[ "$feats_pool" = 1 ] || feats_tag+=_pool$feats_pool
default_asr_model=offline:whisper-tiny.en-ct2 # of faster_whisper
[ "$asr$asr_model" != faster_whisper ] || asr_model=$default_asr_model
[ "${usual[asr]}${usual[asr_model]}" != faster_whisper ] || usual[asr_model]=$default_asr_model
# asr_tag_of RECOGNISER MODEL SETTINGS
asr_tag_of() {
    local name=$1
    [ -z "$2" ] || name+=_$(tag_of "$2")
    [ -z "$3" ] || name+=_$(tag_of "$3")
    printf '%s' "$name"
}
asr_tag=${asr_tag:-$(asr_tag_of "$asr" "$asr_model" "$asr_conf")}
case $text_source in
    asr) text_tag=$asr_tag ;;
    *) text_tag=$text_source ;;
esac
[ "$normaliser" = english ] || text_tag+=_$normaliser

if [ -z "$tag" ]; then # the configuration's name and what differs from this recipe without further options
    tag=$(basename "$train_config" .yaml)
    tag=${tag#train_}
    [ "$text_source" = "${usual[text_source]}" ] || tag+=_text-$text_source
    usual_features=${usual[speech_encoder]}${usual[feats_layers]}${usual[feats_pool]}
    if $features; then
        $own_features || [ "$speech_encoder$feats_layers$feats_pool" = "$usual_features" ] || tag+=_$feats_tag
    elif [ -n "$speech_encoder" ]; then
        tag+=_$(tag_of "$speech_encoder")
    fi
    tag+=$without_features
    usual_asr_tag=${usual[asr_tag]:-$(asr_tag_of "${usual[asr]}" "${usual[asr_model]}" "${usual[asr_conf]}")}
    [ "$text_source" != asr ] || [ "$asr_tag" = "$usual_asr_tag" ] || tag+=_$asr_tag
    [ "$normaliser" = "${usual[normaliser]}" ] || tag+=_$normaliser
    [ -z "$text_encoder" ] || tag+=_$(tag_of "$text_encoder")
    ! $other_speeds || tag+=_speed$(tag_of "${speed_perturb:-1}")
    [ -z "$init_exp" ] || tag+=_from_$(tag_of "$init_exp")
    [ -z "$train_args" ] || tag+=_$(tag_of "${train_args//--/}")
    if [ ${#tag} -gt 120 ]; then # file names end at 255 bytes
        tag=${tag:0:100}_$(printf '%s' "$tag" | cksum | cut -d ' ' -f 1)
    fi
fi

audio_dir=$dump/audio
feats_dir=$dump/feats/$feats_tag
read -ra speeds <<<"${speed_perturb//,/ }"
copies=("${speeds[@]/#/${feats_dir}_speed}")
asr_dir=$dump/asr/$asr_tag
text_dir=$dump/text/$text_tag
tokens_dir=${text_dir}_tokens$tokens
exp_dir=$exp/$tag
# experiment VARIABLE OPTION: a tag in it becomes the folder
experiment() {
    local -n named=$1
    [ -n "$named" ] && [ ! -d "$named" ] || return 0
    [ -d "$exp/$named" ] || option_fail "$2 $named: there is no experiment $exp/$named"
    named=$exp/$named
}
experiment baseline --baseline
experiment init_exp --init-exp
pretrained=()
pretrained_option=() # of steps that use pretrained models: other folders, other models
if [ -n "$pretrained_dir" ]; then
    pretrained=(--pretrained-dir "$pretrained_dir")
    pretrained_option=(--option "pretrained-dir=$pretrained_dir")
fi

# ---------------------------------------------------------------------------------------------- steps
# begin STAGE WHAT FOLDER MARKER ARGUMENT...: sets todo=run or todo=done; the arguments say what the step depends on
begin() {
    local number=$1 what=$2 folder=$3 name=$4
    shift 4
    mkdir -p "$folder"
    exec 9>"$folder/.lock" # held until the end of the step: two runs can share a dump
    todo=$(python -m m4ser.bin.stage_marker begin "$folder" --name "$name" --stage "$number" --data "$data" \
        --lock-fd 9 --force "$force" "$@")
    if [ "$todo" = run ]; then
        steps_run=$((steps_run + 1))
        say "stage $number: $what"
    else
        exec 9>&-
    fi
}

# finish FOLDER MARKER: the step that began is complete
finish() {
    python -m m4ser.bin.stage_marker finish "$1" --name "$2"
    exec 9>&-
}

# split NAME FOLDER MODULE ARGUMENT...: the parts of a step in parallel, then their join; logs go to FOLDER/log
split() {
    local name=$1 folder=$2
    shift 2
    if $join_dumps; then
        python -m m4ser.bin.join_dumps --data "$data" --dump "$dump" --out "$folder"
        return
    fi
    "${launcher[@]}" --name "$name" --max-jobs-run "$nj" "JOB=1:$nj" "$folder/log/$name.JOB.log" \
        python -m "$@" --nj "$nj" --job JOB
    python -m "$@" --nj "$nj" --merge
}

# joined FOLDER: sets `origins`, arguments of `begin` for a step that takes what other recipes have made
joined() {
    local markers marker
    origins=()
    ! $join_dumps || [ ! -f "$data/folds.json" ] || {
        markers=$(python -m m4ser.bin.join_dumps --data "$data" --dump "$dump" --out "$1" --markers true)
        while IFS= read -r marker; do
            [ -z "$marker" ] || origins+=(--input "$marker")
        done <<<"$markers"
    }
}

# runs NAME COUNT COMMAND...: one job for each fold and seed
runs() {
    local name=$1 count=$2
    local -a resources=()
    shift 2
    if [ "$ngpu" -gt 0 ]; then
        resources=(--gpu "$ngpu")
    else
        resources=(--max-jobs-run "$nj")
    fi
    [ "$num_nodes" -le 1 ] || [ "$name" != train ] || resources+=(--num-nodes "$num_nodes")
    "${launcher[@]}" --name "$name" "${resources[@]}" "JOB=1:$count" "$exp_dir/log/$name.JOB.log" "$@"
}

# no_corpus VARIABLE: says how to give the folder of the corpus, and where local/prepare.py says that it can be had
no_corpus() {
    local message="no corpus folder: give --corpus-dir DIR, or fill in $1 in $template/db.sh" obtain
    obtain=$(sed -n 's/^OBTAIN = "\(..*\)".*$/\1/p' local/prepare.py)
    [ -z "$obtain" ] || message+="; the corpus is to be had from $obtain"
    ! grep -q 'recipe\.run(.*download=' local/prepare.py || message+=", or is fetched with --download true"
    option_fail "$message"
}

stage_0() {
    local found=$corpus_dir variable file
    local -a inputs=()
    if [ -z "$found" ]; then
        variable=${corpus:-$(basename "$PWD")}
        variable=${variable//[!A-Za-z0-9_]/_}
        variable=${variable^^}
        found=${!variable:-}
    fi
    if [ -z "$found" ]; then # the data may be there from an earlier run
        found=$(python -m m4ser.bin.stage_marker option "$data" corpus-dir)
        if [ -z "$found" ] && $download; then
            found=downloads
        fi
        [ -n "$found" ] || no_corpus "$variable"
    fi
    ! $download || mkdir -p "$found"
    [ -d "$found" ] && found=$(cd -- "$found" && pwd)
    for file in local/*.py "${own_files[@]}"; do
        inputs+=(--input "$file")
    done
    begin 0 "data directories from $found" "$data" "" --option "corpus-dir=$found" \
        --option "prepare-args=$prepare_args" "${inputs[@]}" \
        --output "$data/folds.json" --output "$data/labels.txt" --output "$data/@set/wav.scp"
    if [ "$todo" = run ]; then
        local -a words=()
        split_words --prepare-args "$prepare_args"
        ! $download || words+=(--download true)
        python local/prepare.py --corpus-dir "$found" --out "$data" "${words[@]}"
        finish "$data" ""
    fi
}

stage_1() {
    local -a limits=()
    [ -z "$min_duration" ] || limits+=(--min-duration "$min_duration")
    [ -z "$max_duration" ] || limits+=(--max-duration "$max_duration")
    joined "$audio_dir"
    begin 1 "16 kHz audio" "$audio_dir" "" "${origins[@]}" --need "$data/folds.json=0" --clean true \
        --option "skip-bad-audio=$skip_bad_audio" --option "min-duration=$min_duration" \
        --option "max-duration=$max_duration" --input "$data/@set" --output "$audio_dir/@set/wav.scp"
    if [ "$todo" = run ]; then
        split format_audio "$audio_dir" m4ser.bin.format_audio --data-dir "$data" --out "$audio_dir" \
            --skip-bad-audio "$skip_bad_audio" "${limits[@]}"
        finish "$audio_dir" ""
    fi
    $features || return 0
    extract "$feats_dir" "features of $speech_encoder"
    local i
    for i in "${!speeds[@]}"; do
        extract "${copies[i]}" "features at ${speeds[i]} times the speed" --speed "${speeds[i]}"
    done
}

# extract FOLDER WHAT OPTION...: features of all utterances
extract() {
    local folder=$1 what=$2
    shift 2
    joined "$folder"
    begin 1 "$what" "$folder" "" "${origins[@]}" --need "$data/folds.json=0" --clean true \
        --after "$audio_dir:=1" --option "speech-encoder=$speech_encoder" --option "feats-layers=$feats_layers" \
        --option "feats-pool=$feats_pool" "${pretrained_option[@]}" --output "$folder/@set/feats.scp"
    if [ "$todo" = run ]; then
        split extract_feats "$folder" m4ser.bin.extract_feats --data-dir "$audio_dir" --out "$folder" \
            --speech-encoder "$speech_encoder" --layers "$feats_layers" --pool "$feats_pool" "${pretrained[@]}" "$@"
        finish "$folder" ""
    fi
}

stage_2() {
    if [ "$text_source" != asr ]; then
        not_needed="not needed with --text-source $text_source"
        return 0
    fi
    joined "$asr_dir"
    begin 2 "speech recognition with $asr $asr_model" "$asr_dir" "" "${origins[@]}" --need "$data/folds.json=0" --clean true \
        --after "$audio_dir:=1" --option "asr=$asr" --option "asr-model=$asr_model" --option "asr-conf=$asr_conf" \
        "${pretrained_option[@]}" --output "$asr_dir/@set/text"
    if [ "$todo" = run ]; then
        split asr_decode "$asr_dir" m4ser.bin.asr_decode --data-dir "$audio_dir" --out "$asr_dir" \
            --asr "$asr" --asr-model "$asr_model" --asr-conf "$asr_conf" "${pretrained[@]}"
        finish "$asr_dir" ""
    fi
    begin 2 "word error rate" "$asr_dir" score --need "$data/folds.json=0" --after "$asr_dir:=2" \
        --option "normaliser=$normaliser" --output "$asr_dir/@set/wer.json"
    if [ "$todo" = run ]; then
        python -m m4ser.bin.asr_score --data-dir "$audio_dir" --asr-dir "$asr_dir" --normaliser "$normaliser"
        finish "$asr_dir" score
    fi
}

stage_3() {
    if [ "$text_source" = none ]; then
        not_needed="not needed with --text-source none"
        return 0
    fi
    local -a source=(--after "$audio_dir:=1") words=(--source ref)
    if [ "$text_source" = asr ]; then
        source+=(--after "$asr_dir:=2")
        words=(--asr-dir "$asr_dir")
    fi
    begin 3 "targets from text source $text_tag" "$text_dir" "" --need "$data/folds.json=0" --clean true \
        "${source[@]}" --option "normaliser=$normaliser" --output "$text_dir/@set/edits"
    if [ "$todo" = run ]; then
        python -m m4ser.bin.make_targets --data-dir "$audio_dir" "${words[@]}" --out "$text_dir" \
            --normaliser "$normaliser"
        finish "$text_dir" ""
    fi
    [ "$tokens" -gt 0 ] || return 0
    begin 3 "sentencepiece models of $tokens tokens" "$tokens_dir" "" --need "$data/folds.json=0" --clean true \
        --after "$text_dir:=3" --option "tokens=$tokens" --input "$data/folds.json"
    if [ "$todo" = run ]; then
        python -m m4ser.bin.train_tokenizer --data "$data" --text "$text_dir" --tokens "$tokens" --out "$tokens_dir"
        finish "$tokens_dir" ""
    fi
}

stage_4() {
    local -a depends=(--after "$audio_dir:=1") options=(--text-source "$text_source") one_job=()
    if $features; then
        depends+=(--after "$feats_dir:=1")
        options+=(--feats "$feats_dir")
    fi
    local copy
    for copy in "${copies[@]}"; do
        depends+=(--after "$copy:=1")
        options+=(--perturbed "$copy")
    done
    [ -z "$speech_encoder" ] || options+=(--speech-encoder "$speech_encoder")
    if [ "$text_source" != none ]; then
        depends+=(--after "$text_dir:=3")
        options+=(--text "$text_dir")
        if [ "$tokens" -gt 0 ]; then
            depends+=(--after "$tokens_dir:=3")
            options+=(--tokenizers "$tokens_dir")
        fi
    fi
    if [ "$text_source" = asr ]; then
        options+=(--asr-dir "$asr_dir" --asr-tag "$asr_tag")
    fi
    [ -z "$text_encoder" ] || options+=(--text-encoder "$text_encoder")
    options+=(--data "$data" --audio "$audio_dir" --exp "$exp_dir" --config "$train_config" --seeds "$seeds"
        --ngpu "$ngpu" "${pretrained[@]}")
    [ -z "$folds" ] || options+=(--folds "$folds")
    if [ -n "$init_exp" ]; then
        depends+=(--after "$init_exp:train=4")
        options+=(--init-exp "$init_exp")
    fi
    begin 4 "training $exp_dir" "$exp_dir" train --need "$data/folds.json=0" --keep-previous true "${depends[@]}" \
        --option "train-args=$train_args" --option "text-source=$text_source" --option "text-encoder=$text_encoder" \
        --option "speech-encoder=$speech_encoder" "${pretrained_option[@]}" \
        --input "$data/folds.json" --input "$data/labels.txt" \
        --input "$train_config" --folds "$folds" --seeds "$seeds" --output "$exp_dir/run.json" \
        --output "$exp_dir/@cell"
    if [ "$todo" = run ]; then
        local count arguments=$train_args
        local -a plan=(--plan)
        count=$(python -m m4ser.bin.stage_marker count --data "$data" --folds "$folds" --seeds "$seeds")
        if [ "$cmd_backend" != local ]; then
            # Mistakes are found before the jobs wait in a queue; here the jobs themselves find them at once.
            python -m m4ser.bin.train --plan "${options[@]}" --train-args "$train_args"
            plan=()
        fi
        if [ "$num_nodes" -gt 1 ]; then
            # Slurm starts one process on each machine, and ESPnet's trainer one for each GPU; they meet at a file.
            one_job=(srun --export=ALL --kill-on-bad-exit=1)
            arguments+=" --multiprocessing_distributed true --dist_launcher slurm --dist_init_method "
            arguments+=$(printf '%q' "file://$(cd "$exp_dir" && pwd)/.dist_init.${RANDOM}.$$.")JOB
        fi
        runs train "$count" "${one_job[@]}" python -m m4ser.bin.train "${plan[@]}" --job JOB "${options[@]}" \
            --train-args "$arguments"
        finish "$exp_dir" train
    fi
}

stage_5() {
    local -a depends=(--after "$exp_dir:train=4") options=() which=()
    if [ "$text_source" = asr ]; then
        depends+=(--after "$asr_dir:score=2")
        options+=(--asr-dir "$asr_dir" --normaliser "$normaliser")
    fi
    [ -z "$folds" ] || which=(--folds "$folds")
    if [ -n "$baseline" ]; then
        depends+=(--input "$baseline/metrics.json")
        options+=(--baseline "$baseline")
    fi
    begin 5 "predictions and scores of $exp_dir" "$exp_dir" score --need "$data/folds.json=0" "${depends[@]}" \
        --option "folds=$folds" --option "seeds=$seeds" --option "baseline=$baseline" \
        --folds "$folds" --seeds "$seeds" --output "$exp_dir/RESULTS.md" --output "$exp_dir/metrics.json" \
        --output "$exp_dir/@cell/predictions_dev.tsv" --output "$exp_dir/@cell/predictions_test.tsv"
    if [ "$todo" = run ]; then
        local count
        count=$(python -m m4ser.bin.stage_marker count --data "$data" --folds "$folds" --seeds "$seeds")
        runs infer "$count" python -m m4ser.bin.infer --job JOB --data "$data" --exp "$exp_dir" --seeds "$seeds" \
            "${which[@]}" --audio "$audio_dir" --ngpu "$((ngpu > 0))"
        python -m m4ser.bin.score --exp "$exp_dir" --data "$data" --audio-dir "$audio_dir" --seeds "$seeds" \
            "${which[@]}" "${options[@]}" >"$exp_dir/log/score.log"
        finish "$exp_dir" score
    fi
    result=$exp_dir/log/score.log
}

stage_6() {
    local -a options=(--include "$pack_include" --onnx "$pack_onnx" "${pretrained[@]}")
    begin 6 "archive of $exp_dir" "$exp_dir" pack --need "$data/folds.json=0" --after "$exp_dir:score=5" \
        --option "run=$pack_run" --option "include=$pack_include" --option "onnx=$pack_onnx" \
        --output "$exp_dir/$tag.m4ser.zip"
    if [ "$todo" = run ]; then
        python -m m4ser.bin.pack "$exp_dir${pack_run:+/$pack_run}" --out "$exp_dir/$tag.m4ser.zip" "${options[@]}"
        finish "$exp_dir" pack
    fi
}

stage_7() {
    local force=true # the hub knows what it has: unchanged files are not sent again
    begin 7 "upload to $hub_repo" "$exp_dir" upload --need "$data/folds.json=0" --after "$exp_dir:pack=6" \
        --need "$exp_dir/$tag.m4ser.zip=6" --option "hub-repo=$hub_repo"
    python -m m4ser.bin.upload "$exp_dir/$tag.m4ser.zip" --hub-repo "$hub_repo" --private "$hub_private"
    finish "$exp_dir" upload
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
