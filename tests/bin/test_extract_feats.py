import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import (
    HubertConfig,
    HubertModel,
    Wav2Vec2FeatureExtractor,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from m4ser.bin import extract_feats
from m4ser.data.audio import load_16k
from m4ser.data.datadir import DataDir, Utterance
from m4ser.data.features import load_features, read_feats_scp
from m4ser.data.scp import read_scp
from m4ser.models.encoders import extraction, frozen
from m4ser.models.encoders.backbones import Backbone

SAMPLES = {"a-1": 3200, "a-2": 3201, "b-1": 1600, "b-2": 8000, "c-1": 16000}


class Counter(Backbone):
    """Stand-in: 3 layers of size 2, 100 samples a frame; layer l of frame t is (l, t)."""

    num_layers, dim, samples_per_frame = 3, 2, 100
    layers = torch.nn.ModuleList()
    calls = 0

    def states(self, samples, lengths, time_mask):
        type(self).calls += 1
        frames = samples.shape[1] // 100
        layer, time = torch.meshgrid(torch.arange(3.0), torch.arange(float(frames)), indexing="ij")
        return list(torch.stack([layer, time], dim=-1)[:, None]), lengths // 100

    def keep_layers(self, highest):
        """All layers are kept."""

    def freeze_cnn(self):
        """Nothing is trained."""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with odd letters and dump/audio/all."""
    folder = tmp_path / "mein Ördner"
    folder.mkdir()
    monkeypatch.chdir(folder)
    random = np.random.default_rng(0)
    for utt, samples in SAMPLES.items():
        soundfile.write(folder / f"{utt}.flac", 0.1 * random.standard_normal(samples), 16000)
    utterances = [Utterance(utt, Path(f"{utt}.flac"), utt[0], "sad") for utt in SAMPLES]
    data = DataDir.from_utterances("dump/audio/all", utterances)
    data.maps["utt2num_samples"] = {utt: str(samples) for utt, samples in SAMPLES.items()}
    data.save()
    return folder


@pytest.fixture
def counter(monkeypatch):
    """The stand-in in place of every encoder."""
    monkeypatch.setattr(frozen, "load_frozen", lambda name, pretrained_dir=None: frozen.FrozenEncoder(Counter()))
    monkeypatch.setattr(Counter, "calls", 0)
    return Counter


def run(*options, out="feats"):
    extract_feats.main(["--out", out, *options])
    return {utt: load_features(position) for utt, position in read_feats_scp(f"{out}/all/feats.scp").items()}


def fails(*options):
    """The one line that says why it fails."""
    with pytest.raises(SystemExit) as stop:
        extract_feats.main(["--out", "feats", *options])
    message = str(stop.value)
    assert message.startswith("error: ")
    assert "\n" not in message
    assert not Path("feats/all/feats.scp").exists()
    return message


def test_layers_lie_side_by_side(here, counter):
    feats = run()
    assert list(feats) == list(SAMPLES)
    assert feats["b-1"].dtype == np.float32
    np.testing.assert_array_equal(feats["b-1"], [[0, t, 1, t, 2, t] for t in range(16)])
    assert read_scp("feats/all/utt2num_frames") == {"a-1": "32", "a-2": "32", "b-1": "16", "b-2": "80", "c-1": "160"}
    info = json.loads(Path("feats/all/info.json").read_text())
    assert info.pop("made_by")["command"]
    expected = {"layers": [0, 1, 2], "dim": 2, "frame_rate": 160.0, "pool": 1, "speed": 1.0}
    assert info == {"encoder": "offline:whisper-tiny.en", **expected}
    assert not Path("feats/.parts").exists()
    assert all(position.startswith(f"{here}/feats/all/") for position in read_feats_scp("feats/all/feats.scp").values())


def test_speed(here, counter):
    assert len(run("--speed", "1.25")["c-1"]) == 128  # of 160 frames
    assert json.loads(Path("feats/all/info.json").read_text())["speed"] == 1.25
    Path("feats/all/feats.scp").unlink()
    assert "--speed 3: must be from 0.5 to 2" in fails("--speed", "3")


def test_altered(here, counter):
    assert "--altered -1: must be 0" in fails("--altered", "-1")
    plain, first = run()["c-1"], run("--altered", "1")["c-1"]
    assert first.shape[1] == plain.shape[1] and not np.array_equal(first, plain)
    assert json.loads(Path("feats/all/info.json").read_text())["altered"] == 1
    assert np.array_equal(run("--altered", "1")["c-1"], first)
    second = run("--altered", "2")["c-1"]
    assert second.shape != first.shape or not np.array_equal(second, first)


def test_chosen_layers_and_pooled_frames(here, counter):
    feats = run("--layers", "2,0", "--pool", "5")
    # 16 frames: means of 0..4, 5..9, 10..14, and 15 alone
    np.testing.assert_array_equal(feats["b-1"], [[0, t, 2, t] for t in (2, 7, 12, 15)])
    info = json.loads(Path("feats/all/info.json").read_text())
    assert (info["layers"], info["frame_rate"], info["pool"]) == ([0, 2], 32.0, 5)


def test_wrong_options(here, counter):
    for text in ("3", "x", "0,-4"):
        assert f"--layers {text}: must be all or numbers from 0 to 2" in fails("--layers", text)
    assert "--pool 0: must be 1" in fails("--pool", "0")
    assert "nowhere: no data directories in it" in fails("--data-dir", "nowhere")
    assert "--job 3 --nj 2" in fails("--job", "3", "--nj", "2")


def whisper(folder):
    config = WhisperConfig(
        vocab_size=20,
        num_mel_bins=8,
        d_model=16,
        encoder_layers=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=32,
        max_source_positions=40,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    WhisperModel(config).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=8).save_pretrained(folder)


def hubert(folder):
    config = HubertConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    HubertModel(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)


@pytest.mark.parametrize(("make", "frames"), [(whisper, 11), (hubert, 9)])
def test_real_models_and_any_number_of_jobs(here, make, frames):
    torch.manual_seed(0)
    make("model")
    one = run("--speech-encoder", "model")
    assert one["a-2"].shape == (frames, 3 * 16)
    encoder = frozen.load_frozen("model")
    for utt, matrix in one.items():
        hidden = encoder.layers(load_16k(here / f"{utt}.flac"))
        np.testing.assert_array_equal(matrix.reshape(-1, 3, 16), hidden.transpose(1, 0, 2))
    three = run("--speech-encoder", "model", "--nj", "3", out="three")
    seven = run("--speech-encoder", "model", "--nj", "7", out="seven")  # two jobs have nothing to do
    for utt in SAMPLES:
        np.testing.assert_array_equal(three[utt], one[utt])
        np.testing.assert_array_equal(seven[utt], one[utt])


def test_several_sets(here, counter):
    whole = DataDir.read("dump/audio/all")
    whole.subset(["a-1", "b-1"]).save("dump/audio/train")
    whole.subset(["c-1"]).save("dump/audio/test")
    extract_feats.main(["--out", "feats", "--sets", "train test", "--nj", "2"])
    assert list(read_feats_scp("feats/train/feats.scp")) == ["a-1", "b-1"]
    assert list(read_feats_scp("feats/test/feats.scp")) == ["c-1"]
    assert not Path("feats/all").exists()


def test_finished_part_is_not_made_again_unless_something_changed(here, counter):
    extract_feats.main(["--out", "feats", "--nj", "2", "--job", "1"])
    for _ in range(2):
        extract_feats.main(["--out", "feats", "--nj", "2", "--job", "2"])
        assert counter.calls == 1 + 4  # c-1 is as long as all others
    extract_feats.main(["--out", "feats", "--nj", "2", "--job", "1", "--pool", "2"])
    assert counter.calls == 6
    assert "job 1 was made with other options" in fails("--nj", "2", "--merge")
    extract_feats.main(["--out", "other", "--nj", "2", "--job", "1"])
    with pytest.raises(SystemExit, match="job 2 is missing"):
        extract_feats.main(["--out", "other", "--nj", "2", "--merge"])


def test_other_job_numbers_leave_no_old_archives(here, counter):
    run("--nj", "3")
    run("--nj", "2")
    assert sorted(path.name for path in Path("feats/all").glob("*.ark")) == ["feats.1of2.ark", "feats.2of2.ark"]


def test_stopped_in_the_middle_of_a_part(here, counter, monkeypatch):
    whole = run(out="whole")
    states = Counter.states

    def stop(self, samples, lengths, time_mask):
        if samples.shape[1] == SAMPLES["b-2"]:
            raise KeyboardInterrupt
        return states(self, samples, lengths, time_mask)

    with monkeypatch.context() as patch:
        patch.setattr(Counter, "states", stop)
        with pytest.raises(SystemExit, match="interrupted"):
            run()
    assert [path.name for path in Path("feats/.parts").iterdir()] == []
    again = run()
    for utt in SAMPLES:
        np.testing.assert_array_equal(again[utt], whole[utt])


def test_stopped_in_the_middle_of_joining(here, counter, monkeypatch):
    """Archives that were joined already are found where they are; nothing is computed again."""
    extract_feats.main(["--out", "whole", "--nj", "3"])
    joined = extraction.append
    chunks = []

    def stop(source, target, crc):
        chunks.append(source.name)
        if "3of3.1" in source.name:  # of the three shortest
            raise KeyboardInterrupt
        return joined(source, target, crc)

    with monkeypatch.context() as patch:
        patch.setattr(extraction, "append", stop)
        with pytest.raises(SystemExit, match="interrupted"):
            run("--nj", "3", "--save-every", "0")
    assert len(chunks) == 4
    assert not Path("feats/all/feats.scp").exists()
    calls = counter.calls
    assert len(run("--nj", "3", "--keep-parts")) == 5
    assert len(run("--nj", "3")) == 5
    assert counter.calls == calls
    same_dump("feats", "whole")


def same_dump(one, other):
    """All files are the same, but for the folder's name and the headers."""
    names = sorted(path.relative_to(one) for path in Path(one).rglob("*"))
    assert names == sorted(path.relative_to(other) for path in Path(other).rglob("*"))
    for name in names:
        first, second = Path(one, name), Path(other, name)
        if name.suffix == ".json":
            values = [json.loads(path.read_text()) for path in (first, second)]
            for value in values:
                value.pop("made_by")
                value.get("lists", {}).pop("feats.scp", None)
            assert values[0] == values[1]
        elif first.is_file():
            assert first.read_bytes().replace(f"/{one}/".encode(), f"/{other}/".encode()) == second.read_bytes()


@pytest.mark.parametrize("stopped_at", SAMPLES)
def test_killed_and_run_again_goes_on_behind_the_last_chunk(here, counter, monkeypatch, stopped_at):
    """Whatever the chunks, the files are those of an undisturbed run."""
    extract_feats.main(["--out", "whole"])
    states = Counter.states

    def stop(self, samples, lengths, time_mask):
        if samples.shape[1] == SAMPLES[stopped_at]:
            raise KeyboardInterrupt
        return states(self, samples, lengths, time_mask)

    with monkeypatch.context() as patch:
        patch.setattr(Counter, "states", stop)
        with pytest.raises(SystemExit, match="interrupted"):
            extract_feats.main(["--out", "feats", "--save-every", "0"])
    monkeypatch.setattr(Counter, "calls", 0)
    extract_feats.main(["--out", "feats"])
    assert counter.calls == 5 - list(SAMPLES).index(stopped_at)
    same_dump("feats", "whole")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "wav.scp: the audio file of 'b-1' does not exist"),
        (lambda path: path.write_bytes(path.read_bytes()[:500]), "b-1.flac: is a truncated or damaged FLAC file"),
    ],
)
def test_bad_audio(here, counter, spoil, message):
    spoil(here / "b-1.flac")
    assert message in fails()


def test_missing_model(here):
    message = fails("--speech-encoder", "./no-model")
    assert "./no-model: no such folder" in message


def test_full_disk(here, counter, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert "no space left on the disk" in fails()
    assert list(Path("feats/.parts").iterdir()) == []
