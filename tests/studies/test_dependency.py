import numpy as np
import pandas as pd
import pytest

from mtrec.settings import Task
from mtrec.studies import dependency as module
from mtrec.studies.dependency import dependency, label_codes
from tests.conftest import GENRES

ROWS = 1200
TYPES = {
    "coin": "binary",
    "same": "multiclass",  # the coin in words
    "other": "binary",  # another coin
    "number": "regression",
    "near": "regression",  # the number with a little noise
    "sets": "multilabel",  # one genre if the coin is 1, the other two if not
    "early": "binary",  # known in the first half only
    "late": "binary",  # known in the second half only
}
TASKS = {name: Task(type=kind, view="joint", label=name) for name, kind in TYPES.items()}


def make_examples(seed=0):
    rng = np.random.default_rng(seed)
    coin, number = rng.integers(0, 2, ROWS), rng.normal(size=ROWS)
    half = np.arange(ROWS) < ROWS // 2
    return pd.DataFrame(
        {
            "split": np.where(np.arange(ROWS) % 3 < 2, "train", "test"),
            "coin": coin * 1.0,
            "same": np.where(coin, "yes", "no"),
            "other": rng.integers(0, 2, ROWS) * 1.0,
            "number": number,
            "near": number + rng.normal(scale=0.02, size=ROWS),
            "sets": [list(GENRES[:1] if c else GENRES[1:]) for c in coin],
            "early": np.where(half, rng.integers(0, 2, ROWS), np.nan),
            "late": np.where(half, np.nan, rng.integers(0, 2, ROWS)),
        }
    )


@pytest.fixture(scope="module")
def found():
    return dependency(make_examples(), TASKS, seed=0)


def test_label_depends_wholly_on_itself_and_on_itself_under_other_names(found):
    np.testing.assert_allclose(np.diag(found), 1.0)
    assert found.loc["coin", "same"] == pytest.approx(1.0)
    assert found.loc["coin", "sets"] == pytest.approx(1.0)


def test_planted_dependency_is_high_and_independence_is_about_zero(found):
    assert found.loc["number", "near"] > 0.8
    for first, second in (("coin", "other"), ("coin", "number"), ("other", "sets")):
        assert abs(found.loc[first, second]) < 0.01


def test_matrix_is_symmetric_and_nan_where_no_row_has_both_labels(found):
    np.testing.assert_allclose(found, found.T)
    assert list(zip(*np.nonzero(found.isna().to_numpy()), strict=True)) == [(6, 7), (7, 6)]


def test_matrix_is_symmetric_on_a_sample_too(monkeypatch):
    monkeypatch.setattr(module, "ROWS", 100)
    tasks = {name: TASKS[name] for name in ("coin", "other", "number", "near")}
    found = dependency(make_examples(), tasks, seed=0)
    np.testing.assert_allclose(found, found.T)


def test_label_that_never_varies_beside_the_other_depends_on_nothing_that_can_be_told():
    examples = make_examples().assign(
        first=lambda x: x["coin"].where(x["other"] == 1, 1.0),
        second=lambda x: x["coin"].where(x["coin"] == 1).where(x["other"] == 0),
    )
    # `first` and `second` are known together only where both are 1.
    tasks = {name: TASKS["coin"].model_copy(update={"label": name}) for name in ("first", "second")}
    assert np.isnan(dependency(examples, tasks, seed=0).loc["first", "second"])


def test_values_are_those_of_a_permutation_estimate():
    rng = np.random.default_rng(3)
    first = rng.integers(0, 3, 400)
    second = np.where(rng.random(400) < 0.5, first, rng.integers(0, 4, 400))
    examples = pd.DataFrame({"split": "train", "a": first * 1.0, "b": second.astype(str)})
    tasks = {
        "a": Task(type="ordinal", view="joint", label="a"),
        "b": Task(type="multiclass", view="joint", label="b"),
    }

    def entropy(counts):
        p = counts[counts > 0] / counts.sum()
        return -(p * np.log(p)).sum()

    def shared(one, other):
        joint = np.zeros((3, 4))
        np.add.at(joint, (one, other), 1)
        return entropy(joint.sum(1)) + entropy(joint.sum(0)) - entropy(joint.ravel())

    chance = np.mean([shared(first, rng.permutation(second)) for _ in range(500)])
    most = (entropy(np.bincount(first)) + entropy(np.bincount(second))) / 2
    expected = (shared(first, second) - chance) / (most - chance)
    assert 0.15 < expected < 0.6
    assert dependency(examples, tasks, 0).loc["a", "b"] == pytest.approx(expected, abs=0.002)


def test_only_training_rows_count(found):
    examples = make_examples()
    test = examples["split"] == "test"
    other = examples.copy()
    other.loc[test, "other"] = other.loc[test, "coin"]  # a dependency that training lacks
    other.loc[test, "early"] = other.loc[test, "late"] = 1.0
    pd.testing.assert_frame_equal(dependency(other, TASKS, seed=0), found)


def test_numbers_of_few_values_keep_them_and_others_get_equal_bins():
    assert label_codes(pd.Series([4.0, 2.0, None, 4.0]), "regression", 0).tolist() == [1, 0, -1, 1]
    codes = label_codes(pd.Series(np.random.default_rng(0).normal(size=200)), "regression", 0)
    assert np.bincount(codes).tolist() == [20] * 10


def test_label_without_any_value_has_no_code():
    assert label_codes(pd.Series([None, None], dtype=object), "multilabel", 0).tolist() == [-1, -1]
