r"""A two-stage ranking: the members nominate candidates, a small network puts them in order.

With :math:`s` the sum of the members' standardised scores by their shares in the greedy selection
(:mod:`mtrec.fusion.selection`), the :data:`NOMINATED` best of a row are nominated. The network sees
of a nominee, beside :math:`s`, each member's score and its rank by that member, and adds to
:math:`s` what it has learnt of whole lists,

.. math:: z_c = s_c + w^\top f_c + v^\top \mathrm{relu}(W f_c + b), \qquad
          \ell = -\log \frac{e^{z_y}}{\sum_c e^{z_c}},

with :math:`y` the relevant candidate; both terms start at zero, so that it begins with the greedy
order. All others come after the nominees, in the order of :math:`s`.

Source: Cao et al. 2007, "Learning to Rank: From Pairwise Approach to Listwise Approach",
https://doi.org/10.1145/1273496.1273513 (ListNet's top-one loss); Covington et al. 2016, "Deep
Neural Networks for YouTube Recommendations", https://doi.org/10.1145/2959100.2959190, for the two
stages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import keras
import numpy as np
import tensorflow as tf

from mtrec.fusion import selection

Array = np.ndarray
NOMINATED = 100  # candidates of a row
FEWEST = 200  # rows whose relevant candidate is nominated, below which nothing is learnt
UNITS, EPOCHS, BATCH = 32, 16, 64
RATE, DECAY, DROPOUT = 3e-3, 1e-4, 0.1


@dataclass(frozen=True)
class Ranker:
    """What nominates and orders, as arrays; ``m`` members, ``f = 2 m + 1`` features.

    Attributes:
        shares: of the members in the sum that nominates, ``(m,)``.
        centre: of the features, ``(f,)``.
        scale: their deviation, ``(f,)``.
        linear: :math:`w`, ``(f,)``.
        kernel: :math:`W`, ``(f, units)``.
        bias: :math:`b`, ``(units,)``.
        out: :math:`v`, ``(units,)``.
    """

    shares: Array
    centre: Array
    scale: Array
    linear: Array
    kernel: Array
    bias: Array
    out: Array

    def __call__(self, found: Sequence[Array], left_out: Array) -> Array:
        """Scores ``(n, candidates)`` float32.

        Args:
            found: what :func:`mtrec.fusion.selection.standardised` makes of each member.
            left_out: True where a candidate does not compete.
        """
        total, nominees = nominate(found, self.shares, left_out)
        features = (described(found, total, nominees) - self.centre) / self.scale
        hidden = np.maximum(features @ self.kernel + self.bias, 0.0)
        order = np.take_along_axis(total, nominees, axis=1)
        order = order + features @ self.linear + hidden @ self.out
        rest = np.where(left_out, -np.inf, total)
        np.put_along_axis(rest, nominees, -np.inf, axis=1)
        floor = np.where(np.isfinite(rest), rest, total.min(axis=1, keepdims=True)).max(axis=1)
        result = total.copy()
        lowest = order.min(axis=1)
        np.put_along_axis(result, nominees, order + (floor - lowest + 1)[:, None], axis=1)
        return result

    def state(self) -> dict[str, Array]:
        """Arrays to save, undone by ``Ranker(**arrays)``."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def restored(cls, state: Mapping[str, Array]) -> Self:
        """Undo :meth:`state`."""
        return cls(**state)


def nominate(found: Sequence[Array], shares: Array, left_out: Array) -> tuple[Array, Array]:
    """The sum that nominates ``(n, candidates)``, and nominees ``(n, NOMINATED)``, best first.

    Where fewer compete, some that do not are among them; they do not count.
    """
    total = selection.summed(found, shares)
    competing = np.where(left_out, -np.inf, total)
    count = min(NOMINATED, total.shape[1])
    some = np.argpartition(-competing, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(competing, some, axis=1), axis=1, kind="stable")
    return total, np.take_along_axis(some, order, axis=1)


def described(found: Sequence[Array], total: Array, nominees: Array) -> Array:
    """Features of nominees ``(n, nominees, f)``: the sum, then each member's score and rank.

    A rank is that among the nominees, on a scale of logarithms from 0 to 1.
    """
    columns = [np.take_along_axis(total, nominees, axis=1)]
    for scores in found:
        own = np.take_along_axis(scores, nominees, axis=1)
        rank = np.argsort(np.argsort(-own, axis=1, kind="stable"), axis=1, kind="stable")
        columns += [own, np.log1p(rank) / np.log1p(NOMINATED)]
    return np.stack(columns, axis=-1).astype("float32")


def fit(
    found: Sequence[Array], left_out: Array, labels: Array, shares: Array, seed: int
) -> Ranker | None:
    """Train the network on rows whose relevant candidate is nominated; None of too few of them.

    Args:
        found: what :func:`mtrec.fusion.selection.standardised` makes of each member.
        left_out: True where a candidate does not compete, ``(n, candidates)``.
        labels: the relevant candidate of each row, ``(n,)``.
        shares: of the members in the sum that nominates, ``(m,)``.
        seed: of weights, dropout and the order of rows.
    """
    total, nominees = nominate(found, shares, left_out)
    hit = nominees == labels[:, None]
    rows = np.flatnonzero(hit.any(axis=1))
    if len(rows) < FEWEST:
        return None
    features = described(found, total, nominees)[rows]
    centre = features.mean(axis=(0, 1))
    scale = features.std(axis=(0, 1)) + np.float32(selection.FLAT)
    start = features[..., 0]
    model = _trained((features - centre) / scale, start, hit[rows].argmax(axis=1), seed)
    kernel, bias = model.get_layer("hidden").get_weights()
    linear, out = (model.get_layer(name).get_weights()[0][:, 0] for name in ("linear", "out"))
    return Ranker(np.asarray(shares), centre, scale, linear, kernel, bias, out)


def _trained(features: Array, start: Array, relevant: Array, seed: int) -> keras.Model:
    """A model from features to what is added to ``start``, trained on lists."""
    keras.utils.set_random_seed(seed)
    model = _network(features.shape[-1])
    steps = EPOCHS * -(-len(features) // BATCH)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps))
    optimizer.build(model.trainable_variables)
    known = tf.constant(features), tf.constant(start), tf.constant(relevant)

    @tf.function(reduce_retracing=True)
    def step(rows: tf.Tensor) -> None:
        x, base, place = (tf.gather(one, rows) for one in known)
        with tf.GradientTape() as tape:
            logits = base + model(x, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(place, logits)
            loss = tf.reduce_mean(losses) + tf.add_n(model.losses)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    draws = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        order = draws.permutation(len(features))
        for first in range(0, len(order), BATCH):
            step(tf.constant(order[first : first + BATCH]))
    return model


def _network(width: int) -> keras.Model:
    given = keras.Input((None, width))
    penalty = keras.regularizers.L2(DECAY)
    none = {"kernel_initializer": "zeros", "use_bias": False}
    linear = keras.layers.Dense(1, kernel_regularizer=penalty, name="linear", **none)(given)
    hidden = keras.layers.Dense(UNITS, "relu", kernel_regularizer=penalty, name="hidden")(given)
    hidden = keras.layers.Dropout(DROPOUT)(hidden)
    added = linear + keras.layers.Dense(1, name="out", **none)(hidden)
    return keras.Model(given, keras.ops.squeeze(added, axis=-1))
