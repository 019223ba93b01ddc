"""What stage 4 is asked for: the options of ``m4ser/bin/train.py``."""

from dataclasses import dataclass, field

NO_TEXT = "none"


@dataclass(frozen=True)
class Settings:
    """Where stages 1 to 3 have written, and which trainings of which configuration are to be run.

    Attributes:
        exp: experiment folder ``exp/<tag>``.
        config: training configuration.
        data: folder with ``folds.json``.
        audio: stage 1 audio.
        feats: stage 1 features of one encoder, for ``speech_encoder: precomputed``; empty without.
        perturbed: stage 1 features of altered copies, to train on too.
        text: stage 3 targets of one text source; empty without.
        tokenizers: stage 3 sentencepiece models, for ``text_encoder: transformer``; empty without.
        asr_dir: stage 2 of one recogniser, for its error rate in the results; empty without.
        train_args: options that override the configuration, as one text quoted as for a shell.
        folds: names of the folds to train; all if empty.
        seeds: as text, one number each.
        text_source: ``asr``, ``ref`` or ``none``.
        text_encoder: name or folder, overrides the configuration's.
        speech_encoder: with ``feats`` the name of the encoder that made them; else overrides the configuration's.
        asr_tag: name of the recogniser, for the results.
        init_exp: experiment from whose models training starts, fold by fold and seed; empty without.
        pretrained_dir: where pretrained folders are looked for first; empty for the usual places.
        ngpu: GPUs of one job.
        keep_snapshots: keep the models of all epochs.
    """

    exp: str
    config: str
    data: str = "data"
    audio: str = "dump/audio"
    feats: str = ""
    perturbed: list[str] = field(default_factory=list)
    text: str = ""
    tokenizers: str = ""
    asr_dir: str = ""
    train_args: str = ""
    folds: list[str] = field(default_factory=list)
    seeds: list[str] = field(default_factory=lambda: ["1"])
    text_source: str = "asr"
    text_encoder: str = ""
    speech_encoder: str = ""
    asr_tag: str = ""
    init_exp: str = ""
    pretrained_dir: str = ""
    ngpu: int = 0
    keep_snapshots: bool = False
