"""The MMoE of the speed benchmark, as a model that :class:`mtrec.training.loop.Trainer` takes.

What makes it quick on a CPU, in order of effect: the mixture as one batched product instead of a
broadcast product and a sum; one matrix product per expert and layer, which TensorFlow fuses with
bias and ReLU; an operation per core rather than all cores per operation, since experts and tables
are independent; biases whose gradient is ``BiasAddGrad``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from mtrec.features.dataset import Dataset
from mtrec.models.model import MultiTaskModel
from mtrec.models.shared.base import SharedLayer
from mtrec.models.shared.gates import mixture
from mtrec.settings import Training
from mtrec.tasks.binary import Binary
from mtrec.training.loop import Trainer

TABLES = 2  # of embeddings: as many as there are cores to work on them side by side
USER = "user"  # the input whose length the trainer reads: here the numbers of all fields


class Fields(keras.layers.Layer):
    """Embeddings of all fields side by side: ``(batch, fields)`` -> ``(batch, fields * width)``.

    Fields share ``TABLES`` tables: a gather, a scatter of gradients and an update per table,
    however many fields there are, and tables that are worked on side by side.

    Args:
        fields: number of fields.
        vocabulary: categories of each.
        width: of an embedding.
    """

    def __init__(self, fields: int, vocabulary: int, width: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.fields, self.vocabulary, self.width = fields, vocabulary, width
        bounds = np.linspace(0, fields, TABLES + 1).astype(int).tolist()
        self.spans = [(a, b) for a, b in zip(bounds, bounds[1:], strict=False) if a < b]

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the tables, as torch-rechub draws them."""
        self.tables = [
            self.add_weight(
                name=f"table{first}",
                shape=((last - first) * self.vocabulary, self.width),
                initializer=keras.initializers.RandomNormal(stddev=1e-4),
            )
            for first, last in self.spans
        ]

    def call(self, rows: Any) -> Any:
        """Embeddings side by side."""
        parts = []
        for (first, last), table in zip(self.spans, self.tables, strict=True):
            offsets = ops.arange(last - first, dtype="int32") * self.vocabulary
            found = ops.take(table, ops.reshape(rows[:, first:last] + offsets, (-1,)), axis=0)
            parts.append(ops.reshape(found, (-1, (last - first) * self.width)))
        return ops.concatenate(parts, axis=1)


class Affine(keras.layers.Layer):
    """``x W + b``, as ``keras.layers.Dense``, with the bias gradient of ``tf.nn.bias_add``.

    Args:
        units: width of the result.
        activation: ``relu`` or None.
    """

    def __init__(self, units: int, activation: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.units, self.activation = units, activation

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create a Glorot-uniform kernel and a zero bias."""
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], self.units))
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")

    def call(self, inputs: Any) -> Any:
        """``(batch, width)`` -> ``(batch, units)``."""
        kernel, bias = (ops.convert_to_tensor(v) for v in (self.kernel, self.bias))
        found = tf.nn.bias_add(tf.matmul(inputs, kernel), bias)
        return tf.nn.relu(found) if self.activation else found

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """``(batch, units)``."""
        return keras.KerasTensor((inputs.shape[0], self.units), dtype=self.compute_dtype)


class StackedExperts(SharedLayer):
    r"""MMoE with experts of several layers: ``(batch, width)`` -> ``(batch, tasks, units)``.

    Args:
        tasks: number of tasks.
        experts: number of experts.
        units: widths of an expert's layers.

    Source: Ma et al. 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts", https://doi.org/10.1145/3219819.3220007 (eq. 6-7).
    """

    def __init__(self, tasks: int, experts: int, units: Sequence[int], **kwargs: Any):
        super().__init__([0] * tasks, units[-1], **kwargs)
        self.tasks, self.experts, self.widths = tasks, experts, list(units)
        self.layers = [
            [Affine(width, "relu", name=f"expert{e}_{n}") for n, width in enumerate(units)]
            for e in range(experts)
        ]
        self.gates = Affine(tasks * experts, name="gates")

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights."""
        for expert in self.layers:
            for layer, width in zip(expert, [input_shape[-1], *self.widths], strict=False):
                layer.build((None, width))
        self.gates.build(input_shape)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Mix the experts."""
        hidden = []
        for expert in self.layers:
            state = inputs
            for layer in expert:
                state = layer(state)
            hidden.append(state)
        logits = ops.reshape(self.gates(inputs), (-1, self.tasks, self.experts))
        stacked = ops.stack(hidden, axis=1)
        return ops.matmul(ops.cast(mixture(logits), stacked.dtype), stacked)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """``(batch, tasks, units)``."""
        shape = (inputs.shape[0], self.tasks, self.units)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)


def network(
    fields: int,
    vocabulary: int,
    tasks: int,
    width: int,
    experts: int,
    expert: Sequence[int],
    tower: int,
) -> MultiTaskModel:
    """Index batches ``{"user": (batch, fields)}`` -> logits ``(batch, 1)`` by task."""
    rows = keras.Input((fields,), dtype="int32", name=USER)
    hidden = Fields(fields, vocabulary, width, name="fields")(rows)
    mixed = StackedExperts(tasks, experts, expert, name="shared")(hidden)
    outputs = {}
    for task, own in enumerate(ops.unstack(mixed, tasks, axis=1)):
        state = Affine(tower, "relu", name=f"task{task}_tower")(own)
        outputs[f"task{task}"] = Affine(1, name=f"task{task}_head", dtype="float32")(state)
    return MultiTaskModel({USER: rows}, outputs, name="joint")


def trainer(fields: np.ndarray, labels: np.ndarray, options: Mapping[str, Any]) -> Trainer:
    """mtrec's trainer of that network on binary labels, set to one epoch of plain Adam.

    Args:
        fields: categories ``(rows, fields)`` int32.
        labels: zeros and ones ``(rows, tasks)`` float32.
        options: ``seed``, ``precision``, sizes as in :func:`network`, ``batch`` and
            ``learning_rate``.
    """
    names = [f"task{number}" for number in range(labels.shape[1])]
    sizes = {key: options[key] for key in ("vocabulary", "width", "experts", "expert", "tower")}
    keras.utils.set_random_seed(options["seed"])
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(options.get("precision", "float32"))
    try:
        model = network(fields=fields.shape[1], tasks=len(names), **sizes)
    finally:
        keras.config.set_dtype_policy(before)
    data = dataset(fields, labels)
    steps = -(-len(fields) // options["batch"])
    settings = Training(
        batch_size=options["batch"], epochs=1, patience=1, optimizer="adam",
        learning_rate=options["learning_rate"], balancing="static", deterministic=False,
    )  # fmt: skip
    held = data.take(np.arange(min(len(data), options["batch"])))
    return Trainer(
        model, {name: Binary() for name in names}, dict.fromkeys(names, 1.0),
        dict.fromkeys(names, 1.0 / len(names)), data, held, settings, steps,
    )  # fmt: skip


def dataset(fields: np.ndarray, labels: np.ndarray) -> Dataset:
    """Index arrays as the trainer takes them; every label is known."""
    names = [f"task{number}" for number in range(labels.shape[1])]
    return Dataset(
        {USER: fields},
        {name: labels[:, number] for number, name in enumerate(names)},
        {name: np.ones(len(labels), dtype=bool) for name in names},
    )
