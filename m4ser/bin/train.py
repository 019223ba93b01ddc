"""Stage 4: train one model per fold and seed through ESPnet's trainer.

``--plan`` checks the configuration and writes ``exp/<tag>/run.json``; ``--job J`` trains the J-th of folds x seeds.
Both may be given at once, which imports ESPnet once. A finished run is left alone, an interrupted one continues from
its last complete epoch.
"""

import argparse

from m4ser.training.run import run_stage
from m4ser.training.settings import NO_TEXT, Settings
from m4ser.utils.cli import boolean, command, words


def get_parser() -> argparse.ArgumentParser:
    """Options shared by the plan and the jobs."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", default="data", help="folder with folds.json (default: data)")
    parser.add_argument("--audio", default="dump/audio", help="stage 1 audio (default: dump/audio)")
    parser.add_argument("--feats", default="", help="stage 1 features of one encoder, for speech_encoder: precomputed")
    parser.add_argument(
        "--perturbed",
        action="append",
        default=[],
        help="stage 1 features at another speed or of altered recordings, to train on too; repeatable",
    )
    parser.add_argument("--text", default="", help="stage 3 targets of one text source: dump/text/<source>")
    parser.add_argument("--tokenizers", default="", help="stage 3 sentencepiece models, for text_encoder: transformer")
    parser.add_argument("--asr-dir", default="", help="stage 2 of one recogniser, for its WER in the results")
    parser.add_argument("--exp", required=True, help="experiment folder exp/<tag>")
    parser.add_argument("--config", required=True, help="training configuration (YAML)")
    parser.add_argument("--train-args", default="", help="options that override the configuration, as one argument")
    parser.add_argument("--folds", type=words, default=[], help="folds to train (default: all)")
    parser.add_argument("--seeds", type=words, default=["1"], help="random seeds (default: 1)")
    parser.add_argument("--text-source", default="asr", choices=["asr", "ref", NO_TEXT], help="(default: asr)")
    parser.add_argument("--text-encoder", default="", help="name or folder, overrides text_encoder_conf: model")
    parser.add_argument(
        "--speech-encoder",
        default="",
        help="with --feats: name of the encoder that made them; else overrides speech_encoder_conf: model",
    )
    parser.add_argument("--asr-tag", default="", help="name of the recogniser, for the results")
    parser.add_argument(
        "--init-exp", default="", help="start from the models of this experiment, fold by fold and seed"
    )
    parser.add_argument("--pretrained-dir", default="", help="where pretrained folders are looked for first")
    parser.add_argument("--ngpu", type=int, default=0, help="GPUs for this job (default: 0)")
    parser.add_argument(
        "--keep-snapshots", type=boolean, default=False, help="keep all epochs' models (default: false)"
    )
    parser.add_argument("--plan", action="store_true", help="check the configuration and write run.json")
    parser.add_argument("--job", type=int, help="train this run, 1 to the number of folds x seeds")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Command line entry."""
    options = vars(get_parser().parse_args(cmd))
    write_plan, job = options.pop("plan"), options.pop("job")
    run_stage(Settings(**options), write_plan, job)


if __name__ == "__main__":
    main()
