"""What lies above the shared layer, a tower and a head per task, and the rows it is run for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import tensorflow as tf


class Known(NamedTuple):
    """Logits of the rows of a batch whose label is known.

    Attributes:
        rows: their numbers in the batch, ``(known,)``, see :func:`labelled`.
        logits: ``(known, outputs)``.
    """

    rows: tf.Tensor
    logits: tf.Tensor


@dataclass(frozen=True)
class Top:
    """Tower and head of one task.

    A head that is dear by the row (its layer says so: ``known_only``) answers only where the label
    is known, since no other row counts in a loss.

    Attributes:
        part: the task's state, states of catalogues that it ranks, what it reads in texts, direct
            inputs -> logits.
        catalogues: their number: one if it ranks, else none.
        reads: number of sides whose texts it reads.
        direct: names of the inputs that it reads itself: an offset, which is added to logits, and
            what heads read that know links.
        known_only: whether rows without a label are left out.
    """

    part: Callable[..., tf.Tensor]
    catalogues: int
    reads: int
    direct: tuple[str, ...]
    known_only: bool

    def __call__(
        self,
        state: tf.Tensor,
        below: Sequence[tf.Tensor],
        inputs: Mapping[str, tf.Tensor],
        mask: tf.Tensor | None,
        training: bool,
    ) -> tf.Tensor | Known:
        """Logits ``(batch, outputs)``, or :class:`Known` if rows are left out.

        Args:
            state: what the shared layer gives the task, ``(batch, units)``.
            below: states of catalogues, and what it reads, of what lies below the shared layer.
            inputs: the batch.
            mask: where the label is known, ``(batch,)``; None to leave no row out.
            training: whether the model is being trained.
        """
        catalogues, reads = below[: self.catalogues], below[self.catalogues :]
        by_row = [state, *reads, *(inputs[name] for name in self.direct)]
        if mask is None or not self.known_only:
            return self.part([by_row[0], *catalogues, *by_row[1:]], training=training)
        rows = labelled(mask)
        by_row = [tf.gather(values, rows) for values in by_row]
        return Known(rows, self.part([by_row[0], *catalogues, *by_row[1:]], training=training))


def labelled(mask: tf.Tensor) -> tf.Tensor:
    """Numbers of the rows whose label is known; the first row if none is, whose loss is masked.

    Some operations have no gradient for zero rows.
    """
    first = tf.equal(tf.range(tf.size(mask)), tf.argmax(mask, output_type=tf.int32))
    return tf.where(tf.logical_or(mask > 0, first))[:, 0]


def answers(
    tops: Mapping[str, Top],
    states: Sequence[tf.Tensor],
    below: Sequence[tf.Tensor],
    inputs: Mapping[str, tf.Tensor],
    masks: Mapping[str, tf.Tensor] | None,
    training: bool,
) -> dict[str, tf.Tensor | Known]:
    """What each task's top gives: logits, or :class:`Known`.

    Args:
        tops: by task.
        states: what the shared layer gives each task.
        below: what each task has of what lies below the shared layer, in the order of tasks.
        inputs: the batch.
        masks: where labels are known by task; None to leave no row out.
        training: whether the model is being trained.
    """
    found, left = {}, iter(below)
    for (name, top), state in zip(tops.items(), states, strict=True):
        mask = None if masks is None else masks[name]
        own = [*islice(left, top.catalogues + top.reads)]
        found[name] = top(state, own, inputs, mask, training)
    return found
