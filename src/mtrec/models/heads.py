"""The last layer of a task: tower output -> logits.

A head has a ``bias`` of one number per logit. It is called with the tower's output, then with the
catalogue if its task ranks one, then with the inputs of the model that its ``reads(task)`` names,
if it has such a method; ``fill`` copies what it knows
(:attr:`mtrec.features.assemble.Assembly.evidence`).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from mtrec.registry import HEADS
from mtrec.tasks.base import TaskType


@keras.saving.register_keras_serializable("mtrec")
class RowNumbers(keras.layers.Layer):
    """Row numbers 0 … ``rows``, whatever the input: a table's unknown row, then its catalogue."""

    def __init__(self, rows: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.rows = rows

    def call(self, inputs):
        """Row numbers, ``(rows + 1,)`` int32."""
        return ops.arange(self.rows + 1, dtype="int32")

    def compute_output_spec(self, inputs):
        """``(rows + 1,)`` int32."""
        return keras.KerasTensor((self.rows + 1,), dtype="int32")

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


@keras.saving.register_keras_serializable("mtrec")
class CoralHead(keras.layers.Layer):
    r"""One score, compared with several thresholds: :math:`z_k = \langle w, h\rangle + b_k`.

    Called with the tower's output ``(batch, units)``; gives ``(batch, thresholds)``.

    Source: Cao et al. 2020, https://arxiv.org/abs/1901.07884, section 3.3.
    """

    def __init__(self, thresholds: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.thresholds = thresholds

    def build(self, tower_shape) -> None:
        """Create the shared weight vector and the biases."""
        self.kernel = self.add_weight(
            name="kernel", shape=(tower_shape[-1], 1), initializer="zeros"
        )
        self.bias = self.add_weight(name="bias", shape=(self.thresholds,), initializer="zeros")

    def call(self, tower):
        """Logits ``(batch, thresholds)``."""
        return ops.matmul(tower, self.kernel) + self.bias

    def compute_output_shape(self, tower_shape):
        """``(batch, thresholds)``."""
        return (tower_shape[0], self.thresholds)

    def get_config(self) -> dict[str, Any]:
        """Number of thresholds."""
        return {**super().get_config(), "thresholds": self.thresholds}


@keras.saving.register_keras_serializable("mtrec")
class LabelEmbeddingHead(keras.layers.Layer):
    r"""Score labels by their texts: :math:`z_k = \langle h W, v_k\rangle / \sqrt{d} + b_k`.

    Labels with similar texts share what is learnt about them; only :math:`W` and the biases are
    trained. Called with the tower's output ``(batch, units)``; gives ``(batch, labels)``.

    Source: Wang et al. 2018, "Joint Embedding of Words and Labels",
    https://arxiv.org/abs/1805.04174, for scoring labels and inputs in one space.
    """

    def __init__(self, labels: int, width: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.labels, self.width = labels, width

    def build(self, tower_shape) -> None:
        """Create the projection, the text vectors and the label biases."""
        self.query = self.add_weight(
            name="query", shape=(tower_shape[-1], self.width), initializer="zeros"
        )
        self.text = self.add_weight(
            name="text", shape=(self.labels, self.width), initializer="zeros", trainable=False
        )
        self.bias = self.add_weight(name="bias", shape=(self.labels,), initializer="zeros")

    def fill(self, vectors: np.ndarray) -> None:
        """Copy the language model's vectors :math:`v_k`, ``(labels, width)``."""
        self.text.assign(vectors)

    def call(self, tower):
        """Logits ``(batch, labels)``."""
        query = ops.matmul(tower, self.query) / self.width**0.5
        return ops.matmul(query, ops.transpose(self.text)) + self.bias

    def compute_output_shape(self, tower_shape):
        """``(batch, labels)``."""
        return (tower_shape[0], self.labels)

    def get_config(self) -> dict[str, Any]:
        """Number of labels and width of their vectors."""
        return {**super().get_config(), "labels": self.labels, "width": self.width}


def dense(outputs: int, width: int, **kwargs: Any) -> keras.layers.Layer:
    """A dense layer."""
    return keras.layers.Dense(outputs, kernel_initializer="zeros", **kwargs)


def coral(outputs: int, width: int, **kwargs: Any) -> keras.layers.Layer:
    """A :class:`CoralHead`."""
    return CoralHead(outputs, **kwargs)


def catalogue(outputs: int, width: int, **kwargs: Any) -> keras.layers.Layer:
    """A :class:`CatalogueHead`."""
    return CatalogueHead(**kwargs)


def label_embedding(outputs: int, width: int, **kwargs: Any) -> keras.layers.Layer:
    """A :class:`LabelEmbeddingHead`.

    Raises:
        ValueError: the labels have no text vectors.
    """
    if not width:
        raise ValueError(
            f"layer '{kwargs['name']}': head label_embedding needs the text vectors of the labels; "
            "use head: dense in params.yaml for a model without text."
        )
    return LabelEmbeddingHead(outputs, width, **kwargs)


def make_head(name: str, kind: TaskType, width: int = 0) -> keras.layers.Layer:
    """The last layer of task ``name``, in float32 whatever the model's precision.

    Kernels start at zero: with its ``bias`` at ``kind.base_logits``, the head is the best constant
    prediction.

    Args:
        name: of the task.
        kind: fitted task type; ``kind.head`` chooses.
        width: of the labels' text vectors (head ``label_embedding``).

    Raises:
        ValueError: head ``label_embedding`` without text vectors.
    """
    return HEADS[kind.head](kind.outputs, width, name=f"{name}_head", dtype="float32")


def inputs_of(head: keras.layers.Layer, task: str) -> tuple[str, ...]:
    """Names of the model's inputs that the head of ``task`` is called with; most read none."""
    return head.reads(task) if hasattr(head, "reads") else ()
