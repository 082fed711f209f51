import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, log_softmax
from sklearn.metrics import log_loss

from mtrec.tasks import TASK_TYPES, Binary, Multiclass, Multilabel, Ranking, Regression

RNG = np.random.default_rng(0)
LABELS = {
    "binary": pd.Series([0.0, 1.0, 1.0, np.nan, 1.0]),
    "multiclass": pd.Series(["b", "a", None, "b", "c"]),
    "regression": pd.Series([1.0, 2.0, np.nan, 5.0, 4.0]),
    "multilabel": pd.Series([["x"], ["x", "y"], None, [], ["z"]]),
    "ranking": pd.Series(["i2", None, "i0", "i2", "i1"]),
}
CATALOGUE = ("i0", "i1", "i2", "i3")


def fitted(kind):
    return TASK_TYPES[kind].fit(LABELS[kind].dropna(), CATALOGUE)


def test_binary_loss_is_scikit_learns_log_loss():
    labels, logits = RNG.integers(0, 2, 50).astype("float32"), RNG.normal(size=(50, 1))
    found = np.mean(Binary().loss(labels, logits.astype("float32")))
    assert found == pytest.approx(log_loss(labels, expit(logits[:, 0])), abs=1e-6)


def test_multiclass_loss_is_the_negative_log_softmax_of_the_class():
    labels, logits = RNG.integers(0, 3, 50), RNG.normal(size=(50, 3)).astype("float32")
    expected = -log_softmax(logits, axis=1)[np.arange(50), labels]
    np.testing.assert_allclose(fitted("multiclass").loss(labels, logits), expected, rtol=1e-5)


def test_ranking_loss_is_a_full_softmax_over_the_catalogue():
    labels, logits = RNG.integers(0, 4, 50), RNG.normal(size=(50, 4)).astype("float32")
    expected = -log_softmax(logits, axis=1)[np.arange(50), labels]
    np.testing.assert_allclose(fitted("ranking").loss(labels, logits), expected, rtol=1e-5)


def test_regression_loss_is_squared_error_in_units_of_the_training_variance():
    kind = Regression(mean=2.0, deviation=4.0)
    labels, logits = RNG.normal(size=50).astype("float32"), RNG.normal(size=(50, 1))
    errors = labels - kind.predict(logits)
    np.testing.assert_allclose(kind.loss(labels, logits), (errors / 4) ** 2, rtol=1e-5)


def test_multilabel_loss_is_the_mean_of_binary_losses():
    labels = RNG.integers(0, 2, (50, 3)).astype("float32")
    logits = RNG.normal(size=(50, 3)).astype("float32")
    expected = np.mean(
        [Binary().loss(labels[:, k], logits[:, k : k + 1]) for k in range(3)], axis=0
    )
    np.testing.assert_allclose(fitted("multilabel").loss(labels, logits), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", TASK_TYPES)
def test_constant_prediction_has_a_normalised_loss_of_one(kind):
    task = fitted(kind)
    values, known = task.encode(LABELS[kind])
    logits = np.broadcast_to(task.base_logits(values[known]), (known.sum(), task.outputs))
    loss = np.mean(task.loss(values[known], logits.astype("float32")))
    assert loss / task.scale(values[known]) == pytest.approx(1.0, rel=1e-5)


def test_binary_scale_is_the_entropy_of_the_base_rate():
    labels = np.array([1.0] * 3000 + [0.0] * 1000, dtype="float32")
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert Binary().scale(labels) == pytest.approx(entropy, abs=1e-3)


@pytest.mark.parametrize("kind", TASK_TYPES)
def test_missing_labels_are_masked_and_the_rest_is_not(kind):
    _, known = fitted(kind).encode(LABELS[kind])
    np.testing.assert_array_equal(known, LABELS[kind].notna())


@pytest.mark.parametrize("kind", TASK_TYPES)
def test_type_survives_its_configuration(kind):
    task = fitted(kind)
    assert type(task).from_config(task.to_config()) == task


def test_class_that_training_never_showed_is_masked():
    _, known = Multiclass(("a", "b")).encode(pd.Series(["a", "new"]))
    assert known.tolist() == [True, False]


def test_label_that_training_never_showed_is_left_out_of_the_set():
    values, known = Multilabel(("a",)).encode(pd.Series([["a", "new"]]))
    assert values.tolist() == [[1.0]]
    assert known.all()


@pytest.mark.parametrize(
    ("kind", "labels", "message"),
    [
        (Binary, [0.0, 2.0], "holds 2; expected 0, 1 or missing"),
        (Regression, [1.0, np.inf], "infinite"),
        (Regression, [1.0, 1.0], "constant"),
        (Multiclass, ["a", "a"], "has 1 class"),
        (Multilabel, [[], []], "empty in every training row"),
        (Ranking, ["i0", "i9"], "names item 'i9'"),
    ],
)
def test_bad_labels_are_refused_with_a_sentence(kind, labels, message):
    with pytest.raises(ValueError, match=message):
        kind.fit(pd.Series(labels, name="y"), CATALOGUE)
