import keras
import numpy as np
import pytest
import tensorflow as tf

from mtrec.balancing import make_balancer
from mtrec.training.penalty import MOST, penalty_scale

RARE = 1e-3  # length of the rare task's gradient, the others' being 1


def scale_of(name, gradients):
    gram = tf.constant(gradients @ gradients.T, tf.float32)
    tasks = len(gradients)
    weights = make_balancer(name, tasks).weigh(tf.ones(tasks), gram, tf.ones(tasks, tf.bool))
    return float(penalty_scale(weights, gram)), float(tf.reduce_mean(tf.abs(weights)))


def gradients_with(length, tasks=4):
    found = np.random.default_rng(0).normal(size=(tasks, 50))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found * np.append(np.ones(tasks - 1), length)[:, None]


@pytest.mark.parametrize("name", ["nashmtl", "dbmtl", "cagrad", "mgda", "imtlg", "pcgrad"])
def test_where_no_task_is_weak_the_penalty_counts_in_mean_weights_to_the_last_bit(name):
    scale, mean = scale_of(name, gradients_with(0.1))
    assert scale == mean > 0


@pytest.mark.parametrize(("name", "before"), [("nashmtl", 100), ("dbmtl", 200), ("cagrad", 20)])
def test_a_task_with_a_tiny_gradient_does_not_rule_the_penalty(name, before):
    usual, _ = scale_of(name, gradients_with(1.0))
    scale, mean = scale_of(name, gradients_with(RARE))
    assert mean > before * usual
    assert scale <= 1.5 * MOST * usual


@pytest.mark.parametrize("name", ["nashmtl", "dbmtl", "cagrad", "pcgrad"])
def test_a_present_task_without_gradient_does_not_rule_the_penalty(name):
    usual, _ = scale_of(name, gradients_with(1.0))
    assert scale_of(name, gradients_with(0.0))[0] <= 1.5 * MOST * usual


def test_methods_that_read_no_gradients_count_in_mean_weights():
    assert float(penalty_scale(tf.constant([1.0, -4.0, 1.0]), None)) == 2.0


def trained(name, bounded, rare=range(60, 65), steps=75):
    """A shared layer under three regressions, and what a few batches of a fourth task do to it.

    The fourth has hardly a gradient, as beneath a head that is new. Labels are noisy, so that the
    others always have some. Returns after each step the norm of what the three learn, and the
    scale of the penalty.
    """
    rng = np.random.default_rng(0)
    inputs, truth = rng.normal(size=(steps, 32, 8)), rng.normal(size=(8, 4))
    labels = inputs @ truth + rng.normal(size=(steps, 32, 4))
    heads = tf.linalg.diag([1.0, 1.0, 1.0, RARE])
    shared = tf.Variable(tf.zeros((8, 4)))
    optimizer, balancer = keras.optimizers.Adam(0.1), make_balancer(name, 4)
    optimizer.build([shared])

    def step(inputs, labels, present):
        error = (inputs @ shared @ heads - labels) * tf.cast(present, tf.float32)
        pull = tf.transpose(inputs) @ error @ heads / 16  # of task t on column t alone
        gram = tf.linalg.diag(tf.reduce_sum(pull**2, axis=0))
        weights = balancer.weigh(tf.reduce_mean(error**2, axis=0), gram, present)
        scale = penalty_scale(weights, gram if bounded else None)
        optimizer.apply([weights * pull + 1e-3 * scale * shared], [shared])
        return tf.norm(shared[:, :3]), scale

    compiled, found = tf.function(step, autograph=False), []
    for number in range(steps):
        batch = (tf.constant(part[number], tf.float32) for part in (inputs, labels))
        found.append(compiled(*batch, tf.constant([True, True, True, number in rare])))
    return np.array(found)


@pytest.mark.parametrize("name", ["nashmtl", "dbmtl"])
def test_a_rare_tasks_first_batches_hardly_shrink_what_the_others_have_learnt(name):
    norms, scales = trained(name, True).T
    once, unbounded = trained(name, False).T  # as it was
    alone, _ = trained(name, True, rare=()).T
    np.testing.assert_array_equal(scales[1:60], unbounded[1:60])  # until then nothing is changed
    assert unbounded.max() > 50 * np.median(scales[50:60])
    assert (alone - once).max() > 2.5 * (alone - norms).max()
