"""What a configuration may say: mistakes are named with their file, their key and what fits."""

import subprocess
import sys
from pathlib import Path

import pytest

from m4ser.training.configuration import check_config
from m4ser.utils.errors import UserError

GOOD = """fusion: m4ser
fusion_conf: {size: 192, mir_query: text}
objectives: {aed: {weight: 0.1}}
optim: adamw
optim_conf: {lr: 1.0e-3, betas: [0.9, 0.98]}
param_groups: {text_encoder.layers: {lr: 0.1}}
scheduler: cosineannealinglr
scheduler_conf: {T_max: 30}
"""


@pytest.fixture
def checked(tmp_path):
    """Function from the text of a configuration and further options to the merged values."""

    def check(text: str, train_args: str = ""):
        (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
        return check_config(tmp_path / "c.yaml", train_args)

    return check


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("", ""),
        (GOOD, "--optim_conf lr=0.001 --max_epoch 20 --model_conf dropout=0.5 --objectives 'aed={weight: 0.5}'"),
        (GOOD, "--model_conf \"{'class_weights': None}\" --use_amp no --patience none"),
        (GOOD, "--fusion_conf '{heads: 2}' --optim ADAM --optim_conf {} --best_model_criterion valid,ua,max"),
        ("fusion: M4SER\npatience: none\nmax_epoch: '3'\nuse_amp: 'true'\nkeep_nbest_models: 3\n", ""),
        ("fusion: text\nspeech_encoder_conf: {of_an_encoder: that is not used}\n", ""),
        ("model_conf: {class_weights: balanced, augment: {noise: 1}}\n", ""),
        ("model_conf: {class_weights: [1, 2.5]}\ninit_param: []\n", ""),
        ("scheduler: steplr\nscheduler_conf: {step_size: 3}\n", "--scheduler_conf gamma=0.5"),
        ("task: linear\nc_grid: [1, 2.0]\nfeatures: opensmile:x\n", "--c_grid 1 2e-3"),
        ("task: espnet_cls\nencoder: conformer\nencoder_conf: {num_blocks: 2}\n", "--encoder_conf output_size=64"),
    ],
)
def test_what_fits(checked, text, typed):
    checked(text, typed)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "fusion: m4sr",
            "fusion: must be speech, text, concat, late, gated, cross_attention, lamer, mmer, m4ser or m4ser_x, not",
        ),
        ("fusion: [m4ser]", "fusion: must be speech, text, "),
        ("fusion: 3", "fusion: must be speech, text, "),
        ("task: srr", "task: unknown task 'srr'; known are ser, espnet_cls, espnet_asr, linear"),
        ("task: [ser]", "task: unknown task ['ser']; known are ser, espnet_cls, espnet_asr, linear"),
        (
            "speech_encoder: hf",
            "speech_encoder: must be precomputed, huggingface, conformer or e_branchformer, not 'hf'",
        ),
        ("text_encoder: {}", "text_encoder: must be huggingface or transformer, not {}"),
        ("objectives: [aed]", "objectives: must be a mapping of key: value, not ['aed']"),
        ("objectives: {aedd: {}}", "objectives: unknown key 'aedd'; did you mean aed?"),
        ("objectives: {aed: 3}", "objectives: aed: must be a mapping of key: value, not 3"),
        ("objectives: {aed: {weight: x}}", "objectives: aed: weight: must be a number of 0 or more, not 'x'"),
        ("objectives: {aed: {weight: .nan}}", "objectives: aed: weight: must be a number of 0 or more, not nan"),
        ("fusion_conf: 4", "fusion_conf: must be a mapping of key: value, not 4"),
        ("fusion_conf: {heads: 4}", "fusion_conf: unknown key 'heads'; known are pooling, text_pooling"),
        ("fusion: m4ser\nfusion_conf: {heads: 4.0}", "fusion_conf: heads: must be a whole number"),
        (
            "speech_encoder_conf: {layers: concatt}",
            "speech_encoder_conf: layers: must be weighted or concat, not 'concatt'",
        ),
        (
            "speech_encoder_conf: {normalise: global}",
            "speech_encoder_conf: normalise: must be frame, utterance, corpus or none,",
        ),
        ("fusion_conf: {pooling: men}", "fusion_conf: pooling: must be mean, max, statistics or attentive, not 'men'"),
        ("fusion: late\nfusion_conf: {size: 3}", "fusion_conf: unknown key 'size'; known are pooling, text_pooling"),
        ("fusion: m4ser\nfusion_conf: {heads: 0}", "fusion_conf: heads: must be a whole number of 1 or more and up to"),
        ("model_conf: {dropout: 1.5}", "model_conf: dropout: must be a number of 0 or more and up to 1, not 1.5"),
        ("speech_encoder_conf: [1]", "speech_encoder_conf: must be a mapping of key: value, not [1]"),
        ("text_encoder_conf: {tokens: 3}", "text_encoder_conf: unknown key 'tokens'; known are dropout,"),
        ("text_conf: {dummy_tokens: 3}", "text_conf: dummy_tokens: must be true or false, not 3"),
        (
            "model_conf: {class_weights: equal}",
            "model_conf: class_weights: must be balanced or a list of numbers above 0",
        ),
        ("model_conf: {augment: {echo: 1}}", "model_conf: augment: unknown key 'echo'; known are "),
        ("param_groups: 1", "param_groups: must be a mapping of key: value, not 1"),
        ("param_groups: {txt: {lr: 1}}", "param_groups: txt: must be a name that begins with speech_encoder, "),
        ("param_groups: {fusion: {lrr: 1}}", "param_groups: fusion: unknown key 'lrr'; did you mean lr?"),
        ("optim: adamm", "optim: must be adam, adamw, "),
        ("optim: adam\noptim_conf: {lr: -1}", "optim_conf: lr: must be a number of 0 or more, not -1"),
        ("scheduler: steplr", "scheduler_conf: is missing"),
        ("scheduler: steplr\nscheduler_conf: {gamma: 0.1}", "scheduler_conf: step_size: is missing"),
        ("max_epoch: 2.0", "max_epoch: must be a whole number of 1 or more, not 2.0"),
        ("batch_size: .inf", "batch_size: must be a whole number of 1 or more, not inf"),
        ("use_amp: 3", "use_amp: must be true or false, not 3"),
        ("best_model_criterion: [[valid, ua, most]]", "best_model_criterion: 0: 2: must be min or max, not 'most'"),
        ("max_epock: 2", "unknown option 'max_epock' of task ser; did you mean max_epoch?"),
        ("fusion: speech\nobjectives: {aed: {}}", "objectives: aed: must be left out: it needs a fusion with text"),
        ("objectives: {adversarial: {}}", "objectives: adversarial: must be left out: it needs specific and invariant"),
        ("task: linear\nc_grid: 1", "c_grid: must be a list, each a number "),
        ("task: linear\nfusion: m4ser", "fusion: must be left out, it follows from the task, not 'm4ser'"),
        ("task: espnet_cls\nencoder: conformr", "encoder: must be beats, transformer or conformer, not 'conformr'"),
        (
            "task: espnet_asr\nmodel_conf: {ctc_wight: 1}",
            "model_conf: unknown key 'ctc_wight'; did you mean ctc_weight?",
        ),
    ],
)
def test_mistakes(checked, tmp_path, text, says):
    with pytest.raises(UserError) as refused:
        checked(text + "\n")
    assert str(refused.value).startswith(f"{tmp_path / 'c.yaml'}: {says}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("--fusion m4sr", "fusion: must be speech, "),
        ("--max_epoch x", "max_epoch: must be a whole number of 1 or more, not 'x'"),
        ("--max_epoch 0", "max_epoch: must be a whole number of 1 or more, not 0"),
        ("--optim_conf lr=fast", "optim_conf: lr: must be a number of 0 or more, not 'fast'"),
        ("--optim_conf lr", "--optim_conf: must be key=value or {key: value}, not 'lr'"),
        ("--optim_conf 'lr=['", "--optim_conf: not valid YAML ("),
        (
            "--optim_conf 'lr=!!python/object/apply:os.getcwd []'",
            "--optim_conf: line 1: what begins here is of the type",
        ),
        ("--optim_conf \"__import__('os').getcwd()\"", "--optim_conf: must be key=value or"),
        ("--nothing 3", "unrecognized arguments: --nothing 3"),
        ("--max_epoch", "argument --max_epoch: expected one argument"),
        ("stray", "unrecognized arguments: stray"),
        ("--task linear", "task: must be ser, not 'linear'"),
    ],
)
def test_mistakes_of_the_command_line(checked, typed, says):
    with pytest.raises(UserError) as refused:
        checked("optim: adamw\n", typed)
    assert str(refused.value).startswith(f"--train-args: {says}")


def test_the_layer_is_named(tmp_path):
    (tmp_path / "a.yaml").write_text("fusion: m4ser\nfusion_conf: {heads: x, size: 3}\n")
    (tmp_path / "b.yaml").write_text("base: a.yaml\nfusion_conf: {size: y}\noptim: adam\n")
    with pytest.raises(UserError, match=r"a.yaml: fusion_conf: heads: must be a whole number.*, not 'x'$"):
        check_config(tmp_path / "b.yaml")
    with pytest.raises(UserError, match=r"b.yaml: fusion_conf: size: must be a whole number.*, not 'y'$"):
        check_config(tmp_path / "b.yaml", "--fusion_conf heads=3")
    with pytest.raises(UserError, match=r"^--train-args: fusion_conf: size: must be a whole number.*, not 'z'$"):
        check_config(tmp_path / "b.yaml", "--fusion_conf heads=3 --fusion_conf size=z")


def test_the_check_is_light(tmp_path):
    (tmp_path / "c.yaml").write_text(GOOD)
    code = (
        "import sys, time; from m4ser.training.configuration import check_config; "
        f"check_config({str(tmp_path / 'c.yaml')!r}, '--max_epoch 3'); "
        "sys.exit(bool({'torch', 'espnet2', 'numpy'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=Path(__file__).parent)
