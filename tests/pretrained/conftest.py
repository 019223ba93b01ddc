"""Tiny Whisper models as CTranslate2 stores them."""

import json
import struct

import numpy as np
import pytest

SPECIAL = ("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>")
SPECIAL = (*SPECIAL, "<|startofprev|>", "<|nocaptions|>", "<|notimestamps|>")
SIZES = {"layers": 1, "attention_heads": 2, "ffn_dim": 3}
# CTranslate2 stacks queries, keys and values of self-attention, keys and values of the other one.
ATTENTION = (
    ("self_attn", "self_attention", [("q", "k", "v"), ("out",)]),
    ("encoder_attn", "attention", [("q",), ("k", "v"), ("out",)]),
)
RENAMED = (
    (".layers.0.self_attn_layer_norm", "/layer_0/self_attention/layer_norm"),
    (".layers.0.encoder_attn_layer_norm", "/layer_0/attention/layer_norm"),
    (".layers.0.final_layer_norm", "/layer_0/ffn/layer_norm"),
    (".layers.0.fc1", "/layer_0/ffn/linear_0"),
    (".layers.0.fc2", "/layer_0/ffn/linear_1"),
    (".embed_tokens", "/embeddings"),
    (".embed_positions.weight", "/position_encodings/encodings"),
    (".", "/"),
)


def write_ct2(path, variables, aliases=(), spec="WhisperSpec", kinds=None):
    """A CTranslate2 file as its format says, float16 unless ``kinds`` gives another type number."""

    def string(text):
        raw = text.encode() + b"\0"
        return struct.pack("<H", len(raw)) + raw

    data = struct.pack("<I", 6) + string(spec) + struct.pack("<II", 3, len(variables))
    for name, value in variables.items():
        raw = value.tobytes()
        data += string(name) + struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        data += struct.pack("<BI", (kinds or {}).get(name, 4), len(raw)) + raw
    data += struct.pack("<I", len(aliases)) + b"".join(string(a) + string(b) for a, b in aliases)
    path.write_bytes(data)
    return path


def write_tiny(folder, start):
    """A Whisper model of one layer in CTranslate2 form, whose vocabulary has ``start`` words; returns its state."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    words = ["!", "Ġ", "a", "b", *(f"w{number}" for number in range(start - 4))]
    vocabulary = [*words, *SPECIAL, "<|0.00|>", "<|0.02|>"]
    torch.manual_seed(0)
    sizes = {f"{side}_{what}": size for side in ("encoder", "decoder") for what, size in SIZES.items()}
    lengths = {"max_source_positions": 6, "max_target_positions": 5, "num_mel_bins": 4}
    tokens = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"), 0)
    config = WhisperConfig(vocab_size=len(vocabulary), d_model=4, **sizes, **lengths, **tokens)
    state = {name: v.numpy() for name, v in WhisperForConditionalGeneration(config).half().state_dict().items()}
    ours = {name.removeprefix("model."): value for name, value in state.items() if name != "proj_out.weight"}

    def stack(prefix, names):
        width = np.zeros(4, np.float16)  # keys have no bias in Whisper, CTranslate2 stores zeros
        weight = np.concatenate([ours.pop(f"{prefix}.{name}_proj.weight") for name in names])
        return weight, np.concatenate([ours.pop(f"{prefix}.{name}_proj.bias", width) for name in names])

    variables = {}
    for side in ("encoder", "decoder"):
        variables[f"{side}/num_heads"] = np.array(2, np.int16)
        for prefix, target, groups in ATTENTION if side == "decoder" else ATTENTION[:1]:
            for number, names in enumerate(groups):
                weight, bias = stack(f"{side}.layers.0.{prefix}", names)
                linear = f"{side}/layer_0/{target}/linear_{number}"
                variables |= {f"{linear}/weight": weight, f"{linear}/bias": bias}
    for name, value in ours.items():
        for old, new in RENAMED:
            name = name.replace(old, new)
        if "norm" in name:
            name = name.replace("/weight", "/gamma").replace("/bias", "/beta")
        variables[name] = value
    folder.mkdir()
    kinds = {f"{side}/num_heads": 2 for side in ("encoder", "decoder")}
    write_ct2(folder / "model.bin", variables, kinds=kinds)
    (folder / "vocabulary.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    languages = [vocabulary.index("<|en|>"), vocabulary.index("<|de|>")]
    settings = {"suppress_ids": [1], "lang_ids": languages, "alignment_heads": [[0, 1]]}
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    tokenizer = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, []))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(folder / "tokenizer.json"))
    return state


@pytest.fixture(name="write_ct2")
def _write_ct2():
    return write_ct2


@pytest.fixture
def tiny_whisper():
    return write_tiny
