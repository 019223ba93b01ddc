"""Shared fixtures: a tiny BERT in a folder, and the dumps of a toy corpus as stages 0 to 3 leave them."""

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import types
from pathlib import Path

# One thread per process: tiny tensors run up to fifty times slower when two cores share them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# A suite started in the background ignores Ctrl-C, and so would the commands that it starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import hypothesis
import numpy as np
import pytest

# The same examples each time, however long they take: a busy machine is no defect.
hypothesis.settings.register_profile("m4ser", derandomize=True, deadline=None)
hypothesis.settings.load_profile("m4ser")

# The modules of large libraries stay to the end: looking for garbage among them takes half of the time of importing.
gc.disable()


def pytest_collection_finish():
    """All modules are imported: from now on, garbage is looked for among what tests make."""
    gc.freeze()
    gc.enable()


WORDS = (
    "i we you am are so very really happy glad angry mad sad down today now here the a it is not was bad good".split()
)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory):
    """Folder with a random two-layer BERT of size 48 and a WordPiece vocabulary."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny_bert")
    vocabulary = ["[PAD]", *(f"[unused{i}]" for i in range(20)), "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    vocabulary += ["##" + letter for letter in "abcdefghijklmnopqrstuvwxyz"] + list("bcdefghjklmnopqrstuvwxyz")
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=12,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory):
    """Folder with a random Whisper of two layers of size 16."""
    import torch
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    folder = tmp_path_factory.mktemp("tiny_whisper")
    torch.manual_seed(0)
    config = WhisperConfig(
        d_model=16, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32, decoder_layers=1,
        decoder_attention_heads=2, decoder_ffn_dim=32, vocab_size=60, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1, num_mel_bins=80, suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    WhisperModel(config).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_speech(tmp_path_factory):
    """A function from a family's name to the folder of a random speech model of size 16 with three layers."""
    import torch
    import transformers as tf

    sizes = {
        "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32,
        "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2,
    }  # fmt: skip
    layer = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
    whisper = {
        "vocab_size": 20, "num_mel_bins": 8, "d_model": 16, "encoder_layers": 3, "encoder_attention_heads": 2,
        "encoder_ffn_dim": 32, "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32,
        "max_source_positions": 100, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
        "decoder_start_token_id": 1, "suppress_tokens": None, "begin_suppress_tokens": None,
    }  # fmt: skip
    data2vec = {**sizes, "num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 5}
    kinds = {
        "hubert": lambda: tf.HubertModel(tf.HubertConfig(**sizes)),
        "hubert-large": lambda: tf.HubertModel(tf.HubertConfig(**sizes, **layer)),
        "wav2vec2": lambda: tf.Wav2Vec2Model(tf.Wav2Vec2Config(**sizes)),
        "wav2vec2-large": lambda: tf.Wav2Vec2Model(tf.Wav2Vec2Config(**sizes, **layer)),
        "wavlm": lambda: tf.WavLMModel(tf.WavLMConfig(**sizes)),
        "wavlm-large": lambda: tf.WavLMModel(tf.WavLMConfig(**sizes, **layer)),
        "data2vec": lambda: tf.Data2VecAudioModel(tf.Data2VecAudioConfig(**data2vec)),
        "unispeech-sat": lambda: tf.UniSpeechSatModel(tf.UniSpeechSatConfig(**sizes)),
        "whisper": lambda: tf.WhisperModel(tf.WhisperConfig(**whisper)),
    }
    folders = {}

    def folder(kind):
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp(kind)
            with torch.random.fork_rng():
                torch.manual_seed(0)
                model = kinds[kind]()
                # Norms and biases start at one and zero: what goes wrong with them would not be seen.
                for parameter in model.parameters():
                    if parameter.dim() == 1:
                        parameter.data += 0.2 * torch.randn_like(parameter)
            model.save_pretrained(folders[kind])
            if kind == "whisper":
                tf.WhisperFeatureExtractor(feature_size=8).save_pretrained(folders[kind])
            else:
                tf.Wav2Vec2FeatureExtractor(do_normalize=not kind.startswith("wavlm")).save_pretrained(folders[kind])
        return folders[kind]

    folder.kinds = tuple(kinds)
    return folder


@pytest.fixture(scope="session")
def tiny_text(tmp_path_factory):
    """A function from a family's name to the folder of a random text encoder of size 48 with files as on the hub."""
    import sentencepiece
    import torch
    import transformers as tf
    from tokenizers import ByteLevelBPETokenizer

    sizes = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    lines = [" ".join(WORDS), " ".join(reversed(WORDS))] * 5

    def roberta(folder):
        bpe = ByteLevelBPETokenizer()
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        bpe.train_from_iterator(lines, vocab_size=320, special_tokens=special, show_progress=False)
        bpe.save_model(str(folder))
        return tf.RobertaModel(tf.RobertaConfig(vocab_size=320, max_position_embeddings=66, **sizes))

    def deberta(folder):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_prefix=str(folder / "spm"), vocab_size=60, hard_vocab_limit=False,
            pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]",
            unk_piece="[UNK]", minloglevel=2,
        )  # fmt: skip
        (folder / "spm.vocab").unlink()
        (folder / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}')
        attention = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16}
        return tf.DebertaV2Model(tf.DebertaV2Config(vocab_size=64, max_position_embeddings=64, **attention, **sizes))

    folders = {}

    def folder(kind):
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp(kind)
            with torch.random.fork_rng():
                torch.manual_seed(0)
                {"roberta": roberta, "deberta": deberta}[kind](folders[kind]).save_pretrained(folders[kind])
        return folders[kind]

    return folder


@pytest.fixture
def toy_dumps(tmp_path):
    """``data`` and ``dump`` of 48 utterances, 6 speakers, 2 emotions that features and words both tell.

    Returns the folder; features are (frames, 2 layers x 8), every fourth hypothesis has lost or changed a word.
    """
    from m4ser.asr.alignment import align
    from m4ser.data.features import FeatureWriter
    from m4ser.data.folds import Fold, Folds
    from m4ser.data.scp import write_scp
    from m4ser.utils.files import write_json

    rng = np.random.default_rng(1)
    speakers = [f"s{i}" for i in range(6)]
    emotion, speaker, text, edits = {}, {}, {}, {}
    for s in speakers:
        for k in range(8):
            utt = f"{s}-{k}"
            emotion[utt], speaker[utt] = ("happy", "sad")[k % 2], s
            reference = ["i", "am", "so", ("happy", "sad")[k % 2], "today"]
            hypothesis = reference if k % 4 else ["i", "was", "so", *reference[3:4]]
            text[utt] = " ".join(reference)
            alignment = align(hypothesis, reference)
            changes = [[slot, " ".join(w) if not isinstance(w, str) else w] for slot, w in alignment.changes]
            edits[utt] = json.dumps({"words": hypothesis, "tags": alignment.tags, "changes": changes})
    data, feats, source = tmp_path / "data", tmp_path / "dump/feats/toy/all", tmp_path / "dump/text/toy/all"
    write_scp(data / "all/utt2emo", emotion)
    write_scp(data / "all/utt2spk", speaker)
    write_scp(data / "all/text", text)
    (data / "labels.txt").write_text("happy\nsad\n", encoding="utf-8")
    part = {s: ("train", "train", "train", "train", "dev", "test")[i] for i, s in enumerate(speakers)}
    fold = Fold(**{p: [u for u in sorted(speaker) if part[speaker[u]] == p] for p in ("train", "dev", "test")})
    Folds("toy-6", "toy", labels=["happy", "sad"], folds={"1": fold}).write(data / "folds.json")
    with FeatureWriter(feats) as writer:
        for utt, label in emotion.items():
            frames = (
                rng.normal(size=(int(rng.integers(5, 15)), 16)) + (1.0 if label == "happy" else -1.0) * np.eye(16)[3]
            )
            writer.write(utt, frames.astype(np.float32))
    write_scp(feats / "utt2num_frames", writer.num_frames)
    info = {"encoder": "toy", "layers": [0, 1], "dim": 8, "frame_rate": 12.5, "pool": 4}
    write_json(feats / "info.json", info)
    write_scp(source / "edits", edits)
    return tmp_path


@pytest.fixture
def unaligned():
    """A function that undoes the padding of tables that are printed."""
    return lambda text: re.sub(" {2,}", " ", text)


@pytest.fixture
def scoring_lab(tmp_path):
    """A made-up corpus (12 speakers, 3 labels, 72 utterances, 3 folds) and a function that makes up a system."""
    from m4ser.data.folds import Folds, choose_dev_speakers, speaker_folds
    from m4ser.data.scp import write_scp
    from m4ser.training.predictions import Predictions, write_predictions
    from m4ser.utils.files import write_json

    labels, data = ["angry", "happy", "sad"], tmp_path / "data"
    speakers = [f"s{number:02d}" for number in range(12)]
    utt2spk = {f"{speaker}-{i}": speaker for speaker in speakers for i in range(6)}
    utt2emo = {utt: labels[int(utt[-1]) % 3] for utt in utt2spk}
    text = {utt: "one two three four five" for utt in utt2spk}
    maps = {"utt2spk": utt2spk, "utt2emo": utt2emo, "text": text}
    maps["utt2domain"] = {utt: "scripted" if int(utt[-1]) < 2 else "improvised" for utt in utt2spk}
    for name, entries in maps.items():
        write_scp(data / "all" / name, entries)
    groups = [speakers[:4], speakers[4:8], speakers[8:]]
    parts = speaker_folds(utt2spk, groups, choose_dev_speakers(groups, 2))
    folds = Folds("toy-3fold", "Three folds.", labels=labels, folds=parts)
    folds.write(data / "folds.json")
    heard = {utt: "one two three four five" if i % 2 else "one two tree four" for i, utt in enumerate(sorted(utt2spk))}
    write_scp(tmp_path / "asr" / "all" / "text", heard)

    def system(tag, accuracy, seeds=(1, 2), **run):
        exp = tmp_path / "exp" / tag
        write_json(
            exp / "run.json", {"tag": tag, "protocol": "toy-3fold", "labels": labels, "seeds": list(seeds), **run}
        )
        for seed in seeds:
            rng = np.random.default_rng([seed, *tag.encode()])
            for name, fold in folds.folds.items():
                for part in ("dev", "test"):
                    utts = getattr(fold, part)
                    ref = np.array([labels.index(utt2emo[utt]) for utt in utts])
                    wrong = (ref + rng.integers(1, 3, len(utts))) % 3
                    hyp = np.where(rng.random(len(utts)) < accuracy, ref, wrong)
                    chances = np.full((len(utts), 3), 0.2)
                    chances[np.arange(len(utts)), hyp] = 0.6
                    predictions = Predictions.from_probabilities(labels, utts, [utt2spk[u] for u in utts], ref, chances)
                    write_predictions(exp / f"fold{name}" / f"seed{seed}" / f"predictions_{part}.tsv", predictions)
        return exp

    return types.SimpleNamespace(root=tmp_path, data=data, asr=tmp_path / "asr", labels=labels, system=system)


@pytest.fixture
def write_mp4():
    """A function that writes channels x samples float32 as the AAC track of an MP4 file, next to one black frame."""
    import av

    def write(path, channels, rate=48000, layout="mono", picture=True, **options):
        with av.open(str(path), "w", format="mp4", options=options) as file:
            if picture:
                video = file.add_stream("mpeg4", rate=25)
                video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
            audio = file.add_stream("aac", rate=rate, layout=layout) if channels is not None else None
            if picture:
                frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
                file.mux([*video.encode(frame), *video.encode(None)])
            if audio is not None:
                sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels), format="fltp", layout=layout)
                sound.sample_rate, sound.pts = rate, 0
                file.mux([*audio.encode(sound), *audio.encode(None)])

    return write


def make_loudness_recognizer():
    """An EmotionRecognizer of calm and excited: all of it is real but the model, which only hears how loud it is."""
    import torch

    from m4ser.asr.backends import Hypothesis
    from m4ser.inference.recognizer import EmotionRecognizer

    frontend = types.SimpleNamespace(
        uses_text=True,
        speech=lambda samples: np.float32([np.abs(samples).max()]),
        transcribe=lambda many: [Hypothesis("well <b>hello</b>", 0.9) for _ in many],
        edits=lambda text, confidences: text,
    )

    def forward(batch):
        return torch.tensor([[0.0, 10.0 * (loud - 0.2)] for loud in batch["speech"]])

    return EmotionRecognizer(
        ["calm", "excited"],
        frontend,
        preprocess=lambda name, data: {"speech": float(data["speech"][0])},
        collate=lambda rows: ([], {"speech": [row["speech"] for _, row in rows]}),
        forward=forward,
        about={"tag": "loudness", "protocol": "by ear", "asr": "none"},
        split=6.0,
        longest=20.0,
    )


@pytest.fixture
def loudness_recognizer():
    """As :func:`make_loudness_recognizer` says."""
    return make_loudness_recognizer()


@pytest.fixture
def serve_demo(loudness_recognizer, tmp_path):
    """Serve the demonstration's page: a function that returns its address; uploads go to tmp_path/uploads."""
    import threading

    from m4ser.demo.server import build_app, listen, make_server

    running = []

    def start(recognizer=loudness_recognizer, max_bytes=2 * 2**20, here=True):
        (tmp_path / "uploads").mkdir()
        server = make_server(build_app(recognizer, tmp_path / "uploads", max_bytes, here))
        listener = listen("127.0.0.1", 0)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        running.append((server, thread, listener))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield start
    for server, thread, listener in running:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory, tiny_bert, tiny_whisper):
    """Experiment `exp/toy` with one untrained M4SER model: features of a tiny Whisper, tiny BERT, no recogniser.

    Returns the folder `exp/toy`; its run is `fold1/seed1`.
    """
    return make_toy_run(tmp_path_factory.mktemp("toy_run"), tiny_bert, tiny_whisper, "m4ser")


@pytest.fixture(scope="session")
def toy_run_x(tmp_path_factory, tiny_bert, tiny_whisper):
    """As `toy_run`, of a model that weighs words by the recogniser's confidence."""
    return make_toy_run(tmp_path_factory.mktemp("toy_run_x"), tiny_bert, tiny_whisper, "m4ser_x")


def make_toy_run(root, tiny_bert, tiny_whisper, fusion):
    """An experiment with one untrained model."""
    import torch
    import yaml

    from m4ser.models.build import build_model
    from m4ser.training.task import SERTask
    from m4ser.utils.files import write_json

    shutil.copytree(tiny_whisper, root / "whisper")
    torch.manual_seed(0)
    run = root / "exp/toy/fold1/seed1"
    args = SERTask.get_parser().parse_args(["--output_dir", str(run)])
    args.labels, args.fusion, args.fusion_conf = ["happy", "sad", "angry"], fusion, {"heads": 2, "size": 16}
    args.speech_encoder_conf = {"num_layers": 3, "input_size": 16, "output_size": 16, "frame_rate": 12.5}
    args.text_encoder_conf = {"model": str(tiny_bert), "trained_layers": 0}
    model = build_model(args)
    torch.save(model.state_dict(), run / "model.pth")
    (run / "config.yaml").write_text(yaml.safe_dump({**vars(args), "version": "1"}), encoding="utf-8")
    pipeline = {
        "speech": {"encoder": str(root / "whisper"), "layers": [0, 1, 2], "pool": 4},
        "text": {"source": "asr", "normaliser": "english", "asr": None},
    }
    plan = {"tag": "toy", "protocol": "toy-3", "labels": args.labels, "fusion": fusion, "objectives": {}}
    plan |= {"speech_encoder": str(root / "whisper"), "text_encoder": str(tiny_bert), "folds": ["1"], "seeds": [1]}
    write_json(root / "exp/toy/run.json", {**plan, "pipeline": pipeline})
    return root / "exp/toy"


@pytest.fixture(scope="session")
def voice_archive(tmp_path_factory, tiny_whisper):
    """Archive of a whole graph that hears the voice alone: an untrained model with features of a tiny Whisper."""
    import torch
    import yaml

    from m4ser.hub.opening import find_model
    from m4ser.hub.pack import pack
    from m4ser.models.build import build_model
    from m4ser.training.task import SERTask
    from m4ser.utils.files import write_json

    root = tmp_path_factory.mktemp("voice")
    torch.manual_seed(0)
    run = root / "exp/voice/fold1/seed1"
    args = SERTask.get_parser().parse_args(["--output_dir", str(run)])
    args.labels, args.fusion, args.fusion_conf = ["happy", "sad", "angry"], "speech", {}
    args.speech_encoder_conf = {"num_layers": 3, "input_size": 16, "output_size": 16, "frame_rate": 12.5}
    args.text_encoder = None
    run.mkdir(parents=True)
    torch.save(build_model(args).state_dict(), run / "model.pth")
    (run / "config.yaml").write_text(yaml.safe_dump({**vars(args), "version": "1"}), encoding="utf-8")
    features = {"encoder": str(tiny_whisper), "layers": [0, 1, 2], "pool": 4}
    plan = {"tag": "voice", "protocol": "voice-3", "labels": args.labels, "fusion": "speech", "objectives": {}}
    plan |= {"speech_encoder": str(tiny_whisper), "text_encoder": "none", "folds": ["1"], "seeds": [1]}
    write_json(root / "exp/voice/run.json", {**plan, "pipeline": {"speech": features, "text": None}})
    pack(find_model(root / "exp/voice"), root / "voice.m4ser.zip", weights="onnx", temperature=1.25)
    return root / "voice.m4ser.zip"


@pytest.fixture(scope="session")
def javascript_example(tmp_path_factory):
    """Folder of the example in JavaScript, with the packages it names."""
    example = Path(__file__).resolve().parents[1] / "docs/examples/javascript"
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("no node and npm here")
    if (example / "node_modules/onnxruntime-web").is_dir():
        return example
    folder = tmp_path_factory.mktemp("javascript") / "example"
    shutil.copytree(example, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"onnxruntime-web cannot be had from the package registry: {done.stderr[-200:]}")
    return folder


@pytest.fixture
def processor(monkeypatch):
    """Call with a precision and instruction sets that the processor is to have."""
    import torch

    before = torch.get_float32_matmul_precision()

    def change(precision, *has):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(has, True))
        torch.set_float32_matmul_precision(precision)

    yield change
    torch.set_float32_matmul_precision(before)


@pytest.fixture(scope="session")
def tone():
    """Call for (samples,): a tone in noise."""

    def make(seconds=0.7, rate=16000, hertz=300.0, seed=0):
        time = np.arange(int(seconds * rate)) / rate
        noise = np.random.default_rng(seed).standard_normal(len(time)) * 0.05
        return (0.4 * np.sin(2 * np.pi * hertz * time) + noise).astype(np.float32)

    return make


@pytest.fixture
def wavs(tmp_path, tone):
    """Four recordings of different lengths, rates and channels."""
    import soundfile

    folder = tmp_path / "my wävs"
    folder.mkdir()
    for k, rate in enumerate((16000, 8000, 44100, 16000)):
        samples = tone(0.4 + 0.3 * k, rate, seed=k)
        soundfile.write(folder / f"s{k}-a.wav", np.stack([samples, samples], 1) if k == 3 else samples, rate)
    return folder
