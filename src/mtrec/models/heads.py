"""The last layer of a task: tower output -> logits."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("mtrec")
class RowNumbers(keras.layers.Layer):
    """Row numbers 1 … ``rows``, whatever the input: the catalogue that a ranking head scores."""

    def __init__(self, rows: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.rows = rows

    def call(self, inputs):
        """Row numbers, ``(rows,)`` int32."""
        return ops.arange(1, self.rows + 1, dtype="int32")

    def compute_output_spec(self, inputs):
        """``(rows,)`` int32."""
        return keras.KerasTensor((self.rows,), dtype="int32")

    def get_config(self) -> dict[str, Any]:
        """Number of rows."""
        return {**super().get_config(), "rows": self.rows}


@keras.saving.register_keras_serializable("mtrec")
class CatalogueHead(keras.layers.Layer):
    r"""Score every item: :math:`z_i = \langle q W, s_i\rangle / \sqrt{d} + b_i`.

    Called with the tower's output ``(batch, units)`` and the items' states ``(items, d)``; gives
    ``(batch, items)``.
    """

    def build(self, tower_shape, items_shape) -> None:
        """Create the projection and the item biases."""
        self.query = self.add_weight(
            name="query", shape=(tower_shape[-1], items_shape[-1]), initializer="zeros"
        )
        self.bias = self.add_weight(name="bias", shape=(items_shape[0],), initializer="zeros")

    def call(self, tower, items):
        """Logits ``(batch, items)``."""
        query = ops.matmul(tower, self.query) / items.shape[-1] ** 0.5
        return ops.matmul(query, ops.transpose(items)) + self.bias

    def compute_output_shape(self, tower_shape, items_shape):
        """``(batch, items)``."""
        return (tower_shape[0], items_shape[0])
