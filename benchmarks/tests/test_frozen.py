import hashlib

import numpy as np
import pytest

from benchmarks.harness.frozen import frozen

PARTS = {"train": np.arange(3), "validation": np.array([3]), "test": np.array([4, 5])}


def test_a_split_is_made_once_and_then_read(tmp_path):
    first = frozen(tmp_path, "some", lambda: PARTS)
    again = frozen(tmp_path, "some", lambda: pytest.fail("made anew"))
    assert first.sha256 == again.sha256
    assert first.sha256 == hashlib.sha256((tmp_path / "some.npz").read_bytes()).hexdigest()
    for name, rows in PARTS.items():
        np.testing.assert_array_equal(again.rows[name], rows)


def test_a_test_row_that_leaked_into_training_is_refused(tmp_path):
    leaky = {**PARTS, "train": np.array([0, 1, 2, 5])}
    with pytest.raises(ValueError, match="some.npz: a row is in two parts"):
        frozen(tmp_path, "some", lambda: leaky)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "some.npz").write_bytes(b"not an archive")
    with pytest.raises(ValueError, match="some.npz: damaged"):
        frozen(tmp_path, "some", lambda: PARTS)
