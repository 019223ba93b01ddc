"""Stage 2: the word errors of recognised text, written as `wer.json` beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from m4ser.asr import wer
from m4ser.asr.texts import read_hypotheses, read_references, transcripts
from m4ser.data.datadir import DataDir
from m4ser.utils.files import read_json, write_json

# What decode.json says of the recogniser and goes into wer.json too.
FROM_DECODING = (
    *("asr", "model", "settings", "audio_seconds", "real_time_factor", "cpu_real_time_factor"),
    *("looping_hypotheses", "loop_rule"),
)


def score_sets(data_dir: Path, asr_dir: Path, sets: Sequence[str], normaliser: str) -> dict[str, wer.Report]:
    """Score every set of `data_dir` (or `sets`) and write `wer.json`, nothing before all of them are scored.

    Args:
        data_dir: data directories of stage 1, which have the references.
        asr_dir: recognised text of stage 2.
        sets: names, none for all.
        normaliser: see :mod:`m4ser.asr.normalise`.

    Raises:
        UserError: a set or its recognised text is missing or malformed, or there is no such normaliser.
    """
    references = read_references(data_dir, sets)
    reports = {name: score(data, asr_dir / name, normaliser) for name, data in references.items()}
    for name, report in reports.items():
        write_json(asr_dir / name / "wer.json", report)
    return reports


def score(data: DataDir, folder: Path, normaliser: str) -> wer.Report:
    """Content of `wer.json` of one set, whose recognised text is in `folder`; `normalised` is None without references.

    Raises:
        UserError: see :func:`~m4ser.asr.texts.read_hypotheses`, or there is no such normaliser.
    """
    hypotheses = read_hypotheses(folder, data)
    references = transcripts(data)
    if not references:
        return {"normaliser": normaliser, "normalised": None}
    result = wer.report(references, hypotheses, normaliser, data.maps.get("utt2emo"), data.maps["utt2spk"])
    result["without_reference"] = len(hypotheses) - len(references)
    decoding = folder / "decode.json"
    if decoding.is_file():
        decoding_info = read_json(decoding)
        result |= cast(wer.Report, {key: decoding_info[key] for key in FROM_DECODING if key in decoding_info})
    return result


def describe(name: str, report: wer.Report) -> str:
    """Lines for a terminal of what was scored of the set `name`."""
    if report["normalised"] is None:
        return f"{name}: there are no reference transcripts, so no word error rate"
    return wer.table(report, name)
