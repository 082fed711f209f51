"""Nothing is lost in silence: every row and column that is not used is counted and named."""

import numpy as np
import pandas as pd
import pytest

from mtrec.own import files
from mtrec.own.check_unused import check_unused
from mtrec.own.findings import as_lines, status
from mtrec.own.table import FileError


def named(log, **columns):
    """Events under usual names, with other columns."""
    base = {"user_id": log["user"], "item_id": log["item"], "rating": log["stars"],
            "timestamp": log["second"]}  # fmt: skip
    made = pd.DataFrame({**base, **columns})
    return made[[name for name in made if made[name].notna().any()]]


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        ("timestamp", ["week 1", "week 2", "soon"], "'timestamp': its name says time.*'week 1'"),
        ("sold_date", ["spring", "autumn", "?"], "'sold_date': its name says time.*'spring'"),
        ("date", ["1", "2", "3"], "'date': its name says time.*--timestamp -"),
        ("rating", ["good", "bad", "so so"], "'rating' does not hold numbers.*'good'.*--rating -"),
        ("Book-Rating", ["A", "B", "C"], "'Book_Rating' does not hold numbers.*'A', 'B', 'C'"),
        ("rating", ["4,250", "3,500", "1,000"], "decimals or thousands after the comma.*'4,250'"),
    ],
)
def test_what_is_called_a_time_or_a_rating_and_is_none_is_an_error_with_samples(
    attempt, log, column, cells, message
):
    events = pd.DataFrame({"user_id": log["user"], "item_id": log["item"]})
    events[column] = np.resize(cells, len(log))
    with pytest.raises(FileError, match=message):
        attempt(events)


def test_a_time_or_a_rating_is_left_out_where_the_user_says_so_and_that_is_named(attempt, log):
    events = named(log, timestamp="some day", rating=np.resize(["good", "bad"], len(log)))
    found = attempt(events, timestamp="-", rating="-")
    assert found.block["data"]["split"] == "random"
    assert found.said("rating: not used: text of an event ('good', 'bad')")
    assert found.said("timestamp: the same value everywhere ('some day')")


def test_repeats_are_events_counted_by_both_and_collapse_by_option(attempt, log, tmp_path):
    events = pd.DataFrame({"customer": log["user"] % 9, "product": log["item"] % 11})
    twice = events.duplicated().sum()
    found = attempt(events)
    assert len(found.tables.examples) == len(events)
    assert found.said(f"{twice:,} of {len(events):,} rows repeat user and item: kept as events")
    assert found.said("collapse takes one of each")


@pytest.mark.parametrize("values", [("0", "1"), ("-1", "1"), ("no", "yes")])
def test_a_rating_of_two_values_is_a_like_and_no_number_to_be_guessed(attempt, log, values):
    low, high = values
    found = attempt(named(log, rating=np.where(log["yes"] == 1, high, low)))
    assert found.tasks() == {"next_item": "ranking", "like": "binary"}
    assert found.tables.examples["like"].tolist() == log["yes"].astype(float).tolist()


def test_a_rating_that_never_differs_is_named(attempt, log):
    found = attempt(named(log, rating="1"))
    assert found.said("rating: the same value everywhere ('1')")


@pytest.mark.parametrize("with_rating", [True, False])
def test_a_column_called_like_is_a_task_whatever_else_there_is(attempt, log, with_rating):
    events = named(log, like=log["yes"], rating=log["stars"] if with_rating else None)
    found = attempt(events)
    label = "like_of_event" if with_rating else "like"
    assert found.block["tasks"][label]["type"] == "binary"
    assert found.tables.examples[label].tolist() == log["yes"].astype(float).tolist()
    assert ("rating" in found.tasks()) == with_rating


def test_words_for_nothing_are_counted_and_namibia_is_a_country(tmp_path):
    lines = [f"u{n},i{n},{('NA', 'DE', 'FR', 'IT')[n % 4]},{('NA', 'Drama')[n % 2]}"
             for n in range(40)]  # fmt: skip
    path = tmp_path / "events.csv"
    path.write_text("user,item,country,genre\n" + "\n".join(lines))
    found = files.read(path)
    assert found.frame["country"].value_counts()["NA"] == 10
    assert found.frame["genre"].isna().sum() == 20
    assert any("20 cells of column genre are 'NA', taken as missing" in n for n in found.notes)
    assert any("10 cells of column country are 'NA', kept" in note for note in found.notes)


def test_columns_without_use_are_named_with_samples_and_what_would_use_them(attempt, log):
    events = named(log, session=[f"s{n}" for n in range(len(log))], empty_one="x")
    items = pd.DataFrame({"item_id": range(60), "title": [f"Some thing {n}" for n in range(60)],
                          "page": [f"https://x.test/{n}" for n in range(60)]})  # fmt: skip
    found = attempt(events, items)
    assert found.said("session: not used: text of an event ('s0', 's1', 's2')")
    assert found.said("If it tells about the item, name it in data.items.of_events in params.yaml.")
    assert found.said("empty_one: the same value everywhere ('x')")
    assert found.said("page: not used: web addresses")
    assert found.said("{page} in data.items.text")
    assert status(found.findings) == 0
    text = as_lines("shop", found.findings)
    assert text.startswith("shop: nothing is wrong\n\n3 notes\n")


def test_every_column_is_either_used_or_named(attempt, log):
    rng = np.random.default_rng(1)
    extra = {f"c{n}": rng.choice(kind, len(log)) for n, kind in enumerate(
        (["a", "b"], ["1", "2", "3"], ["x|y", "x"], ["2020-01-01", "1999-02-03"], ["yes", "no"]))
    }  # fmt: skip
    found = attempt(named(log, **extra))
    events = found.block["data"]["events"]
    used = {c for part in events.values() for c in (part if isinstance(part, list) else [part])}
    told = " ".join(found.lines("note"))
    assert all(name in used or f"{name}: " in told for name in extra)


def test_rows_without_ids_or_times_are_counted_by_new_and_check(attempt, log):
    events = named(log).astype("object")
    events.loc[:4, "user_id"] = None
    events.loc[10:12, "timestamp"] = "later"
    found = attempt(events)
    assert found.said("user_id: 5 ids are missing")
    assert found.said("timestamp: 3 of 600 times are missing, not readable as s")
    assert len(found.tables.examples) == len(log) - 8


def test_nothing_is_noted_where_everything_is_used():
    from mtrec.own.settings import Settings
    from mtrec.settings import Features

    data = Settings.model_validate({
        "events": {"user_id": "u", "item_id": "i"}, "split": "random",
    })  # fmt: skip
    frame = pd.DataFrame({"u": ["a"], "i": ["b"]}, dtype="str")
    assert list(check_unused({"events": frame}, {"events": "e.csv"}, data, Features())) == []
