import numpy as np
import pytest

from m4ser.data.features import Features, FeatureWriter, checksum, load_features, read_feats_scp
from m4ser.utils.errors import UserError


def matrices():
    random = np.random.default_rng(0)
    return {key: random.standard_normal((frames, 6)).astype(np.float32) for key, frames in (("b-ü", 1), ("a", 5))}


def test_round_trip(tmp_path):
    with FeatureWriter(tmp_path / "mit Leerzeichen") as writer:
        for key, matrix in matrices().items():
            writer.write(key, matrix)
    positions = read_feats_scp(tmp_path / "mit Leerzeichen" / "feats.scp")
    assert list(positions) == ["a", "b-ü"]
    assert writer.num_frames == {"b-ü": 1, "a": 5}
    for key, matrix in matrices().items():
        loaded = load_features(positions[key])
        assert loaded.dtype == np.float32
        np.testing.assert_array_equal(loaded, matrix)


def test_archive_may_be_moved_to_its_final_place(tmp_path):
    with FeatureWriter(tmp_path / "part", "feats.1of2", final=tmp_path / "final") as writer:
        writer.write("a", matrices()["a"])
    (tmp_path / "part").rename(tmp_path / "final")
    positions = read_feats_scp(tmp_path / "final" / "feats.1of2.scp")
    np.testing.assert_array_equal(load_features(positions["a"]), matrices()["a"])


def test_failed_writer_leaves_no_list(tmp_path):
    with pytest.raises(ZeroDivisionError), FeatureWriter(tmp_path) as writer:
        writer.write("a", matrices()["a"])
        raise ZeroDivisionError
    assert not (tmp_path / "feats.scp").exists()


def test_missing_or_damaged_archive(tmp_path):
    with pytest.raises(UserError, match=r"feats.ark: no such archive .*; run stage 1 again: .* --force true"):
        load_features(f"{tmp_path}/feats.ark:2")
    with FeatureWriter(tmp_path) as writer:
        writer.write("a", matrices()["a"])
    content = (tmp_path / "feats.ark").read_bytes()
    (tmp_path / "feats.ark").write_bytes(content[:40])
    with pytest.raises(UserError, match=r"damaged feature archive"):
        load_features(writer.positions["a"])


def test_full_disk_is_an_error(tmp_path):
    (tmp_path / "feats.ark").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"), FeatureWriter(tmp_path) as writer:
        writer.write("a", matrices()["a"])
    assert not (tmp_path / "feats.scp").exists()


@pytest.fixture
def checked(tmp_path):
    """Two matrices with their checksums, as stage 1 leaves them."""
    with FeatureWriter(tmp_path) as writer:
        for key, matrix in matrices().items():
            writer.write(key, matrix)
    return tmp_path


def test_matrices_are_checked_when_they_are_read(checked):
    features = Features(checked / "feats.scp")
    assert list(features) == ["a", "b-ü"] and len(features) == 2
    np.testing.assert_array_equal(features["a"], matrices()["a"])


def test_every_flipped_byte_is_an_error(checked):
    features = Features(checked / "feats.scp")
    content = (checked / "feats.ark").read_bytes()
    start = int(features.positions["a"].rpartition(":")[2])
    for place in range(start, len(content)):  # "a" was written last
        (checked / "feats.ark").write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        with pytest.raises(UserError, match=r"feats.ark:\d+: damaged feature archive .* --force true"):
            features["a"]
        features["b-ü"]


def test_a_position_that_is_none_is_an_error(checked):
    archive, byte = read_feats_scp(checked / "feats.scp")["a"].rsplit(":", 1)
    assert (checked / "feats.crc32").read_text().splitlines()[1].split()[0] == byte
    (checked / "feats.crc32").write_text(f"{int(byte) + 1} 00000000\n")
    with pytest.raises(UserError, match="the checksum of the matrix is another one"):
        load_features(f"{archive}:{byte}")


def test_without_checksums_nothing_is_checked(checked):
    (checked / "feats.crc32").unlink()
    (checked / "feats.ark").write_bytes((checked / "feats.ark").read_bytes()[:-1] + b"x")
    assert Features(checked / "feats.scp")["a"].shape == (5, 6)


def test_the_checksum_is_of_shape_and_values():
    """CRC-32 of the text "1 2" and of two float32, as gzip writes it."""
    matrix = np.array([[1.0, -2.5]], dtype=np.float32)
    assert checksum(matrix) == "fed81329"
    assert checksum(matrix.T) != checksum(matrix)
