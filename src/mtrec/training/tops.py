"""What lies above the shared layer, a tower and a head per task, and the rows it is run for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf


class Known(NamedTuple):
    """Logits of the rows of a batch whose label is known.

    Attributes:
        rows: their numbers in the batch, ``(known,)``, see :func:`labelled`.
        logits: ``(known, outputs)``.
    """

    rows: Any
    logits: Any


@dataclass(frozen=True)
class Top:
    """Tower and head of one task.

    A head that is dear by the row (its layer says so: ``known_only``) answers only where the label
    is known, since no other row counts in a loss.

    Attributes:
        part: the tower's input, the states of the catalogue if it ranks one, direct inputs ->
            logits.
        ranks: whether it reads a catalogue.
        direct: names of the inputs that it reads itself: an offset, which is added to logits, and
            what heads read that know links.
        known_only: whether rows without a label are left out.
    """

    part: Callable[..., Any]
    ranks: bool
    direct: tuple[str, ...]
    known_only: bool

    def __call__(
        self, tower: Any, catalogue: Any, inputs: Mapping[str, Any], mask: Any, training: bool
    ) -> Any:
        """Logits ``(batch, outputs)``, or :class:`Known` if rows are left out.

        Args:
            tower: the tower's input, ``(batch, units)``.
            catalogue: states of the catalogue; None if the task ranks none.
            inputs: the batch.
            mask: where the label is known, ``(batch,)``; None to leave no row out.
            training: whether the model is being trained.
        """
        by_row = [tower, *(inputs[name] for name in self.direct)]
        states = [catalogue] if self.ranks else []
        if mask is None or not self.known_only:
            return self.part([by_row[0], *states, *by_row[1:]], training=training)
        rows = labelled(mask)
        by_row = [tf.gather(values, rows) for values in by_row]
        return Known(rows, self.part([by_row[0], *states, *by_row[1:]], training=training))


def labelled(mask: Any) -> Any:
    """Numbers of the rows whose label is known; the first row if none is, whose loss is masked.

    Some operations have no gradient for zero rows.
    """
    first = tf.equal(tf.range(tf.size(mask)), tf.argmax(mask, output_type=tf.int32))
    return tf.where(tf.logical_or(mask > 0, first))[:, 0]


def answers(
    tops: Mapping[str, Top],
    towers: Sequence[Any],
    catalogues: Sequence[Any],
    inputs: Mapping[str, Any],
    masks: Mapping[str, Any] | None,
    training: bool,
) -> dict[str, Any]:
    """What each task's top gives: logits, or :class:`Known`.

    Args:
        tops: by task.
        towers: input of each task's tower.
        catalogues: of the tasks that rank one, in their order.
        inputs: the batch.
        masks: where labels are known by task; None to leave no row out.
        training: whether the model is being trained.
    """
    found, states = {}, iter(catalogues)
    for (name, top), tower in zip(tops.items(), towers, strict=True):
        mask = None if masks is None else masks[name]
        found[name] = top(tower, next(states) if top.ranks else None, inputs, mask, training)
    return found
