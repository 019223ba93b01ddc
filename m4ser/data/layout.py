"""Reading corpora as they are delivered: finding their files, their odd text encodings, recordings that are missing."""

import sys
from collections.abc import Iterable
from pathlib import Path

from m4ser.data.datadir import Utterance
from m4ser.errors import UserError


def find(corpus_dir: Path, *names: str, obtain: str = "") -> Path:
    """Path of the first of `names` (may be patterns) that is in `corpus_dir` or up to two folders deeper.

    Raises:
        UserError: none is there; the message says what was expected, what is there instead and where to get it.
    """
    for depth in ("", "*/", "*/*/"):
        for name in names:
            if found := sorted(path for path in corpus_dir.glob(depth + name) if not path.name.startswith(".")):
                return found[0]
    entries = sorted(path.name for path in corpus_dir.iterdir() if not path.name.startswith("."))
    there = ", ".join(entries[:5]) + (", ..." if len(entries) > 5 else "") if entries else "nothing"
    get = f" (to be had from {obtain})" if obtain else ""
    raise UserError(
        f"{corpus_dir}: expected {' or '.join(names)}, found {there}; give the folder of the official layout{get}"
    )


def read_text(path: Path) -> str:
    """Content of a text file that is UTF-8, or Windows-1252, or a mixture of both; without a byte order mark.

    Some corpora were saved once too often: quotes and dashes of Windows-1252 became control characters (U+0080 to
    U+009F, which no text has), or their UTF-8 bytes were taken for Windows-1252. Both are undone.
    """
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    return repair(text)


def repair(text: str) -> str:
    r"""Undo a wrong decoding of Windows-1252 characters, see :func:`read_text`.

    >>> repair("company\x92s"), repair("companyâ€™s")
    ('company’s', 'company’s')
    """
    if "â€" in text:
        for character in _PUNCTUATION:
            text = text.replace(character.encode("utf-8").decode("cp1252"), character)
    return text.translate(_CONTROLS)


_CONTROLS = {code: bytes([code]).decode("cp1252", errors="ignore") for code in range(0x80, 0xA0)}
# Punctuation of Windows-1252 whose UTF-8 bytes are all characters of Windows-1252 (those of ” are not).
_PUNCTUATION = "‘’“–—…"


def keep_present(utterances: Iterable[Utterance], corpus_dir: Path, allow_partial: bool) -> list[Utterance]:
    """The utterances whose recordings are there.

    Raises:
        UserError: some are missing and `allow_partial` is false.
    """
    utterances = list(utterances)
    here = {audio: (corpus_dir / audio).is_file() for audio in {utt.audio for utt in utterances}}
    present = [utt for utt in utterances if here[utt.audio]]
    if missing := len(utterances) - len(present):
        gone = next(utt.audio for utt in utterances if not here[utt.audio])
        fault = f"{corpus_dir}: {missing} of {len(utterances)} annotated utterances have no recording, e.g. {gone}"
        if not allow_partial:
            raise UserError(f"{fault}; copy the corpus again, or accept it with --allow-partial true")
        print(f"warning: {fault}", file=sys.stderr)
    return present


def left_out(count: int, what: str) -> None:
    """Say on stderr that a parser leaves something out, as `3 utterances without agreement`."""
    if count:
        print(f"left out: {count} {what}", file=sys.stderr)
