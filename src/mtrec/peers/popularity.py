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
        return asked.popular(float(self.half_life))


def popularity(task: PeerTask) -> Popularity:
    """Choose the half-life.

    Raises:
        NoAnswer: the task ranks nothing, or has no validation rows.
    """
    past.require(task, "popularity")
    links = past.links(task)
    if task.kind.candidates == "users":
        return Popularity(np.asarray(np.inf), links)
    time = past.training(task).time[1:]
    span = float(np.ptp(time)) if len(time) else 0.0
    lives = [share * span for share in SHARES] if span else [np.inf]
    trials = [Popularity(np.asarray(life), links) for life in lives]
    rows = past.choosing(task, "popularity")
    return max(trials, key=lambda one: task.ranked(one.answer(rows)))
