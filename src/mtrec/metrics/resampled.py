"""The metrics of :mod:`mtrec.metrics.families` for many weightings of the rows at once.

A bootstrap resample is a weight per row. scikit-learn computes one weighting per call; here all
of them share one sort. The tests hold both to the same values.
"""

from __future__ import annotations

import numpy as np

from mtrec.metrics import families
from mtrec.metrics.families import BINS, _bit_loss, clip_classes, ranking_rows
from mtrec.metrics.family import Family

Array = np.ndarray


def _mean(values: Array, weights: Array) -> Array:
    return weights @ values.astype("float64") / weights.sum(axis=1)


def _divide(top: Array, bottom: Array) -> Array:
    return np.divide(top, bottom, out=np.zeros_like(top, dtype="float64"), where=bottom > 0)


def _sorted_sums(labels: Array, scores: Array, weights: Array) -> tuple[Array, Array]:
    """Weighted positives and negatives above each distinct score, ``(resamples, thresholds)``."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    ordered, hits = weights[:, order], labels[order].astype(weights.dtype)
    positive = np.cumsum(ordered * hits, axis=1)[:, ends]
    return positive, np.cumsum(ordered, axis=1)[:, ends] - positive


def auc(labels: Array, scores: Array, weights: Array) -> Array:
    """Area under the ROC curve per resample, NaN where a class is absent."""
    tp, fp = _sorted_sums(labels, scores, weights)
    zero = np.zeros((len(weights), 1))
    area = np.trapezoid(np.hstack([zero, tp]), np.hstack([zero, fp]), axis=1)
    total = tp[:, -1] * fp[:, -1]
    return np.divide(area, total, out=np.full(len(weights), np.nan), where=total > 0)


def average_precision(labels: Array, scores: Array, weights: Array) -> Array:
    """Average precision per resample, NaN without positives."""
    tp, fp = _sorted_sums(labels, scores, weights)
    precision = _divide(tp, tp + fp)
    steps = np.diff(np.hstack([np.zeros((len(weights), 1)), tp]), axis=1)
    total = tp[:, -1]
    area = (precision * steps).sum(axis=1)
    return np.divide(area, total, out=np.full(len(weights), np.nan), where=total > 0)


def _f_scores(tp: Array, chosen: Array, actual: Array) -> dict[str, Array]:
    """Scores from weighted counts ``(resamples, classes)``; classes without rows are out."""
    used = (chosen + actual) > 0
    classes = np.maximum(used.sum(axis=1), 1)
    precision, recall = _divide(tp, chosen), _divide(tp, actual)
    f1 = _divide(2 * tp, chosen + actual)
    return {
        "precision_macro": precision.sum(axis=1) / classes,
        "recall_macro": recall.sum(axis=1) / classes,
        "f1_macro": f1.sum(axis=1) / classes,
        "f1_micro": _divide(2 * tp.sum(axis=1), (chosen + actual).sum(axis=1)),
    }


def _class_counts(labels: Array, classes: Array, size: int, weights: Array) -> tuple:
    actual = np.eye(size)[labels.astype(int)]
    chosen = np.eye(size)[classes.astype(int)]
    return weights @ (actual * chosen), weights @ chosen, weights @ actual


def _calibration_error(hits: Array, confidence: Array, weights: Array) -> Array:
    bin_of = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    gaps = np.eye(BINS)[bin_of] * (confidence - hits)[:, None]
    return np.abs(weights @ gaps).sum(axis=1) / weights.sum(axis=1)


def _class_loss(labels: Array, predictions: Array, weights: Array) -> Array:
    own = clip_classes(predictions)[np.arange(len(labels)), labels]
    return _mean(-np.log(own), weights)


def _quadratic_kappa(labels: Array, classes: Array, weights: Array) -> Array:
    """One minus squared error over that of an independent pairing; NaN where that is zero."""
    error = _mean((labels - classes) ** 2, weights)
    chance = _mean(labels**2, weights) + _mean(classes**2, weights)
    chance = chance - 2 * _mean(labels, weights) * _mean(classes, weights)
    ratio = np.divide(error, chance, out=np.full(len(weights), np.nan), where=chance > 1e-12)
    return 1 - ratio


def binary(labels: Array, predictions: Array, weights: Array) -> dict[str, Array]:
    """See :func:`mtrec.metrics.families.binary`."""
    classes = predictions >= 0.5
    return {
        "accuracy": _mean(classes == labels, weights),
        **_f_scores(*_class_counts(labels, classes, 2, weights)),
        "auc": auc(labels, predictions, weights),
        "log_loss": _mean(_bit_loss(labels, predictions), weights),
        "ece": _calibration_error(labels, predictions, weights),
    }


def multiclass(labels: Array, predictions: Array, weights: Array) -> dict[str, Array]:
    """See :func:`mtrec.metrics.families.multiclass`."""
    classes = predictions.argmax(axis=1)
    aucs = [auc(labels == k, predictions[:, k], weights) for k in np.unique(labels)]
    return {
        "accuracy": _mean(classes == labels, weights),
        **_f_scores(*_class_counts(labels, classes, predictions.shape[1], weights)),
        "auc": np.nanmean(aucs, axis=0),
        "log_loss": _class_loss(labels, predictions, weights),
        "ece": _calibration_error(classes == labels, predictions.max(axis=1), weights),
    }


def ordinal(labels: Array, predictions: Array, weights: Array) -> dict[str, Array]:
    """See :func:`mtrec.metrics.families.ordinal`."""
    classes = predictions.argmax(axis=1)
    errors = regression(labels, predictions @ np.arange(predictions.shape[1]), weights)
    return {
        "accuracy": _mean(classes == labels, weights),
        "mae": errors["mae"],
        "rmse": errors["rmse"],
        "kappa": _quadratic_kappa(labels, classes, weights),
        "log_loss": _class_loss(labels, predictions, weights),
        "ece": _calibration_error(classes == labels, predictions.max(axis=1), weights),
    }


def regression(labels: Array, predictions: Array, weights: Array) -> dict[str, Array]:
    """See :func:`mtrec.metrics.families.regression`."""
    error = labels.astype("float64") - predictions
    mse = _mean(error**2, weights)
    return {"mse": mse, "rmse": np.sqrt(mse), "mae": _mean(np.abs(error), weights)}


def multilabel(labels: Array, predictions: Array, weights: Array) -> dict[str, Array]:
    """See :func:`mtrec.metrics.families.multilabel`."""
    chosen = (predictions >= 0.5).astype("float64")
    tp, picked, actual = weights @ (labels * chosen), weights @ chosen, weights @ labels
    size = labels.shape[1]
    scores = _f_scores(tp, picked, actual)
    macro = {name: scores[name] * np.maximum(((picked + actual) > 0).sum(axis=1), 1) / size
             for name in ("precision_macro", "recall_macro", "f1_macro")}  # fmt: skip
    precisions = [
        average_precision(labels[:, k], predictions[:, k], weights)
        for k in np.flatnonzero(labels.any(axis=0))
    ]
    return {
        **scores,
        **macro,
        "hamming_loss": _mean((chosen != labels).mean(axis=1), weights),
        "subset_accuracy": _mean((chosen == labels).all(axis=1), weights),
        "map": np.nanmean(precisions, axis=0),
        "log_loss": _mean(_bit_loss(labels, predictions).mean(axis=1), weights),
    }


def ranking(labels: Array | None, ranks: Array, weights: Array) -> dict[str, Array]:
    """See :func:`mtrec.metrics.families.ranking`."""
    return {name: _mean(values, weights) for name, values in ranking_rows(ranks).items()}


_PER_CLASS = {
    "precision_macro": True, "recall_macro": True, "f1_macro": True, "f1_micro": True,
}  # fmt: skip
_LOSSES = {"log_loss": False, "ece": False}
_ERRORS = {"mae": False, "rmse": False}

BINARY = Family(
    "auc",
    {"accuracy": True, **_PER_CLASS, "auc": True, **_LOSSES},
    0.015,  # moves by about 0.003 between seeds and machines
    binary,
    families.binary,
    probabilities=True,
)
MULTICLASS = Family(
    "log_loss",
    {"accuracy": True, **_PER_CLASS, "auc": True, **_LOSSES},
    0.03,  # about 1 in size
    multiclass,
    families.multiclass,
)
ORDINAL = Family(
    "mae",
    {"accuracy": True, **_ERRORS, "kappa": True, **_LOSSES},
    0.02,  # in levels
    ordinal,
    families.ordinal,
)
REGRESSION = Family(
    "rmse",
    {"mse": False, **_ERRORS},
    0.02,  # ratings: stars; spend: log dollars; or 2 % of it, whichever is more
    regression,
    families.regression,
    relative=0.02,
)
MULTILABEL = Family(
    "map",
    {**_PER_CLASS, "hamming_loss": False, "subset_accuracy": True, "map": True, "log_loss": False},
    0.02,  # of labels as rare as 2 %
    multilabel,
    families.multilabel,
    probabilities=True,
)
RANKING = Family(
    "ndcg@10",
    {"ndcg@10": True, "recall@10": True, "mrr": True},
    0.006,  # about 0.03 in size
    ranking,
    families.ranking,
)
