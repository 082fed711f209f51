"""Gates: how much of each expert a task takes, and whether every expert is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
from keras import ops

EXCLUDED = -1e9  # logit of an expert that is left out; its weight is exactly 0
COLLAPSED = 0.1  # share of an even load below which an expert counts as unused


def mixture(
    logits: keras.KerasTensor,
    allowed: np.ndarray | None = None,
    dropout: float = 0.0,
    generator: keras.random.SeedGenerator | None = None,
) -> keras.KerasTensor:
    """Weights of the experts: a softmax, in float32 whatever the precision of the model.

    Dropout leaves out whole experts, per row and task, and renormalises over the others; the
    expert with the luckiest draw always stays, so that no task is ever left without one.

    Args:
        logits: ``(..., tasks, experts)``.
        allowed: which experts a task may use, ``(tasks, experts)`` bool; None for all.
        dropout: probability that an expert is left out; 0 at inference.
        generator: source of the draws; needed with ``dropout``.

    Returns:
        ``(..., tasks, experts)``, summing to 1.

    Source: Zhao et al. 2019, "Recommending What Video to Watch Next: A Multitask Ranking System",
    https://doi.org/10.1145/3298689.3346997 (dropout of experts against polarised gates).
    """
    logits = ops.cast(logits, "float32")
    if logits.shape[-1] == 1:
        return ops.exp(logits - logits)  # Keras warns of a softmax over one
    if allowed is not None:
        logits = ops.where(allowed, logits, EXCLUDED)
    if dropout:
        draws = keras.random.uniform(ops.shape(logits), seed=generator)
        if allowed is not None:
            draws = ops.where(allowed, draws, -1.0)
        stays = ops.logical_or(draws >= dropout, draws >= ops.max(draws, axis=-1, keepdims=True))
        logits = ops.where(stays, logits, EXCLUDED)
    return ops.softmax(logits)


def imbalance(gates: keras.KerasTensor, allowed: np.ndarray | None = None) -> keras.KerasTensor:
    r"""Squared coefficient of variation of the experts' importance; 0 if all are used alike.

    .. math:: L = \mathrm{CV}(I)^2 = \frac{\mathrm{var}(I)}{\mathrm{mean}(I)^2}, \quad
              I_e = \frac{1}{|T_e|} \sum_b \sum_{t \in T_e} g_{bte}

    The sum runs over the batch *and* the tasks :math:`T_e` that may use the expert: tasks are
    free to specialise as long as every expert serves some of them.

    Args:
        gates: ``(..., tasks, experts)``.
        allowed: which experts a task may use, ``(tasks, experts)`` bool; None for all.

    Source: Shazeer et al. 2017, "Outrageously Large Neural Networks: The Sparsely-Gated
    Mixture-of-Experts Layer", https://arxiv.org/abs/1701.06538 (eq. 6-7); the division by
    :math:`|T_e|` is ours, for experts that not all tasks may use.
    """
    importance = ops.sum(gates, axis=tuple(range(len(gates.shape) - 1)))
    if allowed is not None:
        importance = importance / allowed.sum(axis=0).astype("float32")
    return ops.mean((importance / ops.mean(importance) - 1.0) ** 2)


def fuse(gates: keras.KerasTensor, hidden: keras.KerasTensor) -> keras.KerasTensor:
    """Weighted sum of the experts: ``(..., experts)``, ``(..., experts, units)`` -> ``units``."""
    return ops.sum(ops.cast(gates, hidden.dtype)[..., None] * hidden, axis=-2)


@dataclass(frozen=True)
class Utilisation:
    """How tasks use the experts.

    Attributes:
        by_task: mean weight of each expert per task, ``(tasks, experts)``.
        load: mean weight of each expert over all tasks, ``(experts,)``.
        effective_by_task: effective number of experts per task, ``(tasks,)``: the exponential of
            the entropy of its mean weights; 1 for a single expert, ``experts`` for an even mix.
        effective: the same of ``load``.
        collapsed: numbers, from 0, of experts that no task gives a tenth of an even share.
    """

    by_task: np.ndarray
    load: np.ndarray
    effective_by_task: np.ndarray
    effective: float
    collapsed: tuple[int, ...]

    def table(self, tasks: Sequence[str]) -> pd.DataFrame:
        """One row per task and one for all: mean weights and effective number of experts."""
        columns = [f"expert {number + 1}" for number in range(len(self.load))]
        rows = np.vstack([self.by_task, self.load])
        table = pd.DataFrame(rows, [*tasks, "all tasks"], columns)
        table["effective experts"] = [*self.effective_by_task, self.effective]
        return table


def utilisation(gates: np.ndarray) -> Utilisation:
    """Load of the experts, their effective number, and which of them are unused.

    Args:
        gates: weights ``(rows, tasks, experts)``, or their mean ``(tasks, experts)``.
    """
    gates = np.asarray(gates, dtype="float64")
    by_task = gates.reshape(-1, *gates.shape[-2:]).mean(axis=0)
    load = by_task.mean(axis=0)
    unused = (by_task < COLLAPSED / len(load)).all(axis=0)
    return Utilisation(
        by_task=by_task,
        load=load,
        effective_by_task=_effective(by_task),
        effective=float(_effective(load)),
        collapsed=tuple(int(number) for number in np.flatnonzero(unused)),
    )


def _effective(weights: np.ndarray) -> np.ndarray:
    logs = np.log(np.where(weights > 0, weights, 1.0))
    return np.exp(-(weights * logs).sum(axis=-1))
