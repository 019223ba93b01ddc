"""Crossing corpora: train on some, test on others, with the data and dumps that their own recipes have made.

Every corpus keeps its own protocol. A model is trained, and its epoch chosen, on the train and dev part of one fold of
each corpus it trains on; it is tested on the test part of that fold, and of every other corpus on all utterances that
its protocol ever tests. So a corpus is always tested on the same utterances, and never on a speaker of the training.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.folds import JOIN, PARTS, CorpusInfo, Fold, Folds
from m4ser.data.origin import Origin, read_origins
from m4ser.data.scp import read_scp
from m4ser.recipes import layout
from m4ser.recipes.labels import COMMON, to_common
from m4ser.recipes.table import read_table
from m4ser.stages.names import data_root, dump_of
from m4ser.utils.errors import UserError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
ALL = "all"  # fold that leaves no corpus out
LabelMap = Mapping[tuple[str, str], str]  # {(corpus, label): class}, "" for none


@dataclass
class Source:
    """A corpus as its recipe has left it, its utterances under new ids and classes.

    Args:
        name: under which it is crossed.
        data, dump: its folders.
        folds: its own protocol.
        utterances: those with a class, by their old ids.
        left_out: number of utterances of each label without a class.
        skipped: recordings that its stage 1 left out.
        text: folder of `dump/asr` to take the text from, `ref` for the reference, "" for that of the run.
    """

    name: str
    data: Path
    dump: Path
    folds: Folds
    utterances: dict[str, Utterance]
    left_out: Counter[str]
    skipped: int
    text: str = ""

    def ids(self, utts: Iterable[str]) -> list[str]:
        """New ids of those that have a class and a recording."""
        return [self.utterances[utt].utt_id for utt in utts if utt in self.utterances]

    def tested(self) -> list[str]:
        """New ids of all utterances that the corpus' own protocol tests.

        Raises:
            UserError: it tests some of them twice.
        """
        tested = [utt for fold in self.folds.folds.values() for utt in fold.test]
        if len(set(tested)) < len(tested):
            raise UserError(f"{self.data / 'folds.json'}: tests utterances in several folds, which cannot be pooled")
        return self.ids(tested)

    def describe(self, classes: Sequence[str]) -> CorpusInfo:
        """What `folds.json` keeps of it."""
        counts = Counter(utt.emotion for utt in self.utterances.values())
        return {
            "data": os.path.relpath(self.data),
            "dump": os.path.relpath(self.dump),
            "text": self.text,
            "protocol": self.folds.protocol,
            "speaker_disjoint": self.folds.speaker_disjoint,
            "speakers": len({utt.speaker for utt in self.utterances.values()}),
            "classes": {name: counts[name] for name in classes},
            "left_out": dict(sorted(self.left_out.items())),
            "skipped_recordings": self.skipped,
        }


def read_label_map(path: Path) -> dict[tuple[str, str], str]:
    """Read a table with the columns corpus, label and class (empty: the label is left out)."""
    rows, _ = read_table(path, ("corpus", "label"), ("class",))
    return {(row.values["corpus"], row.values["label"].casefold()): row.values.get("class", "") for row in rows}


def read_sources(
    words: Sequence[str], root: Path, label_map: Path | None = None, texts: Sequence[str] = ()
) -> list[Source]:
    """Read prepared corpora, with notes on stderr of what each leaves out.

    Args:
        words: see :func:`read_source`.
        root: folder of all recipes.
        label_map: see :func:`read_label_map`.
        texts: `NAME=FOLDER` of dump/asr, or `NAME=ref`.

    Raises:
        UserError: one cannot be read, two have one name, a name is not known, or there are fewer than two classes.
    """
    if not words:
        raise UserError('which corpora? give --corpora "ravdess crema_d", recipes that have been run to stage 2')
    labels = read_label_map(label_map) if label_map else {}
    text = {name: chosen for name, _, chosen in (word.partition("=") for word in texts)}
    sources = [read_source(word, root, labels, text) for word in words]
    names = [source.name for source in sources]
    if twice := [name for index, name in enumerate(names) if name in names[:index]]:
        raise UserError(f"--corpora: two corpora are named {twice[0]}; name one of them as NAME=FOLDER")
    if unknown := sorted({*text, *(corpus for corpus, _ in labels)} - set(names)):
        raise UserError(f"--texts, --label-map: there is no corpus {unknown[0]}; --corpora has {', '.join(names)}")
    for source in sources:
        kinds = ", ".join(f"{label} {count}" for label, count in sorted(source.left_out.items()))
        layout.note(source.left_out.total(), f"utterances of {source.name} have none of the classes: {kinds}")
        layout.note(source.skipped, f"recordings of {source.name} were left out by its own stage 1")
    if len(classes_of(sources)) < 2:
        raise UserError("--corpora: have fewer than two classes in common; map their labels with --label-map")
    return sources


def read_source(word: str, root: Path, label_map: LabelMap, text: Mapping[str, str]) -> Source:
    """Read a prepared corpus.

    Args:
        word: `[NAME=]FOLDER`, the folder of a recipe or one of its data folders (`../esd/data_zh`, whose dump is
            `dump_zh`). A folder that is not there as it is named is looked for in `root`.
        root: folder of all recipes.
        label_map: classes of labels that differ from :func:`~m4ser.recipes.labels.to_common`.
        text: for some corpora, the folder of `dump/asr` that their text is from, or `ref`.

    Raises:
        UserError: stage 0 or 1 of its recipe has not been run, or the name cannot be one.
    """
    name, data, dump = places(word, root, "--corpora")
    sets = {part: DataDir.read(dump / "audio" / part) for part in Folds.read(data / "folds.json").sets}
    utt2spk = {utt: speaker for part in sets for utt, speaker in read_scp(data / part / "utt2spk").items()}
    folds = Folds.read(data / "folds.json", utt2spk)
    if folds.trained_on:
        raise UserError(f"--corpora {word}: is crossed itself; name the corpora that it is made of")
    source = Source(name, data, dump, folds, {}, Counter(), len(utt2spk), text.get(name, ""))
    recipe = recipe_of(data)
    for part in sets.values():
        part.validate(folds.labels, ("wav.scp", "utt2spk", "utt2emo"), check_audio=False)
        source.skipped -= len(part.utts)
        for utt, label in part.maps["utt2emo"].items():
            emotion = label_map.get((name, label.casefold()), to_common(recipe, label))
            if emotion:
                source.utterances[utt] = _renamed(part, utt, name, emotion)
            else:
                source.left_out[label] += 1
    return source


def recipe_of(data: Path) -> str:
    """Name of the recipe that a data folder is of."""
    return data_root(data)[0].resolve().parent.name


def places(word: str, root: Path, option: str) -> tuple[str, Path, Path]:
    """Name, data folder and dump of a corpus, as :func:`read_source` takes its `word`.

    Raises:
        UserError: it cannot be called so, or stage 0 or 1 of its recipe has not been run; `option` is to be corrected.
    """
    own_name, _, path = word.rpartition("=")
    folder = Path(path) if Path(path).is_dir() else root / path
    data = folder if (folder / "folds.json").is_file() else folder / "data"
    dump = dump_of(data)
    root, variant = data_root(data)
    name = own_name or "_".join([recipe_of(data) + variant, *data.relative_to(root).parts])
    if not NAME.fullmatch(name):
        raise UserError(f"{option} {word}: {name} cannot be the name of a corpus; give one as NAME={path}")
    for file in (data / "folds.json", dump / "audio" / ".done"):
        if not file.is_file():
            fault = f"{file}: no such file; run stages 0 to 2 of that recipe first"
            raise UserError(f"{fault} ({data.parent / 'run.sh'} --stop-stage 2), or correct {option}")
    return name, data, dump


def _renamed(data: DataDir, utt: str, corpus: str, emotion: str) -> Utterance:
    """An utterance of a corpus under an id that no other corpus has."""
    extra: dict[str, str] = {name: data.maps[name][utt] for name in ("utt2lang", "utt2gender") if name in data.maps}
    return Utterance(
        utt_id=f"{corpus}-{utt}",
        audio=Path(data.maps["wav.scp"][utt]),
        speaker=f"{corpus}-{data.maps['utt2spk'][utt]}",
        emotion=emotion,
        text=data.maps.get("text", {}).get(utt, ""),
        extra={**extra, "utt2domain": corpus},
        set=corpus,
    )


def classes_of(sources: Sequence[Source]) -> list[str]:
    """The classes that occur, the common ones first."""
    classes = {utt.emotion for source in sources for utt in source.utterances.values()}
    return [*(name for name in COMMON if name in classes), *sorted(classes - set(COMMON))]


def cross(sources: Sequence[Source], train: Sequence[str], test: Sequence[str]) -> Folds:
    """One fold for each fold of each entry of `train`: a corpus' name, or several with `+` for joint training.

    Of corpora that train together, those with fewer folds start again with their first one, but are tested only once.

    Raises:
        UserError: an unknown name, a corpus that is neither trained nor tested, or one that tests utterances twice.
    """
    by_name = {source.name: source for source in sources}
    _check_names(list(by_name), train, test)
    tested = {name: by_name[name].tested() for name in test}
    folds, trained_on = {}, {}
    for row in train:
        names = row.split(JOIN)
        folds_of = {name: list(by_name[name].folds.folds.items()) for name in names}
        for index in range(max(map(len, folds_of.values()))):
            parts: dict[str, list[str]] = {part: [] for part in PARTS}
            for name, all_folds in folds_of.items():
                number, fold = all_folds[index % len(all_folds)]
                for part in PARTS:
                    if part != "test" or (name in tested and index < len(all_folds)):
                        parts[part] += by_name[name].ids(getattr(fold, part))
            for name in tested:
                parts["test"] += tested[name] if name not in folds_of else []
            if parts["test"]:
                fold_name = f"{row}.{number if len(names) == 1 else index + 1}"
                folds[fold_name] = Fold(**{part: sorted(ids) for part, ids in parts.items()})
                trained_on[fold_name] = row
    trained = sorted({name for row in train for name in row.split(JOIN)})
    description = "the epoch is chosen on dev of what is trained on"
    if shared := [name for name in trained if not by_name[name].folds.speaker_disjoint]:
        description += f"; {', '.join(shared)} shares speakers between its own train and test part"
    return _crossed(f"cross-corpus-{'-'.join(test)}", description, sources, folds, trained_on)


def leave_one_out(sources: Sequence[Source], unheard: Sequence[str] = ()) -> Folds:
    """For each corpus a fold of its name that trains on all others and tests it; `all` trains on every corpus.

    Dev is that of the first fold of each corpus trained on. Where a corpus is left out, everybody else of the others
    trains, and all is tested that its protocol ever tests. The fold `all` is the first fold of every corpus: it tests
    other speakers than it trains.

    Args:
        sources: the corpora.
        unheard: names of those that nothing trains on; every fold tests them.

    Raises:
        UserError: a name of `unheard` is none of the corpora, fewer than three others are left, or a corpus tests
            utterances twice.
    """
    by_name = {source.name: source for source in sources}
    if strange := [name for name in unheard if name not in by_name]:
        raise UserError(f"--unheard: there is no corpus {strange[0]}; --corpora has {', '.join(by_name)}")
    names = [name for name in by_name if name not in unheard]
    if len(names) < 3:
        raise UserError(f"--corpora: to leave one out and train on several takes three at least, not {len(names)}")
    first = {name: next(iter(by_name[name].folds.folds.values())) for name in names}
    tested = {name: by_name[name].tested() for name in by_name}
    everywhere = [utt for name in unheard for utt in tested[name]]
    folds, trained_on = {}, {}
    for left_out in names:
        row = [name for name in names if name != left_out]
        folds[left_out] = _everybody([by_name[name] for name in row], [*everywhere, *tested[left_out]])
        trained_on[left_out] = JOIN.join(row)
    parts = {part: [utt for name in names for utt in by_name[name].ids(getattr(first[name], part))] for part in PARTS}
    folds[ALL] = Fold(sorted(parts["train"]), sorted(parts["dev"]), sorted([*everywhere, *parts["test"]]))
    trained_on[ALL] = JOIN.join(names)
    description = "each corpus tests a model of all others; epoch chosen on two or so speakers of each trained on"
    return _crossed(f"leave-one-out-{'-'.join(names)}", description, sources, folds, trained_on)


def cross_whole(sources: Sequence[Source], train: Sequence[str], test: Sequence[str]) -> Folds:
    """One fold for each entry of `train`, as :func:`cross` takes it, that tests the corpora it does not train on.

    Dev is that of the first fold of each corpus trained on, everybody else trains.

    Raises:
        UserError: as :func:`cross`, or an entry leaves no corpus to test.
    """
    by_name = {source.name: source for source in sources}
    _check_names(list(by_name), train, test)
    tested = {name: by_name[name].tested() for name in test}
    folds = {}
    for row in train:
        trained = row.split(JOIN)
        if not (others := [name for name in test if name not in trained]):
            raise UserError(f"--whole: {row} trains on all that is tested; leave it out, or a corpus of it")
        folds[row] = _everybody([by_name[name] for name in trained], [utt for name in others for utt in tested[name]])
    description = "a corpus tests models of others, each of all speakers but those of dev, which choose the epoch"
    return _crossed(f"cross-corpus-whole-{'-'.join(test)}", description, sources, folds, {row: row for row in folds})


def _everybody(trained: Sequence[Source], test: Sequence[str]) -> Fold:
    """A fold that trains on everybody of some corpora but the dev speakers of their first folds."""
    parts: dict[str, list[str]] = {"train": [], "dev": []}
    for source in trained:
        dev = next(iter(source.folds.folds.values())).dev
        parts["dev"] += source.ids(dev)
        parts["train"] += source.ids(utt for utt in source.utterances if utt not in set(dev))
    return Fold(sorted(parts["train"]), sorted(parts["dev"]), sorted(test))


def _crossed(
    name: str, description: str, sources: Sequence[Source], folds: dict[str, Fold], trained_on: dict[str, str]
) -> Folds:
    """The folds with what is known of the corpora."""
    classes = classes_of(sources)
    trained = {each for row in trained_on.values() for each in row.split(JOIN)}
    protocols = ", ".join(f"{source.name} ({source.folds.protocol})" for source in sources)
    return Folds(
        f"{name}-{len(classes)}class",
        f"classes {' '.join(classes)}; corpora {protocols}; {description}",
        folds=folds,
        speaker_disjoint=all(source.folds.speaker_disjoint for source in sources if source.name in trained),
        dev_speaker_disjoint=all(source.folds.dev_speaker_disjoint for source in sources if source.name in trained),
        trained_on=trained_on,
        corpora={source.name: source.describe(classes) for source in sources},
    )


def origins_of(sources: Sequence[Source]) -> dict[str, Origin]:
    """Whose the crossed corpora are, by the names under which they are crossed, as far as their recipes say so."""
    return {source.name: origin for source in sources for origin in read_origins(source.data).values()}


def _check_names(corpora: Sequence[str], train: Sequence[str], test: Sequence[str]) -> None:
    trained = {name for row in train for name in row.split(JOIN)}
    for word in [*(name for row in train for name in row.split(JOIN)), *test]:
        if word not in corpora:
            raise UserError(f"--train, --test: there is no corpus {word}; --corpora has {', '.join(corpora)}")
    if twice := [row for row in train if len(set(row.split(JOIN))) < len(row.split(JOIN))]:
        raise UserError(f"--train {twice[0]}: has a corpus twice")
    if idle := [name for name in corpora if name not in trained | set(test)]:
        raise UserError(f"--corpora: {idle[0]} is neither in --train nor in --test; leave it out")
