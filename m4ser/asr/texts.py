"""What was said and what was recognised: the texts that stages 2 and 3 compare."""

from collections.abc import Sequence
from pathlib import Path

from m4ser.data.contents import check_contents
from m4ser.data.datadir import DataDir, find_sets
from m4ser.data.scp import read_scp
from m4ser.utils.errors import UserError


def read_references(folder: Path, sets: Sequence[str] = ()) -> dict[str, DataDir]:
    """Data directories of stage 1 (all, or `sets`) by name, validated but for their audio files.

    Raises:
        UserError: one is missing or malformed.
    """
    if not any(folder.glob("*/wav.scp")):
        raise UserError(f"{folder}: no data directories in it; run stage 1 (16 kHz audio) first")
    references = {}
    for name in sets or find_sets(folder):
        if not (folder / name / "utt2spk").is_file():
            raise UserError(f"{folder / name / 'utt2spk'}: no such file; run stage 1 (16 kHz audio) first")
        references[name] = DataDir.read(folder / name)
        references[name].validate(need=("utt2spk",), check_audio=False)
    return references


def transcripts(data: DataDir) -> dict[str, str]:
    """References of the utterances that have one; an empty line of `text` says that nobody wrote it down."""
    return {utt: text for utt, text in data.maps.get("text", {}).items() if text}


def read_hypotheses(folder: Path, data: DataDir) -> dict[str, str]:
    """Recognised text, of stage 2's `folder`, of exactly the utterances of `data`.

    Raises:
        UserError: the file is missing, malformed or damaged, lacks an utterance or has an additional one.
    """
    path = folder / "text"
    if not path.is_file():
        raise UserError(f"{path}: no such file; run stage 2 (speech recognition) first")
    check_contents(folder, stage=2)
    texts = read_scp(path, allow_empty=True)
    missing = [utt for utt in data.utts if utt not in texts]
    if missing:
        raise UserError(
            f"{path}: lacks {len(missing)} utterance(s) of {data.path}, e.g. {missing[0]!r}; run stage 2 again"
        )
    if added := texts.keys() - data.maps["utt2spk"].keys():
        raise UserError(
            f"{path}: has {len(added)} utterance(s) that {data.path} has not, e.g. {min(added)!r}; run stage 2 again"
        )
    return texts
