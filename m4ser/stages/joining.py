"""Stages 1 and 2 of crossed corpora and of pairs: the lists of what other recipes have made, under the ids of the data.

Nothing is computed and no audio or features are copied: the lists point to the files in the dumps of the corpora.
"""

from collections.abc import Sequence
from pathlib import Path

from m4ser.asr.texts import WORD_CONFIDENCE
from m4ser.data.contents import CONTENTS, check_contents, write_contents
from m4ser.data.datadir import DataDir
from m4ser.data.features import POSITIONS
from m4ser.data.folds import CorpusInfo, Folds
from m4ser.data.scp import read_scp, write_scp
from m4ser.utils.errors import UserError
from m4ser.utils.files import read_json, write_json

REFERENCE = "ref"
CLIPS, LINES = "utt2clip", "utt2line"  # of pairs: the utterances that voice and words are from


def join(data: Path, dump: Path, out: Path) -> list[str]:
    """Join one kind of dump; a line for each corpus says what became of it.

    Args:
        data: folder with ``folds.json``.
        dump: folder of all dumps.
        out: ``audio``, ``feats/ENCODER`` or ``asr/ASR`` in it.

    Raises:
        UserError: the dump of a corpus is not there, incomplete, or of another model than the others.
    """
    content = out.relative_to(dump).parts[0]
    lines, source_dirs = [], sources(data, dump, out)
    for name, source in source_dirs.items():
        corpus = DataDir.read((data if content == "audio" else dump / "audio") / name)
        if source is None:
            join_reference(corpus, out / name)
        else:
            {"audio": join_audio, "feats": join_features, "asr": join_text}[content](corpus, source, out / name)
        lines.append(f"{out / name}: {len(corpus.utts)} utterances of {source or 'the reference transcripts'}")
    if content == "feats":
        check_same(out, list(source_dirs))
    return lines


def markers(data: Path, dump: Path, out: Path) -> list[Path]:
    """The done-markers of what :func:`join` joins: if one of them changes, it has to be joined again.

    Raises:
        UserError: the dump of a corpus is not there or not finished.
    """
    return [source / ".done" for source in sources(data, dump, out).values() if source is not None]


def sources(data: Path, dump: Path, out: Path) -> dict[str, Path | None]:
    """Folder of the same step in the dump of each corpus; None for reference text.

    Raises:
        UserError: the data are neither of crossed corpora nor pairs, or a folder is not there or not finished.
    """
    folds = Folds.read(data / "folds.json")
    step = out.relative_to(dump)
    if folds.paired:
        side = folds.paired["words" if step.parts[0] == "asr" else "voices"]
        return dict.fromkeys(folds.sets, finished(Path(side["dump"]) / step, Path(side["data"])))
    if not folds.corpora:
        raise UserError(f"{data / 'folds.json'}: has no corpora to join; run stage 0 of egs/cross_corpus first")
    return {name: source_of(name, corpus, step) for name, corpus in folds.corpora.items()}


def source_of(name: str, corpus: CorpusInfo, step: Path) -> Path | None:
    """Folder of the step in the dump of a corpus; None for reference text.

    Raises:
        UserError: it is not there or not finished.
    """
    texts = step.parts[0] == "asr"
    if texts and corpus["text"] == REFERENCE:
        return None
    folder = Path(corpus["dump"]) / (Path("asr", corpus["text"]) if texts and corpus["text"] else step)
    other = f", or choose another text for it (--texts {name}=ref, or a folder of its dump/asr)" if texts else ""
    return finished(folder, Path(corpus["data"]), other)


def finished(folder: Path, data: Path, other: str = "") -> Path:
    """The folder of a dump, made by the recipe of `data`.

    Raises:
        UserError: it is not there or not finished; `other` says what else helps.
    """
    if not (folder / ".done").is_file():
        recipe = data.parent if data.name.startswith("data") else data.parent.parent
        fault = f"{folder}: is not there or not finished"
        raise UserError(f"{fault}; run {recipe / 'run.sh'} --stop-stage 2 with these options{other}")
    return folder


def origins(data: DataDir, side: str) -> dict[str, str]:
    """What an utterance is called in the dump that it is from: that of its corpus, or of its pair's `side`."""
    if side in data.maps:
        return data.maps[side]
    prefix = f"{data.path.name}-"
    return {utt: utt.removeprefix(prefix) for utt in data.utts}


def read_list(data: DataDir, source: Path, name: str, side: str, allow_empty: bool = False) -> dict[str, str]:
    """One list of all sets of a corpus, under the new ids, of the utterances of `data`.

    Raises:
        UserError: it lacks some.
    """
    entries: dict[str, str] = {}
    for path in sorted(source.glob(f"*/{name}")):
        entries |= read_scp(path, allow_empty)
    known = origins(data, side)
    if missing := [old for old in known.values() if old not in entries]:
        raise UserError(f"{source}: {name} lacks {len(missing)} utterance(s), e.g. {missing[0]}; run its recipe again")
    return {utt: entries[known[utt]] for utt in data.utts}


def join_audio(data: DataDir, source: Path, out: Path) -> None:
    """The data directory itself, with lengths: its audio is that of the dump already."""
    data.maps["utt2num_samples"] = read_list(data, source, "utt2num_samples", CLIPS)
    data.validate()
    (out / CONTENTS).unlink(missing_ok=True)
    data.save_into(out)
    write_contents(out, sorted(data.maps))


def join_features(data: DataDir, source: Path, out: Path) -> None:
    """`feats.scp` with the archives of the corpus.

    Raises:
        UserError: the dump of the corpus is damaged.
    """
    for path in source.glob(f"*/{POSITIONS}"):
        check_contents(path.parent, stage=1)
    info = read_json(sorted(source.glob("*/info.json"))[0])
    write_json(out / "info.json", {key: value for key, value in info.items() if key != "made_by"})
    (out / CONTENTS).unlink(missing_ok=True)
    lists = ["utt2num_frames", POSITIONS]
    for name in lists:
        write_scp(out / name, read_list(data, source, name, CLIPS))
    write_contents(out, lists)


def check_same(out: Path, names: Sequence[str]) -> None:
    """Features of different models cannot be mixed.

    Raises:
        UserError: naming the corpora that differ.
    """
    infos = {name: read_json(out / name / "info.json") for name in names}
    for name, info in infos.items():
        for key in ("encoder", "layers", "dim", "frame_rate"):
            if info[key] != infos[names[0]][key]:
                raise UserError(
                    f"{out}: {key} is {infos[names[0]][key]} for {names[0]} and {info[key]} for {name}; "
                    "make the features of all corpora with the same options"
                )


def join_reference(data: DataDir, out: Path) -> None:
    """The reference transcripts instead of recognised text."""
    for name in ("decode.json", WORD_CONFIDENCE, CONTENTS):
        (out / name).unlink(missing_ok=True)
    write_scp(out / "text", data.maps["text"])
    write_contents(out, ["text"])


def join_text(data: DataDir, source: Path, out: Path) -> None:
    """Recognised text.

    Raises:
        UserError: the dump of the corpus is damaged.
    """
    for path in source.glob("*/text"):
        check_contents(path.parent, stage=2)
    for name in ("decode.json", CONTENTS):
        (out / name).unlink(missing_ok=True)
    decoded = [read_json(path) for path in sorted(source.glob("*/decode.json"))]
    looping = sum(part["looping_hypotheses"] for part in decoded)
    kept = {key: decoded[0][key] for key in ("asr", "model", "settings", "loop_rule")} if decoded else {}
    if decoded:
        write_json(out / "decode.json", {**kept, "looping_hypotheses": looping})
    lists = ["text"]
    # Not where an earlier version has recognised some of the sets.
    if all((path.parent / WORD_CONFIDENCE).is_file() for path in source.glob("*/text")):
        lists.append(WORD_CONFIDENCE)
    (out / WORD_CONFIDENCE).unlink(missing_ok=True)
    for name in reversed(lists):  # whoever finds the text finds everything
        write_scp(out / name, read_list(data, source, name, LINES, allow_empty=True))
    write_contents(out, lists)
