"""Turn a Whisper model in CTranslate2 form into an ordinary Hugging Face folder.

faster-whisper reads CTranslate2 files, in which nothing can be trained and whose hidden layers cannot be seen. The
same weights as a Hugging Face model serve as speech encoder.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_directory

# CTranslate2's type numbers (ctranslate2/include/ctranslate2/types.h) of what a converted model can hold unquantised.
FLOAT32, INT16, FLOAT16, INT8 = 0, 2, 4, 1
DTYPES: dict[int, np.dtype[Any]] = {
    FLOAT32: np.dtype("<f4"),
    INT8: np.dtype("<i1"),
    INT16: np.dtype("<i2"),
    FLOAT16: np.dtype("<f2"),
}
# Token by which English-only models begin; multilingual ones have one word more before it.
ENGLISH_START = 50257
NEEDED = ("<|endoftext|>", "<|startoftranscript|>", "<|startofprev|>", "<|notimestamps|>", "Ġ")


def read_ct2(path: str | Path) -> dict[str, np.ndarray]:
    """Read the variables of a CTranslate2 ``model.bin`` of a Whisper model.

    Little-endian: u32 version, string spec, u32 revision, u32 count; per variable: string name, u8 rank, u32 dims,
    u8 type, u32 bytes, data; then u32 count of aliases, each two strings (alias, variable). Strings are a u16 length
    that counts the closing zero byte.

    Raises:
        UserError: not such a file, cut short, or quantised.
    """
    path = Path(path)
    data, at = memoryview(path.read_bytes()), 0

    def take(form: str) -> tuple[Any, ...]:
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values

    def string() -> str:
        (length,) = take("H")
        (raw,) = take(f"{length}s")
        return raw[:-1].decode("utf-8")

    variables: dict[str, np.ndarray] = {}
    try:
        take("I")
        spec = string()
        if spec != "WhisperSpec":
            raise UserError(f"{path}: holds a {spec}, not a Whisper model")
        _, count = take("II")
        for _ in range(count):
            name, (rank,) = string(), take("B")
            shape = take(f"{rank}I")
            type_number, size = take("BI")
            if type_number not in DTYPES:
                raise UserError(f"{path}: variable {name} has the unsupported type {type_number}; use a float16 model")
            raw = data[at : at + size]
            if len(raw) != size:
                raise struct.error("end of file")
            variables[name] = np.frombuffer(raw, DTYPES[type_number]).reshape(shape)
            at += size
        for _ in range(take("I")[0]):
            alias, name = string(), string()
            variables[alias] = variables[name]
    except (struct.error, UnicodeDecodeError, KeyError, ValueError) as error:
        raise UserError(f"{path}: damaged or not a CTranslate2 file ({error}); install its package again") from error
    quantised = [name for name, value in variables.items() if value.ndim > 1 and value.dtype.kind != "f"]
    if quantised:
        raise UserError(f"{path}: is quantised ({quantised[0]}); use a float16 or float32 model")
    return variables


def _split(value: np.ndarray, names: str) -> dict[str, np.ndarray]:
    """Undo CTranslate2's stacking of projections along the first axis."""
    return dict(zip(names, np.split(value, len(names)), strict=True))


def to_huggingface(variables: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename and unstack CTranslate2 variables into the state of ``WhisperForConditionalGeneration``, float32.

    Self-attention stacks q, k, v in ``linear_0`` and has the output projection in ``linear_1``; cross-attention has q
    in ``linear_0``, k and v in ``linear_1``, output in ``linear_2``. Keys have no bias in Whisper: CTranslate2 stores
    zeros, which are dropped. The output projection is tied to the decoder's embeddings and not stored.
    """
    state: dict[str, np.ndarray] = {}

    def put(target: str, value: np.ndarray) -> None:
        state["model." + target] = value.astype(np.float32)

    def norm(target: str, source: str) -> None:
        put(f"{target}.weight", variables[f"{source}/gamma"])
        put(f"{target}.bias", variables[f"{source}/beta"])

    def linear(target: str, source: str) -> None:
        for part in ("weight", "bias"):
            put(f"{target}.{part}", variables[f"{source}/{part}"])

    def projections(target: str, source: str, names: str) -> None:
        for part in ("weight", "bias"):
            for name, value in _split(variables[f"{source}/{part}"], names).items():
                if not (name == "k" and part == "bias"):
                    put(f"{target}.{name}_proj.{part}", value)

    for conv in ("conv1", "conv2"):
        linear(f"encoder.{conv}", f"encoder/{conv}")
    put("decoder.embed_tokens.weight", variables["decoder/embeddings/weight"])
    for side in ("encoder", "decoder"):
        put(f"{side}.embed_positions.weight", variables[f"{side}/position_encodings/encodings"])
        norm(f"{side}.layer_norm", f"{side}/layer_norm")
        for number in range(_layers(variables, side)):
            target, source = f"{side}.layers.{number}", f"{side}/layer_{number}"
            norm(f"{target}.self_attn_layer_norm", f"{source}/self_attention/layer_norm")
            projections(f"{target}.self_attn", f"{source}/self_attention/linear_0", "qkv")
            linear(f"{target}.self_attn.out_proj", f"{source}/self_attention/linear_1")
            if side == "decoder":
                norm(f"{target}.encoder_attn_layer_norm", f"{source}/attention/layer_norm")
                projections(f"{target}.encoder_attn", f"{source}/attention/linear_0", "q")
                projections(f"{target}.encoder_attn", f"{source}/attention/linear_1", "kv")
                linear(f"{target}.encoder_attn.out_proj", f"{source}/attention/linear_2")
            norm(f"{target}.final_layer_norm", f"{source}/ffn/layer_norm")
            linear(f"{target}.fc1", f"{source}/ffn/linear_0")
            linear(f"{target}.fc2", f"{source}/ffn/linear_1")
    return state


def _layers(variables: dict[str, np.ndarray], side: str) -> int:
    return len({name.split("/")[1] for name in variables if name.startswith(f"{side}/layer_") and "/ffn/" in name})


def convert(ct2_dir: str | Path, output_dir: str | Path) -> None:
    """Write config, weights, tokenizer, preprocessor and generation config of ``ct2_dir`` to ``output_dir``.

    Weights are float32, because transformers loads a model in the type it was saved in and float16 does not train.

    Raises:
        UserError: a file is missing or damaged, or the vocabulary is not one of Whisper.
    """
    import torch
    from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    ct2_dir, output_dir = Path(ct2_dir), Path(output_dir)
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt"):
        if not (ct2_dir / name).is_file():
            raise UserError(f"{ct2_dir / name}: missing; install the package that carries the model again")
    variables = read_ct2(ct2_dir / "model.bin")
    settings = json.loads((ct2_dir / "config.json").read_text(encoding="utf-8"))
    vocabulary = (ct2_dir / "vocabulary.txt").read_text(encoding="utf-8").split("\n")
    ids = {token: number for number, token in enumerate(vocabulary) if token}
    if lacking := [token for token in NEEDED if token not in ids]:
        raise UserError(f"{ct2_dir / 'vocabulary.txt'}: has no {lacking[0]}; this is not the vocabulary of Whisper")

    mels, width = variables["encoder/conv1/weight"].shape[1], variables["encoder/conv1/weight"].shape[0]
    end, start, blank = ids["<|endoftext|>"], ids["<|startoftranscript|>"], ids["Ġ"]
    tokens: dict[str, Any] = {
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "decoder_start_token_id": start,
    }
    config = WhisperConfig(
        vocab_size=len(variables["decoder/embeddings/weight"]),
        num_mel_bins=mels,
        d_model=width,
        encoder_layers=_layers(variables, "encoder"),
        decoder_layers=_layers(variables, "decoder"),
        encoder_attention_heads=int(variables["encoder/num_heads"]),
        decoder_attention_heads=int(variables["decoder/num_heads"]),
        encoder_ffn_dim=len(variables["encoder/layer_0/ffn/linear_0/weight"]),
        decoder_ffn_dim=len(variables["decoder/layer_0/ffn/linear_0/weight"]),
        max_source_positions=len(variables["encoder/position_encodings/encodings"]),
        max_target_positions=len(variables["decoder/position_encodings/encodings"]),
        **tokens,
    )
    model = WhisperForConditionalGeneration(config)
    state = {name: torch.from_numpy(value) for name, value in to_huggingface(variables).items()}
    state["proj_out.weight"] = state["model.decoder.embed_tokens.weight"]
    model.load_state_dict(state, strict=True)
    model.generation_config = GenerationConfig(
        **tokens,
        max_length=config.max_target_positions,
        suppress_tokens=settings["suppress_ids"],
        begin_suppress_tokens=settings.get("suppress_ids_begin", [blank, end]),
        alignment_heads=settings.get("alignment_heads"),
        **_languages(vocabulary, ids, settings.get("lang_ids", [])),
        return_timestamps=False,
        no_timestamps_token_id=ids["<|notimestamps|>"],
        prev_sot_token_id=ids["<|startofprev|>"],
        max_initial_timestamp_index=50,
    )
    with atomic_directory(output_dir) as folder:
        model.save_pretrained(folder)
        WhisperFeatureExtractor(feature_size=mels).save_pretrained(folder)
        _save_tokenizer(ct2_dir / "tokenizer.json", vocabulary, folder)
        for file in folder.iterdir():
            file.chmod(0o644)  # safetensors makes files that only their owner can read


def _languages(vocabulary: list[str], ids: dict[str, int], numbers: list[int]) -> dict[str, Any]:
    """What the generation config says of languages and tasks. English-only models number these tokens, too."""
    multilingual = ids["<|startoftranscript|>"] != ENGLISH_START
    if not multilingual:
        return {"is_multilingual": False}
    tasks = {task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")}
    return {
        "is_multilingual": True,
        "lang_to_id": {vocabulary[number]: number for number in numbers},
        "task_to_id": tasks,
    }


def _save_tokenizer(source: Path, vocabulary: list[str], folder: Path) -> None:
    """Write the tokenizer; the packaged one lacks the timestamp tokens, which ``vocabulary`` has."""
    from tokenizers import AddedToken, Tokenizer
    from transformers import WhisperTokenizer

    backend = Tokenizer.from_file(str(source))
    timestamps = [token for token in vocabulary[backend.get_vocab_size() :] if token]
    # Transformers takes every id above the last special one for a timestamp, so it must know them all by name.
    special = [token.content for _, token in sorted(backend.get_added_tokens_decoder().items()) if token.special]
    backend.add_tokens([AddedToken(token, normalized=False) for token in timestamps])
    backend.save(str(folder / "tokenizer.json"))
    tokenizer = WhisperTokenizer.from_pretrained(folder, extra_special_tokens=special)
    tokenizer.save_pretrained(folder)
