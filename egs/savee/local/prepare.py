#!/usr/bin/env python3
"""SAVEE (Haq & Jackson 2010): 4 men, 7 emotions, 480 recordings of 15 sentences per emotion (neutral: 30).

Official layout: AudioData/DC/a01.wav; copies with all files in one folder as DC_a01.wav are read too. The sentences
are not part of the audio archive: text stays empty unless there is a file transcripts.txt with lines such as
"a01 Who authorized the unlimited expense account?" (DC_a01 for one speaker alone) in the corpus folder.

Protocol savee-4fold: each speaker tests once, the next one selects models, two train.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from m4ser.data.datadir import Utterance
from m4ser.data.folds import Folds
from m4ser.data.origin import Origin
from m4ser.recipes import layout, recipe
from m4ser.recipes.counts import Expected
from m4ser.recipes.splits import leave_groups_out
from m4ser.utils.errors import UserError

ORIGIN: Origin = {
    "name": "SAVEE",
    "licence": "other",
    "languages": ["en"],
    "address": "http://kahlan.eps.surrey.ac.uk/savee",
}
OBTAIN = "http://kahlan.eps.surrey.ac.uk/savee (register there; unpack AudioData.zip: AudioData/DC/a01.wav ...)"
SPEAKERS = ("DC", "JE", "JK", "KL")
# a01: emotion - sentence. DC_a01 where all are in one folder.
NAME = re.compile(r"((?P<speaker>[A-Z]{2})_)?(?P<code>(?P<emotion>[a-z]+)\d\d)")
EMOTIONS = {
    "a": "angry",
    "d": "disgust",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}
LABELS = list(EMOTIONS.values())
EXPECTED: Expected = {"utterances": 480, "speakers": 4, "labels": {x: 120 if x == "neutral" else 60 for x in LABELS}}


def utterances(corpus_dir: Path, args: argparse.Namespace) -> Iterator[Utterance]:
    """Yield the recordings of the four speakers."""
    text = _transcripts(corpus_dir)
    levels = ("", "*/", "*/*/")
    patterns = [f"{level}{name}" for level in levels for name in ("[DJK][CEKL]/*", "[DJK][CEKL]_*")]
    for path in layout.recordings(corpus_dir, *patterns, like="AudioData/DC/a01.wav", obtain=OBTAIN):
        match = NAME.fullmatch(path.stem)
        speaker = (match and match["speaker"]) or path.parent.name
        if match is None or speaker not in SPEAKERS or match["emotion"] not in EMOTIONS:
            raise layout.wrong_name(path, "SAVEE", "DC/a01.wav or DC_a01.wav")
        code = match["code"]
        yield Utterance(
            utt_id=f"{speaker}-{code}",
            audio=path.absolute(),
            speaker=speaker,
            emotion=EMOTIONS[match["emotion"]],
            text=text.get(f"{speaker}_{code}") or text.get(code, ""),
            extra={"utt2gender": "male"},
        )


def _transcripts(corpus_dir: Path) -> dict[str, str]:
    path = corpus_dir / "transcripts.txt"
    if not path.is_file():
        return {}
    text = {}
    for number, line in enumerate(layout.read_text(path).splitlines(), 1):
        code, words = [*line.split(maxsplit=1), "", ""][:2]
        if code and (not NAME.fullmatch(code) or not words):
            raise UserError(
                f"{path}: line {number} is not like `a01 The sentence` or `DC_a01 The sentence`; correct it"
            )
        text[code] = words.strip()
    return text


def folds(utts: list[Utterance]) -> Folds:
    """Four folds, one for each speaker."""
    groups = {speaker: [speaker] for speaker in SPEAKERS}
    description = "SAVEE, 7 classes, each speaker tests in turn, the next one is dev"
    return leave_groups_out("savee-4fold", description, utts, groups, dev=1)


if __name__ == "__main__":
    recipe.run(utterances, folds, LABELS, EXPECTED, doc=__doc__, obtain=OBTAIN, origin=ORIGIN)
