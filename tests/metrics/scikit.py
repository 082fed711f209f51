"""Metrics as scikit-learn has them, one weighting at a time: what the tests hold ours to."""

import numpy as np
from sklearn import metrics as sk

from mtrec.metrics.families import BINS, TINY, bit_loss, clip_classes, ranking_rows


def binary(labels, predictions):
    """Metrics of probabilities ``(n,)`` for labels 0/1 ``(n,)``; classes at 0.5."""
    classes = (predictions >= 0.5).astype(int)
    clipped = np.clip(predictions.astype("float64"), TINY, 1 - TINY)
    both = len(np.unique(labels)) == 2
    return {
        "accuracy": sk.accuracy_score(labels, classes),
        **_per_class(labels, classes),
        "auc": sk.roc_auc_score(labels, predictions) if both else np.nan,
        "log_loss": sk.log_loss(labels, clipped, labels=[0, 1]),
        "ece": calibration_error(labels, predictions),
    }


def multiclass(labels, predictions):
    """Metrics of probabilities ``(n, classes)`` for class indices ``(n,)``.

    ``auc`` is the mean of one-versus-rest over the classes that occur; ``ece`` is that of the
    most probable class.
    """
    classes = predictions.argmax(axis=1)
    occurring = np.unique(labels)
    aucs = [sk.roc_auc_score(labels == k, predictions[:, k]) for k in occurring]
    return {
        "accuracy": sk.accuracy_score(labels, classes),
        **_per_class(labels, classes),
        "auc": float(np.mean(aucs)) if len(occurring) > 1 else np.nan,
        "log_loss": _class_loss(labels, predictions),
        "ece": calibration_error(classes == labels, predictions.max(axis=1)),
    }


def ordinal(labels, predictions):
    """Metrics of probabilities ``(n, levels)`` for level positions ``(n,)``.

    ``mae`` and ``rmse`` are those of the expected position, in levels; ``kappa`` is Cohen's with
    quadratic weights and, like ``accuracy`` and ``ece``, of the most probable level.

    Source: Cohen 1968, "Weighted kappa", https://doi.org/10.1037/h0026256.
    """
    classes, levels = predictions.argmax(axis=1), np.arange(predictions.shape[1])
    constant = len(np.unique([labels, classes])) == 1
    errors = regression(labels, predictions @ levels)
    return {
        "accuracy": sk.accuracy_score(labels, classes),
        "mae": errors["mae"],
        "rmse": errors["rmse"],
        "kappa": np.nan if constant else sk.cohen_kappa_score(
            labels, classes, labels=levels, weights="quadratic"
        ),
        "log_loss": _class_loss(labels, predictions),
        "ece": calibration_error(classes == labels, predictions.max(axis=1)),
    }  # fmt: skip


def regression(labels, predictions):
    """Errors of ``(n,)`` in the label's units."""
    mse = sk.mean_squared_error(labels, predictions)
    return {"mse": mse, "rmse": mse**0.5, "mae": sk.mean_absolute_error(labels, predictions)}


def multilabel(labels, predictions):
    """Metrics of probabilities ``(n, labels)`` for labels 0/1 ``(n, labels)``; sets at 0.5.

    ``map`` is the mean of average precision over the labels that occur; equal probabilities are
    one threshold, as in scikit-learn, so that a constant has the label's frequency.
    """
    chosen = (predictions >= 0.5).astype(int)
    occurring = labels.any(axis=0)
    precisions = [
        sk.average_precision_score(labels[:, k], predictions[:, k])
        for k in np.flatnonzero(occurring)
    ]
    return {
        **_per_class(labels.astype(int), chosen),
        "hamming_loss": sk.hamming_loss(labels, chosen),
        "subset_accuracy": sk.accuracy_score(labels.astype(int), chosen),
        "map": float(np.mean(precisions)) if len(precisions) else np.nan,
        "log_loss": float(bit_loss(labels, predictions).mean()),
    }


def ranking(labels, ranks):
    """Metrics of the ranks ``(n, 2)`` of the one relevant item; labels are not needed."""
    return {name: float(values.mean()) for name, values in ranking_rows(ranks).items()}


def calibration_error(hits, confidence, bins=BINS):
    """Expected calibration error: mean gap of confidence and frequency over equal-width bins.

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599, eq. 3.
    """
    bin_of = np.clip((confidence * bins).astype(int), 0, bins - 1)
    gap = np.bincount(bin_of, weights=confidence - hits, minlength=bins)
    return float(np.abs(gap).sum() / len(hits))


def _class_loss(labels, predictions):
    clipped = clip_classes(predictions)
    return sk.log_loss(labels, clipped, labels=np.arange(predictions.shape[1]))


def _per_class(labels, classes):
    scores: dict[str, float] = {}
    for average in ("macro", "micro"):
        p, r, f, _ = sk.precision_recall_fscore_support(
            labels, classes, average=average, zero_division=0
        )
        scores |= {f"precision_{average}": p, f"recall_{average}": r, f"f1_{average}": f}
    wanted = ("precision_macro", "recall_macro", "f1_macro", "f1_micro")
    return {name: float(scores[name]) for name in wanted}
