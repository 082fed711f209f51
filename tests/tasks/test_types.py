import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, log_softmax
from sklearn.metrics import log_loss

from mtrec.registry import METRICS, TASK_TYPES
from mtrec.tasks import binary, multilabel
from mtrec.tasks.binary import Binary
from mtrec.tasks.lognormal import LogNormal
from mtrec.tasks.multiclass import Multiclass
from mtrec.tasks.multilabel import Multilabel
from mtrec.tasks.ordinal import Ordinal
from mtrec.tasks.ranking import Ranking
from mtrec.tasks.regression import Regression

RNG = np.random.default_rng(0)
LABELS = {
    "binary": pd.Series([0.0, 1.0, 1.0, np.nan, 1.0]),
    "multiclass": pd.Series(["b", "a", None, "b", "c"]),
    "ordinal": pd.Series([1.0, 3.0, np.nan, 3.0, 5.0]),
    "regression": pd.Series([1.0, 2.0, np.nan, 5.0, 4.0]),
    "multilabel": pd.Series([["x"], ["x", "y"], None, [], ["z"]]),
    "ranking": pd.Series(["i2", None, "i0", "i2", "i1"]),
}
CATALOGUE = ("i0", "i1", "i2", "i3")
HEADS, LOSSES = TASK_TYPES.heads, TASK_TYPES.losses
VARIANTS = [
    (kind, head, loss)
    for kind in LABELS
    for head in HEADS[kind]
    for loss in LOSSES[kind]
    if (head, loss) != ("relu", "lognormal")
]

BITS = [(kind, loss) for kind in ("binary", "multilabel") for loss in LOSSES[kind]]


def fitted(kind, head=None, loss=None):
    return TASK_TYPES[kind].fit(LABELS[kind].dropna(), CATALOGUE, head, loss)


def test_binary_loss_is_scikit_learns_log_loss():
    labels, logits = RNG.integers(0, 2, 50).astype("float32"), RNG.normal(size=(50, 1))
    found = np.mean(Binary().loss(labels, logits.astype("float32")))
    assert found == pytest.approx(log_loss(labels, expit(logits[:, 0])), abs=1e-6)


def test_multiclass_loss_is_the_negative_log_softmax_of_the_class():
    labels, logits = RNG.integers(0, 3, 50), RNG.normal(size=(50, 3)).astype("float32")
    expected = -log_softmax(logits, axis=1)[np.arange(50), labels]
    np.testing.assert_allclose(fitted("multiclass").loss(labels, logits), expected, rtol=1e-5)


def test_multilabel_loss_is_the_mean_of_binary_losses():
    labels = RNG.integers(0, 2, (50, 3)).astype("float32")
    logits = RNG.normal(size=(50, 3)).astype("float32")
    expected = np.mean(
        [Binary().loss(labels[:, k], logits[:, k : k + 1]) for k in range(3)], axis=0
    )
    np.testing.assert_allclose(fitted("multilabel").loss(labels, logits), expected, rtol=1e-5)


@pytest.mark.parametrize(("kind", "head", "loss"), VARIANTS)
def test_constant_prediction_has_a_normalised_loss_of_one(kind, head, loss):
    task = fitted(kind, head, loss)
    values, known = task.encode(LABELS[kind])
    logits = np.broadcast_to(task.base_logits(values[known]), (known.sum(), task.outputs))
    for rows in (task.loss, task.validation_loss):
        found = np.mean(rows(values[known], logits.astype("float32")))
        assert found / task.scale(values[known]) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize(("kind", "head", "loss"), VARIANTS)
def test_no_constant_near_the_constant_prediction_has_a_lower_loss(kind, head, loss):
    rng = np.random.default_rng(3)
    column = (
        LABELS[kind].dropna().sample(4000, replace=True, random_state=0)
    )  # drowns pseudo-counts
    task = TASK_TYPES[kind].fit(column, CATALOGUE[:3], head, loss)
    values, _ = task.encode(column)
    base = task.base_logits(values)
    best = task.scale(values)
    for _ in range(20):
        other = base + rng.normal(scale=0.1, size=base.shape)
        logits = np.broadcast_to(other, (len(values), len(base))).astype("float32")
        assert np.mean(task.validation_loss(values, logits)) >= best * (1 - 1e-5)


@pytest.mark.parametrize(("kind", "loss"), BITS)
def test_constant_prediction_of_a_bit_is_its_rate(kind, loss):
    task = fitted(kind, None, loss)
    values, known = task.encode(LABELS[kind])
    found = task.predict(task.base_logits(values[known])[None])
    expected = (values[known].sum(axis=0) + 1) / (known.sum() + 2)
    np.testing.assert_allclose(np.array(found)[0], expected, rtol=1e-3)


def test_binary_scale_is_the_entropy_of_the_base_rate():
    labels = np.array([1.0] * 3000 + [0.0] * 1000, dtype="float32")
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert Binary().scale(labels) == pytest.approx(entropy, abs=1e-3)


@pytest.mark.parametrize(("kind", "head", "loss"), VARIANTS)
def test_missing_labels_are_masked_and_the_rest_is_not(kind, head, loss):
    _, known = fitted(kind, head, loss).encode(LABELS[kind])
    np.testing.assert_array_equal(known, LABELS[kind].notna())


@pytest.mark.parametrize(("kind", "head", "loss"), VARIANTS)
def test_masked_rows_have_finite_losses(kind, head, loss):
    task = fitted(kind, head, loss)
    values, _ = task.encode(LABELS[kind])
    logits = RNG.normal(size=(len(values), task.outputs)).astype("float32")
    assert np.isfinite(task.loss(values, logits)).all()
    assert np.isfinite(task.validation_loss(values, logits)).all()


@pytest.mark.parametrize(("kind", "head", "loss"), VARIANTS)
def test_type_survives_its_configuration(kind, head, loss):
    task = fitted(kind, head, loss)
    assert type(task).from_config(json.loads(json.dumps(task.to_config()))) == task
    assert task.metrics in METRICS
    assert task.head in HEADS[kind]


def test_registered_bit_losses_are_the_names_that_settings_know():
    assert tuple(binary.LOSSES) == LOSSES["binary"]
    assert tuple(multilabel.LOSSES) == LOSSES["multilabel"]
    assert set(TASK_TYPES.settable()) == set(LABELS)


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
        (Binary, [1.0, 1.0], "always 1 in the training split: a task with one class"),
        (Regression, [1.0, np.inf], "infinite"),
        (Regression, [1.0, 1.0], "constant"),
        (LogNormal, [1.0, -2.0], "lognormal holds -2; expected positive"),
        (LogNormal, [1.0, 0.0], "lognormal holds 0; .* when:"),
        (LogNormal, [2.0, 2.0], "constant"),
        (Multiclass, ["a", "a"], "has 1 class"),
        (Ordinal, [3.0, 3.0], "has 1 level"),
        (Ordinal, [3.0, "good"], "holds 'good'; expected finite numbers"),
        (Multilabel, [[], []], "empty in every training row"),
        (Ranking, ["i0", "i9"], "names 'i9'"),
    ],
)
def test_bad_labels_are_refused_with_a_sentence(kind, labels, message):
    with pytest.raises(ValueError, match=message):
        kind.fit(pd.Series(labels, name="y"), CATALOGUE)


def test_relu_head_refuses_labels_below_zero():
    with pytest.raises(ValueError, match="holds -1, which a ReLU head cannot predict"):
        Regression.fit(pd.Series([-1.0, 2.0], name="y"), CATALOGUE, head="relu")


@pytest.mark.parametrize("kind", LABELS)
def test_unknown_head_and_loss_are_refused_with_the_known_names(kind):
    with pytest.raises(ValueError, match=f"{kind} has no head 'wig' .it has: {HEADS[kind][0]}"):
        fitted(kind, "wig")
    with pytest.raises(ValueError, match=f"{kind} has no loss 'sock' .it has: {LOSSES[kind][0]}"):
        fitted(kind, None, "sock")


def test_lognormal_loss_refuses_a_relu_head():
    with pytest.raises(ValueError, match="goes with head linear"):
        fitted("regression", "relu", "lognormal")
