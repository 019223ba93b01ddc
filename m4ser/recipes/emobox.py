"""Folds of EmoBox (Ma et al. 2024), read from the user's own clone of it: https://github.com/emo-box/EmoBox.

Its splits of CREMA-D, TESS and EmoDB have the same speakers in training and test, so results on them are no
measure for new speakers; they serve to compare with published numbers.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from m4ser.data.datadir import Utterance
from m4ser.data.folds import Fold, Folds, split_dev
from m4ser.utils.errors import UserError

PARTS = ("train", "test")


def file_stem(utt: Utterance) -> str:
    """Name of the recording without suffix, which is that of EmoBox where nobody has renamed it."""
    return utt.audio.stem


def emobox_folds(
    emobox_dir: Path, name: str, utterances: Sequence[Utterance], stem_of: Callable[[Utterance], str] = file_stem
) -> Folds:
    """Folds of EmoBox, whose dev set is each tenth training utterance of each class: EmoBox itself has none.

    Args:
        emobox_dir: clone of EmoBox, with `data/<name>/fold_<k>`.
        name: of the corpus there.
        utterances: of the corpus.
        stem_of: name, without suffix, that the recording of an utterance has there.

    Raises:
        UserError: the clone or a file of it is missing, or it lists a recording that was not found.
    """
    files = sorted(emobox_dir.glob(f"data/{name}/fold_*/{name}_train_fold_*.jsonl"))
    if not files:
        raise UserError(
            f"{emobox_dir}: has no data/{name}/fold_1/{name}_train_fold_1.jsonl; "
            "give a clone of https://github.com/emo-box/EmoBox as --emobox-dir"
        )
    by_name = {stem_of(utt): utt for utt in utterances}
    emotion = {utt.utt_id: utt.emotion for utt in utterances}
    folds, shared = {}, set()
    for file in files:
        train, test = (_read(file.with_name(file.name.replace("_train_", f"_{part}_")), by_name) for part in PARTS)
        shared |= {utt.speaker for utt in train} & {utt.speaker for utt in test}
        parts = split_dev((utt.utt_id for utt in train), emotion)
        folds[file.parent.name.removeprefix("fold_")] = Fold(*parts, sorted(utt.utt_id for utt in test))
    speakers = f"shares {len(shared)} speakers between training and test" if shared else "speaker-disjoint test"
    return Folds(
        f"{name}-emobox-{len(folds)}fold",
        f"split of EmoBox for {name}: {speakers}; dev is each tenth training utterance of each class",
        folds=folds,
        speaker_disjoint=not shared,
        dev_speaker_disjoint=False,
    )


def _read(path: Path, by_name: dict[str, Utterance]) -> list[Utterance]:
    # {"key": "emodb-03a02Wb", "wav": "downloads/emodb/wav/03a02Wb.wav", "emo": "anger", ...}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        stems = [Path(json.loads(line)["wav"]).stem for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); clone EmoBox again") from None
    for number, stem in enumerate(stems, 1):
        if stem not in by_name:
            raise UserError(f"{path}: line {number}: the corpus has no recording {stem}; copy the whole corpus")
    return [by_name[stem] for stem in stems]
