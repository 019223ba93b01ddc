"""Hugging Face text encoder: padding, freezing, and life without the folder it came from."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import DistilBertConfig, DistilBertModel, GPT2Config, GPT2Model

from m4ser.models.encoders.huggingface_text import HuggingFaceTextEncoder
from m4ser.models.text import TextProcessor
from m4ser.utils.errors import UserError


def test_padding_changes_nothing(tiny_bert):
    encoder = HuggingFaceTextEncoder(str(tiny_bert)).eval()
    ids = torch.randint(25, 50, (2, 7))
    alone, _, _ = encoder(ids[:1, :4], torch.tensor([4]))
    together, lengths, _ = encoder(ids, torch.tensor([4, 7]))
    torch.testing.assert_close(together[:1, :4], alone, atol=1e-5, rtol=1e-5)
    assert together[0, 4:].abs().sum() == 0
    assert lengths.tolist() == [4, 7]


def test_texts_that_repeat_are_computed_once(tiny_bert):
    """Without dropout the states and gradients of a training batch are those of its texts one by one."""
    encoder = HuggingFaceTextEncoder(str(tiny_bert), trained_layers=1, dropout=0.0).train()
    ids = torch.randint(25, 50, (3, 7))[[2, 0, 1, 0, 2, 0]]
    lengths = torch.tensor([7, 5, 6, 5, 7, 4])  # the last one is another text: a part of the second
    computed = []

    def count(_, args, kwargs, out):
        computed.append(len(kwargs["input_ids"]))

    encoder.model.register_forward_hook(count, with_kwargs=True)
    weight = torch.randn(6, 7, 1)

    def gradients(states):
        encoder.zero_grad()
        (states * weight).sum().backward()
        return {name: p.grad.clone() for name, p in encoder.named_parameters() if p.requires_grad}

    together, out_lengths, _ = encoder(ids, lengths)
    assert computed == [4] and out_lengths.tolist() == lengths.tolist()
    alone = torch.cat([encoder(ids[i : i + 1], lengths[i : i + 1])[0] for i in range(6)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradients(together), gradients(alone), atol=1e-4, rtol=1e-4)


def test_dropout_differs_between_equal_texts(tiny_bert):
    encoder = HuggingFaceTextEncoder(str(tiny_bert), dropout=0.5).train()
    first, second = encoder(torch.full((2, 6), 30), torch.tensor([6, 6]))[0]
    assert not torch.allclose(first, second)


@pytest.mark.parametrize(("trained", "expected"), [(0, 0), (1, 1), (2, 2), (-1, 2)])
def test_only_the_upper_layers_are_trained(tiny_bert, trained, expected):
    encoder = HuggingFaceTextEncoder(str(tiny_bert), trained_layers=trained)
    layers = encoder.model.encoder.layer
    assert [all(p.requires_grad for p in layer.parameters()) for layer in layers].count(True) == expected
    assert encoder.word_embeddings.requires_grad == (trained == -1)


@pytest.mark.parametrize("kind", ["roberta", "deberta"])
def test_other_families(tiny_text, kind):
    """Padding, embeddings for error correction, freezing, and the labels of words cut into pieces."""
    encoder, text = HuggingFaceTextEncoder(str(tiny_text(kind)), trained_layers=1), TextProcessor(tiny_text(kind))
    words = "so unhappy today".split()
    encoded = text.encode(words, "DKDDDKD", [])
    assert text.words(encoded.ids.tolist()) == words
    pieces = [encoded.word_index.tolist().count(number) for number in range(3)]
    assert pieces[1] > 1 and sum(pieces) + 2 == len(encoded.ids)
    assert encoded.tags[encoded.word_index == 1].tolist() == [0] * pieces[1]
    ids = torch.full((2, 20), text.padding)
    ids[0, : len(encoded.ids)] = torch.from_numpy(encoded.ids)
    ids[1] = torch.from_numpy(text.encode(["happy"] * 30).ids[:20])
    lengths = torch.tensor([len(encoded.ids), 20])
    together, _, _ = encoder.eval()(ids, lengths)
    alone, _, _ = encoder(ids[:1, : lengths[0]], lengths[:1])
    torch.testing.assert_close(together[:1, : lengths[0]], alone, atol=1e-5, rtol=1e-5)
    assert encoder.embed(ids).shape == (2, 20, 48) and encoder.word_embeddings.shape[1] == 48
    trained = {name.split("layer.")[1][0] for name, p in encoder.named_parameters() if p.requires_grad}
    assert trained == {"1"}
    rebuilt = HuggingFaceTextEncoder("no/such", **encoder.architecture()).eval()
    rebuilt.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(rebuilt(ids, lengths)[0], together)


def test_dropout_by_every_name(tmp_path, tiny_text):
    """Architectures name it differently; -1 leaves it as it is, and what is stored rebuilds the same."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "max_position_embeddings": 20}
    config = DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=32, dropout=0.2, **sizes)
    DistilBertModel(config).save_pretrained(tmp_path)
    for given, expected in ((0.0, 0.0), (0.3, 0.3), (-1.0, 0.2)):
        encoder = HuggingFaceTextEncoder(str(tmp_path), trained_layers=1, dropout=given)
        assert encoder.model.config.dropout == expected
        rebuilt = HuggingFaceTextEncoder("no/such", dropout=given, **encoder.architecture())
        assert rebuilt.model.config.dropout == expected
    assert encoder.model.transformer.layer[1].ffn.dropout.p == 0.2
    changed = HuggingFaceTextEncoder(str(tiny_text("roberta")), dropout=0.0).model.config
    assert (changed.hidden_dropout_prob, changed.attention_probs_dropout_prob) == (0.0, 0.0)
    GPT2Model(GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2)).save_pretrained(tmp_path / "gpt2")
    with pytest.raises(UserError, match="gpt2: model type 'gpt2' is no text encoder; use albert, bert"):
        HuggingFaceTextEncoder(str(tmp_path / "gpt2"), dropout=0.0)


@pytest.mark.parametrize("kind", ["bert", "roberta", "deberta"])
def test_text_of_no_and_of_600_words(tiny_text, tiny_bert, kind):
    folder = tiny_bert if kind == "bert" else tiny_text(kind)
    encoder, text = HuggingFaceTextEncoder(str(folder)), TextProcessor(folder)
    for words in ([], ["unhappy"] * 600):
        ids = torch.from_numpy(text.encode(words).ids)[None]
        assert len(ids[0]) <= {"bert": 128, "roberta": 64, "deberta": 64}[kind]
        assert encoder(ids, torch.tensor([ids.shape[1]]))[0].isfinite().all()


def test_lora_trains_low_rank_terms_only(tiny_bert):
    encoder = HuggingFaceTextEncoder(str(tiny_bert), lora_rank=2)
    assert {name.rsplit(".", 1)[-1] for name, p in encoder.named_parameters() if p.requires_grad} == {"up", "down"}


def test_broken_folders_end_in_one_line(tiny_bert, tmp_path):
    def error(change):
        folder = shutil.copytree(tiny_bert, tmp_path / change.__name__)
        change(folder)
        with pytest.raises(UserError) as caught:
            HuggingFaceTextEncoder(str(folder))
        assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
        return str(caught.value)

    def no_weights(folder):
        (folder / "model.safetensors").unlink()

    def damaged(folder):
        content = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(content[: len(content) // 2])

    def some_missing(folder):
        weights = load_file(folder / "model.safetensors")
        kept = {name: value for name, value in weights.items() if "layer.1." not in name}
        save_file(kept, folder / "model.safetensors", {"format": "pt"})

    assert "cannot be loaded" in error(no_weights)
    assert "cannot be loaded" in error(damaged)
    assert "lack 16 tensors" in error(some_missing)
    no_tokenizer = tmp_path / "no tokenizer"
    no_tokenizer.mkdir()
    shutil.copy(tiny_bert / "config.json", no_tokenizer)
    with pytest.raises(UserError, match="has no tokenizer files"):
        TextProcessor(no_tokenizer).encode(["happy"])


def test_rebuilt_from_its_configuration_alone(tiny_bert):
    first = HuggingFaceTextEncoder(str(tiny_bert)).eval()
    second = HuggingFaceTextEncoder("no/such/folder", hf_config=first.hf_config).eval()
    second.load_state_dict(first.state_dict())
    ids, lengths = torch.randint(25, 50, (1, 5)), torch.tensor([5])
    torch.testing.assert_close(second(ids, lengths)[0], first(ids, lengths)[0])


def test_too_many_trained_layers_and_missing_model(tiny_bert):
    with pytest.raises(ValueError, match="has 2 layers"):
        HuggingFaceTextEncoder(str(tiny_bert), trained_layers=3)
    with pytest.raises(UserError):
        HuggingFaceTextEncoder("offline:no-such-model")
