r"""How true explanations are to the model: curves of taking away and putting in, other weights.

Deletion begins with the whole row and takes one feature after the other away, insertion begins with
the baseline and puts them in. If what an explanation names first decides the answer, the logit
falls, or rises, sooner than in any order that does not know the row. With the logit :math:`v_k`
after :math:`k` of :math:`K` features, :math:`s` the sign of :math:`v(1) - v(0)`,

.. math:: D = \frac1{K+1} \sum_k s\,(v(1) - v_k), \qquad
          I = \frac1{K+1} \sum_k s\,(v_k - v(0)):

greater is better in both.

Sources: Petsiuk et al. 2018, "RISE", https://arxiv.org/abs/1806.07421, section 4.3 (curves);
Adebayo et al. 2018, "Sanity Checks for Saliency Maps", https://arxiv.org/abs/1810.03292 (weights).
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from scipy import stats

from mtrec.explain.path import BATCH, Paths
from mtrec.explain.trunk import Rows, Trunk
from mtrec.metrics.intervals import interval, weightings

Array = np.ndarray
DELETION, INSERTION = "deletion", "insertion"


def curve(
    trunk: Trunk, rows: Rows, at: Array, task: Array,
    parts: Sequence[Sequence[int]], order: Array, kind: str,
) -> Array:  # fmt: skip
    """Logits while parts are taken away, or put in, one after the other, ``(m, parts + 1)``.

    Args:
        trunk: the model.
        rows: embedded.
        at: the row of each answer, ``(m,)``.
        task: place of its task, ``(m,)``.
        parts: coefficients of each part; all others stay as they are in a whole row.
        order: of the parts, ``(m, parts)``.
        kind: ``deletion`` or ``insertion``.
    """
    count, steps = len(at), len(parts) + 1
    member = np.zeros((len(parts), trunk.players.count), "float32")
    for number, own in enumerate(parts):
        member[number, list(own)] = 1.0
    place = np.argsort(order, axis=1)  # when each part has its turn
    turned = place[:, None, :] < np.arange(steps)[None, :, None]
    there = turned if kind == INSERTION else ~turned
    shares = there.reshape(count * steps, -1).astype("float32") @ member + (1 - member.sum(axis=0))
    return asked(trunk, rows, np.repeat(at, steps), np.repeat(task, steps), shares).reshape(
        count, steps
    )


def asked(trunk: Trunk, rows: Rows, at: Array, task: Array, there: Array) -> Array:
    """:meth:`mtrec.explain.trunk.Trunk.values` of many questions, ``(m,)`` float64."""
    parts = [
        trunk.values(rows, at[i : i + BATCH], task[i : i + BATCH], there[i : i + BATCH])
        for i in range(0, len(at), BATCH)
    ]
    return np.concatenate(parts).astype("float64")


def gain(values: Array, kind: str, sign: Array) -> Array:
    """:math:`D` or :math:`I` of each answer, ``(m,)``.

    Args:
        values: from :func:`curve`; the first and last are of the whole row and the baseline, or
            the reverse.
        kind: ``deletion`` or ``insertion``.
        sign: which way the row moves the logit, ``(m,)``.
    """
    moved = values[:, :1] - values if kind == DELETION else values - values[:, :1]
    return sign * moved.mean(axis=1)


def orders(
    shares: Array, other: Array, popular: Array, sign: Array, seed: int, draws: int = 3
) -> dict[str, list[Array]]:
    """Orders of parts, ``(m, parts)`` each: two that know the row, and two that do not.

    Args:
        shares: contributions of the parts, ``(m, parts)``.
        other: the same by occlusion.
        popular: how popular each part is, whatever the row makes of it.
        sign: which way the row moves the logit, ``(m,)``.
        seed: of the random orders.
        draws: of random orders.
    """
    rng = np.random.default_rng(seed)
    toward = sign[:, None]
    return {
        "integrated gradients": [np.argsort(-toward * shares, axis=1, kind="stable")],
        "occlusion": [np.argsort(-toward * other, axis=1, kind="stable")],
        "random": [rng.permuted(np.tile(np.arange(shares.shape[1]), (len(shares), 1)), axis=1)
                   for _ in range(draws)],
        "popularity": [np.argsort(-popular, axis=1, kind="stable")],
    }  # fmt: skip


def paired(values: Array, clusters: Array, resamples: int, seed: int) -> dict[str, float]:
    """Mean of what is known, with its 95 % interval over users.

    See :func:`mtrec.metrics.intervals.interval`.
    """
    known = np.isfinite(values)
    values, clusters = values[known], clusters[known]
    if not len(values):
        return {"value": float("nan"), "low": float("nan"), "high": float("nan")}
    weights = weightings(clusters, resamples, seed)
    total = weights.sum(axis=1)
    draws = np.divide(weights @ values, total, out=np.full(len(total), np.nan), where=total > 0)
    return interval(float(values.mean()), draws, len(np.unique(clusters)))


def alike(one: Array, other: Array, signed: bool = True) -> Array:
    """Spearman's correlation of contributions, ``(m,)``; NaN where fewer than two are seen.

    Args:
        one: contributions ``(m, groups)``.
        other: of the same groups.
        signed: whether signs count; else sizes alone.
    """
    found = np.full(len(one), np.nan)
    seen = (one != 0) | (other != 0)  # what neither sees says nothing
    if not signed:
        one, other = np.abs(one), np.abs(other)
    for number, some in enumerate(seen):
        a, b = one[number, some], other[number, some]
        if some.sum() > 1 and np.ptp(a) > 0 and np.ptp(b) > 0:
            found[number] = stats.spearmanr(a, b).statistic
    return found


def randomise(layers: Sequence[keras.layers.Layer], seed: int) -> None:
    """Shuffle the entries of each trained weight, which keeps their distribution."""
    rng = np.random.default_rng(seed)
    for layer in layers:
        for variable in layer.trainable_variables:
            values = keras.ops.convert_to_numpy(variable)
            variable.assign(rng.permutation(values.ravel()).reshape(values.shape))


def completeness(paths: Paths, units: Array) -> dict[str, float]:
    """What contributions lack to the difference of logits: largest and typical, in logits."""
    gaps = np.abs(paths.gap) / units
    return {
        "largest": float(gaps.max(initial=0.0)),
        "median": float(np.median(gaps)) if len(gaps) else 0.0,
        "steps": float(np.median(paths.steps)) if len(gaps) else 0.0,
    }
