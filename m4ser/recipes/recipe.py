"""The main program of every recipe's `local/prepare.py`: corpus -> data directories, labels and folds."""

import argparse
import functools
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from m4ser.data.datadir import DataDir, Utterance, class_counts
from m4ser.data.folds import PARTS, Folds
from m4ser.recipes.download import Archive, fetch_archives
from m4ser.recipes.emobox import emobox_folds, file_stem
from m4ser.utils import cli
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write
from m4ser.utils.progress import track

ParseCorpus = Callable[[Path, argparse.Namespace], Iterable[Utterance]]
MakeFolds = Callable[[list[Utterance]], Folds]


@dataclass
class Protocol:
    """One way to use a corpus: its classes, its folds and the counts of the complete corpus.

    `expected` may have `utterances`, `speakers`, `labels` (`{label: count}`), `sets` (`{set: count}` or
    `{set: {label: count}}`) and further lists by name, as in `{"utt2session": {"Ses01": 1085}}`.
    """

    labels: Sequence[str]
    folds: MakeFolds
    expected: Mapping[str, Any] = field(default_factory=dict)


def run(
    utterances: ParseCorpus,
    folds: MakeFolds | None = None,
    labels: Sequence[str] = (),
    expected: Mapping[str, Any] | None = None,
    add_arguments: Callable[[argparse.ArgumentParser], None] | None = None,
    doc: str | None = None,
    protocols: Mapping[str, Protocol] | Callable[[argparse.Namespace], Protocol] | None = None,
    obtain: str = "",
    download: Sequence[Archive] | Callable[[Path], None] = (),
    emobox: str = "",
    emobox_stem: Callable[[Utterance], str] = file_stem,
    cmd: Sequence[str] | None = None,
) -> None:
    """Parse options, read the corpus, check it, write `data/<set>`, `labels.txt` and `folds.json`.

    Args:
        utterances: yields the utterances of `corpus_dir`, with audio paths relative to it.
        folds: makes the folds from the utterances; labels and sets are filled in here.
        labels: class names in the order of their index.
        expected: counts of the complete corpus, see :class:`Protocol`; others are refused without `--allow-partial`.
        add_arguments: adds options of the recipe's own to the parser.
        doc: description shown by `--help`, usually the recipe's `__doc__`.
        protocols: several protocols by name instead of one by `folds`, `labels`, `expected`; the first is the default
            of `--protocol`, and `args.protocol` tells `utterances` which one it is. Or a function that makes the
            protocol from the recipe's own options.
        obtain: where to get the corpus and how to lay it out, for messages.
        download: where the licence allows it, what `--download true` fetches, or a function that does so.
        emobox: name of the corpus in EmoBox, if its folds can be had with `--emobox-dir`.
        emobox_stem: name of the recording of an utterance there, without suffix.
        cmd: command line, default `sys.argv[1:]`.
    """
    if protocols is None:
        assert folds is not None
        protocols = {"": Protocol(labels, folds, expected or {})}
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--corpus-dir", required=True, type=Path, help="folder of the corpus in its official layout")
    parser.add_argument("--out", default=Path("data"), type=Path, help="where data directories go (default: data)")
    parser.add_argument(
        "--allow-partial", type=cli.boolean, default=False, help="true: accept an incomplete corpus (default: false)"
    )
    parser.add_argument(
        "--download", type=cli.boolean, default=False, help="true: fetch the corpus to --corpus-dir (default: false)"
    )
    if emobox:
        parser.add_argument("--emobox-dir", type=Path, help="clone of EmoBox, to use its folds instead of ours")
    if isinstance(protocols, Mapping) and len(protocols) > 1:
        parser.add_argument("--protocol", choices=list(protocols), default=next(iter(protocols)), help="classes, folds")
    if add_arguments:
        add_arguments(parser)

    @cli.command
    def main(cmd: Sequence[str] | None = None) -> None:
        args = parser.parse_args(cmd)
        if callable(protocols):
            protocol = protocols(args)
        else:
            protocol = protocols[getattr(args, "protocol", next(iter(protocols)))]
        if emobox and args.emobox_dir:
            protocol = replace(
                protocol, folds=functools.partial(emobox_folds, args.emobox_dir, emobox, stem_of=emobox_stem)
            )
        if args.download:
            if not download:
                raise UserError(f"{args.corpus_dir}: this corpus cannot be fetched by a program; get it from {obtain}")
            args.corpus_dir.mkdir(parents=True, exist_ok=True)
            if callable(download):
                download(args.corpus_dir)
            else:
                fetch_archives(args.corpus_dir, download)
        elif download and not args.corpus_dir.is_dir():
            fault = "no such corpus folder; correct --corpus-dir, or fetch the corpus with --download true"
            raise UserError(f"{args.corpus_dir}: {fault} (or by hand from {obtain})")
        prepare(args.corpus_dir, args.out, lambda root: utterances(root, args), protocol, args.allow_partial, obtain)

    main(cmd)


def prepare(
    corpus_dir: Path,
    out: Path,
    utterances: Callable[[Path], Iterable[Utterance]],
    protocol: Protocol,
    allow_partial: bool = False,
    obtain: str = "",
) -> None:
    """What :func:`run` does after parsing options. Nothing is written before everything is checked.

    Raises:
        UserError: corpus folder missing or incomplete, or data or folds that do not pass validation.
    """
    get = f" (to be had from {obtain})" if obtain else ""
    if not corpus_dir.is_dir():
        raise UserError(f"{corpus_dir}: no such corpus folder; correct --corpus-dir or copy the corpus there{get}")
    found = list(track(utterances(corpus_dir), "read corpus", total=protocol.expected.get("utterances")))
    if not found:
        raise UserError(f"{corpus_dir}: no utterances found; give the folder of the official layout{get}")
    found.sort(key=lambda utt: utt.utt_id)
    _check_counts(corpus_dir, found, protocol, allow_partial, get)

    by_set: dict[str, list[Utterance]] = {}
    for utt in found:
        by_set.setdefault(utt.set, []).append(utt)
    sets = {name: DataDir.from_utterances(out / name, utts, corpus_dir) for name, utts in sorted(by_set.items())}
    for data in sets.values():
        data.validate(protocol.labels)
    folds = protocol.folds(found)
    folds.labels, folds.sets = list(protocol.labels), list(sets)
    if allow_partial:
        _drop_incomplete_folds(folds)
    utt2spk = {utt.utt_id: utt.speaker for utt in found}
    if len(utt2spk) < len(found):
        raise UserError(f"{corpus_dir}: utterance ids occur in more than one set; make them unique in local/prepare.py")
    folds.check(utt2spk, out / "folds.json")

    # Without folds.json nothing goes on: it is away while the rest is replaced.
    (out / "folds.json").unlink(missing_ok=True)
    for data in sets.values():
        data.save()
    with atomic_write(out / "labels.txt") as file:
        file.writelines(f"{label}\n" for label in protocol.labels)
    folds.write(out / "folds.json")
    print(_table(sets, folds, {utt.utt_id: utt.text for utt in found}, utt2spk))


def _check_counts(corpus_dir: Path, found: list[Utterance], protocol: Protocol, allow_partial: bool, get: str) -> None:
    labels, sets = Counter(utt.emotion for utt in found), Counter(utt.set for utt in found)
    set_labels = Counter((utt.set, utt.emotion) for utt in found)
    counts = {"utterances": len(found), "speakers": len({utt.speaker for utt in found})}
    wrong = [
        f"{counts[what]} {what} instead of {protocol.expected[what]}"
        for what in counts
        if what in protocol.expected and counts[what] != protocol.expected[what]
    ]
    for kind, expected in protocol.expected.items():
        if kind in counts:
            continue
        have = {"labels": labels, "sets": sets}.get(kind) or Counter(utt.extra.get(kind) for utt in found)
        for name, number in expected.items():
            if isinstance(number, Mapping):
                parts = [(f"{name} {label}", set_labels[name, label], wanted) for label, wanted in number.items()]
            else:
                parts = [(name, have[name], number)]
            wrong += [f"{held} {what} instead of {wanted}" for what, held, wanted in parts if held != wanted]
    if not wrong:
        return
    shown = ", ".join(wrong[:8]) + (f" and {len(wrong) - 8} more" if len(wrong) > 8 else "")
    fault = f"{corpus_dir}: not the complete corpus: {shown}"
    if not allow_partial:
        raise UserError(f"{fault}; copy it again{get}, or accept it with --allow-partial true")
    print(f"warning: {fault}", file=sys.stderr)


def _drop_incomplete_folds(folds: Folds) -> None:
    """With a part of the corpus, some folds have nobody left to train, select or test on."""
    for name, fold in list(folds.folds.items()):
        if not all(getattr(fold, part) for part in PARTS):
            print(f"warning: fold {name} is left out: too few speakers are there", file=sys.stderr)
            del folds.folds[name]
    if not folds.folds:
        raise UserError("folds.json: no fold has train, dev and test speakers; more of the corpus is needed")


def _table(sets: Mapping[str, DataDir], folds: Folds, text: Mapping[str, str], utt2spk: Mapping[str, str]) -> str:
    counts = {name: class_counts(data.maps["utt2emo"], folds.labels) for name, data in sets.items()}
    rows = [["", *sets]]
    rows += [[label, *(str(counts[name][label]) for name in sets)] for label in folds.labels]
    rows.append(["utterances", *(str(len(data.utts)) for data in sets.values())])
    rows.append(["speakers", *(str(len(data.maps["spk2utt"])) for data in sets.values())])
    fold_rows = [["fold", *PARTS, "speakers", "text overlap train/test"]]
    overlap = folds.text_overlap(text)
    for name, fold in folds.folds.items():
        parts = [getattr(fold, part) for part in PARTS]
        speakers = "/".join(str(len({utt2spk[utt] for utt in part})) for part in parts)
        fold_rows.append([name, *(str(len(part)) for part in parts), speakers, f"{100 * overlap[name]:.1f} %"])
    return f"{_columns(rows)}\n\nprotocol {folds.protocol}: {folds.description}\n{_columns(fold_rows)}"


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(lines)
