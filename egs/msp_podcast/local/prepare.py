#!/usr/bin/env python3
"""MSP-Podcast (Lotfian & Busso 2019; Busso et al. 2025): spontaneous speech of podcasts, official split, 8 emotions.

Official layout: Labels/labels_consensus.csv, Audios/*.wav, Transcripts/*.txt (release 1.11 and later; earlier ones
without transcripts). Segments without agreement (X) or with another emotion (O) are left out.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from m4ser.data.datadir import Utterance
from m4ser.data.folds import Fold, Folds
from m4ser.data.origin import Origin
from m4ser.recipes import layout, recipe
from m4ser.utils.errors import UserError

ORIGIN: Origin = {
    "name": "MSP-Podcast",
    "licence": "other",
    "languages": ["en"],
    "address": "https://lab-msp.com/MSP/MSP-Podcast.html",
}
OBTAIN = "https://lab-msp.com/MSP/MSP-Podcast.html (licence form; Labels/, Audios/, Transcripts/ in one folder)"
FOUR = {"A": "angry", "H": "happy", "N": "neutral", "S": "sad"}
CLASSES = {"8": FOUR | {"C": "contempt", "D": "disgust", "F": "fear", "U": "surprise"}, "4": FOUR}
NO_LABEL = {"O", "X"}
PARTS = {"Train": "train", "Development": "dev", "Validation": "dev"}  # the last is the name of earlier releases


def utterances(corpus_dir: Path, args: argparse.Namespace) -> list[Utterance]:
    """All segments of the training, development and chosen test set with a label of the chosen classes."""
    utts = list(read_labels(corpus_dir, CLASSES[args.classes], PARTS | {args.test: "test"}))
    layout.note(sum(utt.speaker.startswith("podcast") for utt in utts), "utterances have an unknown speaker")
    layout.note(sum(not utt.text for utt in utts), "utterances have no transcript; they are kept")
    return layout.keep_present(utts, corpus_dir, args.allow_partial)


def read_labels(corpus_dir: Path, classes: dict[str, str], parts: dict[str, str]) -> Iterator[Utterance]:
    """Lines of the consensus labels; the file's name was spelled labels_concensus.csv once."""
    path = layout.find(corpus_dir, "labels_con[sc]ensus.csv", obtain=OBTAIN)
    audio = layout.find(corpus_dir, "Audios", "Audio", obtain=OBTAIN).absolute()
    transcripts = next(iter(sorted(corpus_dir.glob("Transcripts")) + sorted(corpus_dir.glob("*/Transcripts"))), None)
    # FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set
    # MSP-PODCAST_0001_0008.wav,N,2.2,4.2,3.6,127,Female,Test1
    for row in layout.read_rows(path, ["FileName", "EmoClass", "Split_Set"], ["SpkrID", "Gender"]):
        code, part = row["EmoClass"], parts.get(row["Split_Set"])
        if code not in CLASSES["8"] and code not in NO_LABEL:
            raise UserError(f"{path}: {row['FileName']} has the unknown EmoClass {code!r}; take the original file")
        if part is None or code not in classes:
            continue
        name = row["FileName"].removesuffix(".wav")
        speaker = row["SpkrID"].strip()
        # Nobody identified them yet; the same podcast in the same set is the best guess.
        speaker = f"spk{speaker.zfill(4)}" if speaker.isdigit() else f"podcast{name.split('_')[1]}{part}"
        words = transcripts / f"{name}.txt" if transcripts else None
        yield Utterance(
            utt_id=f"{speaker}-{name}",
            audio=audio / f"{name}.wav",
            speaker=speaker,
            emotion=classes[code],
            text=layout.read_text(words) if words and words.is_file() else "",
            extra={"utt2gender": row["Gender"].strip() or "Unknown"},
            set=part,
        )


def folds(utts: list[Utterance], args: argparse.Namespace) -> Folds:
    """The official split as the one fold, less what a speaker of another of its parts says."""
    ids: dict[str, list[str]] = {}
    used_speakers: set[str] = set()
    for part in ("test", "dev", "train"):
        part_utts = [utt for utt in utts if utt.set == part]
        ids[part] = sorted(utt.utt_id for utt in part_utts if utt.speaker not in used_speakers)
        layout.note(
            len(part_utts) - len(ids[part]), f"utterances are not used to {part}: their speakers are in dev or test"
        )
        used_speakers |= {utt.speaker for utt in part_utts}
    protocol = f"msp-podcast-{args.classes}-official-{args.test.lower()}"
    description = f"MSP-Podcast, {args.classes} classes, official split, tested on {args.test}"
    return Folds(protocol, description, folds={"1": Fold(**ids)})


def protocol(args: argparse.Namespace) -> recipe.Protocol:
    """Labels and fold. Counts differ from release to release: what the labels name has to be there."""
    return recipe.Protocol(sorted(CLASSES[args.classes].values()), lambda utts: folds(utts, args))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which classes, which test set."""
    parser.add_argument("--classes", choices=list(CLASSES), default="8", help="number of emotions (default: 8)")
    parser.add_argument("--test", choices=["Test1", "Test2"], default="Test1", help="test set (default: Test1)")


if __name__ == "__main__":
    recipe.run(utterances, protocols=protocol, add_arguments=add_arguments, doc=__doc__, obtain=OBTAIN, origin=ORIGIN)
