"""Scores of many simple models for all pairs of user and item: what the ranking network sees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter1d

from benchmarks.models.item_regression import ease, graph_filter, user_neighbours
from benchmarks.models.sequence import Events, between, follow, follow_counts

Array = np.ndarray
DAY = 86_400
LIKED = 4.0


def shared(events: Events) -> dict[str, Array]:
    """Members of both protocols, by name, each ``(users, items)`` float32."""
    x = events.matrix()
    liked = events.matrix((events.rating >= LIKED).astype("float32"))
    rated = events.matrix(np.maximum((events.rating - 2) / 3, 0.2))
    popular = x.sum(axis=0)
    every = np.ones((events.users, 1))
    return {
        "ease": x @ ease(x, 400.0),
        "ease_liked": liked @ ease(liked, 200.0),
        "ease_rated": rated @ ease(rated, 200.0),
        "ease_users": (x.T @ ease(x.T, 400.0)).T,
        "graph_64": graph_filter(x, 64),
        "graph_liked": graph_filter(liked, 48),
        "neighbours": user_neighbours(x, 80),
        "popularity": every * np.log1p(popular),
        "quality": every * _mean_rating(events),
        "rate_3": _rate(events, 3.0),
        "rate_30": _rate(events, 30.0),
    }


def random_order(events: Events) -> dict[str, Array]:
    """Members where held-out events lie anywhere in a user's sequence."""
    return {
        **shared(events),
        "between": between(events, 5, 0.8, 100.0),
    }


def next_event(events: Events) -> dict[str, Array]:
    """Members where the held-out event is the next one."""
    return {
        **shared(events),
        "follow_3": follow(events, 3, 0.7, 200.0),
        "follow_10": follow(events, 10, 0.85, 200.0),
        "follow_30": follow(events, 30, 0.93, 200.0),
        "counts_10": follow_counts(events, 10, 0.85, 20.0),
        "rate_last": _rate(events, 3.0, last=True),
    }


MEMBERS: dict[str, Callable[[Events], dict[str, Array]]] = {
    "random_order": random_order,
    "next_event": next_event,
}

NOMINATE = {
    "random_order": ("ease", "ease_liked", "graph_64", "between"),
    "next_event": ("ease", "follow_10", "follow_30", "counts_10"),
}


def standardised(members: dict[str, Array]) -> Array:
    """Members ``(users, items, members)`` float32, each with mean 0 and deviation 1 per user.

    What is the same for all users keeps its scale over items all the same.
    """
    stacked = []
    for scores in members.values():
        centred = scores - scores.mean(axis=1, keepdims=True)
        stacked.append(centred / (centred.std(axis=1, keepdims=True) + 1e-6))
    return np.stack(stacked, axis=-1).astype("float32")


def _mean_rating(events: Events, shrink: float = 10.0) -> Array:
    total = np.bincount(events.item, weights=events.rating, minlength=events.items)
    count = np.bincount(events.item, minlength=events.items)
    return (total + shrink * events.rating.mean()) / (count + shrink)


def _rate(events: Events, days: float, last: bool = False) -> Array:
    """Log of how much more popular an item was, around the user's days, than over all.

    With ``last`` around the user's last day. Training events only.
    """
    day = ((events.time - events.time.min()) // DAY).astype(int)
    length = int(day.max()) + 1
    by_item, by_user = np.zeros((length, events.items)), np.zeros((length, events.users))
    np.add.at(by_item, (day, events.item), 1.0)
    np.add.at(by_user, (day, events.user), 1.0)
    if last:
        latest = length - 1 - (by_user[::-1] > 0).argmax(axis=0)
        by_user = (np.arange(length)[:, None] == latest).astype(float)
    total = gaussian_filter1d(by_item.sum(axis=1), days)[:, None]
    base = by_item.sum(axis=0) / by_item.sum()
    share = (gaussian_filter1d(by_item, days, axis=0) + 5 * base) / (total + 5)
    weight = by_user / np.maximum(by_user.sum(axis=0), 1)
    return np.log((weight.T @ share + 1e-6) / (base + 1e-6))
