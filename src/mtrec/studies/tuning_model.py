"""A reader of token states per task, on a frozen language model or on one with adapters."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from mtrec.models.reader import TextReader
from mtrec.models.scope import apart
from mtrec.models.seeds import draw
from mtrec.studies.tuning_plan import Tuning
from mtrec.tasks.base import TaskType
from mtrec.text.lora import Adapters
from mtrec.training import checkpoint

Array = np.ndarray
TOGETHER = 8  # batches that are drawn at once, then sorted by length, so that padding is little


class Answers(keras.layers.Layer):
    """States of texts -> logits of every task: the joint model's reader, and a head per task.

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
        self.names = tuple(types)
        with apart(seed, "float32"):
            self.reader = TextReader(0, len(types), len(mean))
            self.reader.build(None)
            self.drop = keras.layers.Dropout(self.reader.dropout, seed=draw())
            self.out = [
                keras.layers.Dense(
                    kind.outputs, kernel_initializer="zeros",
                    bias_initializer=keras.initializers.Constant(start[name]), name=f"{name}_out",
                )
                for name, kind in types.items()
            ]  # fmt: skip
            for out in self.out:
                out.build((None, self.reader.width))
        self.reader.mean.assign(mean)
        self.reader.scale.assign(scale)
        self.built = True

    def call(
        self, states: tf.Tensor, lengths: tf.Tensor, training: bool = False
    ) -> dict[str, tf.Tensor]:
        """Logits by task from states ``(batch, length, width)``, lengths ``(batch,)``."""
        real = real_tokens(states, lengths)
        segments = tf.cast(tf.where(real)[:, 0], "int32")
        read = self.reader.read(tf.boolean_mask(states, real), segments, lengths, training)
        read = self.drop(read, training=training)
        return {
            name: out(read[:, at])
            for at, (name, out) in enumerate(zip(self.names, self.out, strict=True))
        }


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
        self.answers = Answers(types, mean, scale, start, seed)
        self.parts: list[tuple[keras.layers.Layer, float]] = [(self.answers, tuning.reader_rate)]
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
    def variables(self) -> list[keras.Variable]:
        """All that a training changes."""
        layers = [variable for layer, _ in self.parts for variable in layer.variables]
        return layers + [v for optimizer in self.optimizers for v in optimizer.variables]

    def _logits(
        self, states: tf.Tensor, lengths: tf.Tensor, training: bool = False
    ) -> dict[str, tf.Tensor]:
        if self.adapters is not None:
            states = self.adapters(states, real_tokens(states, lengths))
        return self.answers(states, lengths, training=training)

    def _train_step(self, states: tf.Tensor, lengths: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
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

    def fit(self, file: Path, run: str) -> float:
        """Train to the last epoch; what ``file`` holds of the run is not done again.

        Args:
            file: of the state after each epoch.
            run: what identifies the training.

        Returns:
            CPU seconds that epochs before an interruption took.
        """
        done = checkpoint.load(file, run, self.variables)
        epochs, before = (done[0]["epoch"], done[0]["seconds"]) if done else (0, 0.0)
        began = time.process_time()
        for epoch in range(epochs, self.tuning.epochs):
            losses = [
                float(self._step(*self._batch(rows), tf.constant(rows, "int32")))
                for rows in self._batches(epoch)
            ]
            print(f"epoch {epoch + 1}: {np.mean(losses):.4f}", flush=True)
            spent = before + time.process_time() - began
            state = {"epoch": epoch + 1, "seconds": spent}
            checkpoint.save(file, run, state, self.variables, [])
        for optimizer, (layer, _) in zip(self.optimizers, self.parts, strict=True):
            optimizer.finalize_variable_values(layer.trainable_variables)
        return before

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

    def _batch(self, rows: Array) -> tuple[tf.Tensor, tf.Tensor]:
        return padded([self.states[row] for row in rows])


def real_tokens(states: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Which of the states ``(batch, length, width)`` are of tokens, ``(batch, length)``."""
    return tf.sequence_mask(lengths, tf.shape(states)[1])


def padded(parts: Sequence[Array]) -> tuple[tf.Tensor, tf.Tensor]:
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

    def above(given: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        return adapters(given, real_tokens(given, lengths))

    run = tf.function(above, input_signature=spec)
    found: list[Array] = [np.empty(0)] * len(states)
    order = np.argsort([len(one) for one in states], kind="stable")
    for part in np.array_split(order, -(-len(order) // batch)):
        read = run(*padded([states[row] for row in part])).numpy()
        for at, row in enumerate(part):
            found[row] = read[at, : len(states[row])].astype("float16")
    return found
