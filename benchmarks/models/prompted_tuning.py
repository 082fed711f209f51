"""Adapters on a chat model's upper blocks, trained on a few questions that were answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from benchmarks.models.prompted import Answers, Reader
from mtrec.text.lora import Adapters

Array = np.ndarray
BATCH = 16  # questions


class Tuned:
    """A reader of questions whose upper blocks have adapters.

    Args:
        reader: that has read the common beginning; its lower states are those below the adapters.
        seed: of the start and of the batches.
        rank: of the adapters.
        alpha: see :class:`mtrec.text.lora.Adapters`.
        epochs: over the questions.
        rate: of learning, falling to 0 as a cosine.
    """

    def __init__(
        self, reader: Reader, seed: int, rank: int = 8, alpha: float = 16.0, epochs: int = 6,
        rate: float = 1e-3,
    ):  # fmt: skip
        self.reader, self.seed, self.epochs, self.rate = reader, seed, epochs, rate
        blocks = len(reader.blocks) - reader.block
        self.adapters = Adapters(
            reader.model, reader.block, blocks, rank=rank, alpha=alpha, seed=seed
        )
        width = reader.lower.shape[-1]
        shapes = [tf.TensorSpec((None, None, width), "float32"), tf.TensorSpec((None,), "int32")]
        self._margin = tf.function(self._read, input_signature=shapes)

    def _read(self, states: Any, last: Any) -> Any:
        """Logit of Yes minus that of No, ``(batch,)``."""
        model = self.reader.model.backbone
        padding = tf.range(tf.shape(states)[1])[None] <= last[:, None]
        top = tf.gather(self.adapters(states, padding), last, batch_dims=1)
        words = ops.take(model.token_embedding.embeddings, self.reader.words, axis=0)
        found = ops.matmul(model.layer_norm(top), ops.transpose(words))
        return found[:, 0] - found[:, 1]

    def train(self, known: Answers, labels: Array) -> list[float]:
        """Learn from the first ``len(labels)`` answered questions; returns the loss per epoch."""
        rng = np.random.default_rng(self.seed)
        steps = self.epochs * -(-len(labels) // BATCH)
        rate = keras.optimizers.schedules.CosineDecay(self.rate, steps)
        optimizer = keras.optimizers.AdamW(rate, weight_decay=0.0)
        optimizer.build(self.adapters.trainable_variables)
        losses = []
        for _ in range(self.epochs):
            order, lost = rng.permutation(len(labels)), 0.0
            for rows in np.array_split(order, -(-len(order) // BATCH)):
                wanted = tf.constant(labels[rows].astype("float32"))
                with tf.GradientTape() as tape:
                    margin = self._margin(*self._batch(known, rows))
                    loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(wanted, margin))
                weights = self.adapters.trainable_variables
                optimizer.apply(tape.gradient(loss, weights), weights)
                lost += float(loss) * len(rows)
            losses.append(lost / len(order))
            print(f"epoch {len(losses)}: {losses[-1]:.4f}", flush=True)
        return losses

    def margins(self, asked: Answers) -> Array:
        """Logit of Yes minus that of No for each question."""
        found = np.zeros(len(asked.margin))
        for rows in _runs(np.diff(asked.starts)):
            found[rows] = self._margin(*self._batch(asked, rows)).numpy()
        return found

    def _batch(self, answers: Answers, rows: Array) -> tuple[Any, Any]:
        """Lower states of beginning and question, padded, and the number of the last token."""
        begun = self.reader.lower
        parts = [answers.states(row) for row in rows]
        lengths = np.array([len(begun) + len(part) for part in parts], "int32")
        states = np.zeros((len(parts), lengths.max(), begun.shape[1]), "float32")
        for at, part in enumerate(parts):
            states[at, : len(begun)] = begun
            states[at, len(begun) : lengths[at]] = part
        return tf.constant(states), tf.constant(lengths - 1)


def _runs(lengths: Array) -> Iterator[Array]:
    """Questions of like length together."""
    order = np.argsort(lengths, kind="stable")
    yield from np.array_split(order, -(-len(order) // BATCH))
