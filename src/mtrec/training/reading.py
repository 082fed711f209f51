"""Texts for the readers of a model: states from the disk in training, answers in a table after it.

A text is read once per step, however many rows of the batch name it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from mtrec.models.model import MultiTaskModel
    from mtrec.models.reader import TextReader
    from mtrec.text.states import Texts

SAMPLE = 2_000  # texts whose tokens tell mean and deviation of a state
CHUNK = 256  # texts that are read at a time for the table


class Shelf:
    """Texts of one side, by row of the side; row 0 is the unknown one, without a text.

    Args:
        texts: of the rows, without row 0.
    """

    def __init__(self, texts: Texts):
        self._states, none = texts.states, len(texts.states)
        self.number = tf.constant(np.concatenate([[none], texts.number]).astype("int32"))
        self._lengths = tf.constant(np.append(texts.states.lengths, 0).astype("int32"))

    def take(self, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """States ``(tokens, width)``, which text each is of ``(tokens,)``, and texts' lengths."""
        lengths = tf.gather(self._lengths, numbers)
        states = tf.numpy_function(self._tokens, [numbers], tf.float16)  # they are on the disk
        states = tf.ensure_shape(states, (None, self._states.width))
        return states, tf.repeat(tf.range(tf.size(numbers)), lengths), lengths

    def _tokens(self, numbers: np.ndarray) -> np.ndarray:
        return self._states.tokens(numbers[numbers < len(self._states)])


class Library:
    """The texts of a domain, for the readers of all of its models.

    Args:
        texts: by the model's input that names their rows, ``user`` or ``item``; maybe none.
        training: the inputs of training rows, whose texts tell mean and deviation of a state.
        seed: of the sample of texts for that.
    """

    def __init__(self, texts: Mapping[str, Texts], training: Mapping[str, np.ndarray], seed: int):
        self._shelves = {name: Shelf(own) for name, own in texts.items()}
        self._moments = {name: _moments(own, training[name], seed) for name, own in texts.items()}

    def open(self, model: MultiTaskModel) -> None:
        """Let the model's readers read from now on."""
        for name, reader in model.readers.items():
            mean, deviation = self._moments[name]
            reader.mean.assign(mean)
            reader.scale.assign(deviation)
            reader.attach(self._shelves[name])

    def close(self, model: MultiTaskModel) -> None:
        """Write what the model's readers have to say into their tables, and take the texts away."""
        for name, reader in model.readers.items():
            write_table(reader, self._shelves[name])


def _moments(texts: Texts, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of a token's state, ``(width,)`` each, from texts of training rows."""
    states, rows = texts.states, np.unique(rows)
    known = np.unique(texts.number[rows[rows > 0] - 1])
    known = known[known < len(states)]
    if not len(known):
        return np.zeros(states.width), np.ones(states.width)
    sample = np.sort(np.random.default_rng(seed).permutation(known)[:SAMPLE])
    values = states.tokens(sample).astype("float64")
    return values.mean(axis=0), np.maximum(values.std(axis=0), 1e-6)


def write_table(reader: TextReader, shelf: Shelf) -> None:
    """Read every text once, keep the answers in the reader's table, and take the texts away."""

    @tf.function(reduce_retracing=True, autograph=False)
    def read(numbers: tf.Tensor) -> tf.Tensor:
        return reader.read(*shelf.take(numbers), training=False)

    texts = int(tf.reduce_max(shelf.number)) + 1
    parts = [read(tf.range(at, min(at + CHUNK, texts))) for at in range(0, texts, CHUNK)]
    reader.table.assign(tf.gather(tf.concat(parts, axis=0), shelf.number))
    reader.attach(None)
