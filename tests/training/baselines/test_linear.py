"""The linear classifier is scikit-learn's; its C is chosen on dev alone."""

import argparse

import numpy as np
import torch
import yaml

from m4ser.bin import train
from m4ser.models.checkpoint import load_run
from m4ser.models.systems import system_class
from m4ser.training.baselines import linear


def test_model_is_scikit_learns(recipe, configurations):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    options = recipe({**configurations["linear"], "classifier": "logistic", "c_grid": [0.5]})
    train.main([*options, "--job", "1"])
    model, args = load_run(recipe.run)
    files = [(str(recipe.run / "data/train" / f), n, "") for f, n in (("feats.scp", "speech"), ("utt2emo", "emotion"))]
    x, y = system_class("linear").read(files, model)
    scaler = StandardScaler().fit(x)
    expected = LogisticRegression(C=0.5, class_weight="balanced", max_iter=2000).fit(scaler.transform(x), y)
    mine = torch.softmax(model.output((torch.from_numpy(x) - model.mean) / model.deviation), -1).detach().numpy()
    np.testing.assert_allclose(mine, expected.predict_proba(scaler.transform(x)), atol=1e-6)
    assert args.chosen_c == 0.5 and list(args.dev_ua) == ["0.5"]


def test_c_is_chosen_on_dev_alone(recipe, monkeypatch, configurations):
    """Whatever C does on dev decides; equally good ones give the smallest; test is never opened."""
    opened = []
    read = linear.LinearBaseline.read.__func__
    spy = classmethod(lambda cls, data, model: (opened.extend(path for path, _, _ in data), read(cls, data, model))[1])
    monkeypatch.setattr(linear.LinearBaseline, "read", spy)
    train.main([*recipe({**configurations["linear"], "c_grid": [1.0, 0.1, 10.0]}), "--job", "1"])
    dev_ua = yaml.safe_load((recipe.run / "config.yaml").read_text())["dev_ua"]
    best = max(dev_ua.values())
    assert load_run(recipe.run)[1].chosen_c == min(float(c) for c, ua in dev_ua.items() if ua == best)
    assert opened and not any("/test/" in path for path in opened)


def test_an_absent_class_is_never_answered():
    args = argparse.Namespace(max_iter=100, seed=0, class_weight="none", classifier="svm")
    x = np.random.default_rng(0).normal(size=(40, 3))
    y = (x[:, 0] > 0).astype(int) * 2  # classes 0 and 2 of 3
    weight, bias = linear.fit(x, y, 3, 1.0, args)
    answers = (x @ weight.T + bias).argmax(1)
    assert (answers == y).mean() > 0.9 and 1 not in answers
