import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pandas as pd
import pytest

from benchmarks.harness import results
from benchmarks.harness.results import Row

ROW = Row("rating_u1", "ab", "mtrec", "1", "rmse", 0.9, 0.8, 1.0, 3, 2.0, 100.0)


def test_rows_come_back_as_they_were_added(tmp_path):
    file = tmp_path / "new" / "results.json"
    results.add(file, [ROW, replace(ROW, metric="mae", low=None, high=None)])
    found = results.read(file)
    assert set(found["metric"]) == {"rmse", "mae"}
    assert found.loc[found["metric"] == "rmse", "value"].item() == 0.9
    assert pd.isna(found.loc[found["metric"] == "mae", "low"].item())


def test_adding_replaces_all_rows_of_the_same_protocol_so_that_no_former_system_stays(tmp_path):
    file = tmp_path / "results.json"
    former, other = replace(ROW, system="bias"), replace(ROW, protocol="like_random", value=0.8)
    results.add(file, [ROW, replace(ROW, metric="mae"), former, other])
    results.add(file, [replace(ROW, value=0.88)])
    found = results.read(file)
    assert sorted(zip(found["protocol"], found["system"], found["value"], strict=True)) == [
        ("like_random", "mtrec", 0.8),
        (ROW.protocol, "mtrec", 0.88),
    ]


def test_adding_nothing_keeps_the_file_and_writes_none(tmp_path):
    results.add(tmp_path / "results.json", [])
    assert not (tmp_path / "results.json").exists()


def test_a_failed_write_leaves_the_earlier_file_whole(tmp_path, monkeypatch):
    file = tmp_path / "results.json"
    results.add(file, [ROW])
    before = file.read_bytes()

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        results.add(file, [replace(ROW, value=0.5)])
    assert file.read_bytes() == before


def test_values_that_are_not_numbers_are_written_as_null(tmp_path):
    file = tmp_path / "results.json"
    results.add(file, [replace(ROW, peak_mb=float("nan"))])
    assert '"peak_mb": null' in file.read_text()
    results.add(file, [replace(ROW, protocol="other")])
    assert len(results.read(file)) == 2


@pytest.mark.parametrize("text", ["[{", '[{"protocol": "x"}]'])
def test_a_damaged_file_is_named_with_the_mend(tmp_path, text):
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(ValueError, match="results.json: damaged .*git checkout"):
        results.read(file)


def test_what_a_user_gets_is_replaced_apart_from_the_other_systems_of_a_contest(tmp_path):
    file = tmp_path / "results.json"
    served = replace(ROW, system=f"{results.SERVED}, joint alone", value=0.89)
    results.add(file, [ROW, replace(ROW, system="bias")])
    results.add(file, [served])
    results.add(file, [replace(served, value=0.88)])
    results.add(file, [replace(ROW, value=0.87)])
    found = results.read(file)
    assert dict(zip(found["system"], found["value"], strict=True)) == {
        "mtrec": 0.87, served.system: 0.88
    }  # fmt: skip


def test_several_that_add_at_once_lose_nothing(tmp_path):
    file = tmp_path / "results.json"
    rows = [replace(ROW, protocol=f"p{number}") for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda row: results.add(file, [row]), rows))
    assert sorted(results.read(file)["protocol"]) == sorted(row.protocol for row in rows)
