"""``POST /recommend``: lists of items for users, by whoever ranks them, or by several tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from mtrec.models.twins import JOINT
from mtrec.registry import TASK_TYPES, Form
from mtrec.service.fallback import because, of_user
from mtrec.service.filters import Filters
from mtrec.service.schemas import Recommend
from mtrec.service.shown import Shown, placed
from mtrec.serving.catalogue import best, first_of_items, open_catalogue

if TYPE_CHECKING:
    from mtrec.service.answer import Answers
    from mtrec.tables.schema import Tables

Array = np.ndarray
WEIGHED = 2000  # items that tasks are asked about; more are narrowed down first
GRADED = (Form.BIT, Form.NUMBER, Form.LEVEL)  # whose predictions can be put in order


class Lists:
    """Ranks the items of one domain.

    Args:
        answers: of the domain.
        tables: the data that the model was trained on.

    Attributes:
        ranking: the task that ranks items; empty if there is none.
        gradable: from predictions of a task to one number per row, the greater the better; by task
            that says something of items which can be put in order.
        shown: the items.
        filters: on their columns.
    """

    def __init__(self, answers: Answers, tables: Tables):
        self._answers, self._state, self._members = answers, answers.state, answers.members
        self._types, self._tasks = answers.types, answers.tasks
        self.ranking = first_of_items(self._types)
        catalogue = open_catalogue(answers.recommender, fused=True) if self.ranking else None
        self._query = catalogue.query if catalogue else None
        names = self._state.items.names[1 : self._state.items.modelled]
        self.filters = Filters(tables.items.set_index("item_id").reindex(names).reset_index())
        self.shown = Shown(self._state.items, tables.events, catalogue)
        self.gradable = {
            name: self._worth(name)
            for name, task in self._tasks.items()
            if TASK_TYPES.forms[task.type] in GRADED and task.view != "user"
        }
        self._usual = next(iter(self.gradable), "")

    def _worth(self, name: str) -> Callable[[Array], Array]:
        """From predictions of a task to one number per row, the greater the better."""
        kind = self._types[name]
        if TASK_TYPES.forms[self._tasks[name].type] is Form.LEVEL:
            levels = np.asarray(kind.levels)  # type: ignore[attr-defined]
            return lambda found: found @ levels
        return lambda found: np.asarray(found).reshape(len(found))

    def recommend(self, asked: Recommend) -> dict[str, Any]:
        """The best items for a user.

        Args:
            asked: the request.

        Raises:
            ValueError: the request names a task or column that there is not.
        """
        user = self._state.users.row.get(asked.user_id, 0) if asked.user_id else 0
        fallback = of_user(self._state, asked.user_id, user)
        notes: list[str] = []
        free = self._allowed(asked, notes)
        met = self.shown.places(self._state.met(0 if asked.keep_met else user))
        ranked = self.rank(user, met) if self.ranking else self.shown.popularity.copy()
        if trouble := self._members.trouble.get(self.ranking):
            notes.append(f"{self.ranking} is answered by the joint model alone: {trouble:.200}")
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
        if not self.ranking and not weights:
            fallback = because("popularity", "the domain has no task that ranks items")
        if not np.isfinite(ranked.sum()):  # costs less than to look at each
            ranked, weights = self.shown.popularity.copy(), {}
            fallback = because("popularity", "the model gave no finite score")
        rows, scores, left = self._compete(ranked, free, met, bool(weights))
        if weights:
            rows, scores, more = self._weigh(user, rows, weights, scores, notes)
            left = len(rows)
            if not np.isfinite(scores).all():
                scores = self.shown.popularity[rows]
                fallback = because("popularity", "the model gave no finite score")
        first = best(scores, min(asked.k, left))
        return {
            "model": self._answers.version,
            "user_id": asked.user_id,
            "ranked_by": weights or {self.ranking or "popularity": 1.0},
            "fallback": fallback,
            "notes": notes,
            "items": [
                {
                    "item_id": self.shown.name(rows[at]),
                    "score": float(scores[at]),
                    **({"tasks": {n: float(v[at]) for n, v in more.items()}} if more else {}),
                }
                for at in first
            ],
        }

    def _allowed(self, asked: Recommend, notes: list[str]) -> Array | None:
        """Which items filters and candidates leave, ``(items,)`` bool; None: all of them."""
        size, free = len(self.shown), self.filters(asked.filters)
        if free is not None:
            free = np.append(free, np.zeros(size - len(free), bool))  # later items have no columns
        if asked.candidates is not None:
            wanted = {*asked.candidates}
            known = self.shown.places(self._state.items.row.get(name, 0) for name in wanted)
            if missing := len(wanted) - len(known):
                notes.append(
                    f"{missing} candidates are left out: the model does not know them; "
                    "/score answers for them as new items"
                )
            among = np.zeros(size, bool)
            among[known] = True
            free = among if free is None else among & free
        return free

    def _compete(
        self, ranked: Array, free: Array | None, met: Array, narrow: bool
    ) -> tuple[Array, Array, int]:
        """Places of items that compete, their scores, and how many of these are not ruled out.

        Args:
            ranked: scores of all items; changed in place.
            free: which items are left, or None.
            met: places of items that the user has met.
            narrow: leave out what is ruled out, which a list of one task need not: it costs more
                than to score it lowest.
        """
        if free is None and not narrow:
            ranked[met] = -np.inf
            return self.shown.all, ranked, len(ranked) - len(met)
        free = np.ones(len(ranked), bool) if free is None else free.copy()
        free[met] = False
        rows = np.flatnonzero(free)
        return rows, ranked[rows], len(rows)

    def rank(self, user: int, met: Array) -> Array:
        """Scores of all items ``(items,)`` by whoever answers the task that ranks them.

        Args:
            user: row of the user.
            met: places of items that do not compete.
        """
        inputs = self._state.inputs(np.array([user]), np.zeros(1, dtype="int64"))
        size, joint = self._state.items.modelled - 1, None
        if self._members.asks(self.ranking, JOINT) or len(self.shown) > size:
            joint = self._of_joint(inputs)
        if self.ranking not in self._members:
            assert joint is not None
            return joint
        out = np.zeros((1, size), bool)
        out[0, met[met < size]] = True
        said = self.among(self.ranking, user, inputs, None if joint is None else joint[:size], out)
        if said is None:
            return self._of_joint(inputs) if joint is None else joint
        return said if joint is None else np.append(said, placed(said, joint, ~out[0]))

    def _of_joint(self, inputs: dict[str, Array]) -> Array:
        assert self._query is not None
        return self.shown.scores(ops.convert_to_numpy(self._query(inputs))[0])

    def among(
        self, name: str, user: int, inputs: dict[str, Array], joint: Array | None, out: Array
    ) -> Array | None:
        """What others than the joint model, or with it, make of a ranking for a user.

        Args:
            name: of the task.
            user: row of the user.
            inputs: the model's inputs of that row.
            joint: scores of the joint model ``(candidates,)``, where it has a say.
            out: candidates that do not compete, ``(1, candidates)``.

        Returns:
            Scores ``(candidates,)``; None where the joint model answers alone.
        """
        if name not in self._members:
            return None
        rows = self._members.rows(np.array([user]), np.zeros(1, dtype="int64"), inputs)
        said = self._members.answer(name, rows, None if joint is None else joint[None], out)
        return None if said is None else np.array(said[0])

    def _weigh(
        self,
        user: int,
        rows: Array,
        weights: Mapping[str, float],
        ranked: Array,
        notes: list[str],
    ) -> tuple[Array, Array, dict[str, Array]]:
        """Weighted sum of what tasks say of items, each in units of its spread among them.

        Args:
            user: row of the user.
            rows: places of items that compete.
            weights: of tasks.
            ranked: scores of ``rows`` by the task that ranks items, or their popularity.
            notes: for the answer.
        """
        if len(rows) > WEIGHED:
            what = f"task {self.ranking}" if self.ranking else "popularity"
            notes.append(f"of {len(rows):,} items the {WEIGHED:,} best by {what} were asked about")
            kept = np.sort(best(ranked, WEIGHED))
            rows, ranked = rows[kept], ranked[kept]
        if not len(rows):
            return rows, np.zeros(0), {}
        asked = {*weights} - {self.ranking}
        items = self.shown.rows(rows)
        found = self._answers.predict(np.full(len(rows), user), items, only=asked) if asked else {}
        more = {
            name: ranked if name == self.ranking else self.gradable[name](found[name])
            for name in weights
        }
        scores = np.zeros(len(rows))
        for name, values in more.items():
            spread = float(values.std())
            scores += weights[name] * (values - values.mean()) / (spread if spread > 0 else 1.0)
        return rows, scores, more
