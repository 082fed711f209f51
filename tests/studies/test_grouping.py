import numpy as np
import pandas as pd
import pytest

from mtrec.studies.grouping import (
    comparison,
    describe,
    groupings,
    measured_gain,
    predicted_gain,
    suggest,
)  # fmt: skip

TASKS = list("abcde")


def pairs(**gains):
    """Gain of the second task from the first by their names, 0 for the rest."""
    matrix = pd.DataFrame(np.where(np.eye(5), np.nan, 0.0), TASKS, TASKS)
    for (giver, taker), gain in gains.items():
        matrix.loc[giver, taker] = gain
    return matrix


@pytest.mark.parametrize(("tasks", "bell"), [(0, 1), (1, 1), (2, 2), (3, 5), (4, 15), (6, 203)])
def test_there_are_as_many_groupings_as_bells_number(tasks, bell):
    names = list("abcdef")[:tasks]
    found = [frozenset(map(frozenset, grouping)) for grouping in groupings(names)]
    assert len(found) == len(set(found)) == bell
    assert all(sorted(task for group in grouping for task in group) == names for grouping in found)


def test_too_many_tasks_are_refused_with_a_sentence():
    with pytest.raises(ValueError, match="10 tasks have too many groupings to list"):
        next(groupings(list("abcdefghij")))


def test_predicted_gain_is_the_mean_over_tasks_of_their_partners_mean_gain():
    matrix = pairs(ab=4.0, cb=-1.0, ba=2.0, ca=0.0, bc=3.0, ac=np.nan, de=-6.0, ed=1.0)
    # a: (2 + 0) / 2, b: (4 - 1) / 2, c: (0 + 3) / 2 with the unknown as 0, d: 1, e: -6
    found = predicted_gain((("a", "b", "c"), ("d", "e")), matrix)
    assert found == pytest.approx((1 + 1.5 + 1.5 + 1 - 6) / 5)
    assert predicted_gain(tuple((task,) for task in TASKS), matrix) == 0.0


def test_planted_grouping_is_suggested():
    friends = [("a", "d"), ("d", "a"), ("b", "c"), ("c", "b"), ("b", "e"), ("e", "b"), ("c", "e"),
               ("e", "c")]  # fmt: skip
    matrix = pd.DataFrame(-1.0, index=TASKS, columns=TASKS)
    for giver, taker in friends:
        matrix.loc[giver, taker] = 2.0
    grouping, gain = suggest(matrix)
    assert set(grouping) == {("a", "d"), ("b", "c", "e")}
    assert gain == pytest.approx(2.0)


def test_no_grouping_of_all_is_better_than_the_suggested_one():
    matrix = pd.DataFrame(np.random.default_rng(0).normal(size=(5, 5)), TASKS, TASKS)
    _, gain = suggest(matrix)
    assert gain == pytest.approx(max(predicted_gain(g, matrix) for g in groupings(TASKS)))


def test_of_equal_groupings_the_one_with_the_fewest_models_is_suggested():
    assert suggest(pairs()) == ((("a", "b", "c", "d", "e"),), 0.0)


def test_tasks_of_a_group_are_in_the_order_of_the_matrix_as_the_trained_sets_are():
    order = ["z", "m", "a"]
    matrix = pd.DataFrame(1.0, index=order, columns=order)
    assert suggest(matrix)[0] == (("z", "m", "a"),)


RESULTS = pd.DataFrame(
    [
        ("a", 0, "a", 1.0), ("b", 0, "b", 2.0), ("c", 0, "c", 0.5),
        ("a", 1, "a", 1.0), ("b", 1, "b", 1.0), ("c", 1, "c", 0.5),
        ("a+b", 0, "a", 0.9), ("a+b", 0, "b", 2.2), ("a+b", 1, "a", 0.7), ("a+b", 1, "b", 1.0),
    ],
    columns=["tasks", "seed", "task", "val_loss"],
)  # fmt: skip


def test_measured_gain_is_the_mean_over_tasks_with_an_interval_over_seeds():
    # seed 0: 10 %, -10 % and 0 for c alone; seed 1: 30 %, 0 and 0
    value, low, high = measured_gain((("a", "b"), ("c",)), RESULTS)
    half = 12.7062 * 5.0  # Student's t with one degree of freedom, standard error of 0 and 10
    np.testing.assert_allclose([value, low, high], [5.0, 5.0 - half, 5.0 + half], rtol=1e-4)
    assert measured_gain((("a",), ("b",), ("c",)), RESULTS) == (0.0, 0.0, 0.0)


def test_comparison_sets_prediction_beside_measurement():
    grouping = (("a", "b"), ("c",))
    row = comparison({"affinity": (grouping, 1.5)}, RESULTS).iloc[0]
    assert row["suggested by"] == "affinity"
    assert row["grouping"] == describe(grouping) == "a + b | c"
    assert (row["models"], row["predicted gain"]) == (2, 1.5)
    assert row["measured gain [%]"] == pytest.approx(5.0)
