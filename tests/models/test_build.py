"""Models of all kinds built from configurations: which losses they train on and what their answers depend on."""

import json

import pytest
import torch

from m4ser.asr.alignment import align, to_line
from m4ser.models.build import build_collate, build_preprocessor
from m4ser.training.task import SERTask
from m4ser.utils.errors import UserError

MMER = {"ctc": {}, "augmented_view": {}, "contrastive": {"form": "clmlf", "weight": 0.1}}
SYSTEMS = {
    "late": ({"fusion": "late"}, set()),
    "gated": ({"fusion": "gated"}, set()),
    "cross_attention": ({"fusion": "cross_attention"}, set()),
    "lamer": ({"fusion": "lamer", "fusion_conf": {"hidden": 8}}, set()),
    "mmer": ({"fusion": "mmer", "fusion_conf": {"heads": 4}, "objectives": MMER}, set(MMER)),
    "mtl_aug": (
        {"fusion": "speech", "objectives": {"augmentation": {}}}, {"augmentation_type", "reconstruction"}
    ),
    "speech with ctc": ({"fusion": "speech", "objectives": {"ctc": {}}}, {"ctc"}),
}  # fmt: skip


def arguments(tiny_bert, conf):
    args = SERTask.get_parser().parse_args(["--labels", "happy", "sad"])
    args.speech_encoder_conf = {"num_layers": 2, "input_size": 8, "output_size": 16}
    args.text_encoder_conf = {"model": str(tiny_bert), "trained_layers": 1}
    for name, value in json.loads(json.dumps(conf)).items():
        setattr(args, name, value)
    return args


def batch(args):
    prepare = build_preprocessor(args)
    torch.manual_seed(7)
    data = []
    for i, (heard, said) in enumerate(
        (("i was so happy", "i am so happy today"), ("we are sad", "we are sad"), ("", "now"))
    ):
        text = to_line(heard.split(), align(heard.split(), said.split()))
        arrays = {"speech": torch.randn((6, 9, 1)[i], 16).numpy(), "text": text, "emotion": ("happy", "sad")[i % 2]}
        data.append((str(i), prepare(str(i), arrays)))
    return build_collate(args)(data)[1]  # fmt: skip


@pytest.fixture(params=SYSTEMS, name="system")
def built(request, tiny_bert):
    conf, losses = SYSTEMS[request.param]
    args = arguments(tiny_bert, conf)
    torch.manual_seed(0)
    return SERTask.build_model(args), batch(args), losses


def test_losses_of_a_system(system):
    model, data, losses = system
    output = model.train()(**data)
    assert {name for name in output["stats"] if name.startswith("loss_")} == {f"loss_{n}" for n in (*losses, "emotion")}
    output["loss"].backward()
    assert torch.isfinite(output["loss"])
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters() if p.requires_grad)


@pytest.mark.slow
def test_mixed_precision_stays_close_and_finite(system):
    model, data, _ = system
    model.eval()
    torch.manual_seed(3)
    full = model(**data)["loss"].item()
    torch.manual_seed(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(**data)["loss"]
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(full, rel=0.05)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_objectives_leave_the_answer_alone(system, tiny_bert):
    model, data, _ = system
    model.eval()
    names = ("speech", "speech_lengths", "text", "text_lengths")
    inputs = {name: data[name] for name in names if name in data}
    reference = model.logits(model.represent(**inputs))
    model.objectives = torch.nn.ModuleDict()
    assert torch.equal(model.logits(model.represent(**inputs)), reference)
    longer = {**inputs, "speech": torch.nn.functional.pad(inputs["speech"], (0, 0, 0, 5), value=9.0)}
    torch.testing.assert_close(model.logits(model.represent(**longer)), reference, atol=1e-5, rtol=1e-5)
    order = torch.tensor([2, 0, 1])
    permuted = model.logits(model.represent(**{name: x[order] for name, x in inputs.items()}))
    torch.testing.assert_close(permuted, reference[order], atol=1e-5, rtol=1e-5)


def test_letters_are_those_of_the_reference(tiny_bert):
    data = batch(arguments(tiny_bert, SYSTEMS["mmer"][0]))
    lengths = (data["letters"] >= 0).sum(1).tolist()
    assert lengths == [len("i am so happy today"), len("we are sad"), len("now")]


def test_mtl_aug_reads_speech_only(tiny_bert):
    model = SERTask.build_model(arguments(tiny_bert, SYSTEMS["mtl_aug"][0]))
    assert model.text_encoder is None and "text" not in batch(arguments(tiny_bert, SYSTEMS["mtl_aug"][0]))


def test_speech_objectives_need_speech(tiny_bert):
    for name in ("ctc", "augmentation"):
        with pytest.raises(UserError, match=f"{name} needs a fusion with speech, not text"):
            SERTask.build_model(arguments(tiny_bert, {"fusion": "text", "objectives": {name: {}}}))


def test_late_fusion_trains_each_expert_by_itself(tiny_bert):
    args = arguments(tiny_bert, SYSTEMS["late"][0])
    torch.manual_seed(0)
    model, data = SERTask.build_model(args).eval(), batch(args)
    reps = model.represent(**{n: data[n] for n in ("speech", "speech_lengths", "text", "text_lengths")})
    losses = [
        torch.nn.functional.cross_entropy(e, data["emotion"].squeeze(-1))
        for e in model.classifier.experts(reps.utterance)
    ]
    assert model(**data)["loss"].item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)  # fmt: skip
