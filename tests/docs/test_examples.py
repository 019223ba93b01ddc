"""The example of docs/extending.md, as it stands on the page: it has to train and to keep the training contract."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from m4ser.models import build
from m4ser.models.arrays import SERPreprocessor
from m4ser.models.batches import Collate
from m4ser.training.configuration import read_config
from m4ser.training.task import SERTask

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
LABELS = ["happy", "sad"]
INPUTS = ("speech", "speech_lengths", "text", "text_lengths")


def block(language):
    """The one code block of a language on the page that defines something."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return code


@pytest.fixture(name="example")
def registered(tmp_path, monkeypatch):
    """The module on the page, its classes under the names that the page gives them."""
    path = tmp_path / "low_rank.py"
    path.write_text(block("python"), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("low_rank", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(build.fusion_choices.classes, "low_rank", module.LowRankFusion)
    monkeypatch.setitem(build.OBJECTIVES, "speech_head", module.SpeechHead)
    monkeypatch.setitem(build.DEFAULT_WEIGHTS, "speech_head", 0.1)
    return module


@pytest.fixture(name="make")
def model_of_the_page(example, tiny_bert, tmp_path):
    """A function from changed arguments to a small model of the page's configuration."""
    shutil.copytree(ROOT / "egs/TEMPLATE/conf", tmp_path / "conf")
    path = tmp_path / "conf/train_low_rank.yaml"
    path.write_text(block("yaml"), encoding="utf-8")

    def make(**changed):
        args = SERTask.get_parser().parse_args(["--labels", *LABELS])
        conf = read_config(path)
        conf |= {
            "speech_encoder_conf": {"num_layers": 2, "input_size": 8, "output_size": 32},
            "text_encoder_conf": {"model": str(tiny_bert), "trained_layers": 1},
        }
        for name, value in {**conf, **changed}.items():
            setattr(args, name, value)
        torch.manual_seed(0)
        model = build.build_model(args)
        prepare = SERPreprocessor(LABELS, build.build_text_processor(args))
        return model, prepare

    return make


def batch(prepare, frames=(6, 9), words=("i was so happy", "we are sad")):
    generator = torch.Generator().manual_seed(7)
    data = []
    for i, (count, text) in enumerate(zip(frames, words, strict=True)):
        speech = torch.randn(count, 16, generator=generator).numpy()
        line = json.dumps({"words": text.split()})
        data.append((str(i), prepare(str(i), {"speech": speech, "text": line, "emotion": LABELS[i % 2]})))
    return Collate(prepare.text.padding)(data)[1]


def logits(model, data):
    return model.logits(model.represent(**{name: data[name] for name in INPUTS}))


def test_it_learns_two_utterances(make):
    model, prepare = make(model_conf={"dropout": 0.0, "label_smoothing": 0.0})  # a loss that can become zero
    data = batch(prepare)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(30):
        outcome = model(**data)
        optimizer.zero_grad()
        outcome["loss"].backward()
        optimizer.step()
        losses.append(outcome["loss"].item())
    assert losses[-1] < 0.2 * losses[0]
    model.eval()
    assert logits(model, data).argmax(-1).tolist() == [0, 1]
    _, _, records = model.evaluate(**data)
    assert model.objectives["speech_head"].summarise(records["speech_head"]) == {"speech_head_acc": 1.0}


def test_padding_never_counts(make):
    model, prepare = make()
    model.eval()
    both = batch(prepare)
    alone = batch(prepare, frames=(6,), words=("i was so happy",))
    assert alone["speech"].shape[1] < both["speech"].shape[1]
    torch.testing.assert_close(logits(model, alone)[0], logits(model, both)[0], atol=1e-6, rtol=1e-5)


def test_the_objective_is_not_in_the_inference_graph(make):
    model, prepare = make()
    bare, _ = make(objectives={})
    model.eval(), bare.eval()
    assert "speech_head" in model.objectives and not bare.objectives
    data = batch(prepare)
    assert torch.equal(logits(model, data), logits(bare, data))


def test_hard_batches_stay_finite(make):
    model, prepare = make()
    outcome = model(**batch(prepare, frames=(1,), words=("",)))
    outcome["loss"].backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert outcome["loss"].isfinite().all() and all(g.isfinite().all() for g in gradients)
