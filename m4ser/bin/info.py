"""Show what a trained model is: labels, what it reads, how it was trained, how it was tested."""

import argparse
import json

from m4ser.utils.cli import command


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("model", nargs="?", help="experiment, run, archive, unpacked archive or hub id")
    parser.add_argument("--fold", help="fold of an experiment (default: the first)")
    parser.add_argument("--seed", type=int, help="its seed (default: the first)")
    parser.add_argument("--json", action="store_true", help="everything that is known, as JSON")
    return parser


@command
def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    from m4ser.hub.card import scores_of
    from m4ser.hub.opening import default_model, open_model

    with open_model(args.model or default_model(), args.fold, args.seed) as stored:
        about = dict(stored.about)
        if not stored.packed:
            about |= {"fold": stored.fold, "seed": stored.seed, "metrics": scores_of(stored)}
        folder, pipeline = stored.folder, stored.pipeline
    if args.json:
        print(json.dumps(about, indent=1, ensure_ascii=False))
        return
    training, metrics = about.get("training", about), about.get("metrics", {})
    rows = [
        ("model", args.model or folder),
        ("labels", ", ".join(about["labels"])),
        ("protocol", f"{training.get('protocol')}, fold {training.get('fold')}, seed {training.get('seed')}"),
        ("fusion", training.get("fusion")),
        ("objectives", ", ".join(training.get("objectives") or {}) or "emotion only"),
    ]
    if pipeline["speech"] is not None:
        speech = pipeline["speech"]
        how = f", layers {speech['layers']}, every {speech['pool']} frames averaged" if speech else ", in the model"
        rows.append(("speech encoder", f"{speech.get('encoder') or training.get('speech_encoder')}{how}"))
    if pipeline["text"] is not None:
        text = pipeline["text"]
        asr = text["asr"] or {}
        said = f"{asr.get('name')} {asr.get('model') or ''}".strip() if asr else "none: the text has to be given"
        rows += [("text encoder", training.get("text_encoder")), ("recogniser", said)]
        rows.append(("text normaliser", text["normaliser"]))
    if "pooled" in metrics:
        pooled = metrics["pooled"]
        shown = [f"{key.upper()} {100 * pooled[key]['mean']:.2f} %" for key in ("wa", "ua")]
        rows.append(("test, all folds", ", ".join(shown) + f", {pooled['utterances']} utterances"))
    if "this_model" in metrics:
        own = metrics["this_model"]
        shown = [f"{key.upper()} {100 * own[key]:.2f} %" for key in ("wa", "ua")]
        rows.append(("test, this model", ", ".join(shown) + f", {own['utterances']} utterances"))
    for name, value in rows:
        print(f"{name:18}{value}")


if __name__ == "__main__":
    main()
