"""What was said and what was recognised: the texts that stages 2 and 3 compare."""

import math
from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from statistics import fmean

from m4ser.data.contents import check_contents
from m4ser.data.datadir import DataDir, find_sets
from m4ser.data.scp import read_scp
from m4ser.utils.errors import UserError

WORD_CONFIDENCE = "word_confidence"  # file of stage 2: confidence in each word of `text`, where the recogniser has one


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


def read_word_confidences(folder: Path, texts: Mapping[str, str]) -> dict[str, list[float]]:
    """The recogniser's confidence in each word of `texts`, of stage 2's `folder`; empty where it gave none.

    Raises:
        UserError: the file is malformed, or an utterance has other words.
    """
    path = folder / WORD_CONFIDENCE
    if not path.is_file():
        return {}
    confidences: dict[str, list[float]] = {}
    for utt, line in read_scp(path, allow_empty=True).items():
        try:
            confidences[utt] = [float(word) for word in line.split()]
        except ValueError:
            confidences[utt] = [math.nan]
        if len(confidences[utt]) != len(texts.get(utt, "").split()) or not all(0 <= c <= 1 for c in confidences[utt]):
            raise UserError(f"{path}: {utt} has not one number from 0 to 1 for each of its words; run stage 2 again")
    return confidences


def confidences_of_normalised(
    text: str, confidences: Sequence[float], words: Sequence[str], normalise: Callable[[str], str]
) -> list[float]:
    """The confidence in each of `words`, to which `text` was normalised as a whole.

    A word that comes of one word has its confidence, one that comes of several ("twenty three") their mean.
    """
    parts = [
        (part, confidence)
        for word, confidence in zip(text.split(), confidences, strict=True)
        for part in normalise(word).split()
    ]
    known = [confidence for _, confidence in parts]
    if [part for part, _ in parts] == list(words):
        return known
    result: list[float] = []
    blocks = SequenceMatcher(None, [part for part, _ in parts], list(words), autojunk=False).get_opcodes()
    for change, start, end, first, last in blocks:
        if change == "equal":
            result.extend(known[start:end])
        else:
            # Words that come of nothing have the confidence of the words around them.
            some = known[start:end] or known[max(start - 1, 0) : start + 1] or confidences
            result.extend([round(fmean(some), 4)] * (last - first))
    return result
