import re

import numpy as np
import pandas as pd
import pytest

from mtrec.domains import units
from mtrec.report import describe
from mtrec.tables import split

DATE = re.compile(r"\d{4}-\d\d-\d\d")


@pytest.fixture
def examples():
    parts = pd.Series(["train"] * 4 + ["validation"] * 2 + ["test"] * 3)
    return pd.DataFrame(
        {"split": parts, "timestamp": split.shuffled_times(parts, 0), "cold_user": False,
         "cold_item": False, "like": 1.0, "user_id": list("aabbccddd"), "item_id": "i"}
    )  # fmt: skip


def shown(examples, has_clock):
    cutoff = describe.middle_of_test(examples)
    return "\n".join(
        [
            describe.columns(examples, has_clock).to_string(),
            describe.split_table(examples, ["like"], has_clock).to_string(),
            describe.moment(cutoff, has_clock),
        ]
    )


def test_no_table_shows_a_date_that_a_shuffle_made_up(examples):
    assert not DATE.search(shown(examples, has_clock=False))
    assert describe.ORDER_ONLY in shown(examples, has_clock=False)


def test_dates_of_the_data_are_shown_as_period_of_each_split(examples):
    assert len(DATE.findall(shown(examples, has_clock=True))) == 1 + 2 * 3 + 1
    table = describe.split_table(examples, ["like"], True)
    assert table[["from", "to"]].iloc[0].tolist() == ["2000-01-01", "2000-01-01"]


def test_a_split_table_counts_rows_and_labels_with_and_without_a_clock(examples):
    with_dates, without = (describe.split_table(examples, ["like"], clock) for clock in (1, 0))
    pd.testing.assert_frame_equal(with_dates.drop(columns=["from", "to"]), without)
    assert without["like"].tolist() == [4, 2, 3]


def test_of_times_of_which_the_school_year_is_known_this_is_said_and_no_date(examples):
    found = describe.columns(examples, False, "school year").set_index("column")
    assert found.loc["timestamp", "example"] == "made up but for the school year"


def test_the_sentence_on_the_split_is_read_from_the_rows(examples):
    mixed = examples.assign(split=examples["split"].to_numpy()[::-1])
    assert describe.split_note(examples, True).startswith("Time splits the rows")
    assert "overlap" in describe.split_note(mixed, True)
    assert describe.split_note(examples, False).endswith("orders the rows, training rows first.")
    assert describe.split_note(mixed, False).endswith("orders the rows.")
    apart = examples.assign(user_id=examples["split"])
    assert "several splits" in describe.split_note(examples.assign(user_id="a"), False, "year")
    assert describe.split_note(apart, False, "year").endswith(
        "only the year is known; whole users are split."
    )


def test_rows_of_an_item_alone_and_no_rows_do_not_disturb_the_sentence_on_the_split(examples):
    alone = examples.iloc[[0]].assign(user_id=None, timestamp=pd.NaT, split="test")
    more = pd.concat([alone, examples], ignore_index=True)
    assert describe.split_note(more, True) == describe.split_note(examples, True)
    for words in ((True, ""), (False, ""), (False, "year")):
        assert describe.split_note(examples.iloc[:0], *words)


def test_labels_have_the_unit_of_their_domain_or_a_dash(examples):
    labels = {"like": "binary", "spend": "regression"}
    rows = examples.assign(spend=np.log1p(2.0))
    found = describe.label_table(rows, labels, units.written("ecommerce", labels))
    assert found["unit"].tolist() == ["-", "log(1 + dollars)"]
    assert units.written("shop", labels) == {"like": "-", "spend": "-"}
    assert units.Unit(logarithm=True).in_words == "log(1 + x)"


@pytest.mark.parametrize(
    "text", ["", "a film", "word " * 200, "x" * 500, "x" * 79 + " y", "a " + "y" * 500, " " * 200]
)
def test_a_shown_text_is_short_and_keeps_start_and_end(text):
    found = describe.short(text)
    assert len(found) <= describe.WIDTH
    if len(text) <= describe.WIDTH:
        assert found == text
    else:
        start, end = found.split("…")
        assert text.startswith(start.strip())
        assert text.rstrip().endswith(end.strip())


def test_long_reviews_are_cut_in_neighbours_and_samples():
    words = [f"{n} " + "it fits me well " * 30 + str(n) for n in range(6)]
    items = pd.DataFrame({"item_id": list("abcdef"), "text": words})
    vectors = np.random.default_rng(0).normal(size=(6, 3))
    found = describe.neighbours(items, vectors, 0)
    assert len(found) == 5
    assert found["item"].map(len).max() <= describe.WIDTH
    assert found["nearest"].map(len).max() <= 3 * (describe.WIDTH + 3)
    assert set(found["item"]) <= {describe.short(text) for text in words}


def test_vectors_are_counted_by_who_has_a_text_and_projections_are_not_shown():
    half = np.array([[1.0, 2.0], [np.nan, np.nan]])
    vectors = {"users": half, "items": half[:1], "tasks": np.ones((3, 4)),
               "users_mean": np.ones((1, 4)), "users_axes": np.ones((4, 2)),
               "tasks_mean": np.ones((1, 4)), "labels_mean": np.ones((5, 4))}  # fmt: skip
    assert describe.shape_table(vectors)["kind"].tolist() == [
        "users", "items", "tasks", "labels_mean",
    ]  # fmt: skip
    assert describe.vector_note(vectors) == (
        "1 of 2 users, 1 of 1 items and all 3 tasks have a text, and so a vector."
    )
    none = {"users": half[1:], "items": np.empty((0, 1)), "tasks": np.ones((4, 4))}
    assert describe.vector_note(none) == "No user or item here has a text; the 4 tasks have."
