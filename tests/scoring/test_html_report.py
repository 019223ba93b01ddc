"""The page of an experiment on made-up predictions and sound."""

import html.parser
import json
import re

import numpy as np
import pytest
import soundfile

from m4ser.bin import report_html, score
from m4ser.data.scp import read_scp, write_scp
from m4ser.utils.files import write_json

OUTSIDE = re.compile(r"""(?:src|href|action)=(?!["']?(?:#|data:))|url\((?!#)|@import|<script|<link""")


@pytest.fixture
def scored(scoring_lab):
    """An experiment that has been scored, in the layout of a recipe."""
    exp = scoring_lab.system("one", 0.6, asr="toy", fusion="concat")
    asr = scoring_lab.root / "dump" / "asr" / "toy"
    asr.parent.mkdir(parents=True)
    scoring_lab.asr.rename(asr)
    options = ["--exp", str(exp), "--data", str(scoring_lab.data), "--resamples", "50"]
    score.main([*options, "--asr-dir", str(asr), "--normaliser", "basic"])
    return exp


def add_audio(root, utterances):
    tone = 0.3 * np.sin(np.arange(8000) / 10)
    paths = {}
    for utt in utterances:
        path = root / "dump" / "audio" / "all" / "flac" / f"{utt}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone, 16000)
        paths[utt] = str(path)
    write_scp(root / "dump" / "audio" / "all" / "wav.scp", paths)


class Page(html.parser.HTMLParser):
    """Texts and counts of tags; fails where end tags do not fit."""

    VOID = ("meta", "br", "img", "input", "use", "path", "rect")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.VOID or tag in ("use", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.slow
def test_page_is_whole_and_alone(scoring_lab, scored, capsys):
    add_audio(scoring_lab.root, read_scp(scoring_lab.data / "all" / "utt2spk"))
    report_html.main([str(scored), "--map", "none", "--mistakes", "7"])
    text = (scored / "report.html").read_text(encoding="utf-8")
    assert OUTSIDE.search(text) is None
    page = Page(text)
    metrics = json.loads((scored / "metrics.json").read_text())
    for name in ("wa", "ua", "macro_f1", "weighted_f1"):
        low, high = (100 * end for end in metrics["pooled"][name]["ci"])
        assert f"{100 * metrics['pooled'][name]['mean']:.2f}" in page.text
        assert f"[{low:.2f}, {high:.2f}]" in page.text
    assert page.tags.count("audio") == 7 and page.tags.count("caption") >= 5  # the matrices of three folds among them
    assert page.text.count("taken for") == 7
    assert "<del>three</del>" in text and "<ins>tree</ins>" in text
    assert "There is no history of this training" in page.text
    out = capsys.readouterr().out
    assert f"Page: {scored}/report.html" in out
    made = {path.name for path in scored.glob("*.png")}
    assert made == {"confusion.png", "per_fold.png", "wer_bins.png", "per_speaker.png"}


@pytest.mark.slow
def test_history_is_drawn_and_a_map_that_cannot_be_made_is_said(scoring_lab, scored, capsys):
    epochs = {str(e): {"train": {"loss": 2 / e}, "valid": {"loss": 2.0, "ua": 0.1 * e}} for e in (1, 2, 3)}
    history = {"criterion": ["valid", "ua", "max"], "best_epoch": 3, "epochs": epochs}
    for fold in "123":
        write_json(scored / f"fold{fold}" / "seed1" / "history.json", history)
    report_html.main([str(scored), "--out", str(scoring_lab.root / "away" / "page.html")])
    text = (scoring_lab.root / "away" / "page.html").read_text(encoding="utf-8")
    assert "mean of 3 runs" in text and (scoring_lab.root / "away" / "training.png").exists()
    assert "by UA of dev" in text
    shown = capsys.readouterr().err
    assert "no map of utterance vectors: " in shown and "run stage 4" in shown and "no sound: " in shown
    assert "no map of utterance vectors: " in text
    assert not (scored / "report.html").exists()


@pytest.mark.slow
def test_comparison_and_missing_runs(scoring_lab, scored):
    other = scoring_lab.system("other", 0.9)
    (scored / "fold2" / "seed1" / "predictions_test.tsv").unlink()
    options = ["--data", str(scoring_lab.data), "--resamples", "50"]
    score.main(["--exp", str(scored), *options, "--baseline", str(other)])
    report_html.main([str(scored), "--map", "none"])
    page = Page((scored / "report.html").read_text(encoding="utf-8"))
    metrics = json.loads((scored / "metrics.json").read_text())
    assert "PARTIAL, not the result of the protocol. Missing: seed 1: 1 fold 2." in page.text
    assert "Compared with other" in page.text
    assert f"{100 * metrics['comparison']['scores']['ua']['difference']:+.2f}" in page.text


@pytest.mark.slow
def test_words_of_a_corpus_are_not_markup(scoring_lab, scored):
    for path in (scoring_lab.data / "all" / "text", scoring_lab.root / "dump" / "asr" / "toy" / "all" / "text"):
        write_scp(path, {utt: "<script>alert(1)</script> & so" for utt in read_scp(path)})
    report_html.main([str(scored), "--map", "none"])
    text = (scored / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    metrics = json.loads((scored / "metrics.json").read_text()) | {"tag": "<b>&", "asr_word_errors": None, "by_wer": {}}
    write_json(scored / "metrics.json", metrics)
    report_html.main([str(scored), "--map", "none"])
    text = (scored / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text and "<b>&" not in text and "&lt;script&gt;" in text
    Page(text)


@pytest.mark.slow
def test_sound_is_limited(scoring_lab, scored):
    add_audio(scoring_lab.root, read_scp(scoring_lab.data / "all" / "utt2spk"))
    report_html.main([str(scored), "--map", "none", "--audio", "false"])
    assert "<audio" not in (scored / "report.html").read_text()
    report_html.main([str(scored), "--map", "none", "--max-audio-mb", "0.02"])
    text = (scored / "report.html").read_text()
    assert 1 <= text.count("<audio") < 20
    assert sum(map(len, re.findall(r"data:audio[^\"]+", text))) <= 20000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda exp: (exp / "metrics.json").unlink(), "metrics.json: no such file; run stage 5 first"),
        (lambda exp: (exp / "metrics.json").write_text("{"), "metrics.json: is damaged; run stage 5 again"),
        (lambda exp: (exp / "metrics.json").write_text('{"kind": "comparison"}'), "not the result of one experiment"),
        (
            lambda exp: (exp / "fold1/seed1/predictions_test.tsv").write_bytes(
                (exp / "fold1/seed2/predictions_test.tsv").read_bytes()
            ),
            "is not the score of the predictions beside it; run stage 5 again",
        ),
    ],
)
def test_what_cannot_be_shown(scored, change, message):
    change(scored)
    with pytest.raises(SystemExit) as end:
        report_html.main([str(scored), "--map", "none"])
    assert message in str(end.value) and "\n" not in str(end.value)
    assert not (scored / "report.html").exists()


@pytest.mark.slow
def test_wrong_options(scored):
    for options, message in ((["--map-fold", "9"], "the folds are 1, 2, 3"), (["--mistakes", "-1"], "negative")):
        with pytest.raises(SystemExit, match=message):
            report_html.main([str(scored), *options])
    with pytest.raises(SystemExit, match="no such folder"):
        report_html.main([str(scored / "gone")])


def test_a_folder_that_takes_no_files_is_named(scored, monkeypatch):
    monkeypatch.delenv("M4SER_DEBUG", raising=False)
    with pytest.raises(SystemExit, match=r"^error: /sys: .*; change its permissions, or choose another place$"):
        report_html.main([str(scored), "--map", "none", "--audio", "false", "--out", "/sys/here/report.html"])
