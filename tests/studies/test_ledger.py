import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from mtrec.studies import ledger


def rows(key, value=1.0):
    return pd.DataFrame({"task": ["a", "b"], "value": [value, 2.0], "key": key})


def test_key_changes_with_every_part_and_their_order_and_with_nothing_else():
    parts = ["video", 1, {"a": 1, "b": (2, 3)}]
    assert ledger.key(*parts) == ledger.key("video", 1, {"b": [2, 3], "a": 1})
    others = [
        ["video", 2, parts[2]],
        ["video", 1, {"a": 1, "b": [3, 2]}],
        ["video", 1],
        [1, "video"],
    ]
    assert len({ledger.key(*parts), *(ledger.key(*other) for other in others)}) == 5
    assert len(ledger.key()) == 16


def test_nothing_is_done_before_the_first_training(tmp_path):
    assert ledger.read(tmp_path / "none.csv")["key"].tolist() == []


def test_added_trainings_are_read_back_in_order(tmp_path):
    file = tmp_path / "new" / "results.csv"
    for key in ("0000000000000012", "12e4567890123456"):  # no numbers, though they look like some
        ledger.add(file, rows(key))
    found = ledger.read(file)
    assert found["key"].tolist() == ["0000000000000012"] * 2 + ["12e4567890123456"] * 2
    assert found["task"].tolist() == ["a", "b", "a", "b"]


def test_earlier_rows_keep_their_bytes_when_others_are_added(tmp_path):
    file = tmp_path / "results.csv"
    values = np.random.default_rng(0).lognormal(sigma=4, size=3000).round(6)
    ledger.add(file, pd.DataFrame({"value": values, "key": "a"}))
    before = file.read_bytes()
    for key in "bcd":
        ledger.add(file, pd.DataFrame({"value": [0.1], "key": key}))
    assert file.read_bytes().startswith(before)


def test_reader_is_shown_the_present_settings_once_every_part_has_begun(tmp_path):
    file = tmp_path / "results.csv"
    with pytest.raises(FileNotFoundError, match=r"results.csv: no results; run `make it`"):
        ledger.known(file, {"x": ["a"]}, ["task"], "make it")

    def shown(**names):
        return ledger.known(file, names, ["task"], "")["key"].unique().tolist()

    ledger.add(file, rows("a"))
    assert shown(x=["a"], y=["b"]) == ["a"]  # an unfinished study is better than none
    ledger.add(file, rows("b"))
    assert shown(x=["a"], y=["b"]) == ["a", "b"]
    assert shown(x=["a", "c"]) == ["a"]
    assert shown(x=["c"]) == ["b"]  # the last
    assert shown() == ["b"]
    ledger.add(file, rows("c"))
    assert shown(x=["c"], y=["d"]) == ["b"]
    ledger.add(file, rows("d"))
    assert shown(x=["c"], y=["d"]) == ["c", "d"]


def test_unfinished_study_says_so_and_so_does_one_of_other_settings():
    names = {"heads": ["a", "b"], "joint": ["c"]}
    found = ledger.missing(rows("a"), names).set_index("part")
    assert found.loc["heads"].tolist() == [2, "1"]
    assert found.loc["joint"].tolist() == [1, "0"]
    assert set(ledger.missing(rows("d"), names)["done"]) == {
        "0; shown: earlier settings, `make study` trains anew"
    }


def test_file_is_whole_when_writing_fails(tmp_path, monkeypatch):
    file = tmp_path / "results.csv"
    ledger.add(file, rows("a"))
    before = file.read_bytes()

    def crash(source, target):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="no space"):
        ledger.add(file, rows("b"))
    assert file.read_bytes() == before
    monkeypatch.undo()
    ledger.add(file, rows("b"))  # what was left over is in nobody's way
    assert ledger.read(file)["key"].unique().tolist() == ["a", "b"]
    assert os.listdir(tmp_path) == ["results.csv"]


@pytest.mark.parametrize(
    "content", [b"", b"\x93\xff\x00PNG", b"task,value\na,1\n", b'key\n"a,b\n1']
)
def test_damaged_file_is_refused_with_a_sentence_and_left_alone(tmp_path, content):
    file = tmp_path / "results.csv"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="results.csv: damaged, .* Restore it from git or delete"):
        ledger.add(file, rows("a"))
    assert file.read_bytes() == content


def test_what_notebooks_read_of_studies_loads_no_tensorflow():
    names = ["controls", "task_analysis", "comparison", "cold_start", "sparse_data", "text_cost"]
    plans = ", ".join(f"mtrec.studies.{name}_plan" for name in names)
    more = "mtrec.studies.dependency, mtrec.studies.grouping, mtrec.studies.transfer"
    code = (
        f"import sys, {plans}, {more}; print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
