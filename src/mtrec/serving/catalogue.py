"""Full-catalogue answers to one user's request: item states once, then one product per request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np
import pandas as pd
from keras import ops

from mtrec.backend import compile_function, compile_row

if TYPE_CHECKING:
    from mtrec.serving.recommender import Recommender
    from mtrec.tasks.base import TaskType

Array = np.ndarray
PART = 32  # one score of so many is looked at first


@dataclass(frozen=True, repr=False)
class Catalogue:
    """A trained ranking task, ready for requests.

    A request costs the user's part of the network on one row, a product of the item matrix with a
    vector, and a partial sort.

    Attributes:
        query: compiled function from the model's inputs of one row, as arrays, to the query
            ``(1, width)``.
        items: states of all items ``(items, width)``, already divided by ``sqrt(width)``; a column
            lies together, since a product with so few columns then takes a third of the time.
        bias: of the items ``(items,)``.
        ids: of the items, in the order of ``items``.
        users: row of each user id.
        recommender: what the catalogue was opened from.
    """

    query: Callable[[dict[str, Array]], keras.KerasTensor]
    items: Array
    bias: Array
    ids: Array
    users: dict[str, int]
    recommender: Recommender

    def recommend(self, user_id: str, k: int = 10) -> tuple[Array, Array]:
        """Ids and scores of the ``k`` best items that the user has not met, best first.

        Items of the same score are in the order of the catalogue, also where ``k`` cuts them.
        """
        user = self.users.get(user_id, 0)
        query = ops.convert_to_numpy(self.query(self._inputs(user, user_id)))[0]
        scores = self.items @ query + self.bias
        seen = self.recommender.met_by(user)
        scores[seen - 1] = -np.inf
        found = best(scores, min(k, len(scores) - len(seen)))
        return self.ids[found], scores[found]

    def _inputs(self, user: int, user_id: str) -> dict[str, Array]:
        """The row of :meth:`mtrec.features.encoder.Encoder.inputs`, without a data frame."""
        events, encoder = self.recommender.events, self.recommender.assembly.encoder
        first, last = np.searchsorted(events.user[1:], [user, user + 1]) + 1
        length = encoder.history_length
        index = np.zeros(length, dtype="int64")
        if user:
            own = np.arange(max(first, last - length), last)
            index[length - len(own) :] = own
        now = self.recommender.now.value // 1_000_000
        days = (now - events.time[index]) / 86_400_000
        recency = np.where(index > 0, np.log1p(np.maximum(days, 0.0)), 0.0)[:, None] / 5.0
        features = np.concatenate([events.features[index], recency], axis=-1)
        inputs = {
            "user": np.array([user], dtype="int32"),
            "item": np.zeros(1, dtype="int32"),
            "history_items": events.item[index][None].astype("int32"),
            "history_events": features[None].astype("float32"),
        }
        if encoder.contexts:
            frame = self.recommender.rows(pd.DataFrame({"user_id": [user_id], "item_id": [None]}))
            for side in encoder.contexts:
                inputs[f"{side}_context"] = encoder.context(side, frame)
        return inputs | self.recommender.head_inputs(inputs["user"], inputs["item"])


def best(scores: Array, k: int) -> Array:
    """Positions of the ``k`` greatest scores, greatest first; of the same, the first.

    The ``k``-th greatest of a part is at most the ``k``-th greatest of all, so most of a long list
    is dismissed by one comparison with what a small part of it says.
    """
    if k <= 0:
        return np.zeros(0, dtype="int64")
    if len(scores) > PART * k:
        part = scores[::PART]
        some = np.flatnonzero(scores >= np.partition(part, -k)[-k])
    else:
        some = np.arange(len(scores))
    among = scores[some]
    some = some[among >= np.partition(among, -k)[-k]]
    return some[np.argsort(-scores[some], kind="stable")][:k]


def first_of_items(types: Mapping[str, TaskType]) -> str:
    """The first task that ranks items; empty without one."""
    return next((name for name, kind in types.items() if kind.candidates == "items"), "")


def open_catalogue(recommender: Recommender, fused: bool = False) -> Catalogue:
    """Encode the catalogue of the first task that ranks items, and compile the query.

    Args:
        recommender: a loaded model.
        fused: compile for speed: some seconds more before the first request, and a hundredth of the
            time for each, which a service repays.

    Raises:
        ValueError: the model has no such task.
    """
    types = recommender.assembly.types
    name = first_of_items(types)
    if not name:
        raise ValueError(
            f"domain '{recommender.domain}' has no task that ranks items; score candidate pairs "
            "with score()."
        )
    model, encoder = recommender.model, recommender.assembly.encoder
    own = model.tasks[name]
    part = keras.Model(model.input, own.hidden)
    weights = ops.convert_to_tensor(own.head.query)

    def query(inputs: dict[str, keras.KerasTensor]) -> keras.KerasTensor:
        return ops.matmul(part(inputs, training=False), weights)

    compiled = compile_row(query, part) if fused else compile_function(query, part)
    blank = {
        key: np.zeros((1, *value.shape[1:]), value.dtype) for key, value in model.input.items()
    }
    items = np.asarray(keras.Model(model.input, own.tables[0])(blank, training=False))
    return Catalogue(
        query=compiled,
        items=np.asfortranarray(items / items.shape[1] ** 0.5),
        bias=np.asarray(own.head.bias),
        ids=np.asarray(encoder.item.ids),
        users={user_id: row + 1 for row, user_id in enumerate(encoder.user.ids)},
        recommender=recommender,
    )
