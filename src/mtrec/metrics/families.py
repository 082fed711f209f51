"""Which metric of a family counts, which way is better, and what single rows add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

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


def clip_classes(predictions: Array) -> Array:
    """Class probabilities ``(n, classes)`` float64 away from zero, with sum 1."""
    clipped = np.clip(predictions.astype("float64"), TINY, 1.0)
    return clipped / clipped.sum(axis=1, keepdims=True)


def bit_loss(labels: Array, predictions: Array) -> Array:
    """Log-loss of each probability of 1, in the labels' shape."""
    clipped = np.clip(predictions.astype("float64"), TINY, 1 - TINY)
    return -(labels * np.log(clipped) + (1 - labels) * np.log(1 - clipped))
