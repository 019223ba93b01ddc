"""Trainable Hugging Face speech encoders: every family against its unpadded self, freezing, LoRA, checkpoints."""

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoModel, Wav2Vec2FeatureExtractor

from m4ser.models.encoders.frozen import frozen_features, load_frozen
from m4ser.models.encoders.huggingface_speech import HuggingFaceSpeechEncoder
from m4ser.models.encoders.lora import merge_lora
from m4ser.models.encoders.precomputed import PrecomputedEncoder
from m4ser.utils.errors import UserError

KINDS = (
    "hubert", "hubert-large", "wav2vec2", "wav2vec2-large", "wavlm", "wavlm-large", "data2vec", "unispeech-sat",
    "whisper",
)  # fmt: skip


def noise(*samples, seed=0):
    """Recordings of these lengths, padded with what must not matter, and the lengths."""
    rng = np.random.default_rng(seed)
    batch = np.full((len(samples), max(samples)), 9.0, dtype=np.float32)
    for row, size in zip(batch, samples, strict=True):
        row[:size] = 0.1 * rng.standard_normal(size) + 0.05
    return torch.from_numpy(batch), torch.tensor(samples)


def make(folder, **conf):
    torch.manual_seed(1)
    return HuggingFaceSpeechEncoder(str(folder), **{"output_size": 12, **conf})


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(tiny_speech, kind):
    encoder = make(tiny_speech(kind)).eval()
    samples, lengths = noise(3333, 9000, 100, 8000)
    together, frames, _ = encoder(samples, lengths)
    for row, (length, count) in enumerate(zip(lengths, frames, strict=True)):
        alone, alone_frames, _ = encoder(samples[row : row + 1, :length], lengths[row : row + 1])
        assert alone_frames[0] == count == alone.shape[1]
        torch.testing.assert_close(together[row, :count], alone[0], atol=1e-5, rtol=1e-5)
        assert together[row, count:].abs().sum() == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 3])
def test_frozen_equals_the_features_of_stage_1(tiny_speech, kind, size):
    encoder = make(tiny_speech(kind), layers="concat", pool=size).eval()
    samples, lengths = noise(3333, 9000)
    found, frames, _ = encoder(samples, lengths)
    stage_1 = load_frozen(str(tiny_speech(kind)))
    features = PrecomputedEncoder(num_layers=4, input_size=16, output_size=12, layers="concat").eval()
    features.load_state_dict(encoder.head.state_dict())
    for row, length in enumerate(lengths):
        dumped = frozen_features(stage_1, samples[row, :length].numpy(), range(4), size)
        assert len(dumped) == frames[row]
        expected, _, _ = features(torch.from_numpy(dumped)[None], frames[row : row + 1])
        torch.testing.assert_close(found[row, : frames[row]], expected[0], atol=1e-5, rtol=1e-5)
    assert encoder.frame_rate == stage_1.frame_rate / size


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "whisper"])
def test_hidden_states_and_lengths_are_those_of_hugging_face(tiny_speech, kind):
    folder = tiny_speech(kind)
    samples, lengths = noise(5003)
    backbone = make(folder).eval().backbone
    states, frames = backbone(samples, lengths)
    model = AutoModel.from_pretrained(folder).eval()
    inputs = Wav2Vec2FeatureExtractor.from_pretrained(folder)(samples[0].numpy(), sampling_rate=16000)
    with torch.no_grad():
        expected = model(torch.as_tensor(np.array(inputs.input_values)), output_hidden_states=True)
    assert frames.tolist() == [expected.last_hidden_state.shape[1]]
    assert frames.tolist() == model._get_feat_extract_output_lengths(lengths).tolist()
    torch.testing.assert_close(states[-1], expected.last_hidden_state, atol=1e-5, rtol=1e-5)
    for found, wanted in zip(states[:-1], expected.hidden_states[:-1], strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["hubert", "wavlm-large", "whisper"])
def test_long_recordings_in_a_batch_are_cut_as_in_stage_1(tiny_speech, kind):
    encoder = make(tiny_speech(kind)).eval()
    encoder.backbone.longest = 8000
    samples, lengths = noise(20011, 4000, 8001)
    states, frames = encoder.backbone(samples, lengths)
    stage_1 = load_frozen(str(tiny_speech(kind)))
    stage_1.backbone.longest = 8000
    for row, length in enumerate(lengths):
        expected = stage_1.layers(samples[row, :length].numpy())
        assert expected.shape[1] == frames[row]
        found = torch.stack([state[row, : frames[row]] for state in states]).detach()
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["hubert", "hubert-large", "data2vec", "whisper"])
def test_layers_above_the_highest_used_are_dropped(tiny_speech, kind):
    whole, part = make(tiny_speech(kind)).eval(), make(tiny_speech(kind), hidden_layers=[0, 2]).eval()
    samples, lengths = noise(5000, 3000)
    states, _ = part.backbone(samples, lengths)
    expected, _ = whole.backbone(samples, lengths)
    assert len(states) == 3
    torch.testing.assert_close(states[2], expected[2])
    last = make(tiny_speech(kind), hidden_layers="last", output_size=0, normalise="none").eval()
    found, frames, _ = last(samples, lengths)
    torch.testing.assert_close(found[0], expected[3][0])
    assert last.output_size() == 16
    assert found[1, frames[1] :].abs().sum() == 0


@pytest.mark.parametrize(
    ("conf", "trained"),
    [
        ({}, ""),
        ({"trained_layers": 2}, "layers.1 layers.2"),
        ({"trained_layers": -1}, "layers.0 layers.1 layers.2 projection"),
        ({"trained_layers": -1, "train_cnn": True}, "layers.0 layers.1 layers.2 projection cnn"),
    ],
    ids=["frozen", "upper", "no-cnn", "all"],
)
@pytest.mark.parametrize("kind", ["hubert", "wavlm-large", "data2vec", "whisper"])
def test_what_is_trained_gets_gradients_and_nothing_else_does(tiny_speech, kind, conf, trained):
    encoder = make(tiny_speech(kind), **conf).train()
    samples, lengths = noise(4000, 6000)
    encoder(samples, lengths)[0].square().mean().backward()
    parts = {f"layers.{number}": encoder.backbone.layers[number] for number in range(3)}
    model = encoder.backbone.model
    cnn = [model.conv1, model.conv2] if kind == "whisper" else [model.feature_extractor]
    parts["cnn"] = torch.nn.ModuleList(cnn)
    if kind != "whisper":
        parts["projection"] = model.feature_projection
    for name, part in parts.items():
        moved = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in part.parameters()]
        assert any(moved) == (name in trained.split()), name
    unused = [n for n, p in encoder.named_parameters() if p.requires_grad and p.grad is None]
    assert not unused  # distributed training waits for all of them


@pytest.mark.parametrize("kind", ["hubert", "wavlm", "whisper"])
def test_lora_starts_at_the_model_trains_little_and_merges(tiny_speech, kind):
    plain, adapted = make(tiny_speech(kind)).eval(), make(tiny_speech(kind), lora_rank=2)
    adapted.head.load_state_dict(plain.head.state_dict())
    samples, lengths = noise(4000, 6000)
    torch.testing.assert_close(adapted.eval()(samples, lengths)[0], plain(samples, lengths)[0])
    trained = {name for name, p in adapted.backbone.named_parameters() if p.requires_grad}
    assert len(trained) == 3 * 2 * 2  # layers, query and value, down and up
    optimizer = torch.optim.SGD([p for p in adapted.backbone.parameters() if p.requires_grad], lr=1.0)
    for _ in range(2):  # the first step moves only `up`, which starts at zero
        optimizer.zero_grad()
        adapted.train()(samples, lengths)[0].square().mean().backward()
        optimizer.step()
    assert all(p.grad.abs().sum() > 0 for name, p in adapted.backbone.named_parameters() if name in trained)
    before, _, _ = adapted.eval()(samples, lengths)
    assert (before - plain(samples, lengths)[0]).abs().max() > 1e-4
    rebuilt = HuggingFaceSpeechEncoder("no/such", **adapted.architecture(), output_size=12, lora_rank=2).eval()
    rebuilt.load_state_dict(adapted.state_dict())
    assert merge_lora(rebuilt) == 6
    assert rebuilt.backbone.state_dict().keys() == plain.backbone.state_dict().keys()
    torch.testing.assert_close(rebuilt(samples, lengths)[0], before)


@pytest.mark.parametrize("kind", KINDS)
def test_rebuilt_from_its_architecture_alone(tiny_speech, kind):
    first = make(tiny_speech(kind)).eval()
    stored = yaml.safe_load(yaml.safe_dump(first.architecture()))
    second = HuggingFaceSpeechEncoder("no/such/folder", **stored, output_size=12).eval()
    second.load_state_dict(first.state_dict())
    samples, lengths = noise(5000, 7000)
    torch.testing.assert_close(second(samples, lengths)[0], first(samples, lengths)[0])


@pytest.mark.parametrize("kind", ["hubert", "data2vec", "whisper"])
def test_time_mask_hides_speech_in_training_only(tiny_speech, kind):
    encoder = make(tiny_speech(kind), trained_layers=-1, time_mask=0.5, dropout=0.0)
    for module in encoder.modules():  # the only randomness left is the mask
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    samples, lengths = noise(9000, 5000)
    one = encoder.eval()(samples, lengths)[0]
    torch.testing.assert_close(encoder(samples, lengths)[0], one)
    torch.manual_seed(3)
    assert (encoder.train()(samples, lengths)[0] - one).abs().max() > 1e-3


def test_gradient_checkpointing_gives_the_same_gradients(tiny_speech):
    gradients = []
    for checkpointing in (False, True):
        encoder = make(tiny_speech("hubert"), trained_layers=-1, gradient_checkpointing=checkpointing, dropout=0.0)
        for module in encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            if hasattr(module, "dropout") and isinstance(module.dropout, float):
                module.dropout = 0.0
        encoder.train()(*noise(4000, 3000))[0].square().mean().backward()
        gradients.append(encoder.backbone.layers[0].attention.q_proj.weight.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("kind", ["hubert", "wavlm-large", "whisper"])
def test_short_and_silent_recordings_train(tiny_speech, kind):
    encoder = make(tiny_speech(kind), trained_layers=-1, train_cnn=True, pool=8).train()
    samples, lengths = noise(800, 16000)
    samples[1] = 0.0
    found, frames, _ = encoder(samples, lengths)
    found.square().mean().backward()
    assert frames.tolist() in ([1, 7], [1, 6])
    assert found.isfinite().all()
    assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hubert", "whisper"])
def test_a_minute_of_speech(tiny_speech, kind):
    found, frames, _ = make(tiny_speech(kind), pool=8).eval()(*noise(60 * 16000, 16000))
    assert 370 <= frames[0] == found.shape[1] <= 375
    assert found.isfinite().all()


def test_wrong_choices(tiny_speech):
    folder = tiny_speech("hubert")
    for conf, message in (
        ({"hidden_layers": [7]}, "numbers from 0 to 3"),
        ({"hidden_layers": "some"}, "hidden_layers must be"),
        ({"trained_layers": 4}, "3 layers are used"),
        ({"trained_layers": 1, "train_cnn": True}, "trained_layers: -1"),
        ({"trained_layers": 1, "lora_rank": 2}, "exclude each other"),
        ({"lora_rank": 2, "lora_targets": ["nothing"]}, "q_proj"),
        ({"pool": 0}, "pool"),
        ({"time_mask": 1.5}, "time_mask"),
    ):
        with pytest.raises(ValueError, match=message):
            make(folder, **conf)
    with pytest.raises(UserError, match="neither a folder nor to be had from the hub"):
        make("nobody/no-such-model")
