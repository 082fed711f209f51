"""What a task type makes of a teacher's logits."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, log_softmax, softmax

from mtrec.tasks.binary import Binary
from mtrec.tasks.lognormal import LogNormal
from mtrec.tasks.multiclass import Multiclass
from mtrec.tasks.multilabel import Multilabel
from mtrec.tasks.ordinal import Ordinal
from mtrec.tasks.ranking import Ranking
from mtrec.tasks.regression import Regression

KINDS = {
    "binary": Binary(),
    "focal": Binary("focal"),
    "multiclass": Multiclass(("a", "b", "c")),
    "ordinal": Ordinal((1.0, 2.0, 3.0, 5.0)),
    "regression": Regression(10.0, 4.0),
    "relu": Regression(10.0, 4.0, "relu"),
    "lognormal": LogNormal(0.0, 1.0),
    "multilabel": Multilabel(("x", "y")),
    "asymmetric": Multilabel(("x", "y"), loss_name="asymmetric"),
    "ranking": Ranking(("i0", "i1", "i2", "i3")),
    "pairwise": Ranking(("i0", "i1", "i2", "i3"), "pairwise"),
}
RNG = np.random.default_rng(0)


def normal(kind, rows=20):
    return RNG.normal(size=(rows, kind.outputs)).astype("float32")


def bits(taught, logits):
    p, q = expit(taught.astype("float64")), expit(logits.astype("float64"))
    return -p * np.log(q) - (1 - p) * np.log(1 - q)


def classes(taught, logits):
    return -(softmax(taught, axis=1) * log_softmax(logits, axis=1)).sum(axis=1)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("binary", lambda t, z: bits(t, z)[:, 0]),
        ("multilabel", lambda t, z: bits(t, z).mean(axis=1)),
        ("ordinal", lambda t, z: bits(t, z).sum(axis=1)),
        ("multiclass", classes),
        ("ranking", classes),
        ("regression", lambda t, z: (t - z)[:, 0] ** 2),
        ("lognormal", lambda t, z: ((t - z) ** 2).mean(axis=1)),
    ],
)
def test_soft_loss_is_its_formula(name, formula):
    kind = KINDS[name]
    taught, logits = normal(kind), normal(kind)
    np.testing.assert_allclose(kind.soft_loss(taught, logits), formula(taught, logits), rtol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_soft_loss_is_smallest_where_logits_are_the_teachers(name):
    kind = KINDS[name]
    taught = normal(kind)
    z = tf.Variable(taught)
    with tf.GradientTape() as tape:
        loss = kind.soft_loss(taught, tf.identity(z))
    assert loss.shape == (len(taught),)
    np.testing.assert_allclose(tape.gradient(loss, z), 0.0, atol=1e-6)
    other = kind.soft_loss(taught, taught + 0.5 * normal(kind))
    assert (other.numpy() > loss.numpy()).all()


@pytest.mark.parametrize(
    ("name", "labels", "taught"),
    [
        ("binary", np.array([1.0, 0.0], "float32"), [[40], [-40]]),
        ("multilabel", np.array([[1, 0], [0, 1]], "float32"), [[40, -40], [-40, 40]]),
        ("ordinal", np.array([3, 1], "int32"), [[40, 40, 40], [40, -40, -40]]),
        ("multiclass", np.array([2, 0], "int32"), [[0, 0, 90], [90, 0, 0]]),
        ("ranking", np.array([1, 3], "int32"), [[0, 90, 0, 0], [0, 0, 0, 90]]),
        ("regression", np.array([14.0, 2.0], "float32"), [[1.0], [-2.0]]),
    ],
)
def test_a_teacher_who_is_sure_of_the_label_teaches_the_label(name, labels, taught):
    kind = KINDS[name]
    logits, taught = normal(kind, 2), np.array(taught, "float16")
    np.testing.assert_allclose(
        kind.soft_loss(taught, logits), kind.loss(labels, logits), rtol=1e-4, atol=1e-6
    )


LABELS = {
    "binary": np.array([1, 0, 0, 0, 1], "float32"),
    "multiclass": np.array([0, 0, 1, 2, 2], "int32"),
    "ordinal": np.array([0, 3, 1, 1, 2], "int32"),
    "multilabel": np.array([[1, 0], [0, 0], [0, 1], [1, 0], [0, 0]], "float32"),
    "ranking": np.array([3, 0, 0, 1, 3], "int32"),
}
LABELS |= {
    "focal": LABELS["binary"], "asymmetric": LABELS["multilabel"], "pairwise": LABELS["ranking"],
}  # fmt: skip


@pytest.mark.parametrize("name", LABELS)
def test_unit_of_the_soft_loss_is_that_of_the_best_constant_by_the_same_loss(name):
    """A teacher and a pupil who know base rates alone: a loss of one, whatever the labels' loss."""
    kind, labels = KINDS[name], np.concatenate([LABELS[name]] * 50)
    soft = kind.soft_type()
    constant = np.tile(soft.base_logits(labels), (len(labels), 1)).astype("float32")
    units = np.mean(kind.soft_loss(constant, constant)) / soft.scale(labels)
    assert units == pytest.approx(1.0, abs=0.03)  # base rates have pseudo-counts


def test_a_type_with_the_plain_loss_has_its_own_unit():
    for name in ("binary", "multiclass", "ordinal", "multilabel", "ranking", "regression"):
        assert KINDS[name].soft_type() == KINDS[name]
    for name in ("focal", "asymmetric", "pairwise"):
        assert KINDS[name].soft_type() != KINDS[name]
