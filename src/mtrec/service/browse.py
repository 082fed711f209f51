"""What a page asks beside the service's answers: who there is, what he did, how sure tasks are.

All of it needs the key where there is one, is short whatever is asked, and changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, StringConstraints

from mtrec.registry import TASK_TYPES, Form
from mtrec.service.schemas import PRINTED, Id, Strict

if TYPE_CHECKING:
    from mtrec.domains.units import Unit
    from mtrec.service.bundle import Bundle
    from mtrec.tasks.base import TaskType

Array = np.ndarray
MOST_FOUND = 20  # ids or titles
MOST_SHOWN = 50  # items that tasks are asked about at once
CLASSES = 5  # of a task, the likeliest
Searched = Annotated[str, StringConstraints(max_length=64, pattern=PRINTED.replace("+$", "*$"))]


class Users(Strict):
    """``GET /users``: ids that begin so."""

    prefix: Searched = ""


class Items(Strict):
    """``GET /items``: items whose id begins so, or whose title holds it."""

    query: Searched = ""


class History(Strict):
    """``GET /history``: what a user did last."""

    user: Id


class Predict(Strict):
    """``POST /predict``: how sure each task is, of a user and of items for him."""

    user_id: Id | None = None
    item_ids: list[Id] = Field(default_factory=list, max_length=MOST_SHOWN)


def users(bundle: Bundle, asked: Users) -> dict[str, Any]:
    """Ids of users; the first ones if nothing is asked for."""
    ids, lookup = bundle.state.users, bundle.words.users
    found = [ids.names[at + 1] for at in lookup.find(asked.prefix, MOST_FOUND, inside=False)]
    found += _later(ids.names[ids.modelled :], asked.prefix)
    return {"model": bundle.answers.version, "users": found[:MOST_FOUND]}


def items(bundle: Bundle, asked: Items) -> dict[str, Any]:
    """Ids and titles of items; the most popular ones if nothing is asked for."""
    ids, words = bundle.state.items, bundle.words
    found = [*words.popular]
    if asked.query:
        found = [ids.names[at + 1] for at in words.items.find(asked.query, MOST_FOUND)]
    found += _later(ids.names[ids.modelled :], asked.query)
    return {
        "model": bundle.answers.version,
        "items": [
            {"item_id": one, "title": words.title.get(one)} for one in found[:MOST_FOUND]
        ],
    }  # fmt: skip


def _later(names: list[str], prefix: str) -> list[str]:
    """Of the newest names, those that begin so, the latest first."""
    wanted = prefix.lower()
    return [name for name in names[: -1000 - 1 : -1] if name.lower().startswith(wanted)]


def history(bundle: Bundle, asked: History) -> dict[str, Any]:
    """The events of a user that the model reads, the latest first.

    A value that an event lacked is null. So is one that is exactly the mean: the model is told
    the same of both.
    """
    state, words = bundle.state, bundle.words
    user = state.users.row.get(asked.user, 0)
    size = int(state.history_sizes[user]) if user else 0
    length, columns = state.history_items.shape[1], state.encoder.event.columns
    event = state.encoder.event
    found = []
    for at in range(length - 1, length - size - 1, -1):
        item = int(state.history_items[user, at])
        scaled = state.history_values[user, at]
        values = scaled * event.deviation + event.mean
        name = state.items.names[item] if item else None
        moment = datetime.fromtimestamp(int(state.history_times[user, at]) / 1000, UTC)
        found.append(
            {
                "item_id": name,
                "title": words.title.get(name) if name else None,
                "timestamp": moment.isoformat(timespec="seconds"),
                "values": {
                    column: None if scaled[n] == 0 else round(float(values[n]), 4) + 0.0
                    for n, column in enumerate(columns)
                },
            }
        )
    return {
        "model": bundle.answers.version, "user_id": asked.user, "known": bool(user),
        "read": length, "events": found,
    }  # fmt: skip


def predict(bundle: Bundle, asked: Predict) -> dict[str, Any]:
    """What every task says: of the user alone, and of each item for him.

    Returns:
        ``user`` and, for each of ``items``, ``tasks``: by task a ``probability``, a ``value`` in
        the unit of ``/model`` or the likeliest ``classes`` with their probabilities. For a task
        that ranks items, the probability of an item is its share of the softmax over all items
        that the user has not met; a model that learnt from pairs has a ``value`` alone.
    """
    answers, state = bundle.answers, bundle.state
    user = state.users.row.get(asked.user_id, 0) if asked.user_id else 0
    rows = np.array([0, *(state.items.row.get(one, 0) for one in asked.item_ids)])
    found = answers._predict(np.full(len(rows), user), rows)
    of_user: dict[str, Any] = {}
    of_items: list[dict[str, Any]] = [{} for _ in asked.item_ids]
    for name, kind in answers.types.items():
        task, own = answers.tasks[name], found[name]
        if kind.candidates == "items":
            shares = _shares(bundle, kind, own[0], user)
            for place, row in zip(of_items, rows[1:], strict=True):
                if 0 < row < state.items.modelled and np.isfinite(shares[row - 1]):
                    what = "value" if shares is own[0] else "probability"
                    place[name] = {what: float(shares[row - 1])}
        elif task.view == "user":
            of_user[name] = _shown(kind, own[0], bundle.words.unit(task.label))
        else:
            for place, one in zip(of_items, own[1:], strict=True):
                place[name] = _shown(kind, one, bundle.words.unit(task.label))
    return {
        "model": answers.version,
        "user_id": asked.user_id,
        "user": of_user,
        "items": [
            {"item_id": name, "title": bundle.words.title.get(name), "tasks": tasks}
            for name, tasks in zip(asked.item_ids, of_items, strict=True)
        ],
    }


def _shares(bundle: Bundle, kind: TaskType, logits: Array, user: int) -> Array:
    """Probability of each item to be the one, ``(items,)``; NaN for those met."""
    if getattr(kind, "loss_name", "") == "pairwise":
        return logits
    scores = logits.astype("float64")
    scores[bundle.state.met(user) - 1] = -np.inf
    shares = np.exp(scores - scores.max())
    return np.where(np.isfinite(scores), shares / shares.sum(), np.nan)


def _shown(kind: TaskType, found: Array, unit: Unit) -> dict[str, Any]:
    """One prediction, as a page shows it; an empty one where it is not finite."""
    if not np.isfinite(found).all():
        return {}
    form = TASK_TYPES.forms[TASK_TYPES.name_of(type(kind))]
    if form is Form.BIT:
        return {"probability": float(np.squeeze(found))}
    if form is Form.NUMBER:
        value = float(np.squeeze(found))
        return {"value": float(np.expm1(value)) if unit.logarithm else value}
    if form is Form.RANK:
        shares = np.exp(found - found.max())
        return {"classes": _likeliest(kind.catalogue, shares / shares.sum())}  # type: ignore[attr-defined]
    if form is Form.LEVEL:
        levels = np.asarray(kind.levels)  # type: ignore[attr-defined]
        return {"value": float(found @ levels), "classes": _likeliest(kind.class_names, found)}
    names = kind.class_names or kind.classes  # type: ignore[attr-defined]
    return {"classes": _likeliest(names, found)}


def _likeliest(names: tuple[str, ...], shares: Array) -> list[dict[str, Any]]:
    best = np.argsort(-shares, kind="stable")[:CLASSES]
    return [{"name": str(names[at]), "probability": float(shares[at])} for at in best]
