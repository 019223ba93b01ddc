"""Mean and deviation of features over the recordings of a speaker."""

import numpy as np
import pytest

from m4ser.data.features import STATISTICS, Features, FeatureWriter
from m4ser.data.normalising import statistics, sums
from m4ser.data.scp import write_scp
from m4ser.training.normalising import write_statistics

LOUD = {"a-1": [[1.0, 5.0], [3.0, 5.0]], "a-2": [[5.0, 5.0]], "b-1": [[100.0, 0.0], [300.0, 1.0]]}


def test_over_all_frames_by_hand():
    measured = statistics(sums(np.array(rows)) for rows in (LOUD["a-1"], LOUD["a-2"]))
    assert measured.dtype == np.float32
    np.testing.assert_allclose(measured, [[3, 5], [np.sqrt(8 / 3), 1]], rtol=1e-6)  # the second does not vary


def test_missing_values_do_not_count():
    nan = np.nan
    measured = statistics(map(sums, [np.array([[1.0, nan], [nan, nan]]), np.array([[3.0, nan]])]))
    np.testing.assert_allclose(measured, [[2, 0], [1, 1]])


def test_large_offsets_keep_their_deviation():
    values = 1e4 + np.array([[-1.0], [1.0]], dtype=np.float32)
    np.testing.assert_allclose(statistics([sums(values)]), [[1e4], [1]])


def test_nothing_to_measure():
    with pytest.raises(ValueError, match="no features"):
        statistics([])


def test_whoever_reads_the_list_gets_them_normalised(tmp_path):
    with FeatureWriter(tmp_path / "dump") as writer:
        for utt, rows in LOUD.items():
            writer.write(utt, np.array(rows))
    listed, group = tmp_path / "lists" / "test", {utt: utt[0] for utt in LOUD}
    write_scp(listed / "feats.scp", writer.positions)
    np.testing.assert_array_equal(Features(listed / "feats.scp")["b-1"], LOUD["b-1"])
    made = tmp_path / "made"
    places = write_statistics(writer.positions, group, LOUD, made, tmp_path / "final")
    made.rename(tmp_path / "final")
    write_scp(listed / STATISTICS, places)
    features = Features(listed / "feats.scp")
    np.testing.assert_allclose(features["b-1"], [[-1, -1], [1, 1]])
    together = np.concatenate([features["a-1"], features["a-2"]])
    np.testing.assert_allclose(together.mean(0), [0, 0], atol=1e-6)
    np.testing.assert_allclose(together.std(0), [1, 0], atol=1e-6)


def test_only_those_measured_have_a_say(tmp_path):
    with FeatureWriter(tmp_path) as writer:
        for utt, rows in LOUD.items():
            writer.write(utt, np.array(rows))
    places = write_statistics(writer.positions, {"a-1": "a", "a-2": "a"}, ["a-2"], tmp_path / "norm", tmp_path / "norm")
    write_scp(tmp_path / STATISTICS, places)
    write_scp(tmp_path / "feats.scp", {utt: writer.positions[utt] for utt in places})
    np.testing.assert_allclose(Features(tmp_path / "feats.scp")["a-1"], [[-4, 0], [-2, 0]])
