#!/usr/bin/env python3
"""ESD (Zhou et al. 2021): 10 English and 10 Mandarin speakers, 350 sentences each in 5 emotions, 35000 recordings.

Official layout: 0011/0011.txt and 0011/Angry/0011_000351.wav, in older versions 0011/Angry/evaluation/0011_000351.wav.

Protocols esd-en-5fold and esd-zh-5fold: a woman and a man test, the next two select models. --language all gives
esd-emobox-5fold, the groups of EmoBox over both languages, which are speaker-disjoint too. --split official: the
official division by sentences (evaluation is dev), which shares all speakers.
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
from m4ser.recipes.splits import folds_of_split, leave_groups_out
from m4ser.utils.errors import UserError

OBTAIN = "https://github.com/HLTSingapore/Emotional-Speech-Data (sign the licence, unpack: folders 0001 to 0020)"
ADDRESS = "https://github.com/HLTSingapore/Emotional-Speech-Data"
LANGUAGES = {"en": ["en"], "zh": ["zh"], "all": ["en", "zh"]}
# 0011_000351: speaker - utterance
NAME = re.compile(r"(?P<speaker>00\d\d)_\d{6}")
EMOTIONS = {"Angry": "angry", "Happy": "happy", "Neutral": "neutral", "Sad": "sad", "Surprise": "surprised"}
LABELS = list(EMOTIONS.values())
# 0011_000001	The nine the eggs, I keep.	Neutral -- the last column is missing or Chinese in places
LINE = re.compile(rf"(00\d\d_\d{{6}})\s+(.*?)(?:\t.*|\s+(?:{'|'.join(EMOTIONS)}|中立|生气|快乐|伤心|惊喜))?\s*")
GROUPS = {
    "en": ((11, 15), (12, 16), (13, 17), (14, 18), (20, 19)),
    "zh": ((4, 1), (5, 2), (6, 3), (8, 7), (10, 9)),
    "all": ((5, 11, 16, 18), (12, 14, 15, 19), (3, 4, 6, 9), (7, 8, 13, 20), (1, 2, 10, 17)),
}
WOMEN = (1, 2, 3, 7, 9, 15, 16, 17, 18, 19)
GENDER = {f"{number:04d}": "female" if number in WOMEN else "male" for number in range(1, 21)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this recipe."""
    parser.add_argument("--language", choices=list(GROUPS), default="en", help="speakers to take (default: en)")
    parser.add_argument("--split", choices=["speakers", "official"], default="speakers", help="(default: speakers)")


def utterances(corpus_dir: Path, args: argparse.Namespace) -> Iterator[Utterance]:
    """Yield the recordings of one language or both."""
    root = layout.find(corpus_dir, "00[0-2][0-9]", obtain=OBTAIN).parent
    without_text = 0
    for number in sorted(number for group in GROUPS[args.language] for number in group):
        speaker, folder = f"{number:04d}", root / f"{number:04d}"
        if not folder.is_dir():
            continue  # counted afterwards
        text = _transcripts(folder / f"{speaker}.txt")
        for path in layout.recordings(folder, "*/*", "*/*/*", like=f"Angry/{speaker}_000351.wav", obtain=OBTAIN):
            match, emotion = NAME.fullmatch(path.stem), path.relative_to(folder).parts[0]
            if match is None or match["speaker"] != speaker or emotion not in EMOTIONS:
                raise UserError(f"{path}: not like {speaker}/Angry/{speaker}_000351.wav; move or remove the file")
            without_text += path.stem not in text
            utt_id, words = f"{speaker}-{path.stem}", text.get(path.stem, "")
            extra = {"utt2gender": GENDER[speaker], "utt2lang": "zh" if number <= 10 else "en"}
            yield Utterance(utt_id, path.absolute(), speaker, EMOTIONS[emotion], words, extra=extra)
    layout.note(without_text, "recordings have no transcript")


def _transcripts(path: Path) -> dict[str, str]:
    """Transcripts of a speaker; the files are UTF-8, UTF-16, GB 18030 or Windows-1252."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; copy the corpus with its transcripts")
    content = path.read_bytes()
    wide = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-16-le"
    try:
        text = content.decode(wide if b"\0" in content else "utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252" if path.stem > "0010" else "gb18030", "replace")
    return {match[1]: match[2] for line in text.splitlines() if (match := LINE.fullmatch(line.strip()))}


def protocol(args: argparse.Namespace) -> recipe.Protocol:
    """Five folds by groups of speakers."""

    def folds(utts: list[Utterance]) -> Folds:
        if args.split == "official":  # of the 350 sentences, the same in each emotion
            utt2spk, utt2emo = ({utt.utt_id: getattr(utt, what) for utt in utts} for what in ("speaker", "emotion"))
            place = {utt: (int(utt[-6:]) - 1) % 350 for utt in utt2spk}
            parts = {utt: "dev" if n < 20 else "test" if n < 50 else "train" for utt, n in place.items()}
            return folds_of_split(f"esd-{args.language}-official", parts, utt2spk, utt2emo, shared=True)
        groups = [[f"{number:04d}" for number in group] for group in GROUPS[args.language]]
        name = "emobox" if args.language == "all" else args.language
        what = "5 classes, five groups of speakers test in turn, a woman and a man of the next group are dev"
        description = f"ESD, language {args.language}, {what}"
        return leave_groups_out(f"esd-{name}-5fold", description, utts, groups, dev=2, gender=GENDER)

    count = sum(len(group) for group in GROUPS[args.language])
    labels = dict.fromkeys(LABELS, 350 * count)
    expected: Expected = {"utterances": 1750 * count, "speakers": count, "labels": labels}
    origin: Origin = {"name": "ESD", "licence": "other", "languages": LANGUAGES[args.language], "address": ADDRESS}
    return recipe.Protocol(LABELS, folds, expected, {"esd": origin})


if __name__ == "__main__":
    recipe.run(utterances, add_arguments=add_arguments, protocols=protocol, doc=__doc__, obtain=OBTAIN)
