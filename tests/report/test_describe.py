import re

import pandas as pd
import pytest

from mtrec.report import describe
from mtrec.tables import split

DATE = re.compile(r"\d{4}-\d\d-\d\d")


@pytest.fixture
def examples():
    parts = pd.Series(["train"] * 4 + ["validation"] * 2 + ["test"] * 3)
    return pd.DataFrame(
        {"split": parts, "timestamp": split.shuffled_times(parts, 0), "cold_user": False,
         "cold_item": False, "like": 1.0}
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
