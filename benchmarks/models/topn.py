"""Our top-N recommender: simple members, and a Keras ranking network that weighs them.

The network learns from folds: members are trained on what a fold leaves them, and the network on
the events that were held out. The first fold is the protocol's own (train, validation); more are
cut from the training events in the same manner. At last the members are trained anew on training
and validation events, and the network scores the catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.models import listwise
from benchmarks.models.sequence import Events
from benchmarks.models.topn_members import MEMBERS, NOMINATE, standardised

Array = np.ndarray
CANDIDATES = 300


@dataclass(frozen=True)
class Lists:
    """What the network learns from: one list of candidates a user.

    Attributes:
        items: nominated items, ``(users, candidates)``.
        features: of them, ``(users, candidates, features)`` float32.
        target: ``(users, candidates)`` float32: the share of each held-out item among the user's.
    """

    items: Array
    features: Array
    target: Array


def nominate(kind: str, events: Events) -> tuple[Array, Array]:
    """Candidates of each user and what the network sees of them.

    Returns:
        items ``(users, candidates)``, those not seen with the best plain mean of the members that
        nominate; features ``(users, candidates, members + 1)`` float32, the last of which is the
        user's activity.
    """
    members = MEMBERS[kind](events)
    names = list(members)
    found = standardised(members)
    mean = found[..., [names.index(name) for name in NOMINATE[kind]]].mean(axis=-1)
    mean[events.matrix() > 0] = -np.inf
    items = np.argpartition(-mean, CANDIDATES, axis=1)[:, :CANDIDATES]
    activity = np.log1p(np.bincount(events.user, minlength=events.users))
    activity = (activity - activity.mean()) / activity.std()
    chosen = np.take_along_axis(found, items[..., None], axis=1)
    wide = np.broadcast_to(activity[:, None, None], (*items.shape, 1))
    return items, np.concatenate([chosen, wide], axis=-1).astype("float32")


def lists(kind: str, events: Events, held: Events) -> Lists:
    """Lists of a fold: members see ``events``, the network is to find ``held``."""
    items, features = nominate(kind, events)
    target = held.matrix()
    target /= np.maximum(target.sum(axis=1, keepdims=True), 1)
    return Lists(items, features, np.take_along_axis(target, items, axis=1))


def spread(items: Array, scores: Array, count: int) -> Array:
    """Scores ``(users, count)`` of the whole catalogue; what was not nominated comes last."""
    out = np.full((len(items), count), -1e9, dtype="float32")
    np.put_along_axis(out, items, scores, axis=1)
    return out


def held_out(kind: str, events: Events, fold: int) -> Array:
    """Mask of events that a further fold holds out.

    Args:
        kind: ``random_order``: a ninth of each user's events by chance (as validation is to
            train); ``next_event``: the user's last event but ``fold - 1``.
        events: training events.
        fold: 1, 2, ...
    """
    count = np.bincount(events.user, minlength=events.users)[events.user]
    start = np.searchsorted(events.user, events.user)
    if kind == "next_event":
        return np.arange(len(events.user)) - start == count - fold
    draws = np.random.default_rng(fold).random(len(events.user))
    order = np.lexsort((draws, events.user))
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(len(order)) - start[order]
    return place < count // 9


def known_before(kind: str, events: Events, fold: int) -> Array:
    """Mask of events that the members of a further fold may see."""
    gone = held_out(kind, events, fold)
    if kind == "next_event":
        for later in range(1, fold):
            gone = gone | held_out(kind, events, later)
    return ~gone


def all_folds(kind: str, train: Events, validation: Events, more: int) -> list[Lists]:
    """The protocol's own fold, then ``more`` cut from the training events."""
    folds = [lists(kind, train, validation)]
    for fold in range(1, more + 1):
        seen = train.take(known_before(kind, train, fold))
        folds.append(lists(kind, seen, train.take(held_out(kind, train, fold))))
    return folds


def fit(folds: Sequence[Lists], users: Array, settings: listwise.Settings, seed: int) -> Any:
    """The network on the lists of some users in all folds."""
    keep = [users[fold.target[users].sum(axis=1) > 0] for fold in folds]
    return listwise.train(
        np.concatenate([fold.features[rows] for fold, rows in zip(folds, keep, strict=True)]),
        np.concatenate([fold.target[rows] for fold, rows in zip(folds, keep, strict=True)]),
        settings, seed,
    )  # fmt: skip


def cross_fitted(folds: Sequence[Lists], settings: listwise.Settings, seed: int) -> Array:
    """Scores ``(users, candidates)`` on the first fold, each half by the other half's network.

    So settings are chosen on validation events that their network has not seen.
    """
    first = folds[0]
    half = np.random.default_rng(seed).permutation(len(first.items)) < len(first.items) // 2
    scores = np.empty(first.items.shape, dtype="float32")
    for side in (half, ~half):
        model = fit(folds, np.flatnonzero(~side), settings, seed)
        scores[side] = listwise.score(model, first.features[side])
    return scores
