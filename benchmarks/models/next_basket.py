"""Our next-basket recommender: a Keras ranking network over features of household and product.

The network learns from the baskets before the last known one and from the last known one itself,
each with features of the history before it, and ranks what may be in the next. One network ranks
all candidates, one those bought before and one those never bought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.models import listwise
from benchmarks.models.basket_features import BOUGHT, Candidates, candidates
from benchmarks.models.baskets import Baskets
from benchmarks.models.topk import best

Array = np.ndarray
SCOPES: Mapping[str, slice] = {
    "all": slice(None), "repeat": slice(None, BOUGHT), "explore": slice(BOUGHT, None),
}  # fmt: skip


@dataclass(frozen=True)
class Fold:
    """Candidates before a basket, and what was in it.

    Attributes:
        found: the candidates.
        wanted: ``(households, candidates)`` bool.
    """

    found: Candidates
    wanted: Array


def fold(baskets: Baskets, back: int, group: Array) -> Fold:
    """The last known basket but ``back``: its products, and candidates by the history before it.

    Args:
        baskets: known lines.
        back: 0 for the last known basket.
        group: product type of each item.
    """
    age = baskets.age
    target = baskets.take(age == back)
    day = baskets.day[np.flatnonzero(age == back)]
    days = np.zeros(baskets.households, dtype=int)
    days[target.household] = day
    found = candidates(baskets.take(age > back), days, group)
    bought = target.matrix() > 0
    rows = np.repeat(np.arange(len(found.items)), found.items.shape[1])
    wanted = np.asarray(bought[rows, found.items.clip(0).ravel()]).reshape(found.items.shape)
    return Fold(found, wanted & (found.items >= 0))


def fit(
    folds: Sequence[Fold], scope: str, rows: Array, settings: listwise.Settings, seed: int
) -> Any:
    """The network of a scope on some households' lists; those with nothing to find are left out."""
    part = SCOPES[scope]
    features, target = [], []
    for one in folds:
        wanted = one.wanted[rows][:, part]
        some = wanted.any(axis=1)
        features.append(one.found.features[rows][some][:, part])
        target.append(wanted[some] / wanted[some].sum(axis=1, keepdims=True))
    return listwise.train(np.concatenate(features), np.concatenate(target), settings, seed)


def recommend(model: Any, found: Candidates, scope: str, count: int) -> Array:
    """The best candidates of a scope in order, ``(households, count)``; -1 fills."""
    part = SCOPES[scope]
    items = found.items[:, part]
    places = best(listwise.score(model, found.features[:, part]), items < 0, count)
    return np.where(places < 0, -1, np.take_along_axis(items, places.clip(0), axis=1))
