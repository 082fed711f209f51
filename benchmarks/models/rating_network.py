r"""One network for two tasks, rating and like, of MovieLens.

The latent score sums biases and pairwise products of user, item and day,

.. math:: f = b_u + b_i + b_t + p_u^\top q_i + p_u^\top s_t + q_i^\top s_t + g(p_u, q_i, s_t)

where :math:`p_u` adds to the user's own row what his training items, his side information and
his page add; :math:`q_i` likewise for the item; and :math:`g` is a small perceptron. Rating has an
ordinal likelihood, cumulative logits :math:`\sigma(c_k - f)`; like a logit of its own from the
shared representation. Soft targets of a teacher may join on any pair.

Sources: Koren 2008, https://doi.org/10.1145/1401890.1401944 (implicit feedback); Rendle et al.
2019, https://arxiv.org/abs/1905.01395 (days as factors); Hinton et al. 2015,
https://arxiv.org/abs/1503.02531 (soft targets).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

Array = np.ndarray
LEVELS = 5


@dataclass(frozen=True)
class Sides:
    """What is known of users and items before any rating.

    Attributes:
        user: side information and scaled training items, ``(users, columns)``.
        item: side information and scaled training users, ``(items, columns)``.
        days: number of days.
        groups: sizes of the groupings of rows, such as a user's sessions.
    """

    user: Array
    item: Array
    days: int
    groups: tuple[int, ...]


@dataclass(frozen=True)
class Rows:
    """Rows to learn from or to predict.

    Attributes:
        inputs: ``user``, ``item``, ``day`` ``(n,)`` and ``groups`` ``(n, groupings)``; numbers
            from 0, -1 where a row's day or group is unknown.
        levels: probabilities of the levels, one-hot where a rating is known, ``(n, 5)``.
    """

    inputs: Mapping[str, Array]
    levels: Array


@dataclass(frozen=True)
class Settings:
    """Sizes and training; chosen on validation.

    Attributes:
        width: of embeddings.
        hidden: of the perceptron.
        penalty: of squared embeddings of a batch's rows.
        rate: first learning rate of Adam; falls to zero by a cosine.
        epochs: over all rows.
        batch: rows of a step.
    """

    width: int = 16
    hidden: int = 32
    penalty: float = 1e-3
    rate: float = 0.01
    epochs: int = 10
    batch: int = 2048


class JointRatings(keras.Model):
    """Logits of ``rating`` ``(batch, 4)`` (above level k) and of ``like`` ``(batch,)``.

    Args:
        sides: constant inputs.
        settings: sizes.
    """

    def __init__(self, sides: Sides, settings: Settings):
        super().__init__()
        self.penalty = settings.penalty
        self.user_side = tf.constant(sides.user, tf.float32)
        self.item_side = tf.constant(sides.item, tf.float32)
        wide, narrow = settings.width + 1, 1
        self.user = self._table("user", len(sides.user), wide)
        self.item = self._table("item", len(sides.item), wide)
        self.day = self._table("day", sides.days, wide)
        self.user_feature = self._table("user_feature", sides.user.shape[1], wide)
        self.item_feature = self._table("item_feature", sides.item.shape[1], wide)
        self.groups = [
            self._table(f"group_{at}", size, narrow) for at, size in enumerate(sides.groups)
        ]
        self.cuts = self.add_weight(
            shape=(LEVELS - 1,), name="cuts", initializer=keras.initializers.Constant(0.0)
        )
        self.cuts.assign(np.linspace(2.5, -1.5, LEVELS - 1))
        self.deep = keras.Sequential(
            [keras.layers.Dense(settings.hidden, "silu") for _ in range(2)]
        )
        self.more = keras.layers.Dense(1, kernel_initializer="zeros")
        self.like = keras.layers.Dense(1)

    def _table(self, name: str, size: int, width: int) -> keras.Variable:
        spread = keras.initializers.RandomNormal(0.0, 0.05 if width > 1 else 0.0)
        return self.add_weight(shape=(size, width), initializer=spread, name=name)

    def call(self, rows: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Logits of rows with the inputs of :class:`Rows`."""
        users = self.user + self.user_side @ self.user_feature
        items = self.item + self.item_side @ self.item_feature
        user, item = tf.gather(users, rows["user"]), tf.gather(items, rows["item"])
        day = known(self.day, rows["day"])
        extra = [known(table, rows["groups"][:, at]) for at, table in enumerate(self.groups)]
        self.add_loss(self.penalty * sum(
            tf.reduce_mean(tf.reduce_sum(part**2, axis=1))
            for part in (tf.gather(self.user, rows["user"]), tf.gather(self.item, rows["item"]),
                         user, item, day, *extra)
        ))  # fmt: skip
        p, q, s = user[:, 1:], item[:, 1:], day[:, 1:]
        products = tf.concat([p * q, p * s, q * s], axis=1)
        shared = self.deep(tf.concat([p, q, products], axis=1))
        score = user[:, 0] + item[:, 0] + day[:, 0] + tf.add_n(extra)[:, 0]
        score += tf.reduce_sum(products, axis=1) + self.more(shared)[:, 0]
        like = self.like(tf.concat([shared, score[:, None]], axis=1))[:, 0]
        return {"rating": score[:, None] + self.cuts, "like": like}


def known(table: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Rows of a table; zero for row -1."""
    there = tf.cast(rows >= 0, table.dtype)[:, None]
    return tf.gather(table, tf.maximum(rows, 0)) * there


def level_probabilities(logits: tf.Tensor) -> tf.Tensor:
    """Probabilities ``(batch, 5)`` from logits of being above each level ``(batch, 4)``."""
    above = tf.sigmoid(logits)
    edge = tf.ones_like(above[:, :1])
    return tf.concat([edge, above], axis=1) - tf.concat([above, 0 * edge], axis=1)


def ordinal_loss(levels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross entropy of level probabilities ``(batch, 5)``, hard or soft."""
    found = tf.maximum(level_probabilities(logits), 1e-6)
    return -tf.reduce_sum(levels * tf.math.log(found), axis=1)


def fit(rows: Rows, sides: Sides, settings: Settings, seed: int) -> JointRatings:
    """Train both tasks at once; the weights are the average over the last steps."""
    keras.utils.set_random_seed(seed)
    model = JointRatings(sides, settings)
    steps = settings.epochs * -(-len(rows.levels) // settings.batch)
    model.compile(
        optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(settings.rate, steps),
            use_ema=True, ema_momentum=0.99,
        ),
        loss={
            "rating": ordinal_loss,
            "like": keras.losses.BinaryCrossentropy(from_logits=True),
        },
    )  # fmt: skip
    targets = {
        "rating": rows.levels.astype("float32"),
        "like": rows.levels[:, 3:].sum(axis=1).astype("float32"),
    }
    model.fit(
        dict(rows.inputs), targets, batch_size=settings.batch, epochs=settings.epochs, verbose=0
    )
    return model


def predict(model: JointRatings, inputs: Mapping[str, Array]) -> tuple[Array, Array]:
    """Probabilities of levels ``(n, 5)`` and of a like ``(n,)``."""
    found = model.predict(dict(inputs), batch_size=8192, verbose=0)
    levels = level_probabilities(tf.constant(found["rating"])).numpy()
    return levels.astype("float64"), tf.sigmoid(found["like"]).numpy().astype("float64")
