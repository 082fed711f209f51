"""Two tasks whose Pareto front is known: where does training end?"""

import numpy as np
import pytest
import tensorflow as tf

from mtrec.balancing import make_balancer
from mtrec.registry import BALANCERS

A, B = np.array([-1.0, 0.0]), np.array([1.0, 0.5])
PROBLEMS = {  # curvatures of both losses and the tolerance in units of the parameters
    "segment": (np.diag([1.0, 1.0]), np.diag([4.0, 4.0]), 5e-3),
    "curve": (np.diag([1.0, 8.0]), np.array([[3.0, 1.0], [1.0, 1.0]]), 5e-3),
}
EPOCHS, STEPS = 12, 100


def front(p, q):
    """Minimisers of all convex combinations of both losses, ``(n, 2)``."""
    shares = np.linspace(0, 1, 20001)[:, None, None]
    matrix = shares * p + (1 - shares) * q
    right = shares[:, 0] * (p @ A) + (1 - shares[:, 0]) * (q @ B)
    return np.linalg.solve(matrix, right[..., None])[..., 0]


def compile_epoch(balancer, p, q):
    """Gradient descent with a step that shrinks geometrically; returns the epoch's mean losses."""
    matrices = tf.constant(np.stack([p, q]), tf.float32)
    centres = tf.constant(np.stack([A, B]), tf.float32)
    x, rate = tf.Variable([0.3, 2.0]), tf.Variable(0.1)
    present = tf.ones(2, tf.bool)

    def losses_and_gradients():
        away = x - centres
        gradients = tf.linalg.matvec(matrices, away)
        return tf.reduce_sum(away * gradients, axis=1) / 2 + 0.1, gradients

    @tf.function
    def epoch():
        total = tf.zeros(2)
        for _ in tf.range(STEPS):
            losses, gradients = losses_and_gradients()
            gram = tf.matmul(gradients, gradients, transpose_b=True)
            weights = balancer.weigh(losses, gram, present)
            x.assign_sub(rate * tf.linalg.matvec(gradients, weights, transpose_a=True))
            rate.assign(0.993 * rate)
            if balancer.observes:
                balancer.observe(losses_and_gradients()[0], present)
            total += losses
        return total / STEPS

    return epoch, x


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", BALANCERS)
def test_training_ends_on_the_pareto_front(name, problem):
    p, q, tolerance = PROBLEMS[problem]
    balancer = make_balancer(name, 2, seed=0)
    epoch, x = compile_epoch(balancer, p, q)
    points = front(p, q)
    assert np.linalg.norm(points - x.numpy(), axis=1).min() > 1
    for _ in range(EPOCHS):
        balancer.end_epoch(epoch())
    distance = np.linalg.norm(points - x.numpy(), axis=1).min()
    assert distance < tolerance
