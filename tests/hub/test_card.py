"""What is said of a model: the card of an archive, the rows of `m4ser info`."""

import pytest
from huggingface_hub import ModelCard

from m4ser.hub.card import described, model_card, summary
from m4ser.hub.header import check_card
from m4ser.hub.stored import StoredModel
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json

SCORE = {"mean": 0.5, "ci": [0.25, 0.75]}


def test_a_tested_run(toy_run, tmp_path):
    """Scores of the experiment come from metrics.json, those of the run from its predictions: 3 of 4 right."""
    run = tmp_path / "toy/fold1/seed1"
    run.mkdir(parents=True)
    lines = ["utt_id speaker ref hyp p_calm p_angry", "a s calm calm 0.9 0.1", "b s calm calm 0.8 0.2"]
    lines += ["c t angry angry 0.3 0.7", "d t angry calm 0.6 0.4"]
    (run / "predictions_test.tsv").write_text("".join(line.replace(" ", "\t") + "\n" for line in lines))
    names = ("wa", "ua", "macro_f1", "weighted_f1")
    pooled = {**dict.fromkeys(names, SCORE), "utterances": 8}
    metrics = {"protocol": "p", "folds": ["1"], "seeds": ["1"], "pooled": pooled}
    write_json(tmp_path / "toy/metrics.json", metrics)
    pipeline = {
        "speech": {"encoder": "w", "layers": [0], "pool": 4},
        "text": {"source": "asr", "normaliser": "english", "asr": {"name": "hf", "model": "m", "settings": {}}},
    }
    stored = StoredModel(run, {"labels": ["calm", "angry"], "protocol": "p", "pipeline": pipeline}, fold="1", seed=1)
    about = described(stored)
    assert about["metrics"]["this_model"] == {
        **{"utterances": 4, "wa": 0.75, "ua": 0.75},
        **{"macro_f1": 0.733333, "weighted_f1": 0.733333},  # F1 of calm 4 / 5, of angry 2 / 3
    }
    rows = dict(summary(about, stored.pipeline))
    assert rows["test, all folds"] == "WA 50.00 %, UA 50.00 %, 8 utterances"
    assert rows["test, this model"] == "WA 75.00 %, UA 75.00 %, 4 utterances"
    assert (rows["speech encoder"], rows["recogniser"]) == ("w, layers [0], every 4 frames averaged", "hf m")
    training = {"fold": "1", "seed": 1, "protocol": "p"}
    card = model_card({**about, "training": training, "parameters": 1234})
    assert "| folds 1, seeds 1, pooled | 50.00 [25.00, 75.00] |" in card
    assert "| this model: fold 1, seed 1, 4 utterances | 75.00 | 75.00 | 73.33 | 73.33 |" in card
    assert "- parameters used: 1,234" in card


PIPELINE = {"speech": {"encoder": "w", "layers": [0], "pool": 4}, "text": None}
RAVDESS = {"name": "RAVDESS", "licence": "cc-by-nc-sa-4.0", "languages": ["en"], "address": "https://ravdess"}
NEMO = {**RAVDESS, "name": "nEMO", "languages": ["pl"], "address": "https://nemo", "hub": "amu-cai/nEMO"}


def about(corpora, metrics=None, **training):
    training = {"tag": "t", "fold": "1", "seed": 1, "corpora": corpora, **training}
    return {"labels": ["calm"], "parameters": 1, "pipeline": PIPELINE, "training": training, "metrics": metrics or {}}


@pytest.fixture(autouse=True)
def _no_requests(monkeypatch):
    monkeypatch.setattr("huggingface_hub.repocard.get_session", lambda: pytest.fail("asks the hub"))


def test_the_header_is_what_a_hub_reads():
    """Facts come from the recipes' declarations and metrics.json; the scores are those of this model alone."""
    names = ("wa", "ua", "macro_f1", "weighted_f1")
    own = {"utterances": 4, "wa": 0.75, "ua": 0.7, "macro_f1": 0.6, "weighted_f1": 0.5}
    metrics = {
        "protocol": "p",
        "folds": ["1"],
        "seeds": ["1"],
        "pooled": dict.fromkeys(names, SCORE),
        "this_model": own,
    }
    card = model_card(about([RAVDESS, NEMO], metrics, speech_encoder="offline:whisper-base", text_encoder="none"))
    data = ModelCard(card).data
    assert (data.license, data.language, data.datasets) == (
        "cc-by-nc-sa-4.0",
        ["en", "pl"],
        ["ravdess", "amu-cai/nEMO"],
    )
    assert (data.library_name, data.pipeline_tag, data.base_model) == (
        *("m4ser", "audio-classification"),
        ["openai/whisper-base"],
    )
    assert data.metrics == ["accuracy", "recall", "f1"]
    assert [(r.metric_type, r.metric_value, r.metric_args) for r in data.eval_results] == [
        ("accuracy", 0.75, None),
        ("recall", 0.7, {"average": "macro"}),
        ("f1", 0.6, {"average": "macro"}),
        ("f1", 0.5, {"average": "weighted"}),
    ]
    (name,) = {r.dataset_name for r in data.eval_results}
    assert (data.model_name, name) == ("t", "RAVDESS + nEMO")
    assert "- [nEMO](https://nemo): pl, licence cc-by-nc-sa-4.0" in card
    assert "Licence of the weights, by these terms: cc-by-nc-sa-4.0." in card


def test_the_header_of_a_model_of_which_little_is_known():
    data = ModelCard(model_card(about([]))).data.to_dict()
    assert set(data) == {"library_name", "pipeline_tag", "tags"}


def test_terms_of_its_own_are_named_with_their_address():
    data = ModelCard(model_card(about([{**RAVDESS, "licence": "other"}]))).data
    assert (data.license, data.license_name, data.license_link) == ("other", "terms-of-the-corpora", "https://ravdess")


def test_scores_of_the_experiment_where_the_model_alone_is_not_tested():
    names = ("wa", "ua", "macro_f1", "weighted_f1")
    metrics = {"protocol": "p", "folds": ["1"], "seeds": ["1"], "pooled": dict.fromkeys(names, SCORE)}
    data = ModelCard(model_card(about([], metrics))).data
    assert [r.metric_value for r in data.eval_results] == [0.5] * 4
    assert {r.dataset_type for r in data.eval_results} == {"p"}


def test_a_header_that_no_hub_takes():
    with pytest.raises(UserError, match=r"^card of t: its header is none that a hub takes \(Repo id"):
        model_card(about([{**RAVDESS, "hub": "a//b"}]))
    with pytest.raises(UserError, match="none that a hub takes"):
        check_card("---\nmodel-index: [{results: 1}]\n---\n", "x")


def test_a_model_whose_like_were_tested_on_corpora_left_out():
    scores = [{"tested": "nemo", "trained": "ravdess+emodb", "ua": 0.48768}]
    metrics = {"protocol": "leave-one-out", "left_out": {"scores": scores, "text": "| tested on |\n| nemo |\n"}}
    card = model_card(about([NEMO, RAVDESS], metrics))
    assert "each tested on a corpus that it was not trained on.\n\n| tested on |\n| nemo |\n" in card
    (result,) = ModelCard(card).data.eval_results
    assert result.dataset_name == "nemo, by a model made alike of ravdess, emodb"
    assert (result.metric_type, result.metric_value, result.dataset_config) == ("recall", 0.4877, "leave-one-out")
