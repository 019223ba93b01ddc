"""States and gradients of runs trained at toy size, and the table that is made of them."""

import json
import math
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
import yaml

from m4ser.bin import table, train
from m4ser.models.fusion.late import GatedFusion
from m4ser.models.fusion.m4ser import M4serFusion
from m4ser.models.fusion.plain import ConcatFusion, SpeechFusion, TextFusion
from m4ser.models.representations import Representations
from m4ser.training import gradients, states
from m4ser.utils.errors import UserError

BASE = {
    "speech_encoder": "precomputed",
    "speech_encoder_conf": {"output_size": 48},
    "text_encoder_conf": {"trained_layers": 1},
    "optim_conf": {"lr": 5.0e-3},
    "optim": "adamw",
    "batch_type": "unsorted",
    "batch_size": 8,
    "max_epoch": 2,
    "num_workers": 0,
    "best_model_criterion": [["valid", "ua", "max"]],
    "keep_nbest_models": [1],
    "use_tensorboard": False,
    "use_matplotlib": False,
    "num_att_plot": 0,
}
M4SER = {"fusion": "m4ser", "fusion_conf": {"heads": 2}, "objectives": {"adversarial": {"weight": 0.5}}}


@pytest.fixture
def trained(toy_dumps, tiny_bert, monkeypatch):
    """Call with a configuration and a tag: the folder of an experiment that was trained with it."""
    monkeypatch.chdir(toy_dumps)
    monkeypatch.setenv("M4SER_DEBUG", "1")

    def experiment(config, tag, *more):
        path = toy_dumps / f"{tag}.yaml"
        path.write_text(yaml.safe_dump({**BASE, **config}), encoding="utf-8")
        where = ["--data", "data", "--feats", "dump/feats/toy", "--text", "dump/text/toy", "--exp", f"exp/{tag}"]
        options = [*where, "--config", str(path), "--text-encoder", str(tiny_bert), *more]
        train.main([*options, "--plan"])
        for job in range(1, 1 + len(more[1].split()) if more else 2):
            train.main([*options, "--job", str(job)])
        return toy_dumps / "exp" / tag

    return experiment


@pytest.mark.parametrize("count", [2, 3, 50])
def test_in_an_exchange_nobody_keeps_what_he_has(count):
    for seed in range(20):
        order = states.derangement(count, seed)
        assert sorted(order.tolist()) == list(range(count)) and (order != np.arange(count)).all()
    assert (states.derangement(50, 1) == states.derangement(50, 1)).all()
    assert (states.derangement(50, 1) != states.derangement(50, 2)).any()


def test_where_parts_are_in_the_utterance_vector():
    def of(fusion):
        found = states.part_places(types.SimpleNamespace(fusion=fusion))
        assert all((np.diff(place) == 1).all() for place in found.values())
        return {name: (place[0], place[-1]) for name, place in found.items()}

    parts = {"speech": (0, 15), "text": (16, 31), "invariant": (32, 47)}
    assert of(M4serFusion(8, 8, size=8, heads=2, pooling="statistics")) == parts
    assert of(ConcatFusion(8, 6)) == {"speech": (0, 15), "text": (16, 21)}
    assert of(SpeechFusion(8)) == {"speech": (0, 15)} and of(TextFusion(0, 6)) == {"text": (0, 5)}
    assert of(GatedFusion(8, 6)) == {}  # a mixture, of no parts
    assert states.part_places(types.SimpleNamespace()) == {}


def test_a_fusion_can_say_itself_where_its_parts_are():
    fusion = types.SimpleNamespace(places=lambda: {"voice": [0, 1, 5]})
    found = states.part_places(types.SimpleNamespace(fusion=fusion))
    assert found["voice"].tolist() == [0, 1, 5]


def test_positions_of_the_invariant_part_by_the_modality_that_they_stem_from():
    speech, text = torch.zeros(2, 5, 4), torch.ones(2, 3, 4)
    masks = torch.arange(5)[None] < torch.tensor([[5], [2]]), torch.arange(3)[None] < torch.tensor([[1], [3]])
    joint, joint_mask = torch.cat([speech, text], 1), torch.cat(masks, 1)
    reps = Representations(torch.zeros(2, 1), speech, masks[0], text, masks[1], speech, text, joint, joint_mask)
    found = states.sequences(reps)
    assert found["invariant_speech"][0].sum() == 0 and torch.equal(found["invariant_speech"][1], masks[0])
    assert found["invariant_text"][0].min() == 1 and torch.equal(found["invariant_text"][1], masks[1])
    plain = reps._replace(invariant=text, invariant_mask=masks[1])
    assert list(states.sequences(plain)) == ["speech", "text", "invariant"]


@pytest.mark.slow
def test_states_of_a_run(trained):
    run = trained({**M4SER, "fusion_conf": {"heads": 2, "mir_query": "concat"}}, "full") / "fold1/seed1"
    found = states.run_states(run)
    assert len(found.utts) == 8 and found.specific
    assert list(found.parts) == ["speech", "text", "invariant", "invariant_speech", "invariant_text"]
    assert list(found.places) == ["speech", "text", "invariant"]
    # the utterance vector is made of means over time: they are those of the parts
    for name, place in found.places.items():
        np.testing.assert_allclose(found.utterance[:, place], found.parts[name].pooled, atol=1e-5)
    assert (found.classify(found.utterance) == found.hyp).all()
    part = found.parts["text"]
    assert np.bincount(part.owner).max() == states.STATES and len(part.states) == len(part.owner)
    assert not np.allclose(part.voices, part.pooled, atol=1e-3) and not np.allclose(part.words, part.pooled, atol=1e-3)
    again = states.run_states(run, seed=0)
    assert np.array_equal(part.voices, again.parts["text"].voices)
    assert not np.array_equal(part.voices, states.run_states(run, seed=1).parts["text"].voices)
    assert len(states.run_states(run, limit=5).utts) == 5
    with pytest.raises(UserError, match="one utterance alone cannot be exchanged"):
        states.run_states(run, limit=1)


@pytest.mark.slow
def test_exchanged_inputs_are_those_of_the_other_utterance(trained):
    run = trained({"fusion": "concat"}, "concat") / "fold1/seed1"
    found, other = states.run_states(run), states.derangement(8)
    assert not found.specific and list(found.parts) == ["speech", "text"]
    speech, text = found.parts["speech"], found.parts["text"]
    for same, moved, part in ((speech.words, speech.voices, speech), (text.voices, text.words, text)):
        np.testing.assert_allclose(same, part.pooled, atol=1e-5)
        np.testing.assert_allclose(moved, part.pooled[other], atol=1e-5)
    conf = states.load_run(run)[1]
    inputs = states.Inputs(run, "test", conf)
    for chosen, batch in inputs.batches(found.utts, [found.utts[i] for i in other], size=3):
        for row, number in enumerate(chosen):
            frames = inputs.files["speech"][0][found.utts[number]]
            assert np.array_equal(batch["speech"][row, : len(frames)], frames)
            words = json.loads(inputs.files["text"][0][found.utts[other[number]]])["words"]
            assert int(batch["text_lengths"][row]) == len(words) + 2


@pytest.mark.slow
def test_gradients_of_the_generator_term(trained):
    run = trained({**M4SER, "fusion_conf": {"heads": 2, "mir_query": "text"}}, "full") / "fold1/seed1"
    found = gradients.generator_gradients(run)
    assert 0 < found["generator_cross_modal"] < found["generator"] and found["emotion"] > 0
    # by hand: one batch of all eight, everything in one backward pass
    model, conf = states.load_run(run, objectives=["adversarial"])
    stored = torch.load(run / "model.pth", weights_only=True)
    assert torch.equal(model.objectives["adversarial"].discriminator.net[0].weight,
                       stored["objectives.adversarial.discriminator.net.0.weight"])  # fmt: skip
    inputs = states.Inputs(run, "test", conf)
    ((_, batch),) = inputs.batches(list(inputs.emotions), list(inputs.emotions))
    reps = states.batches.represent(model, batch)
    (0.5 * model.objectives["adversarial"](reps, gradients.Targets(batch["emotion"]), model.tools).loss).backward()
    squares = {name: float(p.grad.square().sum()) for name, p in model.fusion.named_parameters() if p.grad is not None}
    assert found["generator"] == pytest.approx(math.sqrt(sum(squares.values())), rel=1e-4)
    upstream = sum(value for name, value in squares.items() if name.startswith("cross_modal."))
    assert found["generator_cross_modal"] == pytest.approx(math.sqrt(upstream), rel=1e-4)
    history = json.loads((run / "history.json").read_text())["epochs"]["1"]["valid"]
    assert {"disc_acc_speech", "disc_acc_text", "disc_invariant"} <= found.keys() & history.keys()
    assert gradients.generator_gradients(trained({"fusion": "concat"}, "concat") / "fold1/seed1") == {}


@pytest.mark.slow
def test_table_of_representations(trained, toy_dumps, capsys):
    query = {"heads": 2, "mir_query": "concat"}
    exps = [
        trained({**M4SER, "fusion_conf": query}, "full", "--seeds", "1 2"),
        trained({**M4SER, "fusion_conf": query, "objectives": {}}, "no_adversarial", "--seeds", "1 2"),
        trained({"fusion": "concat"}, "concat"),
        trained({"fusion": "text"}, "text"),
        trained({"fusion": "gated"}, "gated"),
    ]
    out = toy_dumps / "exp/representations"
    words = ["representations", "--resamples", "30", "--reference", str(exps[0]), "--out", str(out)]
    table.main([*words, "--exp", *map(str, exps)])
    assert "test: 8 utterances of 1 speaker" in capsys.readouterr().out
    made = {end: out.with_suffix(f".{end}").read_bytes() for end in ("md", "csv", "json")}
    found = json.loads(made["json"])
    rows = {row[0]: row[1:] for row in found["rows"]}
    assert all(cell is not None for cell in rows["full"]) and "sd" in rows["full"][0]
    assert all(cell is None for name in ("concat", "text", "gated") for cell in rows[name][:7])
    moved = {one["title"]: {row[0]: row[1:] for row in one["rows"]} for one in found["more"]}
    far, emotion = moved["How far each part moves"], moved["What each part says of the emotion"]
    assert list(far)[-3:] == ["concat: speech", "concat: text", "text: text"]
    assert far["concat: speech"][1]["value"] == 0 < far["concat: speech"][0]["value"]
    assert rows["concat"][7:] == [None, None, None]  # nothing by which its parts move with the other modality
    assert "full: speech-specific" in emotion and emotion["gated: all"][2] is None
    alike = moved["How alike the parts are"]
    assert list(alike)[:3] == [
        f"full: {pair}"
        for pair in (
            "speech-specific and text-specific",
            "speech-specific and invariant",
            "text-specific and invariant",
        )
    ]
    assert alike["full: speech-specific and text-specific"][3] is None  # the reference
    assert alike["no_adversarial: speech-specific and text-specific"][3]["difference"]
    course = moved["Discriminator and gradients over training"]
    assert "full: D right on specific states, dev" in course and not any(name.startswith("concat") for name in course)
    assert list(moved["What the generator term trains"]) == ["full"]
    assert len(found["about"]["curves"]["full"]["valid disc_acc_speech"]) == 2
    table.main([*words, "--exp", *map(str, exps)])
    assert made == {end: out.with_suffix(f".{end}").read_bytes() for end in made}
    page = toy_dumps / "page.md"
    page.write_text("<!-- begin results r -->\n<!-- end results r -->\n", encoding="utf-8")
    table.main(["insert", "--readme", str(page), "--name", "r", "--from", f"{out}.json"])
    assert "| full | " in page.read_text(encoding="utf-8")

    with pytest.raises(UserError, match="is not one of --exp"):
        table.main([*words, "--exp", str(exps[1])])
    with pytest.raises(UserError, match="is not trained; run stage 4 for it"):
        table.main(["representations", "--exp", str(exps[2]), "--seeds", "1 3", "--out", str(out)])
    with pytest.raises(UserError, match=r"none: has no runs; run stage 4 first"):
        table.main(["representations", "--exp", "exp/none", "--out", str(out)])


@pytest.mark.slow
def test_states_need_no_espnet():
    check = "import m4ser.training.states, m4ser.training.gradients, sys; print('espnet2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
