"""What features of one's own are called (:mod:`m4ser.data.own_features`); light, for what plans a run."""

from pathlib import Path, PurePosixPath

OWN = "own:"  # begins the name of their encoder in `info.json`
SET = "{set}"  # in a file's name: one file for each data directory


def files_of(pattern: str) -> list[str]:
    """The files that a name with :data:`SET` stands for, or the one file."""
    path = Path(pattern)
    if SET not in pattern:
        return [pattern]
    return sorted(str(file) for file in path.parent.glob(path.name.replace(SET, "*")))


def name_of(pattern: str) -> str:
    """What such features are called: ``own:egemaps`` for ``/x/egemaps.csv`` and for ``egemaps_{set}.csv``.

    >>> name_of("/x/egemaps_{set}.csv"), name_of("my_{set}_cues.npz")
    ('own:egemaps', 'own:my_cues')
    """
    words = [word.strip("_-. ") for word in PurePosixPath(pattern).stem.split(SET)]
    return OWN + ("_".join(filter(None, words)) or "features")
