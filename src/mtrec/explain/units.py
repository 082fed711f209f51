"""What a task says of one row as one number for people, and what it says it of."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from mtrec.registry import Form

Array = np.ndarray


def of_what(kind: Any, which: int) -> str | None:
    """The class, label or candidate that a number is about; None where there is only one."""
    if kind.form is Form.RANK:
        return str(kind.catalogue[which])
    if kind.form in (Form.CLASS, Form.SET):
        return str(kind.classes[which])
    return None


def most_likely(kind: Any, logits: Array, out: Array) -> int:
    """The class, label or candidate that is explained if none is named.

    Args:
        kind: the task type.
        logits: of one row, ``(outputs,)``.
        out: candidates that do not compete.
    """
    if kind.form not in (Form.CLASS, Form.SET, Form.RANK):
        return 0
    logits = np.array(logits)
    if kind.form is Form.RANK and len(out) < len(logits):
        logits[out] = -np.inf
    return int(logits.argmax())


def worth(kind: Any, logits: Array, which: int) -> Array:
    """Probabilities, values in the label's units, or expected levels, ``(n,)``.

    Args:
        kind: the task type.
        logits: ``(n, outputs)``.
        which: class, label or candidate.
    """
    found = ops.convert_to_numpy(kind.predict(ops.convert_to_tensor(logits)))
    if kind.form is Form.LEVEL:
        return found @ np.asarray(kind.levels)
    if kind.form is Form.RANK:
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds[:, which] / odds.sum(axis=1)
    if kind.form in (Form.CLASS, Form.SET):
        return found[:, which]
    return found.reshape(len(found))


def worth_at(kind: Any, logits: Array, which: int, change: float) -> float:
    """The same of one row whose explained logit is changed.

    Args:
        kind: the task type.
        logits: of the row, ``(outputs,)``.
        which: class, label or candidate.
        change: of what :func:`mtrec.explain.trunk.logit` gives.
    """
    if kind.form in (Form.CLASS, Form.RANK):
        share = worth(kind, logits[None], which)[0]
        odds = np.log(max(share, 1e-30)) - np.log(max(1.0 - share, 1e-30)) + change
        return float(1.0 / (1.0 + np.exp(-odds)))
    moved = np.array(logits, dtype="float32")
    if kind.form is Form.LEVEL:
        moved += change
    elif kind.form is Form.SET:
        moved[which] += change
    else:
        moved[0] += change
    return float(worth(kind, moved[None], which)[0])


def rank_of(scores: Array, which: int, out: Array) -> Array:
    """Rank of a candidate among those that compete, 1 for the best, ``(n,)``.

    Args:
        scores: ``(n, candidates)``.
        which: the candidate, which competes in any case.
        out: candidates that do not compete.
    """
    others = np.ones(scores.shape[1], bool)
    others[out] = False
    others[which] = False
    return 1 + (scores[:, others] > scores[:, which, None]).sum(axis=1)


def shown(kind: Any, value: float) -> str:
    """A number of :func:`worth` as people read it.

    Example:
        >>> from types import SimpleNamespace
        >>> shown(SimpleNamespace(form=Form.BIT), 0.783)
        '78 %'
    """
    if kind.form in (Form.NUMBER, Form.LEVEL):
        return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
    percent = 100 * value
    if percent < 0.1:
        return "below 0.1 %"
    return f"{percent:.0f} %" if 9.5 <= percent <= 99.5 else f"{percent:.1f} %"
