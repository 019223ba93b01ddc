#!/usr/bin/env python3
"""MSP-IMPROV (Busso et al. 2017): twelve actors in six sessions of two, 4 emotions, 7798 utterances.

Official layout: Evalution.txt (spelled so), Audio/session1/S01A/R/MSP-IMPROV-S01A-F01-R-FM01.wav and, if delivered,
All_human_transcriptions/**/MSP-IMPROV-S01A-F01-R-FM01.txt. Recordings are found by name, wherever they are.

Protocol msp-improv-leave-one-session-out: six folds, speakers of the following session select the model. Utterances
without agreement (X) or with another emotion (O) are left out.
"""

import argparse
import re
from pathlib import Path

from m4ser.data.datadir import Utterance
from m4ser.data.folds import Folds
from m4ser.data.origin import Origin
from m4ser.recipes import layout, recipe
from m4ser.recipes.counts import Expected
from m4ser.recipes.splits import leave_groups_out

ORIGIN: Origin = {
    "name": "MSP-IMPROV",
    "licence": "other",
    "languages": ["en"],
    "address": "https://lab-msp.com/MSP/MSP-Improv.html",
}
OBTAIN = "https://lab-msp.com/MSP/MSP-Improv.html (licence form; Evalution.txt and Audio/ in one folder)"
# UTD-IMPROV-S01A-F01-S-FM01.avi; N; A:3.000000; V:3.500000; D:3.000000 ; N:4.000000;
# sentence 01 with target emotion A - speaker (F = woman, 01 = session) - kind of recording - turn; then the consensus
LINE = re.compile(
    r"^UTD-(?P<name>IMPROV-S\d\d[AHNS]-(?P<speaker>(?P<gender>[FM])(?P<session>\d\d))-(?P<kind>[PRST])-\w+)\.avi; "
    r"(?P<code>[A-Z]);",
    re.MULTILINE,
)
EMOTIONS = {"A": "angry", "H": "happy", "N": "neutral", "S": "sad"}
KINDS = {"P": "natural", "R": "target-read", "S": "other-improvised", "T": "target-improvised"}
EXPECTED: Expected = {
    "utterances": 7798,
    "speakers": 12,
    "labels": {"angry": 792, "happy": 2644, "neutral": 3477, "sad": 885},
}


def utterances(corpus_dir: Path, args: argparse.Namespace) -> list[Utterance]:
    """All utterances with one of the four labels."""
    labels = layout.read_text(layout.find(corpus_dir, "Evalution.txt", "Evaluation.txt", obtain=OBTAIN))
    files = {path.name: path.absolute() for path in sorted(corpus_dir.rglob("MSP-IMPROV-*"))}
    utts = []
    for match in LINE.finditer(labels):
        if match["code"] not in EMOTIONS:
            continue
        name = f"MSP-{match['name']}"
        words = files.get(f"{name}.txt")
        utts.append(
            Utterance(
                utt_id=f"{match['speaker']}-{name}",
                audio=files.get(f"{name}.wav", Path(f"{name}.wav")),
                speaker=match["speaker"],
                emotion=EMOTIONS[match["code"]],
                text=layout.read_text(words) if words else "",
                extra={
                    "utt2domain": KINDS[match["kind"]],
                    "utt2gender": match["gender"],
                    "utt2session": match["session"],
                },
            )
        )
    layout.note(sum(not utt.text for utt in utts), "utterances have no transcript; they are kept")
    return layout.keep_present(utts, corpus_dir, args.allow_partial)


def folds(utts: list[Utterance]) -> Folds:
    """Leave one session out."""
    sessions = sorted({utt.extra["utt2session"] for utt in utts})
    groups = [[letter + session for letter in "FM"] for session in sessions]
    dev_groups = {str(number): group for number, group in enumerate(groups[1:] + groups[:1], 1)}
    description = "MSP-IMPROV, 4 classes, leave one session out, dev speakers from the next session"
    return leave_groups_out("msp-improv-leave-one-session-out", description, utts, groups, dev_groups)


if __name__ == "__main__":
    recipe.run(utterances, folds, sorted(EMOTIONS.values()), EXPECTED, doc=__doc__, obtain=OBTAIN, origin=ORIGIN)
