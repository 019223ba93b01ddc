"""Recognise the speech of every utterance (stage 2): writes `text`, `confidence` and `decode.json` of each set."""

import argparse
import json
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from m4ser.asr.backends import BACKENDS, backend_class, build_backend, parse_settings
from m4ser.asr.hallucination import RULE
from m4ser.bin.asr_score import read_references
from m4ser.data import parts
from m4ser.data.audio import RATE, load_16k
from m4ser.data.datadir import DataDir
from m4ser.data.scp import write_scp
from m4ser.utils import cli
from m4ser.utils.files import write_json
from m4ser.utils.progress import track

PART = "hypotheses.json"


def get_parser() -> argparse.ArgumentParser:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data-dir", type=Path, default=Path("dump/audio"), help="sets to read (default: dump/audio)")
    parser.add_argument("--sets", type=cli.words, default=[], help="sets, e.g. 'train dev test' (default: all there)")
    parser.add_argument("--out", type=Path, required=True, help="where to write, e.g. dump/asr/whisper-tiny.en")
    parser.add_argument(
        "--asr", default="faster_whisper", help=f"recogniser: {', '.join(BACKENDS)} (default: faster_whisper)"
    )
    parser.add_argument(
        "--asr-model",
        default="",
        help="its model: offline:NAME, folder or hub id (default: the recogniser's own; those without model ignore it)",
    )
    parser.add_argument(
        "--asr-conf",
        type=shlex.split,
        action="extend",
        nargs="*",
        default=[],
        help="its settings, 'name=value name=value', see m4ser/asr/backends",
    )
    parser.add_argument("--pretrained-dir", type=Path, help="where local copies of models are looked for first")
    parts.add_arguments(parser)
    return parser


@cli.command
def main(cmd: Sequence[str] | None = None) -> None:
    """Decode a share of the utterances, or join the shares."""
    args = get_parser().parse_args(cmd)
    args.asr_conf = [word for words in args.asr_conf for word in words]
    parse_settings(args.asr, args.asr_conf)
    jobs, merge = parts.steps(args)
    sets = read_references(args.data_dir, args.sets)
    for data in sets.values():
        data.validate(need=("wav.scp", "utt2spk"), check_audio=backend_class(args.asr).needs_audio)
    items = [(name, utt) for name, data in sets.items() for utt in data.utts]
    shares = [parts.share(items, job, args.nj) for job in range(1, args.nj + 1)]
    for job in jobs:
        decode_share(sets, shares[job - 1], args, parts.part(args.out, job, args.nj))
    if merge:
        folders = parts.finished(args.out, [_settings(sets, share, args) for share in shares])
        found = [json.loads((folder / PART).read_text(encoding="utf-8")) for folder in folders]
        for name in sets:
            join(args.out / name, [part[name] for part in found if name in part], args)
        parts.remove(args.out)


def decode_share(
    sets: dict[str, DataDir], share: Sequence[tuple[str, str]], args: argparse.Namespace, folder: Path
) -> None:
    """Write the hypotheses of some utterances to `folder`."""
    settings = _settings(sets, share, args)
    if parts.is_finished(folder, settings):
        print(f"{folder}: already there")
        return
    backend = build_backend(
        args.asr,
        args.asr_model or None,
        args.pretrained_dir,
        references=_references(sets),
        **parse_settings(args.asr, args.asr_conf),
    )
    found: dict[str, dict[str, Any]] = {}
    waiting: list[str] = []

    def decode_waiting(name: str) -> None:
        start, cpu_start = time.perf_counter(), time.process_time()
        audio = [load_16k(*sets[name].audio(utt)) for utt in waiting] if backend.needs_audio else []
        hypotheses = backend.transcribe_batch(audio, waiting)
        result = found.setdefault(name, {"hypotheses": {}, "audio_seconds": 0.0, "seconds": 0.0, "cpu_seconds": 0.0})
        for utt, hypothesis in zip(waiting, hypotheses, strict=True):
            result["hypotheses"][utt] = [hypothesis.text, hypothesis.confidence, hypothesis.untreated]
        result["audio_seconds"] += sum(map(len, audio)) / RATE
        result["seconds"] += time.perf_counter() - start
        result["cpu_seconds"] += time.process_time() - cpu_start
        waiting.clear()

    if backend.batch_size > 1:  # like with like: only windows of one length are decoded together
        share = sorted(share, key=lambda item: (item[0], _samples(sets[item[0]], item[1])))
    previous = ""
    for name, utt in track(share, "recognise"):
        if waiting and (name != previous or len(waiting) == backend.batch_size):
            decode_waiting(previous)
        previous = name
        waiting.append(utt)
    if waiting:
        decode_waiting(previous)
    with parts.writing(folder, settings) as temporary:
        (temporary / PART).write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")


def join(out: Path, found: Sequence[dict[str, Any]], args: argparse.Namespace) -> None:
    """Write the lists of one set; `text` comes last."""
    hypotheses = {utt: values for part in found for utt, values in part["hypotheses"].items()}
    loops = {utt: untreated for utt, (_, _, untreated) in sorted(hypotheses.items()) if untreated is not None}
    audio, seconds, cpu = (sum(part[key] for part in found) for key in ("audio_seconds", "seconds", "cpu_seconds"))
    (out / "text").unlink(missing_ok=True)
    write_json(
        out / "decode.json",
        {
            "asr": args.asr,
            "model": args.asr_model,
            "settings": parse_settings(args.asr, args.asr_conf),
            "utterances": len(hypotheses),
            "audio_seconds": round(audio, 2),
            "job_seconds": round(seconds, 2),
            "cpu_seconds": round(cpu, 2),
            # Of one job; the second is what it takes on a machine that does nothing else.
            "real_time_factor": round(seconds / audio, 4) if audio else None,
            "cpu_real_time_factor": round(cpu / audio, 4) if audio else None,
            "empty_hypotheses": sum(not text for text, _, _ in hypotheses.values()),
            "looping_hypotheses": len(loops),
            "loop_rule": RULE,
            "untreated": loops,
        },
    )
    write_scp(out / "confidence", {utt: f"{confidence:.4f}" for utt, (_, confidence, _) in hypotheses.items()})
    write_scp(out / "text", {utt: text for utt, (text, _, _) in hypotheses.items()})
    speed = f"; real-time factor of a job {seconds / audio:.3f}, of the processor {cpu / audio:.3f}" if audio else ""
    print(f"{out}: text of {len(hypotheses)} utterances{speed}")


def _samples(data: DataDir, utt: str) -> int:
    return int(data.maps.get("utt2num_samples", {}).get(utt, 0))


def _references(sets: dict[str, DataDir]) -> dict[str, str]:
    """Transcripts of all sets, so that what a backend makes of them does not depend on the job's share."""
    return {utt: text for data in sets.values() for utt, text in data.maps.get("text", {}).items()}


def _settings(sets: dict[str, DataDir], share: Sequence[tuple[str, str]], args: argparse.Namespace) -> dict[str, Any]:
    samples = {name: data.maps.get("utt2num_samples", {}) for name, data in sets.items()}
    needs_audio = backend_class(args.asr).needs_audio
    references = {} if needs_audio else _references(sets)
    return {
        "inputs": parts.digest((name, utt, *sets[name].audio(utt), samples[name].get(utt)) for name, utt in share),
        "references": parts.digest(references.items()),
        "asr": args.asr,
        "model": args.asr_model,
        "settings": parse_settings(args.asr, args.asr_conf),
        "pretrained_dir": str(args.pretrained_dir or ""),
    }


if __name__ == "__main__":
    main()
