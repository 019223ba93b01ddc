"""Tables between markers."""

import pytest

from m4ser.scoring import readme, report
from m4ser.scoring.experiment import Corpus, collect
from m4ser.utils.errors import UserError

README = (
    "# Title\n<!-- begin results a -->\n<!-- end results a -->\ntext\n"
    "<!-- begin results b: old -->\nx\n<!-- end results b -->\n"
)


@pytest.fixture
def result(scoring_lab):
    corpus = Corpus.read(scoring_lab.data)
    metrics = report.evaluate(collect(scoring_lab.system("one", 0.7), corpus), corpus, resamples=50)
    return {"made_by": {"command": "./run.sh --seeds '1 2'", "m4ser": "0.1.0", "git": "abc", "date": "now"}, **metrics}


def test_only_the_named_block_changes(result):
    text = readme.insert(README, "b", result)
    start, end = README.split("<!-- begin results b: old -->\nx\n")
    assert text.startswith(start + "<!-- begin results b: ./run.sh --seeds '1 2' -->\n\n| one, per cent | WA |")
    assert text.endswith("git abc.\n\n" + end)
    assert "now" not in text.split("results b")[1]  # no dates: the same result gives the same README


def test_again_changes_nothing(result):
    once = readme.insert(readme.insert(README, "a", result), "b", result)
    assert readme.insert(once, "a", result) == once


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<!-- begin results a -->\n",
        "<!-- end results a -->\n<!-- begin results a -->\n",
        README + README,
        "<!-- begin results a -->\n<!-- begin results b -->\n<!-- end results a -->\n<!-- end results b -->\n",
    ],
)
def test_markers_not_once(result, text):
    with pytest.raises(UserError, match="needs the lines '<!-- begin results a -->'"):
        readme.insert(text, "a", result)


def test_a_name_is_no_prefix_of_another(result):
    text = "<!-- begin results ab -->\n<!-- end results ab -->\n"
    with pytest.raises(UserError, match="needs the lines"):
        readme.insert(text, "a", result)


def test_a_plain_table(result):
    plain = {"kind": "table", "header": ["what", "ms"], "rows": [["a", "1.0"]], "note": "Of one."}
    assert readme.block({**plain, "made_by": result["made_by"]}).startswith(
        "| what | ms |\n| --- | ---: |\n| a | 1.0 |\n\nOf one.\nMade by m4ser 0.1.0"
    )


def test_other_json():
    with pytest.raises(UserError, match="is not a metrics"):
        readme.block({"kind": "wer"})
