r"""Batches of training that are changed at random: what a model cannot rely on, it does without.

Every change is a function of its arguments, draws among them. The draws of a step follow from the
training's seed and the step's number, so that a training that was interrupted goes on with the same
ones. Rows that are only judged are never changed.

Sources: ids and texts that are dropped, Volkovs et al. 2017, "DropoutNet: Addressing Cold Start in
Recommender Systems"; crop, mask and reorder of histories, Xie et al. 2022, "Contrastive Learning
for Sequential Recommendation", https://arxiv.org/abs/2010.14395, section 3.2 (its augmentations,
without its contrastive loss); mixed representations, Zhang et al. 2018, "mixup",
https://arxiv.org/abs/1710.09412, and of hidden layers Verma et al. 2019, "Manifold Mixup",
https://arxiv.org/abs/1806.05236.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from mtrec.models.encoders import EntityEncoder

if TYPE_CHECKING:
    from mtrec.settings import Augmentation

Histories = tuple[tf.Tensor, tf.Tensor]  # items (batch, length), events (batch, length, features)
TEXTS = ("text", "words")  # kinds of features
# What a draw is for: each has a stream of its own.
EMPTY, CROP, MASK, WHERE, ORDER, PARTNER, SHARE, NOISE = range(8)
IDS, WORDS = 100, 200  # and one for each encoder and feature, in order


def emptied(histories: Histories, chance: float, draws: tf.Tensor) -> Histories:
    """Histories of which some are empty.

    Args:
        histories: items and events, oldest first, padded with 0 at the left.
        chance: of being emptied.
        draws: uniform in [0, 1), ``(batch,)``.
    """
    return _kept(histories, (draws >= chance)[:, None])


def masked(histories: Histories, chance: float, draws: tf.Tensor) -> Histories:
    """Histories without some of their events, whose places stay empty.

    Args:
        histories: see :func:`emptied`.
        chance: of an event to be left out.
        draws: uniform in [0, 1), ``(batch, length)``.
    """
    return _kept(histories, draws >= chance)


def cropped(histories: Histories, share: float, draws: tf.Tensor) -> Histories:
    """A part of each history without a gap, at the right end; at least one event stays.

    Args:
        histories: see :func:`emptied`.
        share: of the events that is cut off, rounded.
        draws: uniform in [0, 1), ``(batch,)``: where the part begins.
    """
    length, count = tf.shape(histories[0])[1], _count(histories)
    kept = tf.maximum(count - _rounded(share, count), tf.minimum(count, 1))
    after = tf.cast(draws * tf.cast(count - kept + 1, tf.float32), tf.int32)  # events cut off late
    places = tf.range(length)[None] - after[:, None]
    inside = tf.range(length)[None] >= (length - kept)[:, None]
    moved = _taken(histories, tf.maximum(places, 0))
    return _kept(moved, inside)


def reordered(
    histories: Histories, share: float, draws: tf.Tensor, order_draws: tf.Tensor
) -> Histories:
    """Histories in which a part without a gap is in another order.

    Args:
        histories: see :func:`emptied`.
        share: of the events that is shuffled, rounded.
        draws: uniform in [0, 1), ``(batch,)``: where the part begins.
        order_draws: uniform in [0, 1), ``(batch, length)``: in their order the part's events come.
    """
    length, count = tf.shape(histories[0])[1], _count(histories)
    part = _rounded(share, count)
    begin = length - count + tf.cast(draws * tf.cast(count - part + 1, tf.float32), tf.int32)
    places = tf.cast(tf.range(length)[None], tf.float32)
    inside = (tf.range(length)[None] >= begin[:, None]) & (
        tf.range(length)[None] < (begin + part)[:, None]
    )
    among = tf.cast(begin, tf.float32)[:, None] + order_draws * 0.5  # before the part's second
    order = tf.argsort(tf.where(inside, among, places), axis=1, stable=True)
    return _taken(histories, order)


def without(state: tf.Tensor, own: tf.Tensor, unknown: tf.Tensor, dropped: tf.Tensor) -> tf.Tensor:
    """States in which a feature's term is, where it is dropped, that of an unknown entity.

    Args:
        state: sum of the terms of all features, ``(..., width)``.
        own: the feature's term of these entities, ``(..., width)``.
        unknown: its term of an unknown one, ``(..., width)``.
        dropped: where it is dropped, ``(...)`` bool.
    """
    return state + tf.where(dropped[..., None], unknown - own, tf.zeros_like(state))


def partners(known: Sequence[tf.Tensor], draws: tf.Tensor) -> tf.Tensor:
    """For each row another one with labels of the same tasks, itself for one of each group.

    Args:
        known: whether each task's label is known, ``(batch,)`` each.
        draws: uniform in [0, 1), ``(batch,)``, an order within each group.

    Returns:
        Row numbers, each once in a group but for the one that is its own partner, ``(batch,)``.
    """
    group = tf.add_n([2.0**n * tf.cast(mask > 0, tf.float32) for n, mask in enumerate(known)])
    order = tf.argsort(group + draws * 0.5, stable=True)
    following = tf.roll(order, -1, axis=0)
    same = tf.equal(tf.gather(group, order), tf.gather(group, following))
    chosen = tf.where(same, following, order)
    return tf.tensor_scatter_nd_update(tf.zeros_like(order), order[:, None], chosen)


def mixed(values: tf.Tensor, partner: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Each row mixed with its partner, which has the part ``1 - share``."""
    share = tf.cast(share, values.dtype)
    return share * values + (1 - share) * tf.gather(values, partner)


@dataclass(frozen=True)
class Drawn:
    """The changes of one step.

    Attributes:
        settings: what is changed, and how often.
        seed: of the step, ``(2,)`` int32.
    """

    settings: Augmentation
    seed: tf.Tensor

    def uniform(self, what: int, shape: tf.Tensor | Sequence) -> tf.Tensor:
        """Draws for a purpose."""
        return tf.random.stateless_uniform(shape, self._stream(what))

    def inputs(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """A batch's inputs with changed histories."""
        found: Histories = inputs["history_items"], inputs["history_events"]
        shape, own = tf.shape(found[0]), self.settings
        if own.crop:
            found = cropped(found, own.crop, self.uniform(CROP, shape[:1]))
        if own.reorder:
            draws = self.uniform(WHERE, shape[:1]), self.uniform(ORDER, shape)
            found = reordered(found, own.reorder, *draws)
        if own.mask:
            found = masked(found, own.mask, self.uniform(MASK, shape))
        if own.drop_histories:
            found = emptied(found, own.drop_histories, self.uniform(EMPTY, shape[:1]))
        return {**inputs, "history_items": found[0], "history_events": found[1]}

    def state(
        self, encoder: EntityEncoder, rows: tf.Tensor, visible: Sequence[str] | None = None
    ) -> tf.Tensor:
        """What an encoder says of entities some of whose ids and texts are dropped.

        An entity has the same features dropped for all tasks that see it.
        """
        state = encoder(rows, visible=visible)
        side = 0 if encoder.name.startswith("user") else 50
        for number, field in enumerate(encoder.fields):
            name, is_id = field["name"], field["name"] in ("user_id", "item_id")
            chance = self._chance(is_id, field["kind"])
            if not chance or (visible is not None and name not in visible):
                continue
            stream = (IDS if is_id else WORDS) + side + number
            dropped = self.uniform(stream, tf.shape(rows)) < chance
            own, unknown = (encoder(part, visible=[name]) for part in (rows, tf.zeros_like(rows)))
            state = without(state, own, unknown, dropped)
        return state

    def representation(self, values: tf.Tensor, mixing: Mixing | None) -> tf.Tensor:
        """What the shared layer reads, with noise, and mixed."""
        if self.settings.noise:
            noise = tf.random.stateless_normal(
                tf.shape(values), self._stream(NOISE), dtype="float32"
            )
            values = values + tf.cast(self.settings.noise * noise, values.dtype)
        return values if mixing is None else mixed(values, *mixing.pair)

    def mixing(self, masks: Mapping[str, tf.Tensor]) -> Mixing | None:
        """Which rows are mixed, if any are."""
        if not self.settings.mixup:
            return None
        one, other = tf.unstack(
            tf.random.stateless_gamma((2,), self._stream(SHARE), self.settings.mixup)
        )
        known = [*masks.values()]
        partner = partners(known, self.uniform(PARTNER, tf.shape(known[0])))
        return Mixing(partner, one / tf.maximum(one + other, 1e-12))

    def _chance(self, is_id: bool, kind: str) -> float:
        if is_id:
            return self.settings.drop_ids
        return self.settings.drop_texts if kind in TEXTS else 0.0

    def _stream(self, what: int) -> tf.Tensor:
        return self.seed + tf.constant([0, what << 20], tf.int32)


@dataclass(frozen=True)
class Mixing:
    """Rows that are mixed.

    Attributes:
        partner: row that each is mixed with, ``(batch,)``.
        share: of a row itself, one for the batch.
    """

    partner: tf.Tensor
    share: tf.Tensor

    @property
    def pair(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Partner and share."""
        return self.partner, self.share

    def direct(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Inputs that heads read themselves: numbers are mixed, names of rows are not."""
        return {
            name: mixed(values, *self.pair) if values.dtype.is_floating else values
            for name, values in inputs.items()
        }

    def others(self, batch: Mapping[str, Mapping[str, tf.Tensor]]) -> dict:
        """The batch with the labels of partners, who have labels of the same tasks."""
        moved = {
            part: {name: tf.gather(values, self.partner) for name, values in batch[part].items()}
            for part in ("labels", "taught") if part in batch
        }  # fmt: skip
        return {**batch, **moved}

    def loss(self, own: Sequence[tf.Tensor], others: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The loss of each task: by its own labels and by those of partners."""
        pairs = zip(own, others, strict=True)
        return [self.share * one + (1 - self.share) * other for one, other in pairs]


class Augmenter:
    """Draws the changes of each step of a training.

    Args:
        settings: what is changed, and how often.
    """

    def __init__(self, settings: Augmentation):
        self.settings = settings
        self.seed = tf.Variable(0, dtype="int32", trainable=False)

    def at(self, step: tf.Tensor) -> Drawn:
        """The changes of a step, from its number."""
        seed = tf.stack([tf.cast(self.seed, tf.int32), tf.cast(step, tf.int32)])
        return Drawn(self.settings, seed)


def _count(histories: Histories) -> tf.Tensor:
    """Events of each history, from its first one on, ``(batch,)``."""
    known = tf.cast(histories[0] > 0, tf.int32)
    return tf.reduce_sum(tf.cast(tf.cumsum(known, axis=1) > 0, tf.int32), axis=1)


def _rounded(share: float, count: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(share * tf.cast(count, tf.float32)), tf.int32)


def _kept(histories: Histories, where: tf.Tensor) -> Histories:
    items, events = histories
    return (
        tf.where(where, items, tf.zeros_like(items)),
        tf.where(where[..., None], events, tf.zeros_like(events)),
    )


def _taken(histories: Histories, places: tf.Tensor) -> Histories:
    items, events = histories
    return tf.gather(items, places, batch_dims=1), tf.gather(events, places, batch_dims=1)
