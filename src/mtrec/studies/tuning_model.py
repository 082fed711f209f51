"""A reader of token states per task, on a frozen language model or on one with adapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from mtrec.studies.tuning_plan import Tuning
from mtrec.tasks.base import TaskType
from mtrec.text.lora import Adapters
from mtrec.training import checkpoint

Array = np.ndarray
CLIP = 6.0  # deviations; a few tokens have states a hundred times the usual size
HEADS, UNITS, HIDDEN = 4, 192, 64
TOGETHER = 8  # batches that are drawn at once, then sorted by length, so that padding is little


class TaskReader(keras.layers.Layer):
    """States of texts -> logits of every task: attention, maximum, mean and length, then a head.

    Args:
        types: task types by name.
        mean: of training states per dimension, ``(width,)``.
        scale: their standard deviation.
        start: logits of the best constant prediction by task.
        seed: of weights and dropout.
    """

    def __init__(
        self, types: Mapping[str, TaskType], mean: Array, scale: Array,
        start: Mapping[str, Array], seed: int,
    ):  # fmt: skip
        super().__init__()
        self.names, self.mean, self.scale = tuple(types), mean, scale
        draw = iter(range(1000 * seed, 1000 * seed + 1000))

        def dense(units: int, name: str, **options: Any) -> keras.layers.Dense:
            glorot = keras.initializers.GlorotUniform(next(draw))
            return keras.layers.Dense(units, kernel_initializer=glorot, name=name, **options)

        self.project = dense(UNITS, "project", activation="gelu")
        self.queries = self.add_weight(
            (len(types), HEADS, UNITS // HEADS), keras.initializers.GlorotUniform(next(draw)),
            name="queries",
        )  # fmt: skip
        self.drop_tokens = keras.layers.Dropout(0.1, seed=next(draw))
        self.drop = keras.layers.Dropout(0.3, seed=next(draw))
        self.hidden = [dense(HIDDEN, f"{name}_hidden", activation="gelu") for name in types]
        self.out = [dense(kind.outputs, f"{name}_out") for name, kind in types.items()]
        self.skip = [
            keras.layers.Dense(
                kind.outputs, kernel_initializer="zeros", name=f"{name}_skip",
                bias_initializer=keras.initializers.Constant(start[name]),
            )
            for name, kind in types.items()
        ]  # fmt: skip
        self.project.build((None, len(mean)))
        features = 3 * UNITS + 2
        for hidden, out, skip in zip(self.hidden, self.out, self.skip, strict=True):
            hidden.build((None, features))
            out.build((None, HIDDEN))
            skip.build((None, features))
        self.built = True

    def call(self, states: Any, lengths: Any, training: bool = False) -> dict[str, Any]:
        """Logits by task from states ``(batch, length, width)``, lengths ``(batch,)``."""
        real = ops.arange(ops.shape(states)[1])[None] < lengths[:, None]
        x = ops.clip((states - self.mean) / self.scale, -CLIP, CLIP)
        h = self.drop_tokens(self.project(x), training=training)
        split = ops.reshape(h, (*ops.shape(h)[:2], HEADS, UNITS // HEADS))
        scores = ops.einsum("blhd,thd->bthl", split, self.queries) / (UNITS // HEADS) ** 0.5
        weights = ops.softmax(ops.where(real[:, None, None], scores, -1e9), axis=-1)
        read = ops.einsum("bthl,blhd->bthd", weights, split)
        count = ops.cast(lengths, h.dtype)[:, None]
        mask = ops.cast(real, h.dtype)[:, :, None]
        common = [
            ops.max(ops.where(real[:, :, None], h, -1e9), axis=1),
            ops.sum(h * mask, axis=1) / count,
            ops.log1p(count) / 5.0,
            count / 128.0,
        ]
        found = {}
        for number, name in enumerate(self.names):
            own = ops.reshape(read[:, number], (-1, UNITS))
            features = self.drop(ops.concatenate([own, *common], axis=-1), training=training)
            inner = self.drop(self.hidden[number](features), training=training)
            found[name] = self.out[number](inner) + self.skip[number](features)
        return found


class Tuner:
    """A reader that is trained jointly over tasks, with adapters or without.

    Args:
        types: task types by name.
        labels: encoded labels of all rows by task.
        masks: which are known.
        states: of all rows' texts, arrays ``(tokens, width)``; below the adapters, if there are
            any.
        training: numbers of the rows that are learnt.
        adapters: None for a frozen model.
        sample: states that the reader sees at first, for their mean and scale.
        tuning: settings.
        seed: of weights, dropout and batches.
    """

    def __init__(
        self, types: Mapping[str, TaskType], labels: Mapping[str, Array],
        masks: Mapping[str, Array], states: Sequence[Array], training: Array,
        adapters: Adapters | None, sample: Array, tuning: Tuning, seed: int,
    ):  # fmt: skip
        self.types, self.states, self.training = types, states, training
        self.adapters, self.tuning, self.seed = adapters, tuning, seed
        known = {name: labels[name][training][masks[name][training]] for name in types}
        start = {name: kind.base_logits(known[name]) for name, kind in types.items()}
        self.scales = {name: kind.scale(known[name]) for name, kind in types.items()}
        self.labels = {name: tf.constant(labels[name]) for name in types}
        self.masks = {name: tf.constant(masks[name].astype("float32")) for name in types}
        mean, scale = sample.mean(axis=0), sample.std(axis=0) + 1e-6
        self.reader = TaskReader(
            types, mean.astype("float32"), scale.astype("float32"), start, seed
        )
        self.parts = [(self.reader, tuning.reader_rate)]
        if adapters is not None:
            self.parts.append((adapters, tuning.adapter_rate))
        self.optimizers = []
        steps = tuning.epochs * -(-len(training) // tuning.batch)
        for layer, rate in self.parts:
            schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
            optimizer = keras.optimizers.AdamW(
                schedule, weight_decay=1e-3, use_ema=True, ema_momentum=tuning.ema
            )
            optimizer.build(layer.trainable_variables)
            self.optimizers.append(optimizer)
        width = states[0].shape[1]
        self._signature = [
            tf.TensorSpec((None, None, width), "float32"), tf.TensorSpec((None,), "int32"),
        ]  # fmt: skip
        rows = tf.TensorSpec((None,), "int32")
        self._step = tf.function(self._train_step, input_signature=[*self._signature, rows])
        self._read = tf.function(self._logits, input_signature=self._signature)

    @property
    def variables(self) -> list[Any]:
        """All that a training changes."""
        layers = [variable for layer, _ in self.parts for variable in layer.variables]
        return layers + [v for optimizer in self.optimizers for v in optimizer.variables]

    def _logits(self, states: Any, lengths: Any, training: bool = False) -> dict[str, Any]:
        if self.adapters is not None:
            padding = tf.range(tf.shape(states)[1])[None] < lengths[:, None]
            states = self.adapters(states, padding)
        return self.reader(states, lengths, training=training)

    def _train_step(self, states: Any, lengths: Any, rows: Any) -> Any:
        """One step; returns the sum over tasks of losses in units of the best constant's."""
        with tf.GradientTape() as tape:
            logits, total = self._logits(states, lengths, training=True), 0.0
            for name, kind in self.types.items():
                mask = tf.gather(self.masks[name], rows)
                lost = kind.loss(tf.gather(self.labels[name], rows), logits[name]) * mask
                mean = tf.reduce_sum(lost) / tf.maximum(tf.reduce_sum(mask), 1.0)
                total += mean / self.scales[name]
        weights = [layer.trainable_variables for layer, _ in self.parts]
        gradients = tape.gradient(total, weights)
        for optimizer, gradient, some in zip(self.optimizers, gradients, weights, strict=True):
            optimizer.apply(gradient, some)
        return total

    def fit(self, file: Path, run: str) -> None:
        """Train to the last epoch; what ``file`` holds of the run is not done again.

        Args:
            file: of the state after each epoch.
            run: what identifies the training.
        """
        done = checkpoint.load(file, run, self.variables)
        for epoch in range(done[0]["epoch"] if done else 0, self.tuning.epochs):
            losses = [
                float(self._step(*self._batch(rows), tf.constant(rows, "int32")))
                for rows in self._batches(epoch)
            ]
            print(f"epoch {epoch + 1}: {np.mean(losses):.4f}", flush=True)
            checkpoint.save(file, run, {"epoch": epoch + 1}, self.variables, [])
        for optimizer, (layer, _) in zip(self.optimizers, self.parts, strict=True):
            optimizer.finalize_variable_values(layer.trainable_variables)

    def predict(self, rows: Array) -> dict[str, Array]:
        """Predictions in the label's units by task."""
        order = np.argsort([len(self.states[row]) for row in rows], kind="stable")
        found: dict[str, list[Array]] = {name: [] for name in self.types}
        for part in np.array_split(order, -(-len(order) // self.tuning.batch)):
            logits = self._read(*self._batch(rows[part]))
            for name, kind in self.types.items():
                found[name].append(ops.convert_to_numpy(kind.predict(logits[name])))
        back = np.argsort(order, kind="stable")
        return {name: np.concatenate(parts)[back] for name, parts in found.items()}

    def _batches(self, epoch: int) -> Iterator[Array]:
        """Training rows in batches of like length, in an order of the seed and the epoch."""
        rng, size = np.random.default_rng([self.seed, epoch]), self.tuning.batch
        rows = rng.permutation(self.training)
        batches = []
        for start in range(0, len(rows), size * TOGETHER):
            part = rows[start : start + size * TOGETHER]
            part = part[np.argsort([len(self.states[row]) for row in part], kind="stable")]
            batches += np.array_split(part, -(-len(part) // size))
        yield from (batches[number] for number in rng.permutation(len(batches)))

    def _batch(self, rows: Array) -> tuple[Any, Any]:
        return padded([self.states[row] for row in rows])


def padded(parts: Sequence[Array]) -> tuple[Any, Any]:
    """States ``(batch, length, width)`` float32 with zeros at the ends, and lengths."""
    lengths = np.array([len(part) for part in parts], "int32")
    states = np.zeros((len(parts), lengths.max(), parts[0].shape[1]), "float32")
    for at, part in enumerate(parts):
        states[at, : len(part)] = part
    return tf.constant(states), tf.constant(lengths)


def raised(adapters: Adapters, states: Sequence[Array], batch: int) -> list[Array]:
    """States after the adapted blocks as they are now, float16."""
    width = states[0].shape[1]
    spec = [tf.TensorSpec((None, None, width), "float32"), tf.TensorSpec((None,), "int32")]

    def above(given: Any, lengths: Any) -> Any:
        return adapters(given, tf.range(tf.shape(given)[1])[None] < lengths[:, None])

    run = tf.function(above, input_signature=spec)
    found: list[Array] = [np.empty(0)] * len(states)
    order = np.argsort([len(one) for one in states], kind="stable")
    for part in np.array_split(order, -(-len(order) // batch)):
        read = run(*padded([states[row] for row in part])).numpy()
        for at, row in enumerate(part):
            found[row] = read[at, : len(states[row])].astype("float16")
    return found
