"""Every balancer inside a compiled training step, with several Keras optimisers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtrec.balancing import make_balancer
from mtrec.registry import BALANCERS

TASKS = 3
OPTIMIZERS = ("SGD", "Adam", "AdamW", "Adagrad")
MASKS = tf.constant([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])  # by step


def compile_step(balancer, optimizer, shared, heads):
    """One step of a two-layer network, whose Gram matrix is that of the first layer."""
    variables = [shared, heads]
    optimizer.build(variables)

    def losses_of(inputs, labels, mask):
        predictions = tf.tanh(inputs @ shared) @ heads
        return tf.reduce_mean((predictions - labels) ** 2, axis=0) * mask

    @tf.function
    def step(inputs, labels, mask):
        with tf.GradientTape(persistent=True) as tape:
            losses = losses_of(inputs, labels, mask)
            parts = tf.unstack(losses)
        per_task = tf.stack([tf.reshape(tape.gradient(part, shared), [-1]) for part in parts])
        gram = tf.matmul(per_task, per_task, transpose_b=True)
        weights = balancer.weigh(losses, gram, mask > 0)
        on_shared = tf.reshape(tf.linalg.matvec(per_task, weights, transpose_a=True), shared.shape)
        on_heads = tape.gradient(losses, heads, weights if balancer.weighs_heads else None)
        optimizer.apply([on_shared, on_heads], variables)
        if balancer.observes:
            balancer.observe(losses_of(inputs, labels, mask), mask > 0)
        return weights

    return step


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", BALANCERS)
def test_a_step_trains_both_layers(name, optimizer):
    rng = np.random.default_rng(0)
    shared = tf.Variable(rng.normal(size=(5, 4)), dtype=tf.float32)
    heads = tf.Variable(rng.normal(size=(4, TASKS)), dtype=tf.float32)
    start = shared.numpy(), heads.numpy()
    balancer = make_balancer(name, TASKS)
    step = compile_step(balancer, keras.optimizers.get(optimizer), shared, heads)
    inputs = tf.constant(rng.normal(size=(16, 5)), tf.float32)
    labels = tf.constant(rng.normal(size=(16, TASKS)), tf.float32)
    for mask in MASKS:
        assert np.isfinite(step(inputs, labels, mask)).all()
    assert step.experimental_get_tracing_count() == 1
    for variable, before in zip((shared, heads), start, strict=True):
        assert np.isfinite(variable.numpy()).all()
        assert np.abs(variable.numpy() - before).max() > 1e-5


@pytest.mark.parametrize("name", BALANCERS)
def test_a_restored_balancer_goes_on_as_if_never_stopped(name):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6, TASKS, 8))
    losses = np.exp(rng.normal(size=(6, TASKS))).astype("float32")

    def run(balancer, steps):
        for t in steps:
            gram = tf.constant(rows[t] @ rows[t].T, tf.float32)
            weights = balancer.weigh(tf.constant(losses[t]), gram, tf.ones(TASKS, tf.bool))
            balancer.observe(tf.constant(0.9 * losses[t]), tf.ones(TASKS, tf.bool))
            balancer.end_epoch(tf.constant(losses[t]))
        return weights.numpy()

    whole, first, second = (make_balancer(name, TASKS, seed=7) for _ in range(3))
    expected = run(whole, range(6))
    run(first, range(3))
    for variable, saved in zip(second.variables, first.variables, strict=True):
        variable.assign(np.asarray(saved))
    np.testing.assert_array_equal(run(second, range(3, 6)), expected)
