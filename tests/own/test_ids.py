"""An id is the same however a file stored it, and one that was spoilt is an error."""

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtrec.data import identifiers
from mtrec.own import files
from mtrec.own.check import check
from mtrec.own.table import FileError


def parquet(columns):
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def stored(log, *forms):
    """Users written in several ways, one after the other."""
    return [forms[n % len(forms)].format(user + 100) for n, user in enumerate(log["user"])]


def test_ids_with_and_without_point_zero_in_one_column_are_the_same(attempt, log):
    users = ["G102", *stored(log, "{}", "{}.0", " {}")[1:]]
    found = attempt(pd.DataFrame({"user_id": users, "item_id": log["item"]}))
    assert len(found.tables.users) == log["user"][1:].nunique() + 1
    assert "written with" in found.made.inspection.frame()["because"][0]


@given(st.lists(st.integers(-(10**18), 10**18), min_size=1), st.sampled_from(["", ".0", ".00"]))
def test_whole_numbers_are_their_digits(numbers, end):
    column = pd.Series([f"{number}{end}" for number in numbers], dtype="str")
    assert identifiers.clean(column).tolist() == [str(number) for number in numbers]


def test_versions_keep_their_point():
    assert identifiers.clean(pd.Series(["1.0", "1.5", "2.0"])).tolist() == ["1.0", "1.5", "2.0"]


@pytest.mark.parametrize("big", [1e15, 123456789012345.0, 2.0**53 - 1, 7.0])
def test_floats_of_parquet_are_whole_numbers_where_they_were(tmp_path, big):
    path = tmp_path / "events.parquet"
    path.write_bytes(parquet({"user": [big, 3.0, None, 2.5], "item": [1, 2, 3, 4]}))
    assert files.read(path).frame["user"].astype("object").tolist()[:2] == [str(int(big)), "3"]
    assert files.read(path).frame["user"][3] == "2.5"


def test_floats_too_large_to_be_whole_are_an_error(attempt, log):
    events = parquet({"user_id": 1.515915625e18 + log["user"].to_numpy() * 1e3,
                      "item_id": log["item"].to_numpy()})  # fmt: skip
    with pytest.raises(FileError, match="'user_id' holds ids that were rounded"):
        attempt(events)


def test_rounded_ids_are_an_error_of_new_and_of_check(attempt, log, tmp_path):
    events = pd.DataFrame({"user_id": log["user"], "isbn": log["item"] + 9_780_000_000_000})
    attempt(events)
    spoilt = events.assign(isbn=["9.78E+12", *events["isbn"][1:]])
    with pytest.raises(FileError, match="'isbn' holds ids that were rounded .*'9.78E.12'"):
        attempt(spoilt)
    spoilt.to_csv(tmp_path / "own" / "shop" / "events.csv", index=False)
    lines = [f.line() for f in check("shop", tmp_path) if f.level == "error"]
    assert any("isbn: 1 ids were rounded, so that several became one" in x for x in lines)


@pytest.mark.parametrize("short", ["items", "events"])
def test_leading_zeros_are_kept_and_their_loss_is_named_with_an_example(attempt, log, short):
    padded = [f"{n:010d}" for n in log["item"]]
    items = pd.DataFrame({"article_id": [f"{n:010d}" for n in range(60)],
                          "kind": np.resize(["a", "b"], 60)})  # fmt: skip
    events = pd.DataFrame({"customer_id": log["user"], "article_id": padded})
    found = attempt(events, items)
    assert "0000000007" in set(found.tables.items["item_id"])
    frame = items if short == "items" else events
    frame["article_id"] = frame["article_id"].str.lstrip("0").replace("", "0")
    with pytest.raises(FileError, match="ids lost their leading zeros .*for '0000000"):
        attempt(events, items)


def test_check_names_zeros_that_a_newer_file_lost(attempt, log, tmp_path):
    items = pd.DataFrame({"id": [f"{n:03d}" for n in range(60)], "kind": np.resize(["a", "b"], 60)})
    events = pd.DataFrame({"user": log["user"], "item": [f"{n:03d}" for n in log["item"]]})
    attempt(events, items)
    items.assign(id=range(60)).to_csv(tmp_path / "own" / "shop" / "items.csv", index=False)
    lines = [f.line() for f in check("shop", tmp_path) if f.level == "error"]
    assert any("ids lost their leading zeros, here or in events ('" in x for x in lines)


def test_ids_of_nineteen_digits_are_kept_to_the_last(attempt, log):
    users = [1_515_915_625_000_000_000 + n for n in log["user"]]
    found = attempt(pd.DataFrame({"user_id": users, "item_id": log["item"]}))
    assert set(found.tables.users["user_id"]) == {str(user) for user in users}
