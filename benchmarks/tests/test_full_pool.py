"""The full pool of TALLRec's questions: who is learnt from, who is asked, and what a file holds."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.models import rating_table, tallrec
from benchmarks.protocols import full_pool, prompts, served
from mtrec.domains.own.inspect import inspect
from mtrec.paths import find_root

ROOT = find_root()


def test_files_hold_no_row_of_the_test_but_ten_films_before_each_users_first(raw_data):
    part, rows = full_pool.parts(ROOT), prompts.split(ROOT).rows
    assert (part[rows["test"]] == "").all() and (part[rows["validation"]] == "validation").all()
    assert (part == "test").sum() == len(rows["train"]) // served.HELD
    learnt = np.flatnonzero((part == "train") | (part == "test"))
    assert set(rows["train"]) <= set(learnt)
    table = rating_table.interactions(ROOT / "data" / "ml-100k")
    more = table.loc[sorted(set(learnt) - set(rows["train"]))]
    assert set(more.groupby("user").size()) == {tallrec.SEEN}
    asked = table.loc[rows["test"]]
    before = more.groupby("user")["time"].max()
    assert (asked["time"].to_numpy() >= before.loc[asked["user"]].to_numpy()).all()


def test_files_are_read_as_meant(raw_data):
    found = full_pool.files(ROOT)
    assert list(found["items"]) == ["item_id", "title"]
    assert found["items"]["title"].iloc[0] == "Toy Story (1995)"
    text = {name: frame.head(2000).astype("str") for name, frame in found.items()}
    roles = {kind: [c.name for c in inspect(text).named("events", kind)]
             for kind in ("user_id", "item_id", "rating", "timestamp", "split")}  # fmt: skip
    assert roles == {"user_id": ["user_id"], "item_id": ["item_id"], "rating": ["rating"],
                     "timestamp": ["timestamp"], "split": ["split"]}  # fmt: skip


def test_two_numbers_of_a_row_do_not_hold_its_own_label(raw_data, monkeypatch):
    rows = prompts.data(ROOT)
    first, _ = full_pool.two_numbers(ROOT)
    test = rows["test"]
    turned = {**rows, "test": replace(test, label=~test.label.astype(bool))}
    monkeypatch.setattr(prompts, "data", lambda root: turned)
    np.testing.assert_array_equal(first.predictions, full_pool.two_numbers(ROOT)[0].predictions)
    lots = np.random.default_rng(0).random(len(rows["train"])) < 0.5
    films = np.array([f"film {number}" for number in range(len(lots))])  # each film once
    alone = {"train": replace(rows["train"], label=lots, film=films,
                              liked=np.zeros_like(rows["train"].liked)),
             "validation": rows["validation"], "test": test}  # fmt: skip
    monkeypatch.setattr(prompts, "data", lambda root: alone)
    found = full_pool.two_numbers(ROOT)[0].predictions
    assert np.ptp(found) == pytest.approx(0, abs=1e-6)  # nothing can be learnt, and nothing was
