"""AdamW for large tables of embeddings: a step costs what it reads, not what the table holds."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("mtrec")
class LazyAdamW(keras.optimizers.Adam):
    r"""AdamW that updates only those rows of a table that the step has read.

    Rows with a gradient :math:`g` move as under AdamW (Loshchilov and Hutter 2019,
    https://arxiv.org/abs/1711.05101, algorithm 2); all others keep their value and both moments,
    where AdamW lets the moments fade and the value follow them. Weights that are no tables, or
    whose gradient is dense, follow AdamW.

    Args:
        learning_rate: step size.
        weight_decay: share of ``learning_rate`` by which a weight shrinks per update.
    """

    def __init__(self, learning_rate: float = 0.001, weight_decay: float = 0.0, **kwargs: Any):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.decay = weight_decay

    def update_step(
        self,
        gradient: tf.Tensor | tf.IndexedSlices,
        variable: keras.Variable,
        learning_rate: tf.Tensor,
    ) -> None:
        """Update one variable."""
        if not isinstance(gradient, tf.IndexedSlices):
            variable.assign_sub(variable * (self.decay * learning_rate))
            super().update_step(gradient, variable, learning_rate)
            return
        rows, where = tf.unique(gradient.indices)
        total = tf.math.unsorted_segment_sum(gradient.values, where, tf.size(rows))
        at = self._get_variable_index(variable)
        first, second = self._momentums[at].value, self._velocities[at].value
        mean, square, weight = (tf.gather(table, rows) for table in (first, second, variable))
        mean += (total - mean) * (1 - self.beta_1)
        square += (tf.square(total) - square) * (1 - self.beta_2)
        steps = tf.cast(self.iterations + 1, total.dtype)
        rate = learning_rate * tf.sqrt(1 - self.beta_2**steps) / (1 - self.beta_1**steps)
        weight -= weight * (self.decay * learning_rate)
        weight -= rate * mean / (tf.sqrt(square) + self.epsilon)
        for table, values in ((first, mean), (second, square), (variable, weight)):
            table.scatter_update(tf.IndexedSlices(values, rows))

    def get_config(self) -> dict[str, Any]:
        """Arguments."""
        config = {k: v for k, v in super().get_config().items() if k != "weight_decay"}
        return {**config, "weight_decay": self.decay}
