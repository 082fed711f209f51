"""What peers of the retail tasks learn, and how their answers are shifted."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from benchmarks.models.wide_table import targets
from benchmarks.protocols import ecommerce
from benchmarks.protocols.ecommerce import Runs, _own, recalibrated, scores


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_certainty_has_a_finite_score(kind):
    assert np.isfinite(scores(kind, np.array([[0.0, 1.0]]))).all()


def test_every_training_of_a_system_is_shifted_by_its_own_validation_rows_in_the_same_order():
    draw = np.random.default_rng(4)
    logits = draw.normal(size=(2, 3000))
    labels = (draw.random(3000) < expit(logits[0])).astype(float)
    asked = np.linspace(0.01, 0.99, 50)
    runs = recalibrated(Runs(list(expit(logits + [[1.0], [-0.5]])), [asked, asked]), labels)
    for held in runs.held:
        assert held.mean() == pytest.approx(labels.mean(), abs=1e-5)
    first, second = runs.test
    assert (np.diff(first) > 0).all()
    np.testing.assert_allclose(scores("binary", first) - scores("binary", asked), -1.0, atol=0.1)
    assert (second > asked).all()


def peer_task(name, metrics, outputs, labels, mask):
    kind = SimpleNamespace(metrics=metrics, outputs=outputs)
    return SimpleNamespace(name=name, kind=kind, labels=np.array(labels), mask=np.array(mask))


def test_tasks_side_by_side_are_told_apart_again():
    tasks = {
        "spend": peer_task("spend", "regression", 1, [2.0, 0.0], [True, False]),
        "group": peer_task("group", "multiclass", 3, [0, 2], [False, True]),
        "set": peer_task("set", "multilabel", 2, [[1, 0], [1, 1]], [True, True]),
    }
    labels, masks, kinds = targets(tasks)
    np.testing.assert_array_equal(labels, [[2, 0, 0, 0, 1, 0], [0, 0, 0, 1, 1, 1]])
    np.testing.assert_array_equal(
        masks, [[1, 0, 0, 0, 1, 1], [0, 1, 1, 1, 1, 1]]
    )  # unknown labels are zeros that do not count
    assert kinds == ["regression"] + ["classification"] * 5
    found = np.arange(12.0).reshape(2, 6)
    names = tuple(tasks)
    np.testing.assert_array_equal(_own(tasks["spend"], names, tasks, found), [0, 6])
    np.testing.assert_allclose(_own(tasks["group"], names, tasks, found).sum(axis=1), 1.0)
    np.testing.assert_array_equal(_own(tasks["set"], names, tasks, found), [[4, 5], [10, 11]])


def test_trees_start_from_and_read_the_means_of_the_rows_that_they_learn(monkeypatch):
    parts = {"train": [0, 2], "validation": [3], "test": [1, 4]}
    task = SimpleNamespace(
        kind=SimpleNamespace(metrics="multiclass", outputs=2), labels=np.arange(5), seed=0,
        rows=lambda part: np.array(parts[part]),
    )  # fmt: skip
    given = {}
    monkeypatch.setattr(ecommerce, "features", lambda _: pd.DataFrame({"age": [5.0, 4, 3, 2, 1]}))
    monkeypatch.setattr(ecommerce, "search", lambda *asked, **_: given.update(asked[3]))
    start = np.arange(10.0).reshape(5, 2)
    ecommerce._trees(None, task, start, [{}])
    np.testing.assert_array_equal(given["x"], [[5, 0, 1], [3, 4, 5]])
    for part, end in (("train", ""), ("validation", "_held"), ("test", "_test")):
        np.testing.assert_array_equal(given[f"start{end}"], start[parts[part]])
    assert "y_test" not in given
    given.clear()
    ecommerce._trees(None, task, None, [{}])
    assert given["x"].shape == (2, 1) and "start" not in given
