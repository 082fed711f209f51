r"""Recent popularity: how often a candidate was chosen before, older events counting less.

.. math:: s_i(t) = \sum_{e\,:\,i_e = i,\ t_e < t} 2^{-(t - t_e) / h}

The half-life :math:`h` is that with the best NDCG@10 on validation rows, as a share of the time
that training rows span; an infinite one counts all events alike. Users are ranked by how often
training rows chose them, since links often have no time.

Source: Ji et al. 2020, "A Re-visit of the Popularity Baseline in Recommender Systems",
https://doi.org/10.1145/3397271.3401233.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtrec.features.events import Events
from mtrec.peers import past
from mtrec.peers.base import Array, PeerTask, Question, Specialist

SHARES = (np.inf, 0.25, 0.05, 0.01, 0.002)  # of the time that training rows span


@dataclass(frozen=True)
class Popularity(Specialist):
    """Half-life in milliseconds, and the training links among users."""

    half_life: Array
    links: Array

    def answer(self, asked: Question) -> Array:
        """Scores ``(n, candidates)``."""
        count = asked.kind.outputs
        if asked.kind.candidates == "users":
            chosen = np.bincount(self.links[:, 1] - 1, minlength=count)
            return np.broadcast_to(chosen.astype("float32"), (len(asked), count))
        return recent(asked.events, asked.time, count, float(self.half_life))


def popularity(task: PeerTask) -> Popularity:
    """Choose the half-life.

    Raises:
        NoAnswer: the task ranks nothing.
    """
    past.require(task, "popularity")
    links = past.links(task)
    if task.kind.candidates == "users":
        return Popularity(np.asarray(np.inf), links)
    time = past.training(task).time[1:]
    span = float(np.ptp(time)) if len(time) else 0.0
    lives = [share * span for share in SHARES] if span else [np.inf]
    trials = [Popularity(np.asarray(life), links) for life in lives]
    rows = task.question(task.choosing)
    return max(trials, key=lambda one: task.ranked(one.answer(rows)))


def recent(events: Events, now: Array, items: int, half_life: float) -> Array:
    """Decayed counts of events strictly before each moment, ``(n, items)`` float32.

    Args:
        events: what users met.
        now: milliseconds, ``(n,)``; one after the last event is that of the last event.
        items: size of the catalogue.
        half_life: milliseconds.
    """
    known = events.item > 0
    order = np.argsort(events.time[known], kind="stable")
    item, time = events.item[known][order] - 1, events.time[known][order]
    now = np.minimum(now, time[-1] + 1) if len(time) else now
    moments, place = np.unique(now, return_inverse=True)
    stops = np.searchsorted(time, moments)
    found, counts = np.empty((len(moments), items), dtype="float32"), np.zeros(items)
    first, at = 0, moments[0] if len(moments) else 0
    for row, (moment, stop) in enumerate(zip(moments, stops, strict=True)):
        counts *= np.exp2(-(moment - at) / half_life)
        age = np.exp2(-(moment - time[first:stop]) / half_life)
        counts += np.bincount(item[first:stop], age, minlength=items)
        found[row], first, at = counts, stop, moment
    return found[place]
