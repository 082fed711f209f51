import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy.special import expit, log_softmax, softmax

from mtrec.tasks.pairwise import pairwise_loss
from mtrec.tasks.ranking import Ranking
from mtrec.tasks.sampled_softmax import sampled_softmax_loss

RNG = np.random.default_rng(0)
CATALOGUE = ("i0", "i1", "i2", "i3")


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def full(labels, logits):
    return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]


def test_softmax_loss_is_over_the_whole_catalogue():
    labels, logits = RNG.integers(0, 4, 50), normal(50, 4)
    np.testing.assert_allclose(
        Ranking(CATALOGUE).loss(labels, logits), full(labels, logits), rtol=1e-5
    )


def test_pairwise_loss_is_the_mean_over_all_negatives():
    labels, logits = RNG.integers(0, 6, 30), normal(30, 6)
    expected = [
        np.mean([-np.log(expit(row[y] - row[j])) for j in range(6) if j != y])
        for y, row in zip(labels, logits, strict=True)
    ]
    np.testing.assert_allclose(pairwise_loss(labels, logits), expected, rtol=1e-5)


def test_sampled_softmax_is_the_formula_of_its_docstring():
    labels, logits = RNG.integers(0, 8, 20), normal(20, 8)
    q = softmax(RNG.normal(size=8))
    expected = []
    for y, row in zip(labels, logits.astype("float64"), strict=True):
        others = labels[labels != y]
        rest = (1 - q[y]) * np.mean(np.exp(row[others]) / q[others])
        expected.append(-np.log(np.exp(row[y]) / (np.exp(row[y]) + rest)))
    np.testing.assert_allclose(sampled_softmax_loss(labels, logits, np.log(q)), expected, rtol=1e-4)


def test_sampled_softmax_of_every_item_once_and_uniform_popularity_is_the_full_softmax():
    labels, logits = RNG.permutation(8), normal(8, 8)
    found = sampled_softmax_loss(labels, logits, np.full(8, -np.log(8)))
    np.testing.assert_allclose(found, full(labels, logits), rtol=1e-4)


def test_unknown_rows_are_nobodys_negative_and_have_finite_gradients():
    labels, logits, q = np.array([3, -1, 5, 3]), normal(4, 8), np.full(8, -np.log(8))
    z = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = sampled_softmax_loss(labels, tf.identity(z), q)
        total = tf.reduce_sum(tf.where(labels >= 0, loss, 0.0))
    gradient = tape.gradient(total, z).numpy()
    alone = sampled_softmax_loss(labels[[0, 2, 3]], logits[[0, 2, 3]], q)
    np.testing.assert_allclose(loss.numpy()[[0, 2, 3]], alone, rtol=1e-5)
    assert np.isfinite(gradient).all()
    assert not gradient[1].any()
    assert not gradient[:, [0, 1, 2, 4, 6, 7]].any()


def test_batch_with_one_known_row_has_no_loss():
    found = sampled_softmax_loss(np.array([2, -1]), normal(2, 4), np.full(4, -np.log(4)))
    assert float(found[0]) == 0.0


def mean_gradient(z, log_popularity, q, batches=400, rows=64):
    """Mean gradient of the sampled loss in logits ``z`` of all rows, batches drawn from ``q``."""
    rng = np.random.default_rng(1)
    weights = tf.Variable(z)
    loss = tf.function(
        lambda labels: tf.reduce_mean(
            sampled_softmax_loss(labels, tf.tile(weights[None], [rows, 1]), log_popularity)
        )
    )
    total = np.zeros(len(z))
    for _ in range(batches):
        with tf.GradientTape() as tape:
            value = loss(tf.constant(rng.choice(len(q), rows, p=q).astype("int32")))
        total += tape.gradient(value, weights).numpy()
    return total / batches


def test_correction_removes_the_bias_against_popular_items():
    q = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
    z = normal(5)
    expected = softmax(z) - q  # gradient of the full softmax, mean over labels
    corrected = mean_gradient(z, np.log(q), q)
    naive = mean_gradient(z, np.full(5, -np.log(5)), q)
    np.testing.assert_allclose(corrected, expected, atol=0.015)
    assert np.abs(naive - expected).max() > 0.1
    assert (naive - expected)[:2].min() > 0.05  # popular items are pushed down
    assert (naive - expected)[-2:].max() < 0.0  # unpopular ones are favoured


def test_sampled_softmax_is_validated_and_scaled_by_the_full_softmax():
    column = pd.Series(["i2", "i0", "i2", "i1"])
    sampled = Ranking.fit(column, CATALOGUE, loss="sampled_softmax")
    plain = Ranking.fit(column, CATALOGUE)
    labels, _ = sampled.encode(column)
    logits = normal(4, 4)
    np.testing.assert_array_equal(
        sampled.validation_loss(labels, logits), plain.loss(labels, logits)
    )
    assert sampled.scale(labels) == plain.scale(labels)
    assert not np.allclose(sampled.loss(labels, logits), plain.loss(labels, logits))


@pytest.mark.parametrize(("loss", "unknown"), [("sampled_softmax", -1), ("pairwise", 0)])
def test_unknown_items_are_encoded_so_that_no_row_draws_them(loss, unknown):
    column = pd.Series(["i2", None])
    values, known = Ranking.fit(column.dropna(), CATALOGUE, loss=loss).encode(column)
    assert values.tolist() == [2, unknown]
    assert known.tolist() == [True, False]
