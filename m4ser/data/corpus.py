"""A whole corpus as its references: folds and what is known of every utterance, from a folder of data directories."""

from dataclasses import dataclass
from pathlib import Path

from m4ser.data.folds import Folds
from m4ser.data.scp import read_scp


@dataclass(frozen=True)
class Corpus:
    """The references: folds and the per-utterance maps of all sets, read from a data directory."""

    path: Path
    folds: Folds
    emotion: dict[str, str]
    speaker: dict[str, str]
    text: dict[str, str]
    domain: dict[str, str]
    skipped: frozenset[str]  # recordings that stage 1 left out as unusable

    @classmethod
    def read(cls, data: str | Path, audio: str | Path | None = None) -> "Corpus":
        """Read `data/folds.json` and the maps of its sets; `audio` (`dump/audio`) may list skipped recordings."""
        data = Path(data)
        folds = Folds.read(data / "folds.json")
        maps: dict[str, dict[str, str]] = {"utt2emo": {}, "utt2spk": {}, "text": {}, "utt2domain": {}}
        skipped: set[str] = set()
        for name in folds.sets:
            for map_name, entries in maps.items():
                path = data / name / map_name
                if path.exists() or map_name in ("utt2emo", "utt2spk"):
                    entries.update(read_scp(path, allow_empty=map_name == "text"))
            listed = Path(audio) / name / "skipped.tsv" if audio else None
            if listed and listed.exists():
                skipped |= {line.split("\t")[0] for line in listed.read_text(encoding="utf-8").split("\n")}
        emotion, speaker, text, domain = maps.values()
        folds.check(speaker, data / "folds.json")
        return cls(data, folds, emotion, speaker, text, domain, frozenset(skipped & set(emotion)))

    def joined(self, folder: Path, name: str, allow_empty: bool = False) -> dict[str, str]:
        """The files ``<folder>/<set>/<name>`` of those sets that have one, as one map."""
        entries: dict[str, str] = {}
        for part in self.folds.sets:
            if (folder / part / name).exists():
                entries |= read_scp(folder / part / name, allow_empty)
        return entries
