"""What a page asks beside the service's answers: who there is, what he did, how sure tasks are.

All of it needs the key where there is one, is short whatever is asked, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, StringConstraints

from mtrec.domains.units import Unit
from mtrec.models.predict import predict as predict_rows
from mtrec.registry import TASK_TYPES, Form
from mtrec.service.schemas import PRINTED, Id, Pair, Score, Strict, Words

if TYPE_CHECKING:
    from mtrec.service.bundle import Bundle
    from mtrec.service.texts import Read
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
    text: Words | None = Field(None, description="of an item that the model does not know")


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


def texts(bundle: Bundle, asked: Predict) -> list[str]:
    """The text that must be read before :func:`predict`, if there is one.

    Raises:
        ValueError: it is blank, or the model knows no texts.
    """
    try:
        return bundle.answers.texts_of(Score(pairs=[Pair(text=asked.text)]))
    except ValueError as error:
        raise ValueError(str(error).removeprefix("pairs.0.")) from None


def predict(
    bundle: Bundle, asked: Predict, read: Mapping[str, Read] | None = None
) -> dict[str, Any]:
    """What every task says: of the user alone, of each item for him, and of a text.

    Args:
        bundle: what answers.
        asked: the request.
        read: what was made of its text.

    Returns:
        ``user``, each of ``items`` and ``text`` have by task a ``probability``, a ``value`` in the
        unit of ``/model`` or the likeliest ``classes`` with their probabilities. For a task that
        ranks items, the probability of an item is its share of the softmax over all items that
        the user has not met; a model that learnt from pairs, or a fusion, has a ``value`` alone,
        and of users whom it ranks the names.
    """
    answers, state = bundle.answers, bundle.state
    user = state.users.row.get(asked.user_id, 0) if asked.user_id else 0
    rows = np.array([0, *(state.items.row.get(one, 0) for one in asked.item_ids), 0])
    typed = np.zeros_like(rows)
    typed[-1] = answers._type(read or {}).get(asked.text, 0)
    found = answers.predict(np.full(len(rows), user), rows, typed=typed)
    of_user = _of_users(bundle, user)
    of_rows: list[dict[str, Any]] = [{} for _ in rows]
    for name, predicted in found.items():
        task, kind = answers.tasks[name], answers.types[name]
        shown = [_shown(kind, one, bundle.words.unit(task.label)) for one in predicted]
        if task.view == "user":
            of_user[name] = shown[0]
            continue
        for place, one in zip(of_rows, shown, strict=True):
            place[name] = one
    if answers.lists.ranking:
        _add_shares(bundle, user, of_rows[1:-1], rows[1:-1])
    return {
        "model": answers.version,
        "user_id": asked.user_id,
        "user": of_user,
        "items": [
            {"item_id": name, "title": bundle.words.title.get(name), "tasks": tasks}
            for name, tasks in zip(asked.item_ids, of_rows[1:-1], strict=True)
        ],
        "text": {"tasks": of_rows[-1]} if asked.text is not None else None,
    }


def _add_shares(bundle: Bundle, user: int, of_rows: list[dict[str, Any]], rows: Array) -> None:
    """What the task that ranks items says of some: a share, or a score where it learnt pairs, or
    where others than the joint model have a say."""
    answers, name = bundle.answers, bundle.answers.lists.ranking
    met, what = answers.lists.shown.places(bundle.state.met(user)), "value"
    alone = name not in answers.members
    scores = answers.lists.rank(user, met).astype("float64")
    pairs = getattr(answers.types[name], "loss_name", "") == "pairwise"
    if not pairs and alone:
        scores[met] = -np.inf
        shares, what = np.exp(scores - scores.max()), "probability"
        scores = np.where(np.isfinite(scores), shares / shares.sum(), np.nan)
    for own, row in zip(of_rows, rows, strict=True):
        place = answers.lists.shown.place(int(row))
        if place is not None and np.isfinite(scores[place]):
            own[name] = {what: float(scores[place])}


def _of_users(bundle: Bundle, user: int) -> dict[str, Any]:
    """The users whom tasks that rank users put on top for one."""
    if bundle.ranks_users is None:
        return {}
    model = bundle.answers.recommender.model
    inputs = bundle.state.inputs(np.array([user]), np.zeros(1, dtype="int64"))
    types, unit = bundle.answers.types, Unit()
    found = {}
    for name, logits in predict_rows(model, inputs, forward=bundle.ranks_users).items():
        out = np.arange(1, types[name].outputs + 1)[None] == user
        said = bundle.answers.lists.among(name, user, inputs, logits[0], out)
        if said is None:
            found[name] = _shown(types[name], logits[0], unit)
            continue
        best = np.argsort(-np.where(out[0], -np.inf, said), kind="stable")[:CLASSES]
        names = types[name].catalogue  # type: ignore[attr-defined]
        found[name] = {"classes": [{"name": str(names[at])} for at in best]}
    return found


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
