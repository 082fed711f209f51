"""Metrics per task type, from scikit-learn; ranking metrics from ranks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from sklearn import metrics as sk

from mtrec.registry import METRICS

Array = np.ndarray
CUTOFF = 10
BINS = 10
TINY = 1e-7


class MainMetrics(Mapping[str, str]):
    """The main metric of each family of :data:`mtrec.registry.METRICS`."""

    def __getitem__(self, family: str) -> str:
        return METRICS[family].main

    def __iter__(self) -> Iterator[str]:
        return iter(METRICS)

    def __len__(self) -> int:
        return len(METRICS)


class Directions(Mapping[str, bool]):
    """Whether higher is better, by metric of any family."""

    def __getitem__(self, metric: str) -> bool:
        return self._all()[metric]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, bool]:
        return {
            metric: higher
            for family in METRICS.values()
            for metric, higher in family.higher_is_better.items()
        }


MAIN_METRIC, HIGHER_IS_BETTER = MainMetrics(), Directions()


def binary(labels: Array, predictions: Array) -> dict[str, float]:
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


def multiclass(labels: Array, predictions: Array) -> dict[str, float]:
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


def ordinal(labels: Array, predictions: Array) -> dict[str, float]:
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


def regression(labels: Array, predictions: Array) -> dict[str, float]:
    """Errors of ``(n,)`` in the label's units."""
    mse = sk.mean_squared_error(labels, predictions)
    return {"mse": mse, "rmse": mse**0.5, "mae": sk.mean_absolute_error(labels, predictions)}


def multilabel(labels: Array, predictions: Array) -> dict[str, float]:
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
        "log_loss": float(_bit_loss(labels, predictions).mean()),
    }


def ranking(labels: Array | None, ranks: Array) -> dict[str, float]:
    """Metrics of the ranks ``(n, 2)`` of the one relevant item; labels are not needed."""
    return {name: float(values.mean()) for name, values in ranking_rows(ranks).items()}


def ranking_rows(ranks: Array) -> dict[str, Array]:
    """NDCG@10, Recall@10 and reciprocal rank per row, with one relevant item each.

    Args:
        ranks: first and last place of the relevant item, ``(n, 2)``, see
            :func:`mtrec.metrics.ranks.ranks`; infinite where it is not listed. Tied items are
            in random order, and values are the expectation over it.

    Example:
        >>> float(ranking_rows(np.array([[1.0, 20.0]]))["recall@10"][0])
        0.5
    """
    listed = ranks[np.isfinite(ranks).all(axis=1)]
    place = np.arange(1, int(listed.max(initial=CUTOFF)) + 1)
    gains = {
        "ndcg@10": np.where(place <= CUTOFF, 1 / np.log2(1 + place), 0.0),
        "recall@10": (place <= CUTOFF).astype(float),
        "mrr": 1 / place,
    }
    return {name: _mean_gain(gain, ranks) for name, gain in gains.items()}


def _mean_gain(gain: Array, ranks: Array) -> Array:
    """Mean of the gains of places 1, 2, ... over each row's places, 0 where it has none."""
    sums, found = np.r_[0.0, np.cumsum(gain)], np.zeros(len(ranks))
    listed = np.isfinite(ranks).all(axis=1)
    first, last = ranks[listed].astype(int).T
    mean = (sums[last] - sums[first - 1]) / (last - first + 1)
    found[listed] = np.where(first == last, gain[first - 1], mean)  # no rounding without ties
    return found


def calibration_error(hits: Array, confidence: Array, bins: int = BINS) -> float:
    """Expected calibration error: mean gap of confidence and frequency over equal-width bins.

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599, eq. 3.
    """
    bin_of = np.clip((confidence * bins).astype(int), 0, bins - 1)
    gap = np.bincount(bin_of, weights=confidence - hits, minlength=bins)
    return float(np.abs(gap).sum() / len(hits))


def clip_classes(predictions: Array) -> Array:
    """Class probabilities ``(n, classes)`` float64 away from zero, with sum 1."""
    clipped = np.clip(predictions.astype("float64"), TINY, 1.0)
    return clipped / clipped.sum(axis=1, keepdims=True)


def _class_loss(labels: Array, predictions: Array) -> float:
    clipped = clip_classes(predictions)
    return sk.log_loss(labels, clipped, labels=np.arange(predictions.shape[1]))


def _bit_loss(labels: Array, predictions: Array) -> Array:
    clipped = np.clip(predictions.astype("float64"), TINY, 1 - TINY)
    return -(labels * np.log(clipped) + (1 - labels) * np.log(1 - clipped))


def _per_class(labels: Array, classes: Array) -> dict[str, float]:
    scores: dict[str, float] = {}
    for average in ("macro", "micro"):
        p, r, f, _ = sk.precision_recall_fscore_support(
            labels, classes, average=average, zero_division=0
        )
        scores |= {f"precision_{average}": p, f"recall_{average}": r, f"f1_{average}": f}
    wanted = ("precision_macro", "recall_macro", "f1_macro", "f1_micro")
    return {name: float(scores[name]) for name in wanted}
