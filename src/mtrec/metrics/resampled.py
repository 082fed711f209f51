"""All metrics, for many weightings of the rows at once; a plain value has weights of one.

A bootstrap resample is a weight per row. scikit-learn computes one weighting per call; here all
of them share one sort. The tests hold both to the same values.
"""

from __future__ import annotations

import numpy as np
from sklearn.metrics import mean_absolute_error, mean_squared_error

from mtrec.metrics.families import BINS, bit_loss, clip_classes, ranking_rows
from mtrec.metrics.family import Family

Array = np.ndarray


def _mean(values: Array, weights: Array) -> Array:
    return weights @ values.astype("float64") / weights.sum(axis=1)


def _divide(top: Array, bottom: Array) -> Array:
    return np.divide(top, bottom, out=np.zeros_like(top, dtype="float64"), where=bottom > 0)


def _mean_of_known(values: list[Array], weights: Array) -> Array:
    """Mean over classes or labels of values ``(resamples,)`` each, without NaN; NaN for none."""
    found = np.array(values).reshape(len(values), len(weights))
    known = np.isfinite(found)
    total, count = np.where(known, found, 0.0).sum(axis=0), known.sum(axis=0)
    return np.divide(total, count, out=np.full(len(weights), np.nan), where=count > 0)


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
    """Expected calibration error: mean gap of confidence and frequency over equal-width bins.

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599, eq. 3.
    """
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
    """Metrics of probabilities ``(n,)`` for labels 0/1 ``(n,)``; classes at 0.5."""
    classes = predictions >= 0.5
    return {
        "accuracy": _mean(classes == labels, weights),
        **_f_scores(*_class_counts(labels, classes, 2, weights)),
        "auc": auc(labels, predictions, weights),
        "log_loss": _mean(bit_loss(labels, predictions), weights),
        "ece": _calibration_error(labels, predictions, weights),
    }


def multiclass(labels: Array, predictions: Array, weights: Array) -> dict[str, Array]:
    """Metrics of probabilities ``(n, classes)`` for class indices ``(n,)``.

    ``auc`` is the mean of one-versus-rest over the classes that occur; ``ece`` is that of the
    most probable class.
    """
    classes = predictions.argmax(axis=1)
    aucs = [auc(labels == k, predictions[:, k], weights) for k in np.unique(labels)]
    return {
        "accuracy": _mean(classes == labels, weights),
        **_f_scores(*_class_counts(labels, classes, predictions.shape[1], weights)),
        "auc": _mean_of_known(aucs, weights),
        "log_loss": _class_loss(labels, predictions, weights),
        "ece": _calibration_error(classes == labels, predictions.max(axis=1), weights),
    }


def ordinal(labels: Array, predictions: Array, weights: Array) -> dict[str, Array]:
    """Metrics of probabilities ``(n, levels)`` for level positions ``(n,)``.

    ``mae`` and ``rmse`` are those of the expected position, in levels; ``kappa`` is Cohen's with
    quadratic weights and, like ``accuracy`` and ``ece``, of the most probable level.

    Source: Cohen 1968, "Weighted kappa", https://doi.org/10.1037/h0026256.
    """
    classes = predictions.argmax(axis=1)
    expected = regression(labels, predictions @ np.arange(predictions.shape[1]), weights)
    return {
        "accuracy": _mean(classes == labels, weights),
        "mae": expected["mae"],
        "rmse": expected["rmse"],
        "kappa": _quadratic_kappa(labels, classes, weights),
        "log_loss": _class_loss(labels, predictions, weights),
        "ece": _calibration_error(classes == labels, predictions.max(axis=1), weights),
    }


def regression(labels: Array, predictions: Array, weights: Array) -> dict[str, Array]:
    """Errors of ``(n,)`` in the label's units."""
    error = labels.astype("float64") - predictions
    mse = _mean(error**2, weights)
    return {"mse": mse, "rmse": np.sqrt(mse), "mae": _mean(np.abs(error), weights)}


def errors(labels: Array, predictions: Array) -> dict[str, float]:
    """The same for all rows alike, summed in the precision of the predictions, as published."""
    mse = mean_squared_error(labels, predictions)
    return {"mse": mse, "rmse": mse**0.5, "mae": mean_absolute_error(labels, predictions)}


def multilabel(labels: Array, predictions: Array, weights: Array) -> dict[str, Array]:
    """Metrics of probabilities ``(n, labels)`` for labels 0/1 ``(n, labels)``; sets at 0.5.

    ``map`` is the mean of average precision over the labels that occur; equal probabilities are
    one threshold, as in scikit-learn, so that a constant has the label's frequency.
    """
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
        "map": _mean_of_known(precisions, weights),
        "log_loss": _mean(bit_loss(labels, predictions).mean(axis=1), weights),
    }


def ranking(labels: Array | None, ranks: Array, weights: Array) -> dict[str, Array]:
    """Metrics of the ranks ``(n, 2)`` of the one relevant item; labels are not needed."""
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
    probabilities=True,
)
MULTICLASS = Family(
    "log_loss",
    {"accuracy": True, **_PER_CLASS, "auc": True, **_LOSSES},
    0.03,  # about 1 in size
    multiclass,
)
ORDINAL = Family(
    "mae",
    {"accuracy": True, **_ERRORS, "kappa": True, **_LOSSES},
    0.02,  # in levels
    ordinal,
)
REGRESSION = Family(
    "rmse",
    {"mse": False, **_ERRORS},
    0.02,  # ratings: stars; spend: log dollars; or 2 % of it, whichever is more
    regression,
    errors,
    relative=0.02,
)
MULTILABEL = Family(
    "map",
    {**_PER_CLASS, "hamming_loss": False, "subset_accuracy": True, "map": True, "log_loss": False},
    0.02,  # of labels as rare as 2 %
    multilabel,
    probabilities=True,
)
RANKING = Family(
    "ndcg@10",
    {"ndcg@10": True, "recall@10": True, "mrr": True},
    0.006,  # about 0.03 in size
    ranking,
)
