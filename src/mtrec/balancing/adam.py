"""Adam for the few numbers that a balancer learns."""

from __future__ import annotations

import tensorflow as tf


class Adam:
    r"""Adam on a vector with one entry per task, where the entries of absent tasks rest.

    .. math:: m \leftarrow 0.9 m + 0.1 g, \quad v \leftarrow 0.999 v + 0.001 g^2, \quad
              \Delta = -\eta \frac{m / (1 - 0.9^k)}{\sqrt{v / (1 - 0.999^k)} + 10^{-8}}

    The step count :math:`k` is kept per entry, which Keras' optimiser does not do: it would move
    a task without labels along its old momentum.

    Args:
        tasks: number of entries.
        rate: learning rate :math:`\eta`.

    Source: Kingma & Ba 2015, "Adam", https://arxiv.org/abs/1412.6980 (algorithm 1).
    """

    def __init__(self, tasks: int, rate: float):
        self.rate = rate
        self.mean, self.square, self.steps = (tf.Variable(tf.zeros(tasks)) for _ in range(3))
        self.variables = (self.mean, self.square, self.steps)

    def step(self, gradient: tf.Tensor, moving: tf.Tensor) -> tf.Tensor:
        """Change of the vector, ``(tasks,)``; 0 where ``moving`` is False.

        Args:
            gradient: ``(tasks,)``.
            moving: ``(tasks,)`` bool.
        """
        self.mean.assign(tf.where(moving, 0.9 * self.mean + 0.1 * gradient, self.mean))
        square = 0.999 * self.square + 0.001 * gradient**2
        self.square.assign(tf.where(moving, square, self.square))
        self.steps.assign_add(tf.cast(moving, tf.float32))
        count = tf.maximum(self.steps, 1.0)
        mean, square = self.mean / (1 - 0.9**count), self.square / (1 - 0.999**count)
        return tf.where(moving, -self.rate * mean / (tf.sqrt(square) + 1e-8), 0.0)
