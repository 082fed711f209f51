"""Names that ``head:`` and ``loss:`` of a task may take; the first of each is the default.

Outside :mod:`mtrec.tasks`, whose import brings TensorFlow, so that settings can be checked without.
"""

from __future__ import annotations

HEADS: dict[str, tuple[str, ...]] = {
    "binary": ("dense",),
    "multiclass": ("dense",),
    "ordinal": ("coral",),
    "regression": ("linear", "relu"),
    "multilabel": ("dense", "label_embedding"),
    "ranking": ("catalogue",),
}
LOSSES: dict[str, tuple[str, ...]] = {
    "binary": ("logistic", "focal"),
    "multiclass": ("softmax",),
    "ordinal": ("coral",),
    "regression": ("squared", "lognormal"),
    "multilabel": ("logistic", "focal", "asymmetric"),
    "ranking": ("softmax", "sampled_softmax", "pairwise"),
}


def choose_head(kind: str, head: str | None) -> str:
    """The head's name, or the default of task type ``kind`` for None.

    Raises:
        ValueError: the type has no such head.

    Example:
        >>> choose_head("regression", None)
        'linear'
    """
    return _choose("head", kind, head, HEADS[kind])


def choose_loss(kind: str, loss: str | None, head: str | None = None) -> str:
    """The loss's name, or the default of task type ``kind`` for None.

    Raises:
        ValueError: the type has no such loss, or the loss does not go with ``head``.
    """
    chosen = _choose("loss", kind, loss, LOSSES[kind])
    if chosen == "lognormal" and head == "relu":
        raise ValueError(
            "loss 'lognormal' of a regression task is positive as it is and goes with head linear, "
            "not with 'relu'"
        )
    return chosen


def _choose(key: str, kind: str, name: str | None, known: tuple[str, ...]) -> str:
    if name is None:
        return known[0]
    if name not in known:
        raise ValueError(f"task type {kind} has no {key} '{name}' (it has: {', '.join(known)})")
    return name
