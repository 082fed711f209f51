from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from mtrec.studies.transfer import gains, mean_interval, pair_matrix, small_sets

RESULTS = pd.DataFrame(
    [
        ("a", 0, "a", 1.0), ("b", 0, "b", 0.5), ("a", 1, "a", 0.8), ("b", 1, "b", 0.4),
        ("a+b", 0, "a", 0.9), ("a+b", 0, "b", 0.6), ("a+b", 1, "a", 0.76), ("a+b", 1, "b", 0.4),
        ("a+b+c", 0, "a", 1.1), ("a+b+c", 1, "a", 0.88),
    ],
    columns=["tasks", "seed", "task", "val_loss"],
)  # fmt: skip


def test_small_sets_are_singles_pairs_and_all():
    singles, pairs = [(task,) for task in "abcd"], list(combinations("abcd", 2))
    assert small_sets("abcd") == [*singles, *pairs, ("a", "b", "c", "d")]
    assert small_sets(["a"]) == [("a",)]


def test_gain_is_the_loss_saved_in_percent_of_the_loss_alone_paired_by_seed():
    found = gains(RESULTS).set_index(["tasks", "task"])
    assert found.index.tolist() == [("a+b", "a"), ("a+b", "b"), ("a+b+c", "a")]
    # a: 10 % and 5 %; Student's t with one degree of freedom is 12.706, the standard error 2.5
    row = found.loc[("a+b", "a")]
    np.testing.assert_allclose(row, [7.5, 7.5 - 12.7062 * 2.5, 7.5 + 12.7062 * 2.5], rtol=1e-4)
    np.testing.assert_allclose(found.loc[("a+b", "b"), "value"], (-20 + 0) / 2)
    np.testing.assert_allclose(found.loc[("a+b+c", "a")], [-10, -10, -10])


def test_interval_needs_two_finite_values():
    assert mean_interval(np.array([2.0, np.nan]))[0] == 2.0
    assert np.isnan(mean_interval(np.array([2.0, np.nan]))[1:]).all()
    assert np.isnan(mean_interval(np.array([np.nan]))).all()


def test_pair_matrix_has_the_giver_in_the_row_and_the_taker_in_the_column():
    found = pair_matrix(gains(RESULTS), ["b", "a", "c"])
    assert found.loc["b", "a"] == pytest.approx(7.5)  # what b does for a
    assert found.loc["a", "b"] == pytest.approx(-10)
    assert found.drop(columns=["a", "b"]).isna().all(axis=None)
    assert found.isna().sum(axis=None) == 7
