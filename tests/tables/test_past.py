import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtrec.tables.past import running

ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(-5, 5), st.booleans()),
    min_size=1, max_size=30,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_running_count_and_mean_equal_brute_force_also_for_negative_values_and_ties(rows):
    frame = pd.DataFrame(rows, columns=["user", "timestamp", "value", "known"])
    count, mean = running(frame, "user", "value", frame["known"])
    for n, row in frame.iterrows():
        before = frame[
            (frame["user"] == row["user"]) & (frame["timestamp"] < row["timestamp"])
            & frame["known"]
        ]  # fmt: skip
        assert count[n] == len(before)
        assert (
            np.isnan(mean[n]) if before.empty else mean[n] == pytest.approx(before["value"].mean())
        )


def test_a_missing_value_is_not_counted_and_the_order_of_rows_does_not_matter():
    frame = pd.DataFrame({"user": list("aaaa"), "timestamp": [4, 1, 3, 2],
                          "value": [9.0, 2.0, np.nan, 4.0]})  # fmt: skip
    count, mean = running(frame, "user", "value", pd.Series(True, index=frame.index))
    assert count.tolist() == [2, 0, 2, 1]
    np.testing.assert_array_equal(mean, [3.0, np.nan, 3.0, 2.0])
