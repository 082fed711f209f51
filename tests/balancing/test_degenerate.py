"""Every balancer with gradients that are zero, equal, opposed, dependent, tiny, huge or absent."""

import numpy as np
import pytest
import tensorflow as tf

from mtrec.balancing import make_balancer
from mtrec.registry import BALANCERS

WIDTH = 12
SCALES = (1e-6, 1e-3, 1.0, 1e3, 1e6)
ROUNDING = 1e-5  # of a float32 Gram matrix, in products of lengths
SOLVED = 1e-12  # accuracy of a solver, in squares of the longest gradient
HARMS_NOBODY = ("mgda", "imtlg", "nashmtl")  # where the paper promises it
LOWERS_THE_SUM = (*HARMS_NOBODY, "cagrad", "aligned")


def degenerate(rng, tasks):
    """Gradients by what is wrong with them, ``(tasks, WIDTH)`` each."""
    usual = rng.normal(size=(tasks, WIDTH)) * np.exp(rng.normal(size=(tasks, 1)))
    first, rest, signs = usual[0], usual[2:], (-1.0) ** np.arange(tasks)[:, None]
    factors = rng.normal(size=(tasks, 1))
    return {
        "nothing": usual,
        "one zero": np.concatenate([usual[1:], 0 * usual[:1]]),
        "all zero": 0 * usual,
        "two equal": np.stack([first, first, *rest]),
        "two opposed": np.stack([first, -first, *rest]),
        "two opposed, one longer": np.stack([first, -first * rng.uniform(0.1, 10), *rest]),
        "two nearly opposed": np.stack([first, -first + 1e-6 * usual[1], *rest]),
        "each opposed to the next": signs * first,
        "sum of zero": np.concatenate([usual[:-1], -usual[:-1].sum(axis=0, keepdims=True)]),
        "rank one": factors * first,
        "rank one, all downhill": np.abs(factors) * first,
        "rank two": rng.normal(size=(tasks, 2)) @ rng.normal(size=(2, WIDTH)),
        "lengths of 1e-6 to 1e6": usual * 10.0 ** rng.uniform(-6, 6, size=(tasks, 1)),
        "one of 1/800": np.eye(tasks, WIDTH) * np.where(np.arange(tasks) == 1, 1 / 800, 1)[:, None],
    }  # fmt: skip


def draws(tasks):
    """What is wrong, gradients, losses and present tasks, all scales with and without an absent."""
    rng = np.random.default_rng(tasks)
    for case, gradients in degenerate(rng, tasks).items():
        for scale in SCALES:
            for absent in (-1, rng.integers(tasks)):
                present = np.arange(tasks) != absent
                found = (scale * gradients * present[:, None]).astype("float32")
                losses = np.exp(rng.normal(size=tasks)) * present
                yield case, found, losses.astype("float32"), present


@pytest.mark.parametrize("tasks", [3, 5])
@pytest.mark.parametrize("name", BALANCERS)
def test_degenerate_gradients_give_finite_weights_that_are_never_uphill(name, tasks):
    balancer = make_balancer(name, tasks)
    start = [variable.numpy() for variable in balancer.variables]
    weigh = tf.function(balancer.weigh, autograph=False)
    for case, gradients, losses, present in draws(tasks):
        for variable, value in zip(balancer.variables, start, strict=True):
            variable.assign(value)
        gram = gradients @ gradients.T
        weights = weigh(tf.constant(losses), tf.constant(gram), tf.constant(present)).numpy()
        assert np.isfinite(weights).all(), case
        exact, weights = gradients.astype(float), weights.astype(float)
        lengths = np.linalg.norm(exact, axis=1)
        gains = exact @ (weights @ exact)  # of each task, to first order
        doubt = ROUNDING * (np.abs(weights) @ lengths) * lengths + SOLVED * lengths.max() ** 2
        assert (gains >= -doubt)[present].any(), case
        if name in HARMS_NOBODY:
            assert (gains >= -doubt).all(), case
        if name in LOWERS_THE_SUM:
            assert gains.sum() >= -doubt.sum(), case


@pytest.mark.parametrize("tasks", [3, 5])
def test_cagrad_trains_on_beside_two_opposed_tasks(tasks):
    """Each of these draws once ended with "Input matrix is not invertible"."""
    weigh, here = tf.function(make_balancer("cagrad", tasks).weigh, autograph=False), [True] * tasks
    for seed in range(20):
        gradients = np.random.default_rng(seed).normal(size=(tasks, WIDTH)).astype("float32")
        gradients[1] = -gradients[0]
        gram = tf.constant(gradients @ gradients.T)
        direction = weigh(tf.ones(tasks), gram, tf.constant(here)).numpy() @ gradients
        mean = gradients.mean(axis=0)
        assert np.linalg.norm(direction - mean) <= 0.401 * np.linalg.norm(mean)  # in its ball
        assert direction @ mean >= 0.599 * mean @ mean


def test_cagrad_follows_the_mean_where_a_present_task_has_no_gradient():
    gradients = np.diag([1.0, 0.0, 2.0])
    balancer, here = make_balancer("cagrad", 3), tf.ones(3, tf.bool)
    weights = balancer.weigh(tf.ones(3), tf.constant(gradients**2, tf.float32), here).numpy()
    np.testing.assert_allclose(weights[[0, 2]], 1 / 3, rtol=1e-3)
    assert weights[1] < 1e3  # once 1.7e5


def test_aligned_keeps_a_weak_task_that_depends_on_no_other():
    gradients = np.diag([1.0, 1 / 800])
    balancer, here = make_balancer("aligned", 2), tf.ones(2, tf.bool)
    weights = balancer.weigh(tf.ones(2), tf.constant(gradients**2, tf.float32), here).numpy()
    np.testing.assert_allclose(weights @ gradients, [1 / 800, 1 / 800], rtol=1e-4)


def test_aligned_leaves_out_what_depends_on_other_tasks_whatever_the_lengths():
    gradients = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1 / 800]])
    balancer, here = make_balancer("aligned", 3), tf.ones(3, tf.bool)
    gram = tf.constant(gradients @ gradients.T, tf.float32)
    weights = balancer.weigh(tf.ones(3), gram, here).numpy()
    np.testing.assert_allclose(weights @ gradients, [0.0, 1 / 800], atol=1e-7)
