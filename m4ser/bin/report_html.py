"""Show an experiment: `exp/<tag>/report.html`, one page without other files, and its figures as PNG.

After stage 5. The page holds the scores with their intervals, confusion matrices, folds, speakers, accuracy against
word errors, training curves, a map of utterance vectors, and the most confident mistakes with their sound.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from m4ser.utils.cli import boolean, command, note


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("exp", type=Path, help="folder exp/<tag> with metrics.json of stage 5")
    parser.add_argument("--data", type=Path, help="data directory (default: data of the same recipe)")
    parser.add_argument("--dump", type=Path, help="dump with audio and ASR text (default: dump of the same recipe)")
    parser.add_argument(
        "--out", type=Path, help="page to write, figures beside it (default: report.html in the folder)"
    )
    parser.add_argument("--mistakes", type=int, default=20, help="how many mistakes to show (default: 20)")
    parser.add_argument(
        "--audio", type=boolean, default=True, help="put recordings into the page (default: true; mind the licence)"
    )
    parser.add_argument("--max-audio-mb", type=float, default=8.0, help="most sound in the page, in MB (default: 8)")
    parser.add_argument("--map", choices=("tsne", "pca", "none"), default="tsne", help="map of utterance vectors")
    parser.add_argument("--map-fold", default="", help="fold whose model makes the map (default: the first)")
    return parser


@command
def main(cmd: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    from m4ser.scoring import html_report

    more = (args.mistakes, args.audio, args.max_audio_mb, args.map, args.map_fold)
    (page, *drawn), remarks = html_report.write(args.exp, args.data, args.dump, args.out, *more)
    for remark in remarks:
        note(remark)
    print(f"Page: {page} ({page.stat().st_size / 1e6:.1f} MB)")
    print("Figures: " + " ".join(map(str, drawn)))


if __name__ == "__main__":
    main()
