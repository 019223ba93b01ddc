"""Reading corpora as they are delivered: finding their files, their odd text encodings, recordings that are missing."""

import ast
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from m4ser.data.datadir import Utterance
from m4ser.data.folds import PARTS, Fold
from m4ser.recipes.table import is_file, read_table
from m4ser.utils.errors import UserError


def find(corpus_dir: Path, *names: str, obtain: str = "") -> Path:
    """Path of the first of `names` (may be patterns) that is in `corpus_dir` or up to two folders deeper.

    Raises:
        UserError: none is there; the message says what was expected, what is there instead and where to get it.
    """
    for depth in ("", "*/", "*/*/"):
        for name in names:
            if paths := sorted(path for path in corpus_dir.glob(depth + name) if not path.name.startswith(".")):
                return paths[0]
    raise _not_found(corpus_dir, " or ".join(names), obtain)


def _not_found(corpus_dir: Path, expected: str, obtain: str) -> UserError:
    entries = sorted(path.name for path in corpus_dir.iterdir() if not path.name.startswith("."))
    there = ", ".join(entries[:5]) + (", ..." if len(entries) > 5 else "") if entries else "nothing"
    get = f" (to be had from {obtain})" if obtain else ""
    return UserError(f"{corpus_dir}: expected {expected}, found {there}; give the folder of the official layout{get}")


def recordings(corpus_dir: Path, *patterns: str, like: str, obtain: str = "") -> list[Path]:
    """WAV and FLAC files of the first of `patterns` that has some (popular copies hold everything twice), sorted.

    Raises:
        UserError: there are none; the message says what was expected (`like`) and what is there instead.
    """
    for pattern in patterns:
        files = sorted(path for path in corpus_dir.glob(pattern) if path.suffix.lower() in (".wav", ".flac"))
        if files := [path for path in files if not path.name.startswith(".")]:
            return files
    raise _not_found(corpus_dir, like, obtain)


def read_name(path: Path, pattern: re.Pattern[str], corpus: str, like: str, **codes: Collection[str]) -> re.Match[str]:
    """Match the name of a recording, without its suffix, that says what was recorded.

    Args:
        path: the recording.
        pattern: of the whole name; the codes in it are named groups.
        corpus: its name, for the message.
        like: a name as it should be, for the message.
        codes: the known values of each group that has to be one of them.

    Raises:
        UserError: another name, or an unknown code in it.
    """
    match = pattern.fullmatch(path.stem)
    if match is None:
        raise wrong_name(path, corpus, like)
    for field, known in codes.items():
        if match[field] not in known:
            raise UserError(f"{path}: unknown {field} {match[field]} in the name; rename or remove the file")
    return match


def wrong_name(path: Path, corpus: str, like: str) -> UserError:
    """The error for a recording that is not called as those of the corpus."""
    article = "an" if corpus[0] in "AEIOU" else "a"
    return UserError(f"{path}: not {article} {corpus} file name ({like}); rename or remove the file")


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


def read_rows(path: Path, columns: Sequence[str], may_be_empty: Sequence[str] = ()) -> list[dict[str, str]]:
    """Lines of a corpus's own CSV file: values by `columns` and, where they may be empty, `may_be_empty`.

    Raises:
        UserError: the file was cut, a column is missing, or a value.
    """
    names = [*columns, *may_be_empty]
    needed, optional = ([name.casefold() for name in each] for each in (columns, may_be_empty))
    rows, _ = read_table(path, needed, optional, read_text(path))
    return [{name: row.values.get(name.casefold(), "") for name in names} for row in rows]


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


def read_constants(path: Path) -> dict[str, Any]:
    """Numbers, strings and lists that a Python file assigns to names; the file is parsed, never run.

    Raises:
        UserError: it is not Python.
    """
    constants = {}
    try:
        statements = ast.parse(read_text(path)).body
    except SyntaxError as error:
        raise UserError(f"{path}: line {error.lineno} is not Python; take the original file") from None
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                constants[statement.targets[0].id] = ast.literal_eval(statement.value)
            except ValueError:  # an expression
                continue
    return constants


def official_split(utterances: Iterable[Utterance]) -> dict[str, Fold]:
    """The split that a corpus comes with as the one fold `"1"`: sets are called as its parts, train, dev and test."""
    utterances = list(utterances)
    ids = {part: sorted(utt.utt_id for utt in utterances if utt.set == part) for part in PARTS}
    return {"1": Fold(**ids)}


def keep_present(utterances: Iterable[Utterance], corpus_dir: Path, allow_partial: bool) -> list[Utterance]:
    """The utterances whose recordings are there.

    Raises:
        UserError: some are missing and `allow_partial` is false.
    """
    utterances = list(utterances)
    here = {audio: is_file(corpus_dir / audio) for audio in {utt.audio for utt in utterances}}
    present = [utt for utt in utterances if here[utt.audio]]
    if missing := len(utterances) - len(present):
        gone = next(utt.audio for utt in utterances if not here[utt.audio])
        fault = f"{corpus_dir}: {missing} of {len(utterances)} annotated utterances have no recording, e.g. {gone}"
        if not allow_partial:
            raise UserError(f"{fault}; copy the corpus again, or accept it with --allow-partial true")
        print(f"warning: {fault}", file=sys.stderr)
    return present


def note(count: int, what: str) -> None:
    """Say on stderr what a parser found in `count` cases, if there are any."""
    if count:
        print(f"note: {count} {what}", file=sys.stderr)
