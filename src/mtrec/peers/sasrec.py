"""SASRec: self-attention over a user's last items says what comes next.

It is trained by TensorFlow on the sequences of training events; dropout and number of epochs are
those with the best NDCG@10 on validation rows. It answers in NumPy, from what a row's user met
before it; where that is nothing, with what users were seen to begin with.

Source: Kang and McAuley 2018, "Self-Attentive Sequential Recommendation",
https://arxiv.org/abs/1808.09781; cross-entropy over all items after Klenitskiy and Vasilev 2023,
https://arxiv.org/abs/2309.07602.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from threadpoolctl import threadpool_limits

from mtrec.peers import attention, past
from mtrec.peers.base import Array, PeerTask, Question, Specialist

DROPOUTS = (0.2, 0.4)
EPOCHS, PATIENCE = 14, 3
BLOCK = 64  # rows that are answered at a time, whose states fit into a cache


@dataclass(frozen=True)
class SasRec(Specialist):
    """Weights as of :func:`mtrec.peers.attention.begin`."""

    table: Array
    positions: Array
    norms: Array
    attention: Array
    feed: Array
    shifts: Array
    bias: Array

    def answer(self, asked: Question) -> Array:
        """Scores ``(n, items)`` float32."""
        items, sizes = sequences(asked, len(self.positions))
        found = np.empty((len(asked), len(self.bias)), dtype="float32")
        for start in range(0, len(found), BLOCK):
            rows = slice(start, start + BLOCK)
            size = sizes[rows]
            state = attention.states(np, self.state(), items[rows, : size.max()])
            last = state[np.arange(len(size)), size - 1]
            np.add(last @ self._columns, self.bias, out=found[rows])
        return found

    @cached_property
    def _columns(self) -> Array:
        """Vectors of the items as columns, ``(width, items)``."""
        return np.ascontiguousarray(self.table[1:].T)


def sasrec(task: PeerTask) -> SasRec:
    """Fit on what users met in training.

    Raises:
        NoAnswer: the task does not rank items, or too many, or has no validation row to choose by.
    """
    past.require(task, "sasrec", "a score of each item for each event of a batch", items=True)
    from mtrec.peers.sasrec_training import epochs  # what answers needs no TensorFlow

    events, count = past.training(task), len(task.candidates.ids)
    rows = past.choosing(task, "sasrec")
    best, most = None, -np.inf
    with threadpool_limits(1):  # products this small are slower on several cores
        for dropout in DROPOUTS:
            top, waited = -np.inf, 0
            for weights in epochs(events, count, dropout, EPOCHS, task.seed):
                found = SasRec(**weights)
                scores = found.answer(rows)
                if not np.isfinite(scores).all():  # it has diverged; the best so far stays
                    break
                value = task.ranked(scores)
                if best is None or value > most:
                    best, most = found, value
                top, waited = (value, 0) if value > top else (top, waited + 1)
                if waited == PATIENCE:
                    break
    assert best is not None
    return best


def sequences(asked: Question, length: int) -> tuple[Array, Array]:
    """The last items of each row's user, behind a 0 where they are all there are.

    Args:
        asked: the rows.
        length: of a sequence, at most.

    Returns:
        Rows of items ``(n, length)``, the oldest first and 0 behind the last, and how long each
        sequence is, ``(n,)``, at least 1.
    """
    row, item, ago = asked.met
    order = np.lexsort((-ago, row))
    row, item = row[order], item[order]
    counts = np.bincount(row, minlength=len(asked))
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    place += 1 - np.maximum(counts + 1 - length, 0)[row]
    kept = place >= 0
    found = np.zeros((len(asked), length), dtype="int32")
    found[row[kept], place[kept]] = item[kept]
    return found, np.minimum(counts + 1, length)
