"""Stage 0 with options of the recipe's own and with a download."""

import pytest

pytestmark = pytest.mark.slow

PREPARE = """
import argparse, json, sys
from pathlib import Path

parser = argparse.ArgumentParser()
for name in ("--corpus-dir", "--out", "--table"):
    parser.add_argument(name, type=Path)
parser.add_argument("--language", default="en")
parser.add_argument("--download", default="false")
args = parser.parse_args()
if args.download == "true":
    (args.corpus_dir / "list").write_text("a x\\n")
(args.out / "all").mkdir(parents=True, exist_ok=True)
for name in ("wav.scp", "text"):
    (args.out / "all" / name).write_text((args.corpus_dir / "list").read_text())
(args.out / "labels.txt").write_text("happy\\nsad\\n")
part = {"train": ["a"], "dev": ["b"], "test": ["c"]}
folds = {"protocol": "p", "description": "d", "sets": ["all"], "folds": {"1": part}}
(args.out / "folds.json").write_text(json.dumps({"made_by": {}, **folds}))
print("prepared", args.language, args.table and args.table.read_text(), args.corpus_dir)
"""
OPTIONS = """
# --- options
table=     # [path] a table
language=  # [en|zh] a language
# --- end of options
"""


def prepare_with_own_options(recipe):
    (recipe.path / "local" / "prepare.py").write_text(PREPARE)
    run = (recipe.path / "run.sh").read_text()
    (recipe.path / "run.sh").write_text(run.replace("set -euo", f"{OPTIONS}\nset -euo"))


def test_own_options_go_to_prepare_and_files_among_them_are_inputs(recipe):
    prepare_with_own_options(recipe)
    table = recipe.root / "it's my table"
    table.write_text("one")
    words = ("--corpus-dir", "corpus", "--stop-stage", "0", "--table", table, "--language=zh")
    assert f"prepared zh one {recipe.path / 'corpus'}" in recipe.ok(*words)
    assert "stage 0: done already" in recipe.ok(*words)
    table.write_text("two")
    assert "prepared zh two" in recipe.ok(*words)
    assert "prepared en two" in recipe.ok(*words[:-1])
    assert "prepared en two" in recipe.ok(*words[:-1], "--prepare-args", "--language en")
    assert "--language must be one of en, zh" in recipe.run(*words[:-1], "--language", "de").stderr


def test_a_download_goes_to_the_folder_downloads(recipe):
    prepare_with_own_options(recipe)
    assert "no corpus folder: give --corpus-dir" in recipe.run("--stop-stage", "0").stderr
    shown = recipe.ok("--stop-stage", "0", "--download", "true")
    assert f"prepared en None {recipe.path / 'downloads'}" in shown
    assert "stage 0: done already" in recipe.ok("--stop-stage", "0")
    elsewhere = recipe.root / "else where"
    assert f"prepared en None {elsewhere}" in recipe.ok(
        "--stop-stage", "0", "--download", "true", "--corpus-dir", elsewhere
    )


def test_without_a_corpus_the_message_says_where_to_get_it(recipe):
    program = recipe.path / "local" / "prepare.py"
    program.write_text(f'OBTAIN = "https://corpus.example/ (licence form)"\n{program.read_text()}')
    message = recipe.run("--stop-stage", "0").stderr
    assert message.endswith("/db.local.sh; the corpus is to be had from https://corpus.example/ (licence form)\n")
    program.write_text(f"{program.read_text()}\n# recipe.run(utterances, download=[ARCHIVE])\n")
    assert recipe.run("--stop-stage", "0").stderr.endswith(", or is fetched with --download true\n")
