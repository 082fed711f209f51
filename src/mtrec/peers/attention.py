r"""Causal self-attention over a user's last items: one text for Keras tensors and NumPy arrays.

A state per position goes through blocks, each of which adds

.. math:: \mathrm{softmax}\Big(\frac{Q K^\top}{\sqrt d} + M\Big) V
    \quad \text{and then} \quad \max(0, x W_1 + b_1) W_2 + b_2

with :math:`Q, K, V` linear in the normalised state and :math:`M` minus infinity where a position
would look at a later one. Each part reads its input through layer normalisation, after which the
residual path is a plain sum.

Source: Kang and McAuley 2018, "Self-Attentive Sequential Recommendation",
https://arxiv.org/abs/1808.09781, section III; normalisation before each part as there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray
EPSILON = 1e-6
NEVER = -1e9  # a score whose exponential is 0


def begin(items: int, length: int, width: int, blocks: int, seed: int) -> dict[str, Array]:
    """Random weights by name, float32.

    Returns:
        ``table`` ``(items + 1, width)``, whose row 0 stands for the beginning; ``positions``
        ``(length, width)``; ``norms``, scale and shift, ``(2 * blocks + 1, 2, width)``;
        ``attention``, for query, key and value, ``(blocks, 3, width, width)``; ``feed`` ``(blocks,
        2, width, width)`` and ``shifts`` ``(blocks, 2, width)``; ``bias`` ``(items,)``.
    """
    rng, spread = np.random.default_rng(seed), width**-0.5
    found = {
        "table": rng.normal(0, 0.2 * spread, (items + 1, width)),
        "positions": rng.normal(0, 0.2, (length, width)),
        "norms": np.tile(np.array([1.0, 0.0])[:, None], (2 * blocks + 1, 1, width)),
        "attention": rng.normal(0, spread, (blocks, 3, width, width)),
        "feed": rng.normal(0, spread, (blocks, 2, width, width)),
        "shifts": np.zeros((blocks, 2, width)),
        "bias": np.zeros(items),
    }
    return {name: values.astype("float32") for name, values in found.items()}


def states(
    xp: Any, weights: Mapping[str, Any], items: Any, drop: Callable[[Any], Any] = lambda x: x
) -> Any:
    """What is known after each item, ``(n, length, width)``.

    Args:
        xp: ``numpy`` or ``keras.ops``, whichever the weights belong to.
        weights: as of :func:`begin`.
        items: rows of ``table``, the oldest first, ``(n, length)``; what stands behind a position
            does not change it, so short sequences may end in anything.
        drop: dropout, in training.
    """
    width = weights["table"].shape[1]
    place = xp.arange(xp.shape(items)[1])
    later = place[None, :] > place[:, None]
    state = xp.take(weights["table"], items, axis=0) * width**0.5
    state = drop(state + xp.take(weights["positions"], place, axis=0))
    norms = weights["norms"]
    for block in range(weights["attention"].shape[0]):
        normed = _normalised(xp, state, norms[2 * block])
        query, key, value = (
            xp.tensordot(normed, weights["attention"][block, part], 1) for part in range(3)
        )
        near = query @ xp.swapaxes(key, 1, 2) * width**-0.5
        state = state + drop(_softmax(xp, xp.where(later, NEVER, near)) @ value)
        normed = _normalised(xp, state, norms[2 * block + 1])
        feed, shifts = weights["feed"][block], weights["shifts"][block]
        hidden = xp.maximum(xp.tensordot(normed, feed[0], 1) + shifts[0], 0.0)
        state = state + drop(xp.tensordot(hidden, feed[1], 1) + shifts[1])
    return _normalised(xp, state, norms[-1])


def _normalised(xp: Any, state: Any, norm: Any) -> Any:
    state = state - xp.mean(state, axis=-1, keepdims=True)
    variance = xp.mean(state * state, axis=-1, keepdims=True)
    return state / xp.sqrt(variance + EPSILON) * norm[0] + norm[1]


def _softmax(xp: Any, scores: Any) -> Any:
    powers = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
    return powers / xp.sum(powers, axis=-1, keepdims=True)
