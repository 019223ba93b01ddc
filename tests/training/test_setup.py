"""What the folder of an experiment says of its making."""

import pytest

from m4ser.training import setup
from m4ser.utils.errors import UserError
from m4ser.utils.files import write_json


def test_a_setup_is_a_sentence():
    run = {"fusion": "concat", "objectives": {"aed": 0.1, "aec": {"weight": 0.5}}, "asr": "", "seeds": [1]}
    assert setup.named_setup(run) == {"fusion": "concat", "objectives": run["objectives"]}
    assert setup.setup_text(setup.named_setup(run)) == "fusion concat; objectives aed 0.1, aec weight 0.5"
    assert setup.shown([1, "a"]) == "1 a" and setup.shown(0.10) == "0.1"


def test_common_and_different():
    """A system without text says nothing about it; what is no input is the same for all or left out."""
    runs = {
        "speech": {"fusion": "speech", "speech_encoder": "tiny", "text_encoder": "none", "asr": "none"},
        "a": {"fusion": "concat", "speech_encoder": "tiny", "text_encoder": "mini", "asr": "fast"},
        "b": {"fusion": "concat", "speech_encoder": "tiny", "text_encoder": "mpnet", "asr": "fast"},
    }
    found = setup.common_setup(runs)
    assert found["setup"] == {"speech_encoder": "tiny", "asr": "fast"}
    assert found["setup_differs"] == {"text_encoder": {"mini": ["a"], "mpnet": ["b"]}}


def test_cost_is_the_runs_mean_but_for_what_the_plan_knows(tmp_path):
    for seed, seconds in (("1", 10), ("2", 20)):
        write_json(tmp_path / f"fold1/seed{seed}/train_info.json", {"seconds": seconds, "parameters": 5})
    write_json(tmp_path / "fold1/seed1/infer_info.json", {"real_time_factor": 0.5})
    found = setup.cost(tmp_path, {"parameters": 7}, ["1"], ["1", "2"])
    assert found == {"parameters": 7, "seconds": 15, "real_time_factor": 0.5}


def test_code_that_trained_earliest_first(tmp_path):
    for seed, git, date in (("1", "b", "2030-02"), ("2", "a", "2030-01"), ("3", "b", "2030-03")):
        made_by = {"m4ser": "0.2", "git": git, "date": date}
        write_json(tmp_path / f"fold1/seed{seed}/train_info.json", {"made_by": made_by})
    found = setup.trained_with(tmp_path, ["1"], ["1", "2", "3", "4"])
    assert found == {"m4ser": ["0.2"], "git": ["a", "b"]}
    assert setup.trained_text(found) == "Trained with m4ser 0.2, git a b." and setup.trained_text({}) == ""
    assert setup.joined_makers([found, {"git": ["c", "a"]}]) == {"m4ser": ["0.2"], "git": ["a", "b", "c"]}


def test_damaged_plan(tmp_path):
    assert setup.read_run(tmp_path / "run.json") == {}
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"run.json: damaged, is not JSON; delete it and run stage 4"):
        setup.read_run(tmp_path / "run.json")
