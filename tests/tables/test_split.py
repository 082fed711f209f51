import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtrec.tables.split import SPLIT_METHODS, add_cold_flags, official_fold, shuffled_times

ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50)), min_size=20, max_size=80)


def frame(rows):
    data = pd.DataFrame(rows, columns=["user_id", "second"])
    data["timestamp"] = pd.to_datetime(data["second"], unit="s")
    data["user_id"] = data["user_id"].astype(str)
    data["item_id"] = [f"i{n % 7}" for n in range(len(data))]
    return data


@settings(max_examples=50, deadline=None)
@given(ROWS)
def test_temporal_split_never_trains_on_anything_later_than_a_held_out_row(rows):
    data = frame(rows)
    split = SPLIT_METHODS["temporal"](data, (0.2, 0.2), 0)
    times = data.groupby(split)["timestamp"].agg(["min", "max"])
    order = [name for name in ("train", "validation", "test") if name in times.index]
    for earlier, later in zip(order, order[1:], strict=False):
        assert times.loc[earlier, "max"] < times.loc[later, "min"]


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(0, 99))
def test_random_split_has_the_shares_and_depends_on_the_seed_alone(rows, seed):
    data = frame(rows)
    split = SPLIT_METHODS["random"](data, (0.2, 0.3), seed)
    assert (split == "validation").sum() == round(0.2 * len(data))
    assert (split == "test").sum() == round(0.3 * len(data))
    pd.testing.assert_series_equal(split, SPLIT_METHODS["random"](data, (0.2, 0.3), seed))


@settings(max_examples=30, deadline=None)
@given(ROWS)
def test_leave_last_out_tests_the_last_and_validates_the_one_before(rows):
    data = frame(rows)
    split = SPLIT_METHODS["leave_last_out"](data, (0.1, 0.1), 0)
    for _, mine in data.groupby("user_id"):
        ordered = split[mine.sort_values("timestamp", kind="stable").index].tolist()
        if len(mine) >= 3:
            assert ordered[-2:] == ["validation", "test"]
            assert set(ordered[:-2]) == {"train"}
        else:
            assert set(ordered) == {"train"}


def test_official_fold_tests_exactly_its_rows():
    data = frame([(n % 5, n) for n in range(50)])
    split = official_fold(data, 2, 10, 0.1, 0)
    assert np.flatnonzero(split == "test").tolist() == list(range(10, 20))


def test_fold_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="choose 1 to 5"):
        official_fold(frame([(0, n) for n in range(50)]), 6, 10, 0.1, 0)


def test_cold_flags_mark_ids_without_a_training_row():
    rows = pd.DataFrame(
        {"user_id": ["a", "b", "a", None], "item_id": ["x", "x", "y", "x"],
         "split": ["train", "test", "test", "test"]}
    )  # fmt: skip
    flagged = add_cold_flags(rows)
    assert flagged["cold_user"].tolist() == [False, True, False, False]
    assert flagged["cold_item"].tolist() == [False, False, True, False]


def test_a_row_of_an_item_alone_makes_it_no_known_one():
    rows = pd.DataFrame(
        {"user_id": ["a", None, "a"], "item_id": ["x", "y", "y"],
         "split": ["train", "train", "test"]}
    )  # fmt: skip
    assert add_cold_flags(rows)["cold_item"].tolist() == [False, True, True]
    alone = rows.assign(user_id=None)  # no event at all: such rows are what is known
    assert add_cold_flags(alone)["cold_item"].tolist() == [False, False, False]


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(0, 99))
def test_split_by_user_puts_nobody_into_two_splits_and_has_the_shares(rows, seed):
    data = frame(rows)
    split = SPLIT_METHODS["users"](data, (0.25, 0.25), seed)
    assert (split.groupby(data["user_id"]).nunique() == 1).all()
    by_user = split.groupby(data["user_id"]).first()
    assert (by_user == "test").sum() == round(0.25 * len(by_user))


def test_shuffled_times_order_the_splits_and_shuffle_within():
    split = pd.Series(["test", "train", "validation"] * 40)
    times = shuffled_times(split, 3)
    bounds = times.groupby(split).agg(["min", "max"])
    assert bounds.loc["train", "max"] < bounds.loc["validation", "min"]
    assert bounds.loc["validation", "max"] < bounds.loc["test", "min"]
    assert times.is_unique and not times[split == "train"].is_monotonic_increasing
    pd.testing.assert_series_equal(times, shuffled_times(split, 3))
    assert not times.equals(shuffled_times(split, 4))
