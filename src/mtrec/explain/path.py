r"""Integrated gradients, with as many steps as completeness needs.

.. math:: \phi_i = \int_0^1 \frac{\partial z}{\partial a_i}(\alpha, \dots, \alpha)\, d\alpha,
          \qquad \sum_i \phi_i = z(1) - z(0).

The path is cut into intervals. A network of rectified units bends at hundreds of places, each of
which costs a rule with fixed weights an error of first order. What the logit changes by within an
interval is known, though, and so is the mean of its slope, which mostly lies between the slopes at
both ends: these are weighted such that they give it. The weights are the same for all players.
Where it lies outside, an error is left; while their sum is too large for an answer, its worst
intervals are cut again.

Source: Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks",
https://arxiv.org/abs/1703.01365, equation 1 and proposition 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtrec.explain.trunk import Rows, Trunk

Array = np.ndarray
TOLERANCE = 1e-3  # of a logit, between the sum of contributions and the difference of logits
STEPS, PIECES, ROUNDS = 32, 4, 6
FLAT = 1e-6  # slopes whose sums differ by less are weighted alike
BATCH = 8192  # questions at a time


@dataclass(frozen=True)
class Paths:
    """Contributions of the players to some answers.

    Attributes:
        players: contributions, ``(m, players)`` float64.
        value: logits of the rows, ``(m,)``.
        base: logits of the baseline, ``(m,)``.
        steps: slopes that each answer took, ``(m,)``.
    """

    players: Array
    value: Array
    base: Array
    steps: Array

    @property
    def gap(self) -> Array:
        """What contributions lack to the difference of logits, ``(m,)``."""
        return self.value - self.base - self.players.sum(axis=1)


def integrate(
    trunk: Trunk, rows: Rows, at: Array, task: Array,
    tolerance: float = TOLERANCE, steps: int = STEPS,
) -> Paths:  # fmt: skip
    """Integrated gradients of answers.

    Args:
        trunk: the model.
        rows: embedded.
        at: the row of each answer, ``(m,)``.
        task: place of its task, ``(m,)``.
        tolerance: of completeness, in logits.
        steps: intervals to begin with.
    """
    count = len(at)
    allowed = 0.9 * tolerance * np.array([trunk.units[one] for one in task])
    found, used = np.zeros((count, trunk.players.count)), np.full(count, steps + 1)
    lost, own = np.zeros(count), np.repeat(np.arange(count), steps)
    edges = np.tile(np.linspace(0.0, 1.0, steps + 1), (count, 1))
    values, slopes = _slopes(trunk, rows, at, task, edges)
    value, base = values[:, -1], values[:, 0]
    for turn in range(ROUNDS):
        width, change = np.diff(edges, axis=1).ravel(), np.diff(values, axis=1).ravel()
        parts = _weighted(slopes, width, change)
        gaps = change - parts.sum(axis=1)
        split = _worst(own, gaps, lost, allowed) & (turn < ROUNDS - 1)
        np.add.at(found, own[~split], parts[~split])
        lost += np.bincount(own[~split], gaps[~split], minlength=count)
        if not split.any():
            break
        own, right = own[split], edges[:, 1:].ravel()[split]
        cuts = np.linspace(0.0, 1.0, PIECES + 1)
        edges = (right - width[split])[:, None] + width[split][:, None] * cuts
        values, slopes = _slopes(trunk, rows, at[own], task[own], edges)
        used += (PIECES + 1) * np.bincount(own, minlength=count)
        own = np.repeat(own, PIECES)
    return Paths(found, value, base, used)


def _weighted(slopes: Array, width: Array, change: Array) -> Array:
    """Contributions within intervals, ``(k, players)``.

    Args:
        slopes: at the edges, ``(k / pieces, pieces + 1, players)``.
        width: of the intervals, ``(k,)``.
        change: of the logit within them, ``(k,)``.
    """
    left, right = (part.reshape(len(width), -1) for part in (slopes[:, :-1], slopes[:, 1:]))
    high, low = left.sum(axis=1), right.sum(axis=1)
    flat = np.abs(high - low) < FLAT
    share = (change / width - low) / np.where(flat, 1.0, high - low)
    share = np.where(flat, 0.5, np.clip(share, 0.0, 1.0))[:, None]
    return width[:, None] * (share * left + (1.0 - share) * right)


def _worst(own: Array, gaps: Array, lost: Array, allowed: Array) -> Array:
    """Which intervals to cut: of each unfinished answer all but those whose errors do not matter.

    Args:
        own: the answer of each interval, ``(k,)``.
        gaps: error of each interval, ``(k,)``.
        lost: error of each answer's intervals that are not cut any more, ``(m,)``.
        allowed: error of an answer, ``(m,)``.
    """
    size = np.abs(gaps)
    order = np.lexsort((size, own))
    sums = np.cumsum(size[order])
    first = np.searchsorted(own[order], np.arange(len(lost)))
    before = np.concatenate([[0.0], sums])[first]
    kept = sums - before[own[order]] <= allowed[own[order]] / ROUNDS
    done = np.abs(lost + np.bincount(own, gaps, minlength=len(lost))) <= allowed
    split = np.empty(len(own), bool)
    split[order] = ~kept
    return split & ~done[own]


def _line(trunk: Trunk, along: Array) -> Array:
    """Coefficients on the straight path, ``(m, players)``."""
    return np.repeat(along.astype("float32")[:, None], trunk.players.count, axis=1)


def _slopes(trunk: Trunk, rows: Rows, at: Array, task: Array, edges: Array) -> tuple[Array, Array]:
    """Values ``(m, edges)`` and slopes ``(m, edges, players)`` at places of paths."""
    count = edges.shape[1]
    at, task, along = np.repeat(at, count), np.repeat(task, count), _line(trunk, edges.ravel())
    parts = [
        trunk.slopes(rows, at[i : i + BATCH], task[i : i + BATCH], along[i : i + BATCH])
        for i in range(0, len(at), BATCH)
    ]
    values, slopes = (np.concatenate(part).astype("float64") for part in zip(*parts, strict=True))
    return values.reshape(edges.shape), slopes.reshape(*edges.shape, -1)
