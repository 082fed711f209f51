"""Names that settings may take; of a task's heads and losses the first is the default.

Outside the modules that know what is behind them, whose import brings TensorFlow, so that settings
can be checked without. A test holds them against those modules.
"""

from __future__ import annotations

HEADS: dict[str, tuple[str, ...]] = {
    "binary": ("dense",),
    "multiclass": ("dense",),
    "ordinal": ("coral",),
    "regression": ("linear", "relu"),
    "multilabel": ("dense", "label_embedding"),
    "ranking": ("catalogue", "linked_catalogue"),
}
LOSSES: dict[str, tuple[str, ...]] = {
    "binary": ("logistic", "focal"),
    "multiclass": ("softmax",),
    "ordinal": ("coral",),
    "regression": ("squared", "lognormal"),
    "multilabel": ("logistic", "focal", "asymmetric"),
    "ranking": ("softmax", "sampled_softmax", "pairwise"),
}
SHARED_LAYERS = (
    "shared_bottom", "cross_stitch", "mmoe", "cgc", "ple", "adatt", "star", "task_conditioned",
)  # fmt: skip
BALANCERS = (
    "static", "uncertainty", "dwa", "gradnorm", "pcgrad", "gradvac", "cagrad", "mgda", "imtlg",
    "nashmtl", "famo", "dbmtl", "aligned",
)  # fmt: skip
OPTIMIZERS = ("adamw", "adam", "sgd", "adagrad", "lion", "lazy_adamw")
PEERS = ("boosting", "common_neighbours", "random_effects", "svdpp", "tfidf")


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
