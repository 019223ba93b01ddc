"""Folds: which utterances train, select (dev) and test a model, stored as explicit ids in `folds.json`."""

import functools
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from m4ser.utils.errors import DamagedFileError, UserError
from m4ser.utils.files import read_json, write_json
from m4ser.utils.schema import Checker, schema_of

PARTS = ("train", "dev", "test")
JOIN = "+"  # between the corpora that a model is trained on together, in Folds.trained_on
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


@dataclass
class Fold:
    """Utterance ids of one fold, each list sorted."""

    train: list[str]
    dev: list[str]
    test: list[str]


class CorpusInfo(TypedDict):
    """What `folds.json` keeps of a corpus that is crossed with others.

    `data` and `dump` are its folders, relative to the recipe's; `text` the folder of `dump/asr` that its text is from
    (`ref`: the reference, "": as for the run); `protocol` and `speaker_disjoint` those of its own folds. `classes`
    counts the utterances of each class, `left_out` those of labels without a class, `skipped_recordings` what its own
    stage 1 left out.
    """

    data: str
    dump: str
    text: str
    protocol: str
    speaker_disjoint: bool
    speakers: int
    classes: dict[str, int]
    left_out: dict[str, int]
    skipped_recordings: int


class PairedInfo(TypedDict):
    """What `folds.json` keeps of a corpus that gives the voices, or the words, of pairs.

    `data` and `dump` are its folders, relative to the recipe's; `protocol` is that of its own folds.
    """

    data: str
    dump: str
    protocol: str


@dataclass
class Folds:
    """All folds of a protocol.

    `speaker_disjoint` is false only for published splits that share speakers between train and test (MELD); their
    description has to say so, and results carry the protocol's name. `dev_speaker_disjoint` is false where dev has to
    be taken from the training speakers because there are too few of them (TESS has two): test speakers are new to the
    model all the same, only the choice of the epoch is made on known voices.

    `trained_on` and `corpora` are for corpora that are crossed (:mod:`m4ser.recipes.crossing`): `{fold: what it trains
    on}`, and what is known of each set's corpus. Utterances are then tested in several folds, and the result is a
    table of what was trained on by what was tested.

    `paired` is for pairs of a recording of one corpus and a line of another (:mod:`m4ser.recipes.pairing`): what is
    known of the corpora of the `voices` and the `words`.
    """

    protocol: str
    description: str
    sets: list[str] = field(default_factory=lambda: ["all"])
    labels: list[str] = field(default_factory=list)
    folds: dict[str, Fold] = field(default_factory=dict)
    speaker_disjoint: bool = True
    dev_speaker_disjoint: bool = True
    trained_on: dict[str, str] = field(default_factory=dict)
    corpora: dict[str, CorpusInfo] = field(default_factory=dict)
    paired: dict[str, PairedInfo] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path, utt2spk: Mapping[str, str] | None = None) -> "Folds":
        """Read `folds.json`; with `utt2spk`, also :meth:`check` it. Training and inference always pass it.

        Raises:
            UserError: missing or damaged file, or a failed check.
        """
        path = Path(path)
        if not path.is_file():
            raise UserError(f"{path}: no such file; run stage 0 first, or correct the path")
        try:
            stored = read_json(path)
        except DamagedFileError:
            raise UserError(f"{path}: damaged, is not JSON; delete it and run stage 0 again") from None
        stored.pop("made_by", None)
        if fault := _checker().fault(stored):
            raise UserError(f"{path}: damaged ({fault}); delete it and run stage 0 again")
        stored["folds"] = {name: Fold(**parts) for name, parts in stored.get("folds", {}).items()}
        folds = cls(**stored)
        if utt2spk is not None:
            folds.check(utt2spk, path)
        return folds

    def write(self, path: str | Path) -> None:
        """Write `folds.json` atomically."""
        value = vars(self) | {"folds": {name: vars(fold) for name, fold in self.folds.items()}}
        write_json(
            path, {key: value[key] for key in value if value[key] or key not in ("trained_on", "corpora", "paired")}
        )

    def check(self, utt2spk: Mapping[str, str], path: str | Path = "folds.json") -> None:
        """Assert that every fold is usable and honest.

        Raises:
            UserError: an empty part, an id that is unknown, repeated or in two parts, or a speaker in two parts.
        """
        if not self.folds:
            raise UserError(f"{path}: has no folds; run stage 0 again")
        for name, fold in self.folds.items():
            where = f"{path}: fold {name}"
            parts = [getattr(fold, part) for part in PARTS]
            ids = set().union(*parts)
            # Sets first: going through the ids one by one takes long, and is needed only to name the fault.
            if not all(parts) or len(ids) < sum(map(len, parts)) or not ids <= utt2spk.keys():
                _report_ids(fold, utt2spk, where)
            if self.speaker_disjoint:
                check_speaker_disjoint(fold, utt2spk, where, self.dev_speaker_disjoint)

    def drop_incomplete(self) -> None:
        """Leave out, with a warning, folds that have nobody to train, select or test on: of a part of a corpus.

        Raises:
            UserError: none is left.
        """
        for name, fold in list(self.folds.items()):
            if not (fold.train and fold.dev and fold.test):
                print(f"warning: fold {name} is left out: too few speakers are there", file=sys.stderr)
                del self.folds[name]
        if not self.folds:
            raise UserError("folds.json: no fold has train, dev and test speakers; more of the corpus is needed")

    def text_overlap(self, text: Mapping[str, str]) -> dict[str, float]:
        """Share (0..1) of each fold's test utterances with a transcript whose words are a training transcript, too.

        Case, punctuation and white space do not count. `text` has the transcripts by utterance, "" where there is none.
        """
        numbers = {"": 0}  # of transcripts that differ in their words
        number_of = {words: numbers.setdefault(bare_words(words), len(numbers)) for words in set(text.values())}
        by_utt = {utt: number_of[words] for utt, words in text.items()}
        overlap = {}
        for name, fold in self.folds.items():
            train = set(map(by_utt.get, fold.train))
            test = [number for number in map(by_utt.get, fold.test) if number]
            overlap[name] = sum(number in train for number in test) / len(test) if test else 0.0
        return overlap


@functools.cache
def _checker() -> Checker:
    """Of `folds.json`. Sets and folds have folders of their names."""
    name = {"pattern": r"^[^/.\x00-\x1f][^/\x00-\x1f]*$", "description": "a name, without / and line breaks"}
    schema = schema_of(Folds)
    properties = schema["properties"]
    properties["sets"] |= {"items": {"type": "string", **name}, "minItems": 1, "uniqueItems": True}
    properties["sets"]["description"] = "a list of different names, one at least"
    properties["folds"]["propertyNames"] = name
    return Checker(schema)


def _report_ids(fold: Fold, utt2spk: Mapping[str, str], where: str) -> None:
    seen: dict[str, str] = {}
    for part in PARTS:
        ids = getattr(fold, part)
        if not ids:
            raise UserError(f"{where}: {part} is empty; recordings are too few, or local/prepare.py leaves none for it")
        for utt in ids:
            if utt not in utt2spk:
                raise UserError(f"{where}: {part} has {utt!r}, which is not in utt2spk; run stage 0 again")
            if utt in seen:
                raise UserError(f"{where}: {utt!r} is in {seen[utt]} and in {part}; keep it in one of them")
            seen[utt] = part


def check_speaker_disjoint(fold: Fold, utt2spk: Mapping[str, str], name: str = "fold", dev: bool = True) -> None:
    """Assert that train, dev and test have no speaker in common; without `dev`, train and dev may share some.

    Raises:
        UserError: naming the shared speakers.
    """
    speakers = {part: set(map(utt2spk.__getitem__, getattr(fold, part))) for part in PARTS}
    for one, other in (("train", "test"), ("dev", "test"), ("train", "dev"))[: 3 if dev else 2]:
        if shared := sorted(speakers[one] & speakers[other]):
            shown = ", ".join(shared[:5]) + (", ..." if len(shared) > 5 else "")
            raise UserError(
                f"{name}: {one} and {other} share {len(shared)} speaker(s): {shown}; "
                "use a speaker-disjoint protocol (results would be too good)"
            )


def speaker_folds(
    utt2spk: Mapping[str, str],
    groups: Mapping[str, Collection[str]] | Sequence[Collection[str]],
    dev_groups: Mapping[str, Collection[str]],
) -> dict[str, Fold]:
    """Leave-one-group-out: each group of speakers tests once, `dev_groups[name]` selects, all others train.

    Args:
        utt2spk: speaker of every utterance to be used.
        groups: test speakers of each fold, `{fold: speakers}` or a list (folds `"1"`, `"2"`, ...).
        dev_groups: dev speakers of each fold, e.g. from :func:`choose_dev_speakers`.
    """
    groups, utts = _named(groups), sorted(utt2spk)
    folds = {}
    for name, test in groups.items():
        part_of = dict.fromkeys(dev_groups[name], "dev") | dict.fromkeys(test, "test")
        parts: dict[str, list[str]] = {part: [] for part in PARTS}
        for utt in utts:
            parts[part_of.get(utt2spk[utt], "train")].append(utt)
        folds[name] = Fold(**parts)
    return folds


def choose_dev_speakers(
    groups: Mapping[str, Collection[str]] | Sequence[Collection[str]],
    count: int,
    gender: Mapping[str, str] | None = None,
) -> dict[str, list[str]]:
    """Dev speakers of each fold: the first `count` of the groups that follow the fold's own in the circle.

    With `gender` (`{speaker: gender}`) the genders take turns, so that `count=2` gives a woman and a man.
    """
    groups = _named(groups)
    names = list(groups)
    chosen = {}
    for index, name in enumerate(names):
        following = names[index + 1 :] + names[:index]
        own_speakers = set(groups[name])
        candidates = [s for n in following for s in groups[n] if s not in own_speakers]
        chosen[name] = sorted(_take_turns(dict.fromkeys(candidates), count, gender or {}))
        if len(chosen[name]) < count or len(candidates) <= count:
            raise UserError(
                f"fold {name}: {len(candidates)} speakers are too few for {count} dev speakers and training"
            )
    return chosen


def split_dev(utts: Iterable[str], utt2emo: Mapping[str, str], every: int = 10) -> tuple[list[str], list[str]]:
    """Train and dev where speakers cannot be spared for dev: each tenth utterance (`every`) of each class is dev.

    Of a class with fewer it is the last one; a class of one utterance trains.
    """
    train: list[str] = []
    dev: list[str] = []
    in_order = sorted(utts)
    sizes = Counter(utt2emo[utt] for utt in in_order)
    seen: Counter[str] = Counter()
    for utt in in_order:
        emotion = utt2emo[utt]
        seen[emotion] += 1
        step = min(every, max(sizes[emotion], 2))
        (dev if seen[emotion] % step == 0 else train).append(utt)
    return train, dev


def _take_turns(candidates: Iterable[str], count: int, gender: Mapping[str, str]) -> list[str]:
    queues: dict[str, list[str]] = {}
    for speaker in candidates:
        queues.setdefault(gender.get(speaker, ""), []).append(speaker)
    speakers: list[str] = []
    while len(speakers) < count and any(queues.values()):
        for name in sorted(queues):
            if queues[name] and len(speakers) < count:
                speakers.append(queues[name].pop(0))
    return speakers


def _named(groups: Mapping[str, Collection[str]] | Sequence[Collection[str]]) -> dict[str, Collection[str]]:
    if isinstance(groups, Mapping):
        return dict(groups)
    return {str(number): group for number, group in enumerate(groups, 1)}


def bare_words(text: str) -> str:
    """A transcript without case, punctuation and white space that differs.

    >>> bare_words("Oh, that's... IT!")
    "oh that's it"
    """
    return " ".join(_WORD.findall(text.casefold()))
