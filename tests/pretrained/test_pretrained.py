import json

import pytest

from m4ser import pretrained
from m4ser.pretrained import resolve
from m4ser.utils.errors import UserError


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """An empty installation: nothing is found but what a test puts there."""
    monkeypatch.delenv("M4SER_PRETRAINED_DIR", raising=False)
    monkeypatch.setattr(pretrained, "default_dir", lambda: tmp_path / "default")
    monkeypatch.setattr(pretrained, "packaged_dir", lambda name: None)


def folder(path):
    path.mkdir(parents=True)
    return str(path)


def test_search_order(tmp_path, monkeypatch):
    last = folder(tmp_path / "default" / "whisper-tiny.en")
    assert resolve("offline:whisper-tiny.en") == last
    second = folder(tmp_path / "environment" / "whisper-tiny.en")
    monkeypatch.setenv("M4SER_PRETRAINED_DIR", str(tmp_path / "environment"))
    assert resolve("offline:whisper-tiny.en") == second
    first = folder(tmp_path / "given" / "whisper-tiny.en")
    assert resolve("offline:whisper-tiny.en", tmp_path / "given") == first


def test_packaged_model_is_found_after_the_search_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "packaged_dir", lambda name: tmp_path / "package" / name)
    assert resolve("offline:minilm-l6") == str(tmp_path / "package" / "minilm-l6")
    own = folder(tmp_path / "default" / "minilm-l6")
    assert resolve("offline:minilm-l6") == own


def test_missing_offline_model_says_where_to_put_it(tmp_path):
    with pytest.raises(UserError, match=r"not installed; run `make -C tools`, or put a folder minilm-l6 into.*default"):
        resolve("offline:minilm-l6")


@pytest.mark.parametrize("name", ["whisper-base", "whisper-base-ct2", "mpnet-base"])
def test_missing_larger_model_says_how_to_get_it(name):
    message = rf"offline:{name}: not installed; run `make -C tools base-models`, or put a folder {name} into"
    with pytest.raises(UserError, match=message):
        resolve(f"offline:{name}")


def test_unknown_offline_name_lists_the_known_ones():
    with pytest.raises(UserError, match="unknown; the offline models are offline:whisper-tiny"):
        resolve("offline:hubert")


def test_folders_are_taken_as_they_are(tmp_path):
    here = folder(tmp_path / "mein Modell ä")
    assert resolve(here) == here


@pytest.mark.parametrize("name", ["./nothing", "/no/such/folder", "~/no such folder", "a/b/c"])
def test_missing_folder(name):
    with pytest.raises(UserError, match="no such folder"):
        resolve(name)


@pytest.mark.parametrize("copy", ["org/model", "org--model"])
def test_hub_id_uses_a_local_copy(tmp_path, copy):
    local = folder(tmp_path / "given" / copy)
    assert resolve("org/model", tmp_path / "given") == local


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A stand-in for the hub and its cache; returns the list of calls (cached, patterns)."""
    huggingface_hub = pytest.importorskip("huggingface_hub")
    calls = []
    state = {"cached": False, "online": True, "files": ["config.json", "model.safetensors"]}

    def snapshot_download(name, allow_patterns, local_files_only=False):
        calls.append((local_files_only, allow_patterns))
        if local_files_only and not state["cached"]:
            raise FileNotFoundError("not in the cache")
        if not local_files_only and not state["online"]:
            raise OSError("no connection\nmore text")
        (tmp_path / "snapshot").mkdir(exist_ok=True)
        for file in state["files"]:
            (tmp_path / "snapshot" / file).touch()
        return str(tmp_path / "snapshot")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return state, calls


def test_hub_cache_is_used_without_the_network(tmp_path, hub):
    state, calls = hub
    state.update(cached=True, online=False)
    assert resolve("org/model") == str(tmp_path / "snapshot")
    assert [cached for cached, _ in calls] == [True]


def test_download_when_not_cached(tmp_path, hub):
    _, calls = hub
    assert resolve("org/model") == str(tmp_path / "snapshot")
    assert [cached for cached, _ in calls] == [True, False]
    assert not any("pytorch" in pattern for pattern in calls[1][1])


def test_half_a_model_in_the_cache_is_completed(hub):
    state, calls = hub
    state.update(cached=True, files=["config.json"])
    resolve("org/model")
    assert [cached for cached, _ in calls] == [True, True, False, False]  # with pickles, without, then the hub twice


def test_a_cache_that_lacks_shards_is_completed(tmp_path, hub):
    state, calls = hub
    state.update(cached=True, files=["config.json", "model-00001-of-00002.safetensors"])
    (tmp_path / "snapshot").mkdir()
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (tmp_path / "snapshot/model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    resolve("org/model")
    assert False in [cached for cached, _ in calls]
    state["files"].append("model-00002-of-00002.safetensors")
    resolve("org/model")
    calls.clear()
    resolve("org/model")
    assert [cached for cached, _ in calls] == [True]


def test_pickled_weights_only_where_there_are_no_others(tmp_path, hub):
    state, calls = hub
    state["files"] = ["config.json"]
    resolve("org/model")
    assert calls[-1] == (False, ["pytorch_model*.bin"])


def test_unreachable_hub_says_what_to_put_where(tmp_path, hub):
    hub[0]["online"] = False
    with pytest.raises(UserError) as caught:
        resolve("org/model", tmp_path / "given")
    message = str(caught.value)
    assert message.startswith("org/model: neither a folder nor to be had from the hub (no connection);")
    assert message.endswith(f"put them into {tmp_path / 'given' / 'org/model'}") and "\n" not in message
