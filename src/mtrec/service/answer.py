"""Requests -> answers, from a model and the state that events left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from mtrec.backend import compile_function
from mtrec.models.predict import compile_forward, predict
from mtrec.registry import TASK_TYPES, Form
from mtrec.service.batches import Batches
from mtrec.service.explain import Reasons
from mtrec.service.filters import Filters
from mtrec.service.schemas import Recommend, Score
from mtrec.service.state import State
from mtrec.serving.catalogue import Catalogue, open_catalogue

if TYPE_CHECKING:
    from mtrec.serving.recommender import Recommender
    from mtrec.settings import Task
    from mtrec.tables.schema import Tables

Array = np.ndarray
WEIGHED = 2000  # items that tasks are asked about; more are narrowed down first
GRADED = (Form.BIT, Form.NUMBER, Form.LEVEL)  # whose predictions can be put in order


class Answers:
    """Everything that answers requests of one domain.

    Args:
        recommender: a loaded model.
        state: what is known now.
        tables: the data that the model was trained on.
        tasks: settings of its tasks.
        version: of the model.
    """

    def __init__(
        self,
        recommender: Recommender,
        state: State,
        tables: Tables,
        tasks: Mapping[str, Task],
        version: str,
    ):
        self.recommender, self.state, self.tasks, self.version = recommender, state, tasks, version
        self.types = recommender.assembly.types
        self._forward = compile_forward(recommender.model)
        self._ids = np.asarray(recommender.assembly.encoder.item.ids)
        self.ranking = next((n for n, kind in self.types.items() if kind.candidates == "items"), "")
        self._catalogue: Catalogue | None = open_catalogue(recommender) if self.ranking else None
        if self.ranking:
            self._queries = self._compile()
        self.ranks = Batches(self._rank)
        items = tables.items.set_index("item_id").reindex(self._ids).reset_index()
        self._filters = Filters(items)
        self.reasons = Reasons(self, tables.items)
        counts = tables.events["item_id"].value_counts()
        self._popular = counts.reindex(self._ids).fillna(0).to_numpy(dtype="float64")
        self.gradable = {
            name: self._worth(name)
            for name, task in tasks.items()
            if TASK_TYPES.forms[task.type] in GRADED and task.view != "user"
        }
        self._usual = next(iter(self.gradable), "")

    def _compile(self) -> Callable[[dict[str, Any]], Any]:
        """Compiled function from the model's inputs to queries ``(n, width)``."""
        model = self.recommender.model
        own = model.tasks[self.ranking]
        part = keras.Model(model.input, own.hidden)
        weights = ops.convert_to_tensor(own.head.query)
        return compile_function(
            lambda inputs: ops.matmul(part(inputs, training=False), weights), part
        )

    def _worth(self, name: str) -> Callable[[Array], Array]:
        """From predictions of a task to one number per row, the greater the better."""
        kind = self.types[name]
        if TASK_TYPES.forms[self.tasks[name].type] is Form.LEVEL:
            levels = np.asarray(kind.levels)  # type: ignore[attr-defined]
            return lambda found: found @ levels
        return lambda found: np.asarray(found).reshape(len(found))

    # -- /recommend --------------------------------------------------------------------------

    def row_to_rank(self, asked: Recommend) -> int | None:
        """The user whose scores of all items :meth:`recommend` will need; None for nobody's."""
        if not self.ranking:
            return None
        return self.state.users.row.get(asked.user_id, 0) if asked.user_id else 0

    def recommend(self, asked: Recommend, ranked: Array | None = None) -> dict[str, Any]:
        """The best items for a user.

        Args:
            asked: the request.
            ranked: scores of all items for the user, from :attr:`ranks`; computed if None.

        Raises:
            ValueError: the request names a task or column that there is not.
        """
        user = self.state.users.row.get(asked.user_id, 0) if asked.user_id else 0
        fallback = self._fallback(asked.user_id, user)
        notes: list[str] = []
        rows = self._competing(asked, user, notes)
        if ranked is None:
            ranked = self._rank(np.array([user]))[0] if self.ranking else self._popular
        weights = asked.tasks or {}
        for name in weights:
            if name not in self.gradable and name != self.ranking:
                known = ", ".join([*self.gradable, *([self.ranking] if self.ranking else [])])
                raise ValueError(
                    f"tasks: '{name:.64}' does not rank items (these do: {known or 'none'})"
                )
        if not weights and not self.ranking and self._usual:
            weights = {self._usual: 1.0}
        more: dict[str, Array] = {}
        if weights:
            rows, scores, more = self._weigh(user, rows, weights, ranked, notes)
        elif self.ranking:
            scores = ranked[rows] if len(rows) < len(ranked) else ranked
        else:
            scores = self._popular[rows]
            fallback = _because("popularity", "the domain has no task that ranks items")
        if not np.isfinite(scores).all():
            scores = self._popular[rows]
            fallback = _because("popularity", "the model gave no finite score")
        best = _best(scores, min(asked.k, len(rows)))
        return {
            "model": self.version,
            "user_id": asked.user_id,
            "ranked_by": weights or {self.ranking or "popularity": 1.0},
            "fallback": fallback,
            "notes": notes,
            "items": [
                {
                    "item_id": str(self._ids[rows[at]]),
                    "score": float(scores[at]),
                    **({"tasks": {n: float(v[at]) for n, v in more.items()}} if more else {}),
                }
                for at in best
            ],
        }

    def _fallback(self, user_id: str | None, user: int) -> dict[str, str] | None:
        """What stands in for what the model learnt of a user, and why."""
        if user_id is None:
            return _because("new user", "no user was named")
        if not user:
            return _because("new user", "the user is unknown and no event of his came")
        if user >= self.state.users.modelled:
            return _because(
                "events", "the user came after training: history, context and means speak for him"
            )
        return None

    def _competing(self, asked: Recommend, user: int, notes: list[str]) -> Array:
        """Positions in the catalogue of the items that may be recommended."""
        free = self._filters(asked.filters)
        if asked.candidates is not None:
            rows = {self.state.items.row.get(name, 0) for name in asked.candidates}
            known = np.array(sorted(r for r in rows if 0 < r < self.state.items.modelled), "int64")
            missing = len({*asked.candidates}) - len(known)
            if missing:
                notes.append(
                    f"{missing} candidates are left out: the model does not know them; "
                    "/score answers for them as new items"
                )
            among = np.zeros(len(self._ids), bool)
            among[known - 1] = True
            free = among if free is None else among & free
        met = self.state.met(0 if asked.keep_met else user)
        if free is None and not len(met):
            return np.arange(len(self._ids))
        free = np.ones(len(self._ids), bool) if free is None else free.copy()
        if len(met):
            free[met - 1] = False
        return np.flatnonzero(free)

    def _rank(self, users: Array) -> Array:
        """Scores of all items ``(n, items)`` by the task that ranks them, for rows of users."""
        assert self._catalogue is not None
        full = 1 << (len(users) - 1).bit_length()
        padded = np.concatenate([users, np.zeros(full - len(users), users.dtype)])
        inputs = self.state.inputs(padded, np.zeros(full, dtype="int64"))
        tensors = {name: ops.convert_to_tensor(value) for name, value in inputs.items()}
        queries = ops.convert_to_numpy(self._queries(tensors))[: len(users)]
        items = self._catalogue.items
        scores = np.empty((len(users), len(items)), items.dtype)
        for at, query in enumerate(queries):  # a product of matrices would not be to the last bit
            np.dot(items, query, out=scores[at])
        scores += self._catalogue.bias
        return scores

    def _weigh(
        self,
        user: int,
        rows: Array,
        weights: Mapping[str, float],
        ranked: Array,
        notes: list[str],
    ) -> tuple[Array, Array, dict[str, Array]]:
        """Weighted sum of what tasks say of items, each in units of its spread among them."""
        if len(rows) > WEIGHED:
            what = f"task {self.ranking}" if self.ranking else "popularity"
            notes.append(f"of {len(rows):,} items the {WEIGHED:,} best by {what} were asked about")
            rows = np.sort(rows[_best(ranked[rows], WEIGHED)])
        if not len(rows):
            return rows, np.zeros(0), {}
        found = (
            self._predict(np.full(len(rows), user), rows + 1) if {*weights} - {self.ranking} else {}
        )
        more = {
            name: ranked[rows] if name == self.ranking else self.gradable[name](found[name])
            for name in weights
        }
        scores = np.zeros(len(rows))
        for name, values in more.items():
            spread = float(values.std())
            scores += weights[name] * (values - values.mean()) / (spread if spread > 0 else 1.0)
        return rows, scores, more

    # -- /score ------------------------------------------------------------------------------

    def score(self, asked: Score) -> dict[str, Any]:
        """What all tasks say of pairs.

        Raises:
            ValueError: the request names a context column that there is not.
        """
        pairs = asked.pairs
        users = np.array([self.state.users.row.get(p.user_id or "", 0) for p in pairs])
        items = np.array([self.state.items.row.get(p.item_id or "", 0) for p in pairs])
        found = self._predict(users, items, [pair.context for pair in pairs])
        columns = {
            name: kind.answers(found[name])
            for name, kind in self.types.items()
            if not kind.candidates
        }
        answers = []
        for at, pair in enumerate(pairs):
            user, item = int(users[at]), int(items[at])
            fallback = {}
            if pair.user_id is not None and (said := self._fallback(pair.user_id, user)):
                fallback["user"] = said
            if pair.item_id is not None and not 0 < item < self.state.items.modelled:
                fallback["item"] = _because(
                    "new item",
                    "the item came after training: its context and means speak for it, and no "
                    "text (its vectors are made with the next training)"
                    if item else "the item is unknown and no event of it came",
                )  # fmt: skip
            answers.append(
                {
                    "user_id": pair.user_id,
                    "item_id": pair.item_id,
                    "fallback": fallback or None,
                    "tasks": {name: _plain(values[at]) for name, values in columns.items()},
                }
            )
        return {"model": self.version, "pairs": answers}

    def _predict(
        self, users: Array, items: Array, given: Sequence[Mapping[str, float]] = ()
    ) -> dict[str, Array]:
        """Predictions by task for rows of users and items; rows are padded to few sizes."""
        size = len(users)
        full = 1 << max(size - 1, 0).bit_length()
        users = np.concatenate([users, np.zeros(full - size, users.dtype)])
        items = np.concatenate([items, np.zeros(full - size, items.dtype)])
        columns = self._given(given, full) if any(given) else None
        logits = predict(
            self.recommender.model, self.state.inputs(users, items, columns), forward=self._forward
        )
        return {
            name: ops.convert_to_numpy(kind.predict(logits[name]))[:size]
            for name, kind in self.types.items()
        }

    def _given(self, given: Sequence[Mapping[str, float]], size: int) -> dict[str, Array]:
        known = {c for scaler in self.state.encoder.contexts.values() for c in scaler.columns}
        columns: dict[str, Array] = {}
        for at, one in enumerate(given):
            for name, value in one.items():
                if name not in known:
                    listed = ", ".join(sorted(known)) or "none"
                    raise ValueError(f"context: there is no column '{name}' (known: {listed})")
                columns.setdefault(name, np.full(size, np.nan))[at] = value
        return columns

    def count(self, item_id: str | None) -> None:
        """Note that an item was met once more."""
        row = self.state.items.row.get(item_id or "", 0)
        if 0 < row <= len(self._popular):
            self._popular[row - 1] += 1


def _because(used: str, why: str) -> dict[str, str]:
    return {"used": used, "why": why}


def _best(scores: Array, k: int) -> Array:
    """Positions of the ``k`` greatest, greatest first; of the same, the first."""
    if k <= 0:
        return np.zeros(0, dtype="int64")
    least = np.partition(scores, -k)[-k]
    some = np.flatnonzero(scores >= least)
    return some[np.argsort(-scores[some], kind="stable")][:k]


def _plain(value: Any) -> Any:
    """A prediction as JSON has it; null where it is not finite."""
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value]
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
