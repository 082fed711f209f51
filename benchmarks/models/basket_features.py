"""What our ranking network sees of a household and a product before a basket.

Everything is computed from the history that a fold leaves, and from the day of the basket asked
for. Products come in two kinds of candidates: those bought before and those never bought.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from benchmarks.models.baskets import Baskets, block_vectors, nearest

Array = np.ndarray
DAYS = (7.0, 30.0, 90.0)
BOUGHT, NEW = 120, 180
TINY = 1e-6


@dataclass(frozen=True)
class Candidates:
    """Of each household.

    Attributes:
        items: ``(households, BOUGHT + NEW)``: bought before, then never bought; -1 fills.
        features: ``(households, BOUGHT + NEW, features)`` float32, standardised.
    """

    items: Array
    features: Array


@dataclass(frozen=True)
class Pairs:
    """Household and product that the history joins, sorted by both; all ``(n,)``."""

    household: Array
    item: Array
    columns: dict[str, Array]


def pairs(history: Baskets, day: Array) -> Pairs:
    """How often, how regularly and how lately each household bought each of its products.

    Args:
        history: lines.
        day: of the basket asked for, ``(households,)``.
    """
    key = history.household.astype("int64") * history.items + history.item
    order = np.argsort(key, kind="stable")  # by household, product, basket
    start = np.flatnonzero(np.r_[True, np.diff(key[order]) > 0])
    end = np.r_[start[1:], len(order)] - 1
    first, last = order[start], order[end]
    household, item = history.household[first], history.item[first]
    since = (day[household] - history.day[last]).clip(0)
    count = end - start + 1.0
    length, age = history.length[household], history.age
    span = (history.day[last] - history.day[first]).astype(float)
    gap = (span + 30.0) / count  # shrunk to a month for what was bought once
    passed = (day[history.household] - history.day).clip(0)[order]
    decayed = {
        f"decayed_{int(days)}": np.log1p(10 * np.add.reduceat(np.exp(-passed / days), start))
        for days in DAYS
    }
    recent = {
        f"last_{many}": np.add.reduceat((age[order] < many).astype(float), start)
        / np.minimum(length, many)
        for many in (1, 5, 15)
    }
    columns = {
        "count": np.log(count), "share": np.log(count / length), "gap": np.log(gap),
        "since_days": np.log1p(since), "since_baskets": np.log1p(age[last]),
        "due": np.log((since + 1.0) / gap), "overdue": -np.abs(np.log((since + 1.0) / gap)),
        **decayed, **recent,
    }  # fmt: skip
    return Pairs(household, item, columns)


def candidates(history: Baskets, day: Array, group: Array) -> Candidates:
    """Candidates and their features.

    Args:
        history: lines.
        day: of the basket asked for, ``(households,)``.
        group: product type of each item, ``(items,)``.
    """
    own = block_vectors(history, 0.9, 0.7, 7)
    near = (nearest(own, 300) @ own).toarray().astype("float32")
    popular = np.bincount(history.item, minlength=history.items).astype("float32") + 1
    leaning = _leaning(history, day, group)
    known = pairs(history, day)
    bought = _best_known(known, own, history.households)
    expected = np.log(near + 1e-3 * popular / popular.sum())
    in_group = popular / np.bincount(group, weights=popular)[group]
    expected += 0.5 * np.log(leaning[:, group] * in_group.astype("float32") + 1e-5)
    expected[known.household, known.item] = -np.inf
    new = np.argpartition(-expected, NEW, axis=1)[:, :NEW]
    items = np.concatenate([bought, new], axis=1)
    columns = _pair_columns(known, items, history.items)
    columns |= _item_columns(history, day, items, known, popular)
    at = items.clip(0)
    columns |= {
        "near": np.log(np.take_along_axis(near, at, axis=1) + TINY),
        "leaning": np.log(np.take_along_axis(leaning, group[at], axis=1) + 1e-4),
        "in_group": np.log(in_group[at]),
        "expected": np.log(np.take_along_axis(leaning, group[at], axis=1) * in_group[at] + 1e-6),
    }
    columns |= _household_columns(history, day, at.shape)
    return Candidates(items, _standardised(columns, items))


def _best_known(known: Pairs, own: sparse.csr_matrix, households: int) -> Array:
    """The ``BOUGHT`` products of each household with the largest own vector; -1 fills."""
    score = np.asarray(own[known.household, known.item]).ravel()
    order = np.lexsort((-score, known.household))
    start = np.searchsorted(known.household, known.household)
    place = np.arange(len(order)) - start[order]
    out = np.full((households, BOUGHT), -1)
    keep = place < BOUGHT
    out[known.household[order][keep], place[keep]] = known.item[order][keep]
    return out


def _pair_columns(known: Pairs, items: Array, count: int) -> dict[str, Array]:
    """Columns of the pairs at the candidates; for what was never bought the mean of the column."""
    key = known.household.astype("int64") * count + known.item
    wanted = np.arange(len(items))[:, None].astype("int64") * count + items
    place = np.searchsorted(key, wanted).clip(0, len(key) - 1)
    found = (key[place] == wanted) & (items >= 0)
    columns = {
        name: np.where(found, values[place], values.mean())
        for name, values in known.columns.items()
    }
    return {**columns, "bought": found.astype(float)}


def _item_columns(
    history: Baskets, day: Array, items: Array, known: Pairs, popular: Array
) -> dict[str, Array]:
    """Popularity in all, lately, and how often buyers come back."""
    at = items.clip(0)
    length = int(max(history.day.max(), day.max())) + 2
    daily = np.zeros((length, history.items), dtype="float32")
    np.add.at(daily, (history.day + 1, history.item), 1.0)  # row d + 1 ends with day d
    total = daily.cumsum(axis=0)
    now = day[:, None]
    columns = {"popular": np.log(popular[at])}
    for days in (7, 28):
        lately = total[now, at] - total[(now - days).clip(0), at]
        columns[f"lately_{days}"] = np.log(lately + 0.5)
        columns[f"trend_{days}"] = np.log((lately + 1) / (popular[at] * days / 365 + 1))
    buyers = np.bincount(known.item, minlength=history.items)
    again = np.bincount(known.item, weights=known.columns["count"] > 0, minlength=history.items)
    return {**columns, "again": ((again + 2) / (buyers + 10))[at]}


def _leaning(history: Baskets, day: Array, group: Array) -> Array:
    """Lines of each household in each type, those ``d`` days ago counting ``e^(-d / 90)``."""
    weight = np.exp(-(day[history.household] - history.day).clip(0) / 90.0)
    shape = (history.households, int(group.max()) + 1)
    found = sparse.csr_matrix((weight, (history.household, group[history.item])), shape=shape)
    return found.toarray().astype("float32")


def _household_columns(history: Baskets, day: Array, shape: tuple[int, ...]) -> dict[str, Array]:
    length = np.maximum(history.length, 1)
    lines = np.bincount(history.household, minlength=history.households)
    latest = np.zeros(history.households)
    np.maximum.at(latest, history.household, history.day)
    columns = {
        "baskets": np.log(length), "basket_size": np.log1p(lines / length),
        "since_visit": np.log1p((day - latest).clip(0)),
    }  # fmt: skip
    return {name: np.broadcast_to(v[:, None], shape) for name, v in columns.items()}


def _standardised(columns: dict[str, Array], items: Array) -> Array:
    """Columns with mean 0 and deviation 1 over the candidates; fills become 0."""
    real = items >= 0
    out = np.empty((*items.shape, len(columns)), dtype="float32")
    for k, values in enumerate(columns.values()):
        mean, deviation = values[real].mean(), values[real].std() + TINY
        out[..., k] = np.where(real, (values - mean) / deviation, 0.0)
    return out.clip(-6, 6)
