"""Training runs through ESPnet's trainer at toy size: every kind of configuration, resume, kills, two processes."""

import functools
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from m4ser.bin import infer, train
from m4ser.data.scp import read_scp, write_scp
from m4ser.models.model import SERModel
from m4ser.training import run as stage_4
from m4ser.training.configuration import parse_task, read_config
from m4ser.training.experiment import read_maps, runs
from m4ser.training.lists import read_folds, write_data
from m4ser.training.operating_point import log_prior
from m4ser.training.options import task_command
from m4ser.training.predictions import read_predictions
from m4ser.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
BASE = {
    "speech_encoder": "precomputed",
    "speech_encoder_conf": {"output_size": 32},
    "text_encoder_conf": {"trained_layers": 1},
    "optim": "adamw",
    "optim_conf": {"lr": 5.0e-3},
    "batch_type": "unsorted",
    "batch_size": 8,
    "shuffle_within_batch": True,
    "max_epoch": 3,
    "num_workers": 0,
    "best_model_criterion": [["valid", "ua", "max"]],
    "keep_nbest_models": [2],
    "use_tensorboard": False,
    "use_matplotlib": False,
    "num_att_plot": 0,
}
M4SER = {
    "fusion": "m4ser",
    "fusion_conf": {"heads": 2},
    "text_conf": {"dummy_tokens": True},
    "objectives": {
        "aed": {"weight": 0.1},
        "aec": {"weight": 0.1, "heads": 2, "feed_forward": 32},
        "adversarial": {"weight": 0.01},
        "contrastive": {"weight": 0.1},
    },
}


@pytest.fixture
def recipe(toy_dumps, tiny_bert, monkeypatch):
    """Call with a configuration and a tag: options of the training command for it."""
    monkeypatch.chdir(toy_dumps)
    monkeypatch.setenv("M4SER_DEBUG", "1")

    def options(config, tag="toy", *extra):
        path = toy_dumps / f"{tag}.yaml"
        path.write_text(yaml.safe_dump({**BASE, **config}), encoding="utf-8")
        return [
            *("--data", "data", "--feats", "dump/feats/toy", "--text", "dump/text/toy", "--exp", f"exp/{tag}"),
            *("--config", str(path), "--text-encoder", str(tiny_bert), *extra),
        ]

    options.folder = toy_dumps
    return options


def run(options):
    train.main([*options, "--plan"])
    train.main([*options, "--job", "1"])


def weights(folder, tag):
    return torch.load(folder / f"exp/{tag}/fold1/seed1/model.pth", weights_only=True)


@pytest.mark.slow
def test_runs_that_share_the_imports_equal_those_of_processes_of_their_own(recipe, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for tag in ("shared", "own"):
        options = recipe({**M4SER, "matmul_precision": "medium"}, tag, "--seeds", "1 2")
        which = ["--data", "data", "--audio", "dump/audio", "--exp", f"exp/{tag}", "--seeds", "1 2"]
        for module, command in (
            ("m4ser.training.task", ["m4ser.bin.train", *options, "--plan"]),
            ("m4ser.training.evaluation", ["m4ser.bin.infer", *which]),
        ):
            preload = ["--preload", module] if tag == "shared" else []
            launcher = ["-m", "m4ser.launch.local", *preload, "--max-jobs-run", "1", "JOB=1:2", f"{module}.JOB.log"]
            job = ["python", "-m", *command, "--job", "JOB"]
            done = subprocess.run([sys.executable, *launcher, *job], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    for seed in ("seed1", "seed2"):
        shared, own = (recipe.folder / f"exp/{tag}/fold1/{seed}" for tag in ("shared", "own"))
        for part in ("dev", "test"):
            name = f"predictions_{part}.tsv"
            assert (shared / name).read_bytes() == (own / name).read_bytes()
        old, new = (torch.load(run / "model.pth", weights_only=True) for run in (own, shared))
        assert all(torch.equal(old[name], new[name]) for name in old)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        {"fusion": "speech"},
        {"fusion": "text"},
        {"fusion": "concat"},
        M4SER,
        {**M4SER, "accum_grad": 2, "model_conf": {"class_weights": "balanced", "label_smoothing": 0.1}},
        {"fusion": "concat", "iterator_type": "category", "batch_type": "catbel", "valid_iterator_type": "sequence",
         "valid_batch_type": "unsorted", "patience": 1, "early_stopping_criterion": ["valid", "ua", "max"]},
    ],
    ids=["speech", "text", "concat", "m4ser", "accumulated-weighted", "balanced-batches"],
)  # fmt: skip
def test_trains_selects_and_predicts(recipe, config, capsys):
    options = recipe(config)
    run(options)
    folder = recipe.folder / "exp/toy/fold1/seed1"
    info = json.loads((folder / "train_info.json").read_text())
    assert info["parameters"] > 0
    history = json.loads((folder / "history.json").read_text())
    assert list(history["epochs"]) == [str(epoch + 1) for epoch in range(info["last_epoch"])]
    dev = [phases["valid"]["ua"] for phases in history["epochs"].values()]
    assert dev[history["best_epoch"] - 1] == max(dev) and history["criterion"] == ["valid", "ua", "max"]
    assert sorted(p.name for p in folder.glob("*.pth")) == ["model.pth"]
    infer.main(["--data", "data", "--exp", "exp/toy", "--job", "1"])
    found = read_predictions(folder / "predictions_test.tsv", ["happy", "sad"])
    assert len(found.utts) == 8
    capsys.readouterr()
    train.main([*options, "--job", "1"])
    assert "trained already" in capsys.readouterr().out


@pytest.mark.slow
def test_the_last_epoch_can_be_kept_whatever_its_score(recipe):
    config = {"fusion": "speech", "best_model_criterion": [["valid", "epoch", "max"]], "keep_nbest_models": [1]}
    run(recipe(config, "last", "--keep-snapshots", "true"))
    folder = recipe.folder / "exp/last/fold1/seed1"
    history = json.loads((folder / "history.json").read_text())
    last = json.loads((folder / "train_info.json").read_text())["last_epoch"]
    assert history["best_epoch"] == last > 1
    kept, weights = (torch.load(folder / name, weights_only=True) for name in ("model.pth", f"{last}epoch.pth"))
    assert same(kept, weights)


@pytest.mark.slow
def test_toy_task_is_learned(recipe):
    run(recipe({"fusion": "concat", "max_epoch": 8}))
    infer.main(["--data", "data", "--exp", "exp/toy", "--job", "1"])
    found = read_predictions(recipe.folder / "exp/toy/fold1/seed1/predictions_test.tsv", ["happy", "sad"])
    assert (found.ref == found.hyp).mean() >= 0.75


@pytest.mark.slow
def test_bfloat16_on_a_processor_without_amx(recipe, monkeypatch):
    """``matmul_precision: medium`` holds for training and validation, not for inference; the task is learned."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    used, plain = [], SERModel.represent

    def represent(self, **given):
        used.append((self.training, torch.is_autocast_enabled("cpu")))
        return plain(self, **given)

    monkeypatch.setattr(SERModel, "represent", represent)
    run(recipe({"fusion": "concat", "max_epoch": 8, "matmul_precision": "medium"}))
    assert set(used) == {(True, True), (False, True)}
    used.clear()
    infer.main(["--data", "data", "--exp", "exp/toy", "--job", "1"])
    assert set(used) == {(False, False)}
    assert all(value.dtype != torch.bfloat16 for value in weights(recipe.folder, "toy").values())
    found = read_predictions(recipe.folder / "exp/toy/fold1/seed1/predictions_test.tsv", ["happy", "sad"])
    assert (found.ref == found.hyp).mean() >= 0.75


@pytest.mark.slow
def test_model_needs_no_other_folder(recipe, tiny_bert):
    local = shutil.copytree(tiny_bert, recipe.folder / "bert")
    options = recipe(M4SER)
    options[options.index(str(tiny_bert))] = str(local)
    run(options)
    infer.main(["--data", "data", "--exp", "exp/toy", "--job", "1"])
    first = (recipe.folder / "exp/toy/fold1/seed1/predictions_test.tsv").read_bytes()
    shutil.rmtree(local)
    for part in ("dev", "test"):
        (recipe.folder / f"exp/toy/fold1/seed1/predictions_{part}.tsv").unlink()
    infer.main(["--data", "data", "--exp", "exp/toy", "--job", "1"])
    assert (recipe.folder / "exp/toy/fold1/seed1/predictions_test.tsv").read_bytes() == first


@pytest.mark.slow
def test_resumed_training_is_bit_identical(recipe):
    run(recipe({**M4SER, "max_epoch": 4}, "straight"))
    options = recipe({**M4SER, "max_epoch": 4}, "resumed")
    # Stop after two epochs as a kill would: ESPnet's own trainer on the shorter configuration, nothing finished off.
    half = [*options, "--keep-snapshots", "true", "--train-args", "--max_epoch 2"]
    train.main([*half, "--job", "1"])
    for name in ("train_info.json", "model.pth"):
        (recipe.folder / "exp/resumed/fold1/seed1" / name).unlink()
    train.main([*options, "--job", "1"])
    assert same(weights(recipe.folder, "straight"), weights(recipe.folder, "resumed"))


class Harm:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("harm-was-done"),)


@pytest.mark.slow
def test_a_forged_file_runs_nothing_where_training_starts_or_goes_on(recipe):
    """--init-exp loads the weights that were checked, and a checkpoint is read as data."""
    config = {"fusion": "speech", "max_epoch": 1, "optim_conf": {"lr": 0.0}}
    run(recipe(config, "first"))
    trained, first = weights(recipe.folder, "first"), recipe.folder / "exp/first/fold1/seed1"
    save_file({name: value.contiguous() for name, value in trained.items()}, first / "model.safetensors")
    torch.save({**trained, "more": Harm()}, first / "model.pth")
    options = recipe(config, "second", "--init-exp", "exp/first", "--keep-snapshots", "true")
    run(options)
    assert same(weights(recipe.folder, "second"), trained)

    second = recipe.folder / "exp/second/fold1/seed1"
    content = torch.load(second / "checkpoint.pth", weights_only=False)
    torch.save({**content, "more": Harm()}, second / "checkpoint.pth")
    (second / "train_info.json").unlink()
    with pytest.raises(UserError, match=r"checkpoint\.pth: refused: holds more than a checkpoint"):
        train.main([*options, "--job", "1"])
    (first / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"first/fold1/seed1/model\.pth: refused: holds more than weights"):
        run(recipe(config, "third", "--init-exp", "exp/first"))
    assert not (recipe.folder / "harm-was-done").exists()


@pytest.mark.slow
def test_a_model_that_is_gone_is_trained_again(recipe):
    options = recipe({"fusion": "speech"})
    run(options)
    folder, first = recipe.folder / "exp/toy/fold1/seed1", weights(recipe.folder, "toy")
    (folder / "model.pth").unlink()
    train.main([*options, "--job", "1"])
    assert same(weights(recipe.folder, "toy"), first)


@pytest.mark.slow
def test_full_disk_costs_one_line_and_nothing_else(recipe, monkeypatch):
    options = recipe({"fusion": "speech"}, "straight")
    run(options)
    options, disk = recipe({"fusion": "speech"}, "full"), recipe.folder / "exp/full"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        monkeypatch.delenv("M4SER_DEBUG")
        with pytest.raises(SystemExit, match=r"^error: exp/full/fold1/seed1: a checkpoint cannot be written; 0 MB"):
            run(options)
        assert not list(disk.glob("fold1/seed1/model.pth"))
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        train.main([*options, "--job", "1"])
        assert same(weights(recipe.folder, "straight"), weights(recipe.folder, "full"))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["checkpoint", "model", "links"])
def test_kill_while_saving_costs_one_epoch_and_changes_nothing(recipe, damage):
    run(recipe({"fusion": "speech", "max_epoch": 4}, "straight"))
    options = recipe({"fusion": "speech", "max_epoch": 4}, "killed")
    train.main([*options, "--keep-snapshots", "true", "--train-args", "--max_epoch 3", "--job", "1"])
    folder = recipe.folder / "exp/killed/fold1/seed1"
    (folder / "train_info.json").unlink()
    (folder / "model.pth").unlink()
    if damage == "checkpoint":
        content = (folder / "checkpoint.pth").read_bytes()
        (folder / "checkpoint.pth").write_bytes(content[: len(content) // 2])
    elif damage == "model":
        (folder / "3epoch.pth").write_bytes(b"PK")
    else:
        for path in folder.glob("*.pth"):
            if path.is_symlink():
                path.unlink()
    train.main([*options, "--job", "1"])
    assert same(weights(recipe.folder, "straight"), weights(recipe.folder, "killed"))


@pytest.mark.slow
def test_run_that_had_stopped_early_is_not_trained_further(recipe):
    config = {"fusion": "speech", "max_epoch": 30, "patience": 1, "early_stopping_criterion": ["valid", "ua", "max"]}
    options = recipe(config)
    train.main([*options, "--keep-snapshots", "true", "--job", "1"])
    folder = recipe.folder / "exp/toy/fold1/seed1"
    info = json.loads((folder / "train_info.json").read_text())
    assert info["last_epoch"] < 30
    first = weights(recipe.folder, "toy")
    (folder / "train_info.json").unlink()
    train.main([*options, "--job", "1"])
    assert json.loads((folder / "train_info.json").read_text())["last_epoch"] == info["last_epoch"]
    assert same(weights(recipe.folder, "toy"), first)


@pytest.mark.slow
def test_copies_at_another_speed_are_trained_on_only(recipe):
    options = [*recipe(M4SER), "--perturbed", "dump/feats/slow"]
    shutil.copytree(recipe.folder / "dump/feats/toy", recipe.folder / "dump/feats/slow")
    slow = recipe.folder / "dump/feats/slow/all"
    (slow / "info.json").write_text(json.dumps({**json.loads((slow / "info.json").read_text()), "speed": 0.9}))
    (slow / "feats.scp").write_text((slow / "feats.scp").read_text().replace("/feats/toy/", "/feats/slow/"))
    run(options)
    data = recipe.folder / "exp/toy/fold1/seed1/data"
    ids = {part: list(read_scp(data / part / "feats.scp")) for part in ("train", "dev", "test")}
    assert len(ids["train"]) == 64 and ids["train"][32:] == [f"speed0.9-{utt}" for utt in ids["train"][:32]]
    assert "/slow/" in read_scp(data / "train/feats.scp")["speed0.9-s0-0"]
    assert read_scp(data / "train/edits")["speed0.9-s0-0"] == read_scp(data / "train/edits")["s0-0"]
    assert not any("speed" in utt for part in ("dev", "test") for utt in ids[part])
    assert json.loads((recipe.folder / "exp/toy/run.json").read_text())["speeds"] == [0.9]
    (slow / "info.json").write_text(json.dumps({**json.loads((slow / "info.json").read_text()), "altered": 2}))
    train.main([*recipe(M4SER, "other"), "--perturbed", "dump/feats/slow", "--plan"])
    plan = json.loads((recipe.folder / "exp/other/run.json").read_text())
    assert (plan["speeds"], plan["altered_copies"]) == (None, 1)
    wave = {"fusion": "speech", "speech_encoder": "conformer"}
    with pytest.raises(UserError, match="leave --perturbed away"):
        train.main([*recipe(wave, "wave"), "--perturbed", "dump/feats/slow", "--plan"])


def test_text_alone_is_read_as_often_as_with_copies_of_the_speech(recipe):
    options = [*recipe({"fusion": "text", "text_encoder": "huggingface"}, "text"), "--perturbed", "dump/feats/slow"]
    shutil.copytree(recipe.folder / "dump/feats/toy", recipe.folder / "dump/feats/slow")
    info = recipe.folder / "dump/feats/slow/all/info.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "speed": 0.9}))
    args = train.get_parser().parse_args([*options, "--job", "1"])
    folds = read_folds("data")
    write_data(args, parse_task(args.config), folds, folds.folds["1"], recipe.folder / "lists")
    edits, lengths = (read_scp(recipe.folder / "lists/train" / name) for name in ("edits", "lengths"))
    assert len(edits) == 64 and list(edits) == list(lengths)
    assert edits["speed0.9-s0-0"] == edits["s0-0"] and lengths["speed0.9-s0-0"] == lengths["s0-0"]
    info.write_text(json.dumps({**json.loads(info.read_text()), "speed": 1.0, "altered": 2}))
    write_data(args, parse_task(args.config), folds, folds.folds["1"], recipe.folder / "lists")
    assert "altered2-s0-0" in read_scp(recipe.folder / "lists/train/edits")


@pytest.mark.slow
def test_two_processes_train_together(recipe):
    """Data parallel over gloo: both ranks run, one writes; dev scores pool what both predicted."""
    options = recipe({**M4SER, "max_epoch": 2, "unused_parameters": True, "dist_backend": "gloo"})
    args = train.get_parser().parse_args([*options, "--job", "1"])
    folds, task = read_folds("data"), parse_task(args.config)
    (one,) = runs(args.exp, ["1"], [1])
    write_data(args, task, folds, folds.folds["1"], one.folder / "data")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "m4ser.bin.ser_train", *task_command(args, task, folds, one)]
    processes = []
    for rank in range(2):
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        environment = {**os.environ, **address, "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)}
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    errors = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert "wer_aec" in errors[0]  # the epoch metrics of what both ranks predicted
    stage_4.finish(one.folder, task, read_maps("data", folds.sets, "utt2spk"), 0.0, keep_snapshots=False)
    assert (one.folder / "model.pth").exists()
    assert json.loads((one.folder / "train_info.json").read_text())["seconds"] > 0.0  # that of the epochs, at least


VALIDATION = """
import sys, types, torch
from espnet2.train.reporter import Reporter
from m4ser.training.trainer import SERTrainer
rank = int(sys.argv[1])
torch.distributed.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
class Net(torch.nn.Module):
    objectives = {}
    def evaluate(self, utt_id, emotion):
        loss = torch.tensor([2.0 + 2 * rank])
        return {"stats": {"loss": loss}, "weight": torch.tensor([1.0 + 2 * rank])}, torch.eye(2)[emotion[:, 0]], {}
reporter = Reporter()
reporter.set_epoch(1)
with reporter.observe("valid") as observed:
    batches = [([f"utterance{rank}"], {"emotion": torch.tensor([[rank]])})]
    options = types.SimpleNamespace(ngpu=0, use_amp=False, output_dir=".", max_epoch=1)
    processes = types.SimpleNamespace(distributed=True, dist_rank=rank)
    SERTrainer.validate_one_epoch(Net(), batches, observed, options, processes)
print(reporter.get_value("valid", "loss"), reporter.get_value("valid", "ua"))
"""


@pytest.mark.slow
def test_validation_loss_is_that_of_all_processes(tmp_path):
    """Early stopping and plateaus of the loss have to be seen by all or none: (1 * 2 + 3 * 4) / 4 = 3.5 everywhere."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", VALIDATION, str(rank), str(tmp_path / "meet")], cwd=tmp_path, stdout=subprocess.PIPE
        )
        for rank in range(2)
    ]
    assert [process.communicate(timeout=120)[0].split()[-2:] for process in processes] == [[b"3.5", b"1.0"]] * 2


@pytest.mark.slow
def test_the_first_machine_lists_and_finishes(recipe, monkeypatch):
    """Of the processes that Slurm starts on two machines; each here trains by itself."""
    options = [*recipe({"fusion": "speech", "max_epoch": 1}), "--train-args", "--dist_launcher slurm", "--job", "1"]
    folder = recipe.folder / "exp/toy/fold1/seed1"
    train.main([*options[:-2], "--plan"])
    trained = []

    def fake(cmd):
        assert (folder / "data/train/feats.scp").exists()
        trained.append(cmd)

    monkeypatch.setattr("m4ser.training.task.SERTask.main", fake)
    monkeypatch.setattr(stage_4, "finish", lambda folder, *rest: (folder / "train_info.json").write_text("{}"))
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setattr(stage_4, "wait_for", functools.partial(stage_4.wait_for, seconds=0.1))
    with pytest.raises(UserError, match=r"listed\.7: has not come in 0 s; see what the first machine says"):
        train.main(options)
    assert not trained and not (folder / "data").exists()
    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("SLURM_PROCID", "0")
    train.main(options)
    assert (folder / "train_info.json").exists() and not list(folder.glob(".listed*"))
    (folder / "train_info.json").unlink()
    (folder / ".listed.7").touch()
    monkeypatch.setenv("SLURM_PROCID", "1")
    train.main(options)
    assert len(trained) == 2 and not (folder / "train_info.json").exists()


@pytest.mark.slow
def test_reference_transcripts_are_asked_for(recipe):
    edits = recipe.folder / "dump/text/toy/all/edits"
    lines = [line.split(" ", 1) for line in edits.read_text().splitlines()]
    edits.write_text("".join(f"{u} {json.dumps({'words': json.loads(e)['words']})}\n" for u, e in lines))
    options = recipe({"fusion": "concat", "objectives": {"ctc": {}}})
    with pytest.raises(UserError, match="trained with reference transcripts, but s0-0 has none"):
        run(options)
    shutil.rmtree(recipe.folder / "exp")
    run(recipe({**M4SER, "max_epoch": 1}))  # detection and correction have nothing to learn then


@pytest.mark.slow
def test_balanced_weights_asked_for_on_the_command_line(recipe):
    options = recipe({"fusion": "speech", "max_epoch": 1})
    run([*options, "--train-args", "--model_conf class_weights=balanced"])
    config = yaml.safe_load((recipe.folder / "exp/toy/fold1/seed1/config.yaml").read_text())
    assert config["model_conf"]["class_weights"] == [1.0, 1.0]


def test_plan_guards_the_tag(recipe):
    options = recipe({"fusion": "speech"})
    train.main([*options, "--plan", "--seeds", "1 2 3"])
    assert json.loads((recipe.folder / "exp/toy/run.json").read_text())["seeds"] == [1, 2, 3]
    with pytest.raises(UserError, match="give this run a --tag"):
        train.main([*recipe({"fusion": "concat"}), "--plan"])


@pytest.mark.slow
def test_plan_of_a_job(recipe):
    """A job can plan as well; one that is trained already leaves it to the first, which always looks."""
    words = ["--plan", "--seeds", "1 2", "--job"]
    train.main([*recipe({"fusion": "speech"}), *words, "2"])
    assert json.loads((recipe.folder / "exp/toy/run.json").read_text())["seeds"] == [1, 2]
    assert (recipe.folder / "exp/toy/fold1/seed2/model.pth").exists()
    other = recipe({"fusion": "concat"})
    train.main([*other, *words, "2"])
    with pytest.raises(UserError, match="give this run a --tag"):
        train.main([*other, *words, "1"])
    with pytest.raises(UserError, match="--job 3: there are 2 runs"):
        train.main([*other, *words, "3"])


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--text-source", "none"], "fusion concat needs text"),
        (["--folds", "9"], "no fold 9"),
        (["--seeds", "one"], "not a whole number"),
    ],
)
def test_impossible_plans_are_refused(recipe, extra, message):
    with pytest.raises(UserError, match=message):
        train.main([*recipe({"fusion": "concat"}), *extra, "--plan"])


def test_missing_stages_are_named(recipe):
    options = recipe({"fusion": "concat"})
    shutil.rmtree(recipe.folder / "dump/text")
    with pytest.raises(UserError, match="run stage 3 first"):
        train.main([*options, "--job", "1"])
    shutil.rmtree(recipe.folder / "dump/feats")
    with pytest.raises(UserError, match="run stage 1 first"):
        train.main([*options, "--job", "1"])


def test_shared_speaker_is_refused(recipe):
    path = recipe.folder / "data/folds.json"
    folds = json.loads(path.read_text())
    moved = folds["folds"]["1"]["train"].pop()
    folds["folds"]["1"]["test"].append(moved)
    path.write_text(json.dumps(folds))
    with pytest.raises(UserError, match="share 1 speaker"):
        train.main([*recipe({"fusion": "speech"}), "--plan"])


def test_numbers_that_yaml_reads_as_text_are_found(tmp_path):
    (tmp_path / "a.yaml").write_text("optim_conf:\n  lr: 1e-3\n")
    with pytest.raises(UserError, match=r"write 1\.0e-03"):
        read_config(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("fusion: speech\n")
    with pytest.raises(UserError, match=r"--train-args: --optim_conf: lr: '1e-3' is text in YAML; write 1\.0e-03"):
        parse_task(tmp_path / "a.yaml", "--optim_conf lr=1e-3")


@pytest.mark.slow
def test_gates_of_a_trained_run_are_those_of_its_dev_set(recipe):
    """Trained once more with the labels of dev exchanged, all else is the same. Its speaker is made two."""
    speakers = read_scp(recipe.folder / "data/all/utt2spk")
    of_dev = [utt for utt in speakers if utt.startswith("s4-")]
    write_scp(recipe.folder / "data/all/utt2spk", speakers | {utt: "s4b" for utt in of_dev[: len(of_dev) // 2]})
    config = {**M4SER, "fusion": "m4ser_x", "fusion_conf": {"heads": 2}, "max_epoch": 1}
    config["objectives"] = {**M4SER["objectives"], "lexical": {"weight": 1.0}}
    run(recipe(config, "right"))
    labels = recipe.folder / "data/all/utt2emo"
    lines = [line.split() for line in labels.read_text(encoding="utf-8").splitlines()]
    other = {"happy": "sad", "sad": "happy"}
    wrong = [f"{utt} {other[label] if utt.startswith('s4-') else label}\n" for utt, label in lines]
    labels.write_text("".join(wrong), encoding="utf-8")
    run(recipe(config, "wrong"))
    right, wrong = weights(recipe.folder, "right"), weights(recipe.folder, "wrong")
    differ = {name for name in right if not torch.equal(right[name], wrong[name])}
    assert differ == {"classifier.gate.weight", "classifier.gate.bias"}
    history = json.loads((recipe.folder / "exp/right/fold1/seed1/history.json").read_text(encoding="utf-8"))
    assert history["epochs"]["1"]["train"]["loss_lexical"] > 0


@pytest.mark.slow
def test_operating_point_moves_the_biases_of_a_trained_classifier_alone(recipe):
    config = {**M4SER, "fusion": "concat", "fusion_conf": {}, "objectives": {}, "max_epoch": 1}
    run(recipe(config, "plain"))
    run(recipe({**config, "operating_point": "ua"}, "shifted"))
    plain, shifted = weights(recipe.folder, "plain"), weights(recipe.folder, "shifted")
    run_info = json.loads((recipe.folder / "exp/shifted/fold1/seed1/train_info.json").read_text(encoding="utf-8"))
    strength = run_info["operating_point"]
    labels = read_scp(recipe.folder / "exp/shifted/fold1/seed1/data/train/utt2emo").values()
    prior = log_prior(labels, json.loads((recipe.folder / "exp/shifted/run.json").read_text("utf-8"))["labels"])
    expected = plain["classifier.bias"].double() - strength * torch.from_numpy(prior)
    assert torch.allclose(shifted["classifier.bias"].double(), expected, atol=1e-6)
    assert all(torch.equal(plain[name], shifted[name]) for name in plain if name != "classifier.bias")
    assert json.loads((recipe.folder / "exp/shifted/run.json").read_text("utf-8"))["operating_point"] == "UA"
