"""Modes and groups of the rating models from the arrays that every system gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.models.rating_bayes import Group, Mode
from benchmarks.models.rating_table import DAY

Array = np.ndarray
MINUTE = 60
# Spans in seconds within which a user's ratings are alike. The day is known before a rating is
# written, its minute and its second (the page on which films were rated) are not.
DAYS: tuple[int, ...] = (DAY,)
SECONDS: tuple[int, ...] = (DAY, MINUTE, 1)


def modes(data: Mapping[str, Array]) -> list[Mode]:
    """User, item and day, with side information and whom they met in training."""
    seen = np.zeros((len(data["user_age"]), len(data["item_year"])))
    seen[data["user"], data["item"]] = 1
    days = together(data, lambda part: part["time"] // DAY)
    return [
        Mode(data["user"], data["asked_user"], len(seen), [scaled(seen), user_side(data)]),
        Mode(data["item"], data["asked_item"], seen.shape[1], [scaled(seen.T), item_side(data)]),
        Mode(*days),
    ]


def groups(data: Mapping[str, Array], spans: Sequence[int] = DAYS) -> list[Group]:
    """The rows of one user within a span of time, for each span in seconds."""
    large = 1 + int(max(data["time"].max(), data["asked_time"].max()))
    return [
        Group(*together(data, lambda part, span=span: part["user"] * large + part["time"] // span))
        for span in spans
    ]


def together(data: Mapping[str, Array], key) -> tuple[Array, Array, int]:
    """Codes of known and asked rows in one numbering, and its size."""
    asked = {name: data[f"asked_{name}"] for name in ("user", "item", "time")}
    first, second = key(data), key(asked)
    found, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    return codes[: len(first)], codes[len(first) :], len(found)


def scaled(values: Array) -> Array:
    """Rows divided by the root of their sum.

    Example:
        >>> scaled(np.array([[1.0, 1.0, 1.0, 1.0]]))
        array([[0.5, 0.5, 0.5, 0.5]])
    """
    return values / np.maximum(values.sum(axis=1, keepdims=True), 1) ** 0.5


def one_hot(values: Array) -> Array:
    """Indicators of the values that occur.

    Example:
        >>> one_hot(np.array([7, 3]))
        array([[0., 1.],
               [1., 0.]])
    """
    found, codes = np.unique(values, return_inverse=True)
    return np.eye(len(found))[codes]


def user_side(data: Mapping[str, Array]) -> Array:
    """Age in tens, gender and occupation, ``(users, columns)``."""
    parts = (data["user_age"] // 10, data["user_gender"], data["user_occupation"])
    return np.hstack([one_hot(part) for part in parts])


def item_side(data: Mapping[str, Array]) -> Array:
    """Genres and decade, ``(items, columns)``."""
    return np.hstack([scaled(data["item_genres"]), one_hot(data["item_year"] // 10)])
