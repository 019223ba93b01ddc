"""The main program of every recipe's `local/prepare.py`: corpus -> data directories, labels and folds.

A recipe says how to read its corpus (a generator of :class:`~m4ser.data.datadir.Utterance`), how to divide it (a
function that makes :class:`~m4ser.data.folds.Folds`) and what the complete corpus counts; :func:`run` does the rest.
"""

import argparse
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.folds import Folds
from m4ser.data.origin import Origin, identifier, write_origins
from m4ser.recipes.counts import Expected, check_counts
from m4ser.recipes.download import Archive, fetch_archives
from m4ser.recipes.emobox import emobox_folds, file_stem
from m4ser.recipes.overview import overview
from m4ser.utils import cli
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_write
from m4ser.utils.progress import track

ReadCorpus = Callable[[Path, argparse.Namespace], Iterable[Utterance]]
MakeFolds = Callable[[list[Utterance]], Folds]
Download = Sequence[Archive] | Callable[[Path], None]


@dataclass
class Protocol:
    """One way to use a corpus.

    Args:
        labels: class names in the order of their index.
        folds: makes the folds from the utterances; their labels and sets are filled in by :func:`run`.
        expected: counts of the complete corpus, see :func:`~m4ser.recipes.counts.check_counts`; none: no check.
        origins: whose the corpora are, by name, where that depends on the protocol.
    """

    labels: Sequence[str]
    folds: MakeFolds
    expected: Expected = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)


def run(
    utterances: ReadCorpus,
    folds: MakeFolds | None = None,
    labels: Sequence[str] = (),
    expected: Expected | None = None,
    add_arguments: Callable[[argparse.ArgumentParser], None] | None = None,
    doc: str | None = None,
    protocols: Mapping[str, Protocol] | Callable[[argparse.Namespace], Protocol] | None = None,
    obtain: str = "",
    download: Download = (),
    emobox: str = "",
    emobox_stem: Callable[[Utterance], str] = file_stem,
    origin: Origin | None = None,
    cmd: Sequence[str] | None = None,
) -> None:
    """Parse options, read the corpus, check it, write `data/<set>`, `labels.txt` and `folds.json`.

    Args:
        utterances: yields the utterances of a corpus folder in any order, with audio paths absolute or relative to it.
        folds: makes the folds from the utterances.
        labels: class names in the order of their index.
        expected: counts of the complete corpus, see :func:`~m4ser.recipes.counts.check_counts`; another corpus is
            refused without `--allow-partial true`.
        add_arguments: adds options of the recipe's own to the parser.
        doc: description shown by `--help`, usually the recipe's `__doc__`.
        protocols: instead of one protocol, several by name, the first being the default of `--protocol`
            (`args.protocol` says to `utterances` which one it is); or a function that makes the protocol from the
            recipe's own options.
        obtain: where to get the corpus and how to lay it out, for messages.
        download: where the licence allows it, what `--download true` fetches, or a function that does so.
        emobox: name of the corpus in EmoBox, if its folds can be had with `--emobox-dir`.
        emobox_stem: name of the recording of an utterance there, without suffix.
        origin: whose the corpus is, for the cards of models that are trained on it.
        cmd: command line, default `sys.argv[1:]`.

    Raises:
        SystemExit: after one line that says what is wrong with the options, the corpus or the folds.
    """
    if protocols is None:
        assert folds is not None
        protocols = {"": Protocol(labels, folds, expected or {})}
    parser = _parser(doc, protocols, bool(emobox))
    if add_arguments:
        add_arguments(parser)

    @cli.command
    def main(cmd: list[str] | None = None) -> None:
        args = parser.parse_args(cmd)
        if callable(protocols):
            protocol = protocols(args)
        else:
            protocol = protocols[getattr(args, "protocol", next(iter(protocols)))]
        if emobox and args.emobox_dir:
            of_emobox = functools.partial(emobox_folds, args.emobox_dir, emobox, stem_of=emobox_stem)
            protocol = replace(protocol, folds=of_emobox)
        if origin:
            protocol = replace(protocol, origins={identifier(origin): origin})
        _provide(args.corpus_dir, args.download, download, obtain)
        prepare(args.corpus_dir, args.out, lambda root: utterances(root, args), protocol, args.allow_partial, obtain)

    main(list(cmd) if cmd is not None else None)


def _parser(
    doc: str | None, protocols: Mapping[str, Protocol] | Callable[[argparse.Namespace], Protocol], emobox: bool
) -> argparse.ArgumentParser:
    """The options that all recipes have."""
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
    return parser


def _provide(corpus_dir: Path, fetch: bool, download: Download, obtain: str) -> None:
    """Download the corpus if that is wanted; if it is not there, say that it could be."""
    if not fetch:
        if download and not corpus_dir.is_dir():
            fault = "no such corpus folder; correct --corpus-dir, or fetch the corpus with --download true"
            raise UserError(f"{corpus_dir}: {fault} (or by hand from {obtain})")
        return
    if not download:
        raise UserError(f"{corpus_dir}: this corpus cannot be fetched by a program; get it from {obtain}")
    corpus_dir.mkdir(parents=True, exist_ok=True)
    if callable(download):
        download(corpus_dir)
    else:
        fetch_archives(corpus_dir, download)


def prepare(
    corpus_dir: Path,
    out: Path,
    read: Callable[[Path], Iterable[Utterance]],
    protocol: Protocol,
    allow_partial: bool = False,
    obtain: str = "",
) -> None:
    """What :func:`run` does after parsing options: read with `read`, check, write to `out`, print an overview.

    Nothing is written before everything is checked.

    Raises:
        UserError: corpus folder missing or incomplete, or data or folds that do not pass validation.
    """
    get = f" (to be had from {obtain})" if obtain else ""
    if not corpus_dir.is_dir():
        raise UserError(f"{corpus_dir}: no such corpus folder; correct --corpus-dir or copy the corpus there{get}")
    total = protocol.expected.get("utterances")
    utterances = list(track(read(corpus_dir), "read corpus", total=total if isinstance(total, int) else None))
    if not utterances:
        raise UserError(f"{corpus_dir}: no utterances found; give the folder of the official layout{get}")
    utterances.sort(key=lambda utt: utt.utt_id)
    check_counts(corpus_dir, utterances, protocol.expected, allow_partial, obtain)

    sets = _sets(utterances, out, corpus_dir, protocol.labels)
    folds = protocol.folds(utterances)
    folds.labels, folds.sets = list(protocol.labels), list(sets)
    if allow_partial:
        folds.drop_incomplete()
    utt2spk = {utt.utt_id: utt.speaker for utt in utterances}
    if len(utt2spk) < len(utterances):
        raise UserError(f"{corpus_dir}: utterance ids occur in more than one set; make them unique in local/prepare.py")
    folds.check(utt2spk, out / "folds.json")

    # Without folds.json nothing goes on: it is away while the rest is replaced.
    (out / "folds.json").unlink(missing_ok=True)
    for data in sets.values():
        data.save()
    with atomic_write(out / "labels.txt") as file:
        file.writelines(f"{label}\n" for label in protocol.labels)
    write_origins(out, protocol.origins)
    folds.write(out / "folds.json")
    print(overview(sets, folds))


def _sets(utterances: Sequence[Utterance], out: Path, corpus_dir: Path, labels: Sequence[str]) -> dict[str, DataDir]:
    """The data directories by name, validated but not written yet."""
    by_set: dict[str, list[Utterance]] = {}
    for utt in utterances:
        by_set.setdefault(utt.set, []).append(utt)
    sets = {name: DataDir.from_utterances(out / name, utts, corpus_dir) for name, utts in sorted(by_set.items())}
    for data in sets.values():
        data.validate(labels)
    return sets
