"""Data directories: one list per kind of information (`wav.scp`, `text`, `utt2spk`, ...), all with the same ids."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from m4ser.data.folds import Folds
from m4ser.data.scp import read_scp, write_scp
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_directory

NEEDED = ("wav.scp", "text", "utt2spk", "spk2utt", "utt2emo")
# Lists whose keys are utterances; with `segments`, wav.scp is keyed by recording instead.
BY_UTTERANCE = ("wav.scp", "text", "segments", "feats.scp")
MAY_BE_EMPTY = ("text",)
LONGEST = 1e9  # seconds of a recording, which none has


@dataclass(slots=True)
class Utterance:
    """One labelled utterance as a corpus parser yields it.

    Args:
        utt_id: unique; begins with `speaker` and "-" where we choose it, so that sorting groups speakers.
        audio: audio file, absolute or relative to the corpus folder.
        speaker: speaker id, unique over the corpus.
        emotion: one of the recipe's labels.
        text: reference transcript as in the corpus, or "" if there is none.
        start, end: seconds, if the utterance is a part of the file.
        extra: further lists, e.g. `{"utt2gender": "female"}`.
        set: name of the data directory it belongs to.
    """

    utt_id: str
    audio: Path
    speaker: str
    emotion: str
    text: str = ""
    start: float | None = None
    end: float | None = None
    extra: dict[str, str] = field(default_factory=dict)
    set: str = "all"


class DataDir:
    """The lists of one data directory, in memory: `maps["utt2emo"]["utt1"] == "happy"`."""

    def __init__(self, path: str | Path, maps: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self.path = Path(path)
        self.maps: dict[str, dict[str, str]] = {name: dict(entries) for name, entries in (maps or {}).items()}

    @property
    def utts(self) -> list[str]:
        """Utterance ids, sorted."""
        return list(self.maps["utt2spk"])

    @classmethod
    def read(cls, path: str | Path, names: Collection[str] | None = None) -> "DataDir":
        """Read the lists of a folder (all it has, or `names`).

        Raises:
            UserError: the folder or one of `names` is missing, or a list is malformed.
        """
        path = Path(path)
        if not path.is_dir():
            raise UserError(f"{path}: no such data directory; run the stage that writes it first, or correct the path")
        if names is None:
            names = sorted(file.name for file in path.iterdir() if _is_list(file.name))
        data = cls(path)
        data.maps = {name: read_scp(path / name, allow_empty=name in MAY_BE_EMPTY) for name in names}
        return data

    @classmethod
    def from_utterances(
        cls, path: str | Path, utterances: Iterable[Utterance], root: str | Path | None = None
    ) -> "DataDir":
        """Turn parsed utterances into lists; relative audio paths are taken from `root` and made absolute.

        Raises:
            UserError: an utterance id occurs twice, or one recording has utterances with and without times.
        """
        root = Path(root or ".").resolve()
        maps: dict[str, dict[str, str]] = {name: {} for name in ("wav.scp", "text", "utt2spk", "utt2emo")}
        recordings: dict[str, str] = {}
        for utt in sorted(utterances, key=lambda utterance: utterance.utt_id):
            if utt.utt_id in maps["utt2spk"]:
                raise UserError(
                    f"{path}: utterance id {utt.utt_id!r} occurs twice, e.g. for {utt.audio}; make it unique"
                )
            audio = os.path.join(root, utt.audio)  # noqa: PTH118  # a Path for each of a million takes longer
            if utt.start is not None and utt.end is not None:
                # Named after its first utterance: unique, and no rule about file names is needed.
                recording = recordings.setdefault(audio, f"{utt.utt_id}-rec")
                maps.setdefault("segments", {})[utt.utt_id] = f"{recording} {utt.start:.3f} {utt.end:.3f}"
            else:
                recording = utt.utt_id
            maps["wav.scp"][recording] = audio
            maps["text"][utt.utt_id] = " ".join(utt.text.split())
            maps["utt2spk"][utt.utt_id] = utt.speaker
            maps["utt2emo"][utt.utt_id] = utt.emotion
            for name, value in utt.extra.items():
                maps.setdefault(name, {})[utt.utt_id] = value
        if "segments" in maps and len(maps["segments"]) < len(maps["utt2spk"]):
            whole = next(utt for utt in maps["utt2spk"] if utt not in maps["segments"])
            raise UserError(f"{path}: {whole!r} has no start and end, others have; give all of them times or none")
        maps["wav.scp"] = dict(sorted(maps["wav.scp"].items()))
        maps["spk2utt"] = spk2utt(maps["utt2spk"])
        return cls(path, maps)

    @classmethod
    def write(cls, path: str | Path, utterances: Iterable[Utterance], root: str | Path | None = None) -> "DataDir":
        """Write parsed utterances as the data directory `path`, atomically (see :meth:`from_utterances`)."""
        data = cls.from_utterances(path, utterances, root)
        data.save()
        return data

    def save(self, path: str | Path | None = None) -> None:
        """Write all lists to `path` (default: where they came from); an existing folder is replaced at once."""
        self.path = Path(path or self.path)
        with atomic_directory(self.path) as folder:
            for name, entries in self.maps.items():
                write_scp(folder / name, entries)

    def save_into(self, path: str | Path) -> None:
        """Write all lists into a folder that holds other things too (audio, features).

        `wav.scp` comes last: as long as it is missing, the folder is not finished.
        """
        self.path = Path(path)
        (self.path / "wav.scp").unlink(missing_ok=True)
        if self.path.is_dir():
            for file in self.path.iterdir():
                if _is_list(file.name) and file.name not in self.maps:
                    file.unlink()
        for name in sorted(self.maps, key=lambda name: name == "wav.scp"):
            write_scp(self.path / name, self.maps[name])

    def subset(self, utts: Iterable[str], path: str | Path | None = None) -> "DataDir":
        """The same lists for `utts` alone; recordings and speakers that are no longer used are dropped.

        Raises:
            UserError: an id is not in the data directory.
        """
        chosen = sorted(set(utts))
        have = self.maps["utt2spk"]
        if unknown := [utt for utt in chosen if utt not in have]:
            raise UserError(f"{self.path / 'utt2spk'}: {len(unknown)} wanted id(s) are missing, e.g. {unknown[0]!r}")
        maps: dict[str, dict[str, str]] = {}
        for name, entries in self.maps.items():
            if name == "wav.scp" and "segments" in self.maps:
                used = {self.maps["segments"][utt].split()[0] for utt in chosen}
                maps[name] = {recording: entries[recording] for recording in sorted(used)}
            elif name.startswith("spk2"):
                used = {have[utt] for utt in chosen}
                maps[name] = {speaker: entries[speaker] for speaker in sorted(used) if speaker in entries}
            else:
                maps[name] = {utt: entries[utt] for utt in chosen if utt in entries}
        maps["spk2utt"] = spk2utt(maps["utt2spk"])
        return DataDir(path or self.path, maps)

    @classmethod
    def combine(cls, path: str | Path, parts: Sequence["DataDir"]) -> "DataDir":
        """Join data directories with different ids; lists that not all of them have are left out.

        Raises:
            UserError: an id occurs in two of them, or some have segments and some have not.
        """
        common = set.intersection(*(set(part.maps) for part in parts))
        if "segments" not in common and any("segments" in part.maps for part in parts):
            raise UserError(f"{path}: only some of the data directories have segments; run stage 1 and join its output")
        data = cls(path)
        for name in sorted(common - {"spk2utt"}):
            entries: dict[str, str] = {}
            for part in parts:
                if shared := entries.keys() & part.maps[name].keys() if not name.startswith("spk2") else ():
                    raise UserError(f"{part.path / name}: {min(shared)!r} is also in another part; make ids unique")
                entries |= part.maps[name]
            data.maps[name] = dict(sorted(entries.items()))
        data.maps["spk2utt"] = spk2utt(data.maps["utt2spk"])
        return data

    def audio(self, utt: str) -> tuple[str, float | None, float | None]:
        """Audio file of an utterance and, if it is a segment, its start and end in seconds."""
        if "segments" not in self.maps:
            return self.maps["wav.scp"][utt], None, None
        recording, start, end = self.maps["segments"][utt].split()
        return self.maps["wav.scp"][recording], float(start), float(end)

    def validate(
        self, labels: Collection[str] | None = None, need: Collection[str] = NEEDED, check_audio: bool = True
    ) -> None:
        """Check that the lists fit each other, the labels are known and (`check_audio`) the audio files exist.

        Raises:
            UserError: the first fault, with file and remedy.
        """
        for name in need:
            if name not in self.maps:
                raise UserError(f"{self.path / name}: no such file; run the stage that writes it first")
        if "utt2spk" in self.maps:
            self._check_ids()
        if "segments" in self.maps:
            self._check_segments()
        if "spk2utt" in self.maps and self.maps["spk2utt"] != spk2utt(self.maps["utt2spk"]):
            self._report_speakers()
        if labels is not None and "utt2emo" in self.maps:
            known = set(labels)
            for utt, emotion in self.maps["utt2emo"].items():
                if emotion not in known:
                    raise UserError(
                        f"{self.path / 'utt2emo'}: {utt!r} has the unknown emotion {emotion!r}; "
                        f"correct it or add it to labels.txt ({' '.join(labels)})"
                    )
        if check_audio and "wav.scp" in self.maps:
            self._check_audio_files()

    def _check_ids(self) -> None:
        utts = self.maps["utt2spk"]
        by_recording = "segments" in self.maps
        for name, entries in self.maps.items():
            if name == "utt2spk" or name.startswith("spk2") or (by_recording and name == "wav.scp"):
                continue
            if entries.keys() == utts.keys():
                continue
            missing, added = utts.keys() - entries.keys(), entries.keys() - utts.keys()
            if missing:
                fault = f"{len(missing)} id(s) of utt2spk are missing, e.g. {min(missing)!r}"
                raise UserError(f"{self.path / name}: {fault}; add them or delete them from utt2spk")
            fault = f"{len(added)} id(s) are not in utt2spk, e.g. {min(added)!r}"
            raise UserError(f"{self.path / name}: {fault}; delete them or add them to utt2spk")
        for utt in utts:  # ids become file names
            if "/" in utt or utt.startswith(".") or (len(utt) > 50 and len(utt.encode()) > 200):
                raise UserError(
                    f"{self.path / 'utt2spk'}: {utt!r} cannot be a file name; replace '/' by '_' or shorten it"
                )

    def _check_segments(self) -> None:
        path, recordings = self.path / "segments", self.maps.get("wav.scp", {})
        for utt, value in self.maps["segments"].items():
            try:
                recording, start, end = value.split()
                valid = 0 <= float(start) < float(end) < LONGEST
            except ValueError:
                valid = False
            if not valid:
                raise UserError(
                    f"{path}: {utt!r} has {value!r}; it must be RECORDING START END with START < END, seconds"
                )
            if recording not in recordings:
                raise UserError(f"{path}: {utt!r} is part of {recording!r}, which is not in wav.scp; add it there")

    def _report_speakers(self) -> None:
        path, entries = self.path / "spk2utt", self.maps["spk2utt"]
        for speaker, utts in spk2utt(self.maps["utt2spk"]).items():
            if entries.get(speaker, "").split() != utts.split():
                raise UserError(f"{path}: {speaker!r} does not agree with utt2spk; delete the folder and run stage 0")
        raise UserError(f"{path}: has speakers that are not in utt2spk; delete the folder and run stage 0 again")

    def _check_audio_files(self) -> None:
        missing = []
        for recording, audio in self.maps["wav.scp"].items():
            if audio.endswith("|"):
                raise UserError(
                    f"{self.path / 'wav.scp'}: {recording!r} is a command; write its output to a file and give the file"
                )
            if not os.path.isfile(audio):  # noqa: PTH113  # a Path for each of a million takes longer than the look
                missing.append((recording, audio))
        if missing:
            recording, audio = missing[0]
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            raise UserError(
                f"{self.path / 'wav.scp'}: the audio file of {recording!r} does not exist: {audio}{more}; "
                "copy it there or correct the path"
            )


def spk2utt(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """Invert `utt2spk`: `{speaker: "utt1 utt2 ..."}`, sorted."""
    utts: dict[str, list[str]] = {}
    for utt in sorted(utt2spk):
        utts.setdefault(utt2spk[utt], []).append(utt)
    return {speaker: " ".join(utts[speaker]) for speaker in sorted(utts)}


def class_counts(utt2emo: Mapping[str, str], labels: Iterable[str]) -> dict[str, int]:
    """Number of utterances of each label, in the order of `labels`."""
    counts = Counter(utt2emo.values())
    return {label: counts[label] for label in labels}


def find_sets(folder: str | Path) -> list[str]:
    """Names of the data directories in a folder: those of its `folds.json`, else every one with a `wav.scp`.

    Raises:
        UserError: there are none.
    """
    folder = Path(folder)
    if (folder / "folds.json").is_file():
        return Folds.read(folder / "folds.json").sets
    sets = sorted(file.parent.name for file in folder.glob("*/wav.scp"))
    if sets := [name for name in sets if not name.startswith(".")]:
        return sets
    raise UserError(f"{folder}: no data directories in it; run the stage that writes them first, or correct the path")


def read_sets(
    folder: str | Path, names: Collection[str] = (), need: Collection[str] = NEEDED, check_audio: bool = True
) -> dict[str, DataDir]:
    """Read and :meth:`~DataDir.validate` the data directories in a folder (all, or `names`), with its `labels.txt`.

    Raises:
        UserError: one is missing or does not pass validation.
    """
    folder = Path(folder)
    sets = {name: DataDir.read(folder / name) for name in names or find_sets(folder)}
    labels = folder / "labels.txt"
    known = labels.read_text(encoding="utf-8").split() if labels.is_file() else None
    for data in sets.values():
        data.validate(known, need, check_audio)
    return sets


def _is_list(name: str) -> bool:
    return name in BY_UTTERANCE or name.startswith(("utt2", "spk2"))
