"""What is said of a model: the card of an archive, the rows of `m4ser info`."""

from m4ser.hub.card import described, model_card, summary
from m4ser.hub.stored import StoredModel
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
