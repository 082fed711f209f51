"""A split that the file itself names: a published one, or one's own."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from mtrec.domains.own.check import check
from mtrec.domains.own.settings import Settings
from mtrec.features.offsets import held_out_is_known

NOW = pd.Timestamp("2026-01-01")


@pytest.fixture
def divided(log):
    """The log with a split by chance, in words of several kinds."""
    words = np.random.default_rng(1).choice(["Train", "dev", " test"], len(log), p=[0.6, 0.2, 0.2])
    return log.assign(part=words)


def test_a_column_of_splits_is_found_and_kept_row_by_row(attempt, divided):
    tried = attempt(divided, timestamp="second")
    assert tried.role("split") == ["part"]
    assert tried.block["data"]["split"] == "given"
    assert tried.block["data"]["events"]["split"] == "part"
    assert "part" not in str(tried.block["features"]) + str(tried.block["tasks"])
    found = tried.tables.examples["split"].value_counts()
    words = divided["part"].value_counts()
    assert found.to_dict() == {
        "train": words["Train"], "validation": words["dev"], "test": words[" test"]
    }  # fmt: skip


@pytest.mark.parametrize("order", ["mixed", "in time", "by user", "untimed"])
def test_what_is_not_for_training_is_in_no_history_no_count_and_no_running_mean(
    attempt, divided, order
):
    if order == "in time":
        divided["part"] = np.repeat(["train", "val", "test"], [400, 100, 100])
    if order == "by user":
        divided["part"] = np.select([divided["user"] < 15, divided["user"] < 30],
                                    ["test", "val"], "train")  # fmt: skip
    tried = attempt(divided, timestamp="-" if order == "untimed" else "second")
    tables, rows = tried.tables, tried.tables.examples
    assert len(tables.events) == (rows["split"] == "train").sum()
    assert not held_out_is_known(tables)
    held = rows["split"] != "train"
    assert rows.loc[held, "timestamp"].min() > rows.loc[~held, "timestamp"].max()
    for n in range(0, len(rows), 50):
        row = rows.iloc[n]
        past = rows[(rows["user_id"] == row["user_id"]) & (rows["timestamp"] < row["timestamp"])]
        past = past[past["split"] == "train"]
        assert row["user_count"] == pytest.approx(np.log1p(len(past)))


def test_times_that_follow_the_split_stay(attempt, divided):
    divided["part"] = np.repeat(["train", "val", "test"], [400, 100, 100])
    divided["second"] = 1_600_000_000 + np.arange(len(divided))
    given = attempt(divided, timestamp="second").tables.examples["timestamp"]
    assert given.diff().dropna().eq(pd.Timedelta(seconds=1)).all()


@pytest.mark.parametrize("cells", [["train", "val"], ["train", "val", "test", "none"], ["test"]])
def test_other_columns_are_no_split(attempt, log, cells):
    tried = attempt(log.assign(part=np.random.default_rng(0).choice(cells, len(log))),
                    timestamp="second")  # fmt: skip
    assert tried.role("split") == []
    assert tried.block["data"]["split"] == "temporal"


def test_without_a_word_for_validation_some_training_rows_validate(attempt, log):
    parts = np.random.default_rng(0).choice(["train", "test"], len(log), p=[0.8, 0.2])
    tried = attempt(log.assign(part=parts, again=parts))
    found = tried.tables.examples["split"].value_counts()
    assert found["test"] == (parts == "test").sum()
    assert found["validation"] == round(0.1 * (parts == "train").sum())
    assert "test_share" not in tried.block["data"]
    assert "again" in tried.role("unused")


def test_a_word_that_names_no_split_is_said_with_what_to_write(attempt, divided, tmp_path):
    attempt(divided)
    file = next((tmp_path / "own" / "shop").glob("events.*"))
    frame = pd.read_csv(file, dtype=str)
    frame.loc[[3, 7], "part"] = "holdout"
    frame.loc[9, "part"] = None
    frame.to_csv(file, index=False)
    (found,) = [one for one in check("shop", tmp_path, NOW) if one.level == "error"]
    assert found.line().endswith(
        "2 cells of column 'part', such as 'holdout', name no split. Write train, validation or "
        "test."
    )


def test_an_event_without_a_split_is_left_out_and_counted(attempt, divided):
    divided.loc[:4, "part"] = [None, None, "", " ", None]
    tried = attempt(divided)
    assert len(tried.tables.examples) == len(divided) - 5
    account = tried.tables.account.set_index("step")
    assert account.loc["no split", "rows"] == 5


@pytest.mark.parametrize(
    ("events", "split", "said"),
    [
        ({}, "given", "needs events.split"),
        ({"split": "part"}, "random", "set split: given"),
        ({"split": "u"}, "given", "another role"),
        ({"split": "gift", "binary": ["gift"]}, "given", "another role"),
        ({"split": ""}, "given", "at least 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(events, split, said):
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate({"events": {"user_id": "u", "item_id": "i", **events},
                                 "split": split})  # fmt: skip
