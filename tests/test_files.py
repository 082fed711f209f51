import os
import zipfile

import numpy as np
import pytest

from mtrec.files import save_arrays, whole, write_text

ARRAYS = {
    "numbers": np.arange(6, dtype="int32").reshape(2, 3),
    "names/of": np.array(["a", "bc"]),
    "one": np.float64(0.5),
    "none": np.zeros((0, 4), dtype="float32"),
}


def test_arrays_come_back_as_they_were(tmp_path):
    save_arrays(tmp_path / "x.npz", ARRAYS)
    assert [file.name for file in tmp_path.iterdir()] == ["x.npz"]
    with np.load(tmp_path / "x.npz", allow_pickle=False) as found:
        assert list(found) == list(ARRAYS)
        for name, values in ARRAYS.items():
            assert found[name].dtype == values.dtype
            np.testing.assert_array_equal(found[name], values)


def test_headers_hold_neither_a_date_nor_what_differs_between_releases_of_python(tmp_path):
    save_arrays(tmp_path / "x.npz", ARRAYS)
    data = (tmp_path / "x.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        for member in archive.infolist():
            header = data[member.header_offset : member.header_offset + 30]
            assert header[4:6] == (20).to_bytes(2, "little")  # version needed: no 64-bit sizes
            assert int.from_bytes(header[18:22], "little") == member.compress_size
            assert member.date_time == (1980, 1, 1, 0, 0, 0)


def test_python_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match="[Oo]bject"):
        save_arrays(tmp_path / "x.npz", {"a": np.array([{}, None], dtype=object)})
    assert not (tmp_path / "x.npz").exists()


def test_a_file_stays_as_it_was_when_writing_fails(tmp_path):
    file = tmp_path / "new" / "a.txt"
    write_text(file, "old")
    with pytest.raises(OSError, match="full"), whole(file) as temporary:
        temporary.write_text("ne")
        assert file.read_text() == "old" and temporary.parent == file.parent
        raise OSError("the disk is full")
    assert [each.name for each in file.parent.iterdir()] == ["a.txt"]
    assert file.read_text() == "old"


def test_a_file_that_several_processes_write_has_a_temporary_name_for_each(tmp_path):
    with whole(tmp_path / "a.json", shared=True) as temporary:
        assert str(os.getpid()) in temporary.name
        temporary.write_text("{}")
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]
