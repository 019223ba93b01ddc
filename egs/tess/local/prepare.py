#!/usr/bin/env python3
"""TESS (Pichora-Fuller & Dupuis 2020): 2 actresses, 200 words in "Say the word ...", 7 emotions, 2800 recordings.

Layouts: OAF_angry/OAF_back_angry.wav as it is mostly passed on, or all files in one folder as from the Dataverse.

Protocol tess-2fold: one actress tests, the other trains. With two speakers dev can only be taken from the training
side: each tenth of the words, in all emotions, which are then not trained. Test stays speaker-disjoint.
--emobox-dir: the split of EmoBox, which shares both actresses.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from m4ser.data.datadir import Utterance
from m4ser.data.folds import Fold, Folds
from m4ser.data.origin import Origin
from m4ser.recipes import layout, recipe
from m4ser.recipes.counts import Expected
from m4ser.recipes.download import Archive

ORIGIN: Origin = {
    "name": "TESS",
    "licence": "cc-by-nc-nd-4.0",
    "languages": ["en"],
    "address": "https://doi.org/10.5683/SP2/E8H2MF",
}
OBTAIN = "https://doi.org/10.5683/SP2/E8H2MF (all WAV files, in one folder or in folders such as OAF_angry)"
# The copy that PaddleSpeech uses, with its checksum; the Dataverse packs a new archive for each request.
ARCHIVE = Archive(
    "https://bj.bcebos.com/paddleaudio/datasets/TESS_Toronto_emotional_speech_set.zip",
    "md5:1465311b24d1de704c4c63e4ccc470c7",
)
# OAF_back_angry: speaker - word - emotion. In a popular copy one file is called OA_bite_neutral.
NAME = re.compile(r"(?P<speaker>OAF|OA|YAF)_(?P<word>[a-z]+)_(?P<emotion>[a-z]+)")
EMOTIONS = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "sad": "sad",
    "ps": "surprised",  # pleasant surprise
}
LABELS = list(EMOTIONS.values())
SPEAKERS = {"OAF": "OAF", "OA": "OAF", "YAF": "YAF"}  # the older and the younger actress: 64 and 26 years
EXPECTED: Expected = {"utterances": 2800, "speakers": 2, "labels": dict.fromkeys(LABELS, 400)}


def utterances(corpus_dir: Path, args: argparse.Namespace) -> Iterator[Utterance]:
    """Yield the recordings; of a copy that holds everything twice, only the upper ones."""
    patterns = ("[OY]A*_*_*", "[OY]A*_*/*", "*/[OY]A*_*_*", "*/[OY]A*_*/*", "*/*/[OY]A*_*/*")
    for path in layout.recordings(corpus_dir, *patterns, like="OAF_angry/OAF_back_angry.wav", obtain=OBTAIN):
        match = NAME.fullmatch(path.stem)
        if match is None or match["emotion"] not in EMOTIONS:
            raise layout.wrong_name(path, "TESS", "OAF_back_angry.wav")
        speaker = SPEAKERS[match["speaker"]]
        yield Utterance(
            utt_id=f"{speaker}-{match['word']}_{match['emotion']}",
            audio=path.absolute(),
            speaker=speaker,
            emotion=EMOTIONS[match["emotion"]],
            text=f"Say the word {match['word']}",
            extra={"utt2gender": "female"},
        )


def folds(utts: list[Utterance]) -> Folds:
    """Two folds; dev shares its speaker with train, not its words."""
    words = sorted({utt.text for utt in utts})
    dev_words = set(words[9::10])
    by_test: dict[str, Fold] = {}
    for number, tester in enumerate(("OAF", "YAF"), 1):
        fold = by_test[str(number)] = Fold([], [], [])
        for utt in utts:
            part = fold.test if utt.speaker == tester else fold.dev if utt.text in dev_words else fold.train
            part.append(utt.utt_id)
    description = "TESS, 7 classes, one actress tests, the other trains; dev: each tenth word of the training actress"
    return Folds("tess-2fold", description, folds=by_test, dev_speaker_disjoint=False)


if __name__ == "__main__":
    recipe.run(
        utterances,
        folds,
        LABELS,
        EXPECTED,
        doc=__doc__,
        obtain=OBTAIN,
        origin=ORIGIN,
        download=[ARCHIVE],
        emobox="tess",
        emobox_stem=lambda utt: utt.utt_id.replace("-", "_", 1),  # OAF-bite_neutral, whatever the file is called
    )
