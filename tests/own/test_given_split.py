"""A split that the file itself names: a published one, or one's own."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from mtrec.domains.own.check import check
from mtrec.domains.own.settings import Settings
from mtrec.features.encoder import training_events

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


@pytest.mark.parametrize("timed", [True, False])
def test_what_is_not_for_training_is_in_no_history_and_no_count(attempt, divided, timed):
    tried = attempt(divided, timestamp="second" if timed else "-")
    training, _ = training_events(tried.tables.events, tried.tables.examples)
    assert len(training) == (divided["part"] == "Train").sum()
    rows = tried.tables.examples
    for n in range(0, len(rows), 50):
        row = rows.iloc[n]
        past = rows[(rows["user_id"] == row["user_id"]) & (rows["timestamp"] < row["timestamp"])]
        count = (past["split"] == "train").sum()
        assert row["user_count"] == pytest.approx(np.log1p(count))


@pytest.mark.parametrize("cells", [["train", "test"], ["train", "val", "test", "none"]])
def test_other_columns_are_no_split(attempt, log, cells):
    tried = attempt(log.assign(part=np.random.default_rng(0).choice(cells, len(log))),
                    timestamp="second")  # fmt: skip
    assert tried.role("split") == []
    assert tried.block["data"]["split"] == "temporal"


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
    divided.loc[:4, "part"] = None
    tried = attempt(divided)
    assert len(tried.tables.examples) == len(divided) - 5
    account = tried.tables.account.set_index("step")
    assert account.loc["no split", "rows"] == 5


@pytest.mark.parametrize(
    ("events", "split", "said"),
    [({}, "given", "needs events.split"), ({"split": "part"}, "random", "set split: given")],
)
def test_settings_that_contradict_each_other_are_refused(events, split, said):
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate({"events": {"user_id": "u", "item_id": "i", **events},
                                 "split": split})  # fmt: skip
