"""Pairs of a recording of one corpus and a line of another with the same emotion: voice and words of different people.

For a fair test of a fusion both modalities have to carry emotion. Where no corpus that can be had does so, a pair has
the real voice of one and the real words, as recognised, of another. Audio and features come from the dump of the
voices, recognised text from that of the words, under the ids of the pairs (:mod:`m4ser.stages.joining`).
"""

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.folds import PARTS, Fold, Folds, PairedInfo, bare_words
from m4ser.recipes.crossing import places
from m4ser.stages.joining import CLIPS, LINES
from m4ser.utils.errors import UserError

BETWEEN = "+"  # the ids of the two in that of a pair


@dataclass(frozen=True)
class Side:
    """A prepared corpus that gives voices or words.

    Args:
        data, dump: its folders.
        folds: its own protocol.
        utterances: those whose label has a class, by their ids.
    """

    data: Path
    dump: Path
    folds: Folds
    utterances: dict[str, Utterance]

    def describe(self) -> PairedInfo:
        """What `folds.json` keeps of it."""
        return {
            "data": os.path.relpath(self.data),
            "dump": os.path.relpath(self.dump),
            "protocol": self.folds.protocol,
        }


def read_side(word: str, root: Path, option: str, classes: Mapping[str, str]) -> Side:
    """Read a corpus whose recipe has run stages 0 and 1.

    Args:
        word: folder of the recipe, or one of its data folders, here or in `root`.
        root: folder of all recipes.
        option: that `word` was given for.
        classes: class of each label; a label that is not among them is left out.

    Raises:
        UserError: it is not there, or has none of these labels.
    """
    _, data, dump = places(word, root, option)
    folds = Folds.read(data / "folds.json")
    utterances = {}
    for name in folds.sets:
        part = DataDir.read(dump / "audio" / name)
        for utt, label in part.maps["utt2emo"].items():
            if label in classes:
                extra = {"utt2gender": part.maps["utt2gender"][utt]} if "utt2gender" in part.maps else {}
                text = part.maps.get("text", {}).get(utt, "")
                audio, speaker = Path(part.maps["wav.scp"][utt]), part.maps["utt2spk"][utt]
                utterances[utt] = Utterance(utt, audio, speaker, classes[label], text, extra=extra)
    if not utterances:
        raise UserError(f"{option} {word}: has none of the labels {', '.join(classes)}; choose another corpus")
    return Side(data, dump, folds, utterances)


def lines_of_parts(words: Side) -> dict[str, list[str]]:
    """Lines for train, dev and test, with no text in two of them: what occurs in test stays there, then what is in dev.

    Case and punctuation do not make another text.

    Raises:
        UserError: the words' own protocol has several folds.
    """
    if len(words.folds.folds) != 1:
        fault = f"{words.data / 'folds.json'}: has {len(words.folds.folds)} folds"
        raise UserError(f"{fault}; the lines of pairs come from a corpus with one split into train, dev and test")
    (fold,) = words.folds.folds.values()
    used_texts: set[str] = set()
    chosen = {}
    for part in reversed(PARTS):
        texts = {utt: bare_words(words.utterances[utt].text) for utt in getattr(fold, part) if utt in words.utterances}
        chosen[part] = sorted(utt for utt, text in texts.items() if text and text not in used_texts)
        used_texts |= set(texts.values())
    return chosen


def deal(clips: Sequence[str], lines: Sequence[str], count: int, rng: random.Random) -> dict[str, list[str]]:
    """`count` different lines for each clip, all lines about equally often.

    A smaller count gives a part of what a larger one gives.

    Raises:
        UserError: there are fewer lines.
    """
    if len(lines) < count:
        raise UserError(f"there are {len(lines)} lines for {count} of a clip")
    dealt: dict[str, list[str]] = {clip: [] for clip in clips}
    deck: list[str] = []
    for _ in range(count):
        for clip in rng.sample(clips, len(clips)):
            new = next((line for line in deck if line not in dealt[clip]), None)
            if new is None:
                deck += rng.sample(lines, len(lines))
                new = next(line for line in deck if line not in dealt[clip])
            deck.remove(new)
            dealt[clip].append(new)
    return dealt


def draw(voices: Side, words: Side, count: int, seed: int) -> tuple[list[Utterance], dict[str, Fold]]:
    """The pairs, and the folds of the voices' own protocol: in each part, clips have lines of that part.

    A clip that trains in one fold and tests in another has lines for both.

    Args:
        voices: corpus of the recordings, whose folds are kept.
        words: corpus of the lines.
        count: lines of a clip for each part.
        seed: of the drawing.

    Raises:
        UserError: a class has fewer lines than `count` in a part.
    """
    lines = lines_of_parts(words)
    pairs: list[Utterance] = []
    ids: dict[str, dict[str, list[str]]] = {}
    for part in PARTS:
        # All clips, so that which folds there are changes no pair; those that no fold has in this part are left out.
        dealt: dict[str, list[str]] = {}
        for emotion in sorted({utt.emotion for utt in voices.utterances.values()}):
            clips = sorted(utt for utt, clip in voices.utterances.items() if clip.emotion == emotion)
            emotion_lines = [line for line in lines[part] if words.utterances[line].emotion == emotion]
            try:
                dealt |= deal(clips, emotion_lines, count, random.Random(f"{seed} {part} {emotion}"))
            except UserError as error:
                raise UserError(
                    f"{words.data}: {part}, {emotion}: {error}; prepare more lines, or ask for fewer"
                ) from None
        used = {utt for fold in voices.folds.folds.values() for utt in getattr(fold, part)}
        by_clip = {
            clip: [_pair(voices.utterances[clip], words.utterances[line]) for line in dealt[clip]]
            for clip in sorted(used & dealt.keys())
        }
        ids[part] = {clip: [pair.utt_id for pair in of_clip] for clip, of_clip in by_clip.items()}
        pairs += [pair for of_clip in by_clip.values() for pair in of_clip]

    def of_fold(fold: Fold) -> Fold:
        kept = {part: [pair for c in getattr(fold, part) for pair in ids[part].get(c, [])] for part in PARTS}
        return Fold(**{part: sorted(pairs_of_part) for part, pairs_of_part in kept.items()})

    return pairs, {name: of_fold(fold) for name, fold in voices.folds.folds.items()}


def _pair(clip: Utterance, line: Utterance) -> Utterance:
    return Utterance(
        utt_id=f"{clip.utt_id}{BETWEEN}{line.utt_id}",
        audio=clip.audio,
        speaker=clip.speaker,
        emotion=clip.emotion,
        text=line.text,
        extra={**clip.extra, CLIPS: clip.utt_id, LINES: line.utt_id},
    )


def protocol(voices: Side, words: Side, count: int, seed: int, folds: dict[str, Fold]) -> Folds:
    """The folds with what is to be said of them."""
    left = len(words.utterances) - sum(map(len, lines_of_parts(words).values()))
    description = (
        f"pairs of a recording ({voices.folds.protocol}) and a line ({words.folds.protocol}) of the same emotion: "
        f"voice and words come from different people, the speaker is that of the voice; {count} lines of a clip in "
        f"each part, drawn with seed {seed}; {left} of {len(words.utterances)} lines are left out because their text "
        "is in a later part, too"
    )
    name = f"pairs-{count}-{voices.folds.protocol}-{words.folds.protocol}" + (f"-seed{seed}" if seed != 1 else "")
    return Folds(name, description, folds=folds, paired={"voices": voices.describe(), "words": words.describe()})
