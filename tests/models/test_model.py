"""The whole model: losses add up, objectives stay out of inference, gradients go where they should."""

import json
import shutil

import pytest
import torch
from transformers import ElectraConfig, ElectraModel

from m4ser.asr.alignment import align
from m4ser.models.arrays import SERPreprocessor
from m4ser.models.batches import Collate
from m4ser.models.build import build_text_processor
from m4ser.training.task import SERTask
from m4ser.utils.errors import UserError

ALL = {name: {} for name in ("aed", "aec", "adversarial", "contrastive")}


def arguments(tiny_bert, **changed):
    args = SERTask.get_parser().parse_args(["--labels", "happy", "sad"])
    conf = {
        "speech_encoder_conf": {"num_layers": 2, "input_size": 8, "output_size": 32},
        "text_encoder_conf": {"model": str(tiny_bert), "trained_layers": 1},
        "text_conf": {"dummy_tokens": True},
        "fusion": "m4ser",
        "objectives": {name: dict(conf) for name, conf in ALL.items()},
    }
    for name, value in {**conf, **changed}.items():
        setattr(args, name, value)
    if "aec" in args.objectives:
        args.objectives["aec"] = {"heads": 4, "feed_forward": 64, **args.objectives["aec"]}
    return args


def build(tiny_bert, **changed):
    torch.manual_seed(0)
    return SERTask.build_model(arguments(tiny_bert, **changed))


def batch(tiny_bert, texts=(("i was so happy", "i am so happy today"), ("we are sad", "we are sad")), frames=(6, 9)):
    args = arguments(tiny_bert)
    prepare = SERPreprocessor(["happy", "sad"], build_text_processor(args), with_edits=True)
    torch.manual_seed(7)
    data = []
    for i, (hypothesis, reference) in enumerate(texts):
        alignment = align(hypothesis.split(), reference.split())
        changes = [[slot, w if isinstance(w, str) else " ".join(w)] for slot, w in alignment.changes]
        text = json.dumps({"words": hypothesis.split(), "tags": alignment.tags, "changes": changes})
        speech = torch.randn(frames[i], 16).numpy()
        data.append((str(i), prepare(str(i), {"speech": speech, "text": text, "emotion": ("happy", "sad")[i % 2]})))
    return Collate(prepare.text.padding)(data)[1]


def logits(model, batch):
    names = ("speech", "speech_lengths", "text", "text_lengths")
    return model.logits(model.represent(**{name: batch[name] for name in names}))


def test_total_loss_is_the_weighted_sum(tiny_bert):
    model = build(tiny_bert).eval()
    stats = model(**batch(tiny_bert))["stats"]
    weights = {"aed": 0.1, "aec": 0.1, "generator": 0.01, "contrastive": 0.1, "emotion": 1.0, "discriminator": 1.0}
    expected = sum(weight * stats[f"loss_{name}"].item() for name, weight in weights.items())
    assert stats["loss"].item() == pytest.approx(expected, rel=1e-5)


def test_objectives_are_not_in_the_inference_graph(tiny_bert):
    full = build(tiny_bert).eval()
    bare = build(tiny_bert, objectives={}).eval()
    kept = {name: value for name, value in full.state_dict().items() if not name.startswith("objectives.")}
    bare.load_state_dict(kept)
    data = batch(tiny_bert)
    assert torch.equal(logits(full, data), logits(bare, data))
    assert any(name.startswith("objectives.") for name in full.state_dict())


def test_without_objectives_the_loss_is_the_classifiers(tiny_bert):
    model = build(tiny_bert, objectives={}).eval()
    data = batch(tiny_bert)
    expected = torch.nn.functional.cross_entropy(logits(model, data), torch.tensor([0, 1]))
    assert model(**data)["loss"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_discriminator_learns_nothing_from_the_task_and_the_rest_nothing_from_its_loss(tiny_bert):
    def gradients(weight):
        model = build(tiny_bert, objectives={"adversarial": {"weight": weight}}).eval()
        model(**batch(tiny_bert))["loss"].backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    without, with_generator = gradients(0.0), gradients(0.5)
    for name, gradient in without.items():
        if name.startswith("objectives."):  # L_G's weight does not reach the discriminator
            torch.testing.assert_close(with_generator[name], gradient, atol=1e-7, rtol=1e-5)
    plain = build(tiny_bert, objectives={}).eval()
    plain(**batch(tiny_bert))["loss"].backward()
    for name, p in plain.named_parameters():  # L_D, present in `without`, adds nothing outside the discriminator
        if p.grad is not None:
            torch.testing.assert_close(without[name], p.grad, atol=1e-7, rtol=1e-5)


def test_frozen_layers_get_no_gradient(tiny_bert):
    model = build(tiny_bert)
    model(**batch(tiny_bert))["loss"].backward()
    assert model.text_encoder.word_embeddings.grad is None
    assert model.text_encoder.model.encoder.layer[-1].output.dense.weight.grad is not None


@pytest.mark.parametrize(
    ("texts", "frames"),
    [
        ((("we are sad", "we are sad"), ("happy", "happy")), (5, 5)),  # no CHANGE, singleton classes
        ((("", "i am sad"), ("sad", "")), (1, 3)),  # empty and one-word hypotheses, one frame
        ((("", ""),), (4,)),  # batch of one
        ((("i am sad", "i am so sad"), ("i", "you")), (375, 12)),  # 30 s at 12.5 frames a second
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_hard_batches_stay_finite(tiny_bert, texts, frames, training):
    model = build(tiny_bert).train(training)
    output = model(**batch(tiny_bert, texts, frames))
    output["loss"].backward()
    assert torch.isfinite(output["loss"])
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_evaluation_gives_the_logits_of_inference(tiny_bert):
    model = build(tiny_bert).eval()
    data = batch(tiny_bert)
    output, scores, records = model.evaluate(**data)
    assert torch.equal(scores, logits(model, data))
    assert output["loss"].item() == pytest.approx(model(**data)["loss"].item())
    assert set(records) == set(ALL)


def test_logged_loss_survives_gradient_accumulation(tiny_bert):
    output = build(tiny_bert).eval()(**batch(tiny_bert))
    before = output["stats"]["loss"].item()
    output["loss"] /= 4
    assert output["stats"]["loss"].item() == before


def test_accumulated_gradients_are_those_of_the_larger_batch(tiny_bert):
    model = build(tiny_bert, objectives={}).eval()
    texts = (("i was so happy", ""), ("we are sad", ""), ("so glad", ""), ("bad", ""))
    both, (first, second) = (
        batch(tiny_bert, texts, (6, 9, 4, 7)),
        (
            batch(tiny_bert, texts[:2], (6, 9)),
            batch(tiny_bert, texts[2:], (4, 7)),
        ),
    )
    speech = torch.cat(
        [torch.nn.functional.pad(b["speech"], (0, 0, 0, 9 - b["speech"].shape[1])) for b in (first, second)]
    )
    both["speech"] = speech  # the same random frames
    for part in (first, second):
        (model(**part)["loss"] / 2).backward()
    accumulated = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    model(**both)["loss"].backward()
    for name, gradient in accumulated.items():
        torch.testing.assert_close(dict(model.named_parameters())[name].grad, gradient, atol=1e-6, rtol=1e-4)


def test_mixed_precision_stays_close_and_finite(tiny_bert):
    """As under ``use_amp``: losses in float32, gradients finite, everything near full precision."""
    model = build(tiny_bert).eval()
    data = batch(tiny_bert)
    full = model(**data)["loss"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(**data)
    output["loss"].backward()
    assert output["loss"].dtype == torch.float32
    assert output["loss"].item() == pytest.approx(full.item(), rel=0.05)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"fusion_conf": {"hedas": 2}}, "fusion_conf: unknown key 'hedas'"),
        ({"objectives": {"aad": {}}}, "unknown objective 'aad'"),
        ({"objectives": {"aed": {"wieght": 1}}}, "objectives: aed: unknown key 'wieght'"),
        ({"objectives": {"contrastive": {"form": "x"}}}, "supcon or clmlf"),
        ({"text_conf": {"dummies": True}, "objectives": {}}, "text_conf: unknown key 'dummies'"),
        ({"fusion": "speech"}, "aed needs a fusion with text"),
        ({"fusion": "concat", "objectives": {"adversarial": {}}}, "fusion: m4ser"),
        ({"model_conf": {"drop": 1}}, "model_conf: unknown key 'drop'"),
        (
            {"model_conf": {"augment": {"tempo": 0.1}}},
            "model_conf: augment: unknown 'tempo'; known are mask, mix, noise",
        ),
        ({"fusion": "text", "objectives": {}, "model_conf": {"augment": {"noise": 0.1}}}, "augment alters speech"),
        ({"model_conf": {"class_weights": [1.0, 2.0, 3.0]}}, "class_weights: 3 weights for 2 classes"),
    ],
)
def test_mistakes_in_a_configuration_are_named(tiny_bert, changed, message):
    with pytest.raises(UserError, match=message.replace("'", ".")):
        SERTask.build_model(arguments(tiny_bert, **changed))


def test_speech_is_augmented_in_training_only(tiny_bert):
    data = batch(tiny_bert)
    plain, augmented = (
        build(tiny_bert, objectives={}, model_conf={"dropout": 0.0, "augment": given}) for given in ({}, {"noise": 0.5})
    )
    heard = []
    augmented.speech_encoder.register_forward_hook(lambda _, inputs, __: heard.append(inputs[0]))
    torch.manual_seed(0)
    for _ in range(20):
        augmented.train()(**data)
    changed = [not torch.equal(speech[row], data["speech"][row]) for speech in heard for row in range(2)]
    assert 0.2 < sum(changed) / len(changed) < 0.8  # the rest stays as it is
    assert torch.equal(logits(plain.eval(), data), logits(augmented.eval(), data))
    assert augmented(**data)["loss"] == plain(**data)["loss"]


def test_parameter_groups_take_their_own_learning_rates(tiny_bert):
    groups = {"text_encoder": {"lr": 2e-5}, "objectives.adversarial": {"lr": 1e-4}}
    args = arguments(tiny_bert, param_groups=groups, optim="adam", optim_conf={"lr": 1e-3})
    model = SERTask.build_model(args)
    (optimizer,) = SERTask.build_optimizers(args, model)
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, p in model.named_parameters():
        expected = next((conf["lr"] for prefix, conf in groups.items() if name.startswith(prefix)), 1e-3)
        assert rate.get(id(p)) == (expected if p.requires_grad else None), name
    assert args.parameters["trained_parameters"] == sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"param_groups": {"text_encoder": {"learning_rate": 1e-5}}}, "text_encoder: unknown option 'learning_rate'"),
        ({"param_groups": {"text_encodr": {"lr": 1e-5}}}, "begins with 'text_encodr'"),
        ({"param_groups": {"text_encoder.modle": {"lr": 1e-5}}}, "begins with 'text_encoder.modle'"),
        ({"exclude_weight_decay": True}, "exclude_weight_decay: has no effect"),
    ],
)
def test_options_that_the_optimizer_would_not_see_are_refused(tiny_bert, changed, message):
    args = arguments(tiny_bert, optim="adamw", **changed)
    with pytest.raises(UserError, match=message.replace("'", ".")):
        SERTask.build_optimizers(args, SERTask.build_model(args))


def test_shared_parameter_groups_may_name_what_a_fusion_lacks(tiny_bert):
    groups = {"text_encoder": {"lr": 2e-5}, "objectives.adversarial": {"lr": 1e-4}}
    args = arguments(tiny_bert, fusion="speech", fusion_conf={}, objectives={}, param_groups=groups)
    (optimizer,) = SERTask.build_optimizers(args, SERTask.build_model(args))
    assert len(optimizer.param_groups) == 1


def test_correction_needs_embeddings_as_wide_as_states(tmp_path, tiny_bert):
    sizes = {"hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    words = len((tiny_bert / "vocab.txt").read_text().split("\n"))
    folder = shutil.copytree(tiny_bert, tmp_path / "electra", ignore=shutil.ignore_patterns("model*", "config.json"))
    ElectraModel(ElectraConfig(vocab_size=words, embedding_size=16, **sizes)).save_pretrained(folder)
    with pytest.raises(UserError, match="embeddings, which have 16 values and its states 48"):
        SERTask.build_model(arguments(folder))
    SERTask.build_model(arguments(folder, objectives={"aed": {}}))
