"""Texts for the readers of a model: states from memory in training, their answers in a table then.

A text is read once per step, however many rows of the batch name it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from mtrec.models.reader import TextReader
    from mtrec.text.states import Texts

SAMPLE = 2_000  # texts whose tokens tell mean and deviation of a state
CHUNK = 256  # texts that are read at a time for the table


class Shelf:
    """Texts of one side as tensors, by row of the side; row 0 is the unknown one, without a text.

    Args:
        texts: of the rows, without row 0.
    """

    def __init__(self, texts: Texts):
        states, none = texts.states, len(texts.states)
        self.number = tf.constant(np.concatenate([[none], texts.number]).astype("int32"))
        self._values = tf.constant(states.values)
        self._starts = tf.constant(states.starts)
        self._lengths = tf.constant(np.append(states.lengths, 0))

    def take(self, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """States ``(tokens, width)``, which text each is of ``(tokens,)``, and texts' lengths."""
        begin, lengths = tf.gather(self._starts, numbers), tf.gather(self._lengths, numbers)
        tokens = tf.ragged.range(begin, begin + lengths).flat_values
        return tf.gather(self._values, tokens), tf.repeat(tf.range(tf.size(numbers)), lengths), lengths


def attach(reader: TextReader, shelf: Shelf, texts: Texts, training: np.ndarray, seed: int) -> None:
    """Let a reader read texts, with mean and deviation of states from training texts.

    Args:
        reader: of the side.
        shelf: the texts as tensors; readers of several models share one.
        texts: the same texts.
        training: rows of the side that training knows, ``(rows,)`` bool.
        seed: of the sample of texts.
    """
    states = texts.states
    known = np.unique(texts.number[training])
    known = known[known < len(states)]
    if not len(known):
        return
    sample = np.random.default_rng(seed).permutation(known)[:SAMPLE]
    values = np.concatenate(
        [states.values[states.starts[n] : states.starts[n + 1]] for n in np.sort(sample)]
    ).astype("float64")
    reader.mean.assign(values.mean(axis=0))
    reader.scale.assign(np.maximum(values.std(axis=0), 1e-6))
    reader.attach(shelf)


def write_table(reader: TextReader, shelf: Shelf) -> None:
    """Read every text once, keep the answers in the reader's table, and take the texts away."""

    @tf.function(reduce_retracing=True, autograph=False)
    def read(numbers: tf.Tensor) -> tf.Tensor:
        return reader.read(*shelf.take(numbers), training=False)

    texts = int(tf.reduce_max(shelf.number)) + 1
    parts = [read(tf.range(at, min(at + CHUNK, texts))) for at in range(0, texts, CHUNK)]
    reader.table.assign(tf.gather(tf.concat(parts, axis=0), shelf.number))
    reader.attach(None)
