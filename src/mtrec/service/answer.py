"""Requests -> answers, from a model and the state that events left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from mtrec.fusion import store
from mtrec.models.predict import compile_forward, predict
from mtrec.models.twins import JOINT
from mtrec.registry import TASK_TYPES, Form
from mtrec.service.explain import Reasons
from mtrec.service.filters import Filters
from mtrec.service.members import Members
from mtrec.service.schemas import Pair, Recommend, Score
from mtrec.service.shown import Shown, placed
from mtrec.service.state import State
from mtrec.service.texts import ROOM, TYPED, Read, Texts
from mtrec.serving.catalogue import best, first_of_items, open_catalogue

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
        texts: reads texts that come after training for the recommender's model, if it knows texts.
        members: who answers where the joint model does not answer alone.

    Attributes:
        unread: texts of items that came after training, by id, that are not read yet.
    """

    def __init__(
        self,
        recommender: Recommender,
        state: State,
        tables: Tables,
        tasks: Mapping[str, Task],
        version: str,
        texts: Texts | None = None,
        members: Members | None = None,
    ):
        self.recommender, self.state, self.tasks, self.version = recommender, state, tasks, version
        self.texts, self.unread = texts, dict[str, str]()
        self._placed: dict[str, int] = {}  # spare places of items, by id
        self._trouble: dict[str, str] = {}  # why a text could not be read, by id
        self.types = recommender.assembly.types
        nobody = store.Kept({}, {}, None, {})
        self.members = members or Members(nobody, Path(), recommender, state)
        self._forward = compile_forward(_of_pairs(recommender))
        self.ranking = first_of_items(self.types)
        catalogue = open_catalogue(recommender, fused=True) if self.ranking else None
        self._query = catalogue.query if catalogue else None
        names = state.items.names[1 : state.items.modelled]
        self._filters = Filters(tables.items.set_index("item_id").reindex(names).reset_index())
        self._shown = Shown(state.items, tables.events, catalogue)
        self.reasons = Reasons(self, tables.items)
        self.gradable = {
            name: self._worth(name)
            for name, task in tasks.items()
            if TASK_TYPES.forms[task.type] in GRADED and task.view != "user"
        }
        self._usual = next(iter(self.gradable), "")

    def _worth(self, name: str) -> Callable[[Array], Array]:
        """From predictions of a task to one number per row, the greater the better."""
        kind = self.types[name]
        if TASK_TYPES.forms[self.tasks[name].type] is Form.LEVEL:
            levels = np.asarray(kind.levels)  # type: ignore[attr-defined]
            return lambda found: found @ levels
        return lambda found: np.asarray(found).reshape(len(found))

    # -- /recommend --------------------------------------------------------------------------

    def recommend(self, asked: Recommend) -> dict[str, Any]:
        """The best items for a user.

        Args:
            asked: the request.

        Raises:
            ValueError: the request names a task or column that there is not.
        """
        user = self.state.users.row.get(asked.user_id, 0) if asked.user_id else 0
        fallback = self._fallback(asked.user_id, user)
        notes: list[str] = []
        free = self._allowed(asked, notes)
        met = self._shown.places(self.state.met(0 if asked.keep_met else user))
        ranked = self.rank(user, met) if self.ranking else self._shown.popularity.copy()
        if trouble := self.members.trouble.get(self.ranking):
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
            fallback = _because("popularity", "the domain has no task that ranks items")
        if not np.isfinite(ranked.sum()):  # costs less than to look at each
            ranked, weights = self._shown.popularity.copy(), {}
            fallback = _because("popularity", "the model gave no finite score")
        rows, scores, left = self._compete(ranked, free, met, bool(weights))
        if weights:
            rows, scores, more = self._weigh(user, rows, weights, scores, notes)
            left = len(rows)
            if not np.isfinite(scores).all():
                scores = self._shown.popularity[rows]
                fallback = _because("popularity", "the model gave no finite score")
        first = best(scores, min(asked.k, left))
        return {
            "model": self.version,
            "user_id": asked.user_id,
            "ranked_by": weights or {self.ranking or "popularity": 1.0},
            "fallback": fallback,
            "notes": notes,
            "items": [
                {
                    "item_id": self._shown.name(rows[at]),
                    "score": float(scores[at]),
                    **({"tasks": {n: float(v[at]) for n, v in more.items()}} if more else {}),
                }
                for at in first
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

    def _allowed(self, asked: Recommend, notes: list[str]) -> Array | None:
        """Which items filters and candidates leave, ``(items,)`` bool; None: all of them."""
        size, free = len(self._shown), self._filters(asked.filters)
        if free is not None:
            free = np.append(free, np.zeros(size - len(free), bool))  # later items have no columns
        if asked.candidates is not None:
            wanted = {*asked.candidates}
            known = self._shown.places(self.state.items.row.get(name, 0) for name in wanted)
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
            return self._shown.all, ranked, len(ranked) - len(met)
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
        inputs = self.state.inputs(np.array([user]), np.zeros(1, dtype="int64"))
        size, joint = self.state.items.modelled - 1, None
        if self.members.asks(self.ranking, JOINT) or len(self._shown) > size:
            joint = self._of_joint(inputs)
        if self.ranking not in self.members:
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
        return self._shown.scores(ops.convert_to_numpy(self._query(inputs))[0])

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
        if name not in self.members:
            return None
        rows = self.members.rows(np.array([user]), np.zeros(1, dtype="int64"), inputs)
        said = self.members.answer(name, rows, None if joint is None else joint[None], out)
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
        items = self._shown.rows(rows)
        found = self._predict(np.full(len(rows), user), items, only=asked) if asked else {}
        more = {
            name: ranked if name == self.ranking else self.gradable[name](found[name])
            for name in weights
        }
        scores = np.zeros(len(rows))
        for name, values in more.items():
            spread = float(values.std())
            scores += weights[name] * (values - values.mean()) / (spread if spread > 0 else 1.0)
        return rows, scores, more

    # -- /score ------------------------------------------------------------------------------

    def score(self, asked: Score, read: Mapping[str, Read] | None = None) -> dict[str, Any]:
        """What all tasks say of pairs.

        Args:
            asked: the request.
            read: what was made of the request's texts.

        Raises:
            ValueError: the request names a context column that there is not.
        """
        pairs = asked.pairs
        users = np.array([self.state.users.row.get(p.user_id or "", 0) for p in pairs])
        items = np.array([self.state.items.row.get(p.item_id or "", 0) for p in pairs])
        typed = self._type(read or {})
        texts = np.array([typed.get(pair.text, 0) for pair in pairs])
        found = self._predict(users, items, [pair.context for pair in pairs], texts)
        columns = {name: self.types[name].answers(values) for name, values in found.items()}
        answers = []
        for at, pair in enumerate(pairs):
            user, item = int(users[at]), int(items[at])
            fallback = {}
            if pair.user_id is not None and (said := self._fallback(pair.user_id, user)):
                fallback["user"] = said
            if said := self._instead_of_item(pair, item):
                fallback["item"] = said
            answers.append(
                {
                    "user_id": pair.user_id,
                    "item_id": pair.item_id,
                    "fallback": fallback or None,
                    "tasks": {name: _plain(values[at]) for name, values in columns.items()},
                }
            )
        return {"model": self.version, "pairs": answers}

    def texts_of(self, asked: Score) -> list[str]:
        """The distinct texts of a request, which must be read before it is answered.

        Raises:
            ValueError: they are too many, an item has a text of its own, or the model knows none.
        """
        found: dict[str, None] = {}
        for at, pair in enumerate(asked.pairs):
            if pair.text is None:
                continue
            if self.texts is None:
                raise ValueError(f"pairs.{at}.text: this domain's model knows no texts of items")
            if 0 < self.state.items.row.get(pair.item_id or "", 0) < self.state.items.modelled:
                raise ValueError(
                    f"pairs.{at}.text: the model knows the text of item '{pair.item_id}'; leave "
                    "item_id out to ask about another one"
                )
            if not pair.text.strip():
                raise ValueError(f"pairs.{at}.text: it is blank; leave it out")
            found[pair.text] = None
        if len(found) > TYPED:
            raise ValueError(f"pairs: {len(found)} texts are more than the {TYPED} of one request")
        return [*found]

    def _type(self, read: Mapping[str, Read]) -> dict[str | None, int]:
        """The model's rows of a request's texts."""
        found: dict[str | None, int] = {}
        for place, (text, one) in enumerate(read.items()):
            assert self.texts is not None
            self.texts.put(place, one)
            found[text] = self.texts.row(place)
        return found

    def _instead_of_item(self, pair: Pair, item: int) -> dict[str, str] | None:
        """What stands in for what the model learnt of an item, and why."""
        if pair.text is not None:
            return _because("text", "the item is one that is known by its text alone")
        if pair.item_id is None or 0 < item < self.state.items.modelled:
            return None
        if not item:
            return _because("new item", "the item is unknown and no event of it came")
        came = "the item came after training: its context and means speak for it"
        if pair.item_id in self._placed:
            return _because("text", f"{came}, and its text")
        if pair.item_id in self.unread:
            return _because("new item", f"{came}; text pending")
        return _because("new item", f"{came}; {self._trouble.get(pair.item_id, 'it has no text')}")

    def _predict(
        self,
        users: Array,
        items: Array,
        given: Sequence[Mapping[str, float]] = (),
        typed: Array | None = None,
        only: Collection[str] | None = None,
    ) -> dict[str, Array]:
        """Predictions by task for rows of users and items; rows are padded to few sizes.

        What is said of items that came after training is what the joint model says, which alone
        reads their texts.

        Args:
            users: rows of users.
            items: rows of items.
            given: context columns by pair.
            typed: the model's rows of items that take the place of ``items``; 0 for none.
            only: tasks that are asked about; all if None.
        """
        size = len(users)
        full = 1 << max(size - 1, 0).bit_length()
        users, items, typed = (
            np.pad(rows, (0, full - size))
            for rows in (users, items, np.zeros_like(items) if typed is None else typed)
        )
        columns = self._given(given, full) if any(given) else None
        inputs = self.state.inputs(users, items, columns)
        rows = self.members.rows(users, items, dict(inputs), columns)
        inputs["item"] = np.where(typed > 0, typed, inputs["item"]).astype("int32")
        logits = predict(self.recommender.model, inputs, forward=self._forward)
        late = (typed > 0) | (items >= self.state.items.modelled)
        found = {}
        for name in logits.keys() if only is None else only:
            joint = ops.convert_to_numpy(self.types[name].predict(logits[name]))
            said = self.members.answer(name, rows, joint) if name in self.members else None
            if said is not None and self.tasks[name].view == "user":
                joint = said  # whatever the item is
            elif said is not None:
                joint = np.where(late.reshape(-1, *[1] * (joint.ndim - 1)), joint, said)
            found[name] = joint[:size]
        return found

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

    # -- events ------------------------------------------------------------------------------

    def note(self, event: Mapping[str, Any]) -> bool:
        """Let an accepted event change answers.

        Returns:
            As :meth:`mtrec.service.state.State.add`.
        """
        late = self.state.add(event)
        item = self.state.items.row.get(event.get("item_id") or "", 0)
        self._shown.count(item)
        if item and event.get("happened", True):
            user = self.state.users.row[event["user_id"]]
            self.members.note(user, item, int(event["time"]))
        text = (event.get("item") or {}).get("text")
        if isinstance(text, str) and text.strip() and item >= self.state.items.modelled:
            self._ask_for(event["item_id"], text)
        return late

    def _ask_for(self, item_id: str, text: str) -> None:
        if self.texts is None:
            self._trouble[item_id] = "the model knows no texts of items"
        elif item_id in self._placed or len(self._placed) < ROOM:
            self.unread[item_id] = text
        else:
            self._trouble[item_id] = (
                f"its text waits for the next training, as {ROOM:,} came before"
            )

    def learn(self, item_id: str, read: Read | str) -> None:
        """Use what was read in the text of an item that came after training.

        Args:
            item_id: of the item.
            read: what was made of the text; a sentence where it could not be read.
        """
        self.unread.pop(item_id, None)
        if isinstance(read, str):
            self._trouble[item_id] = f"its text could not be read ({read})"
            return
        assert self.texts is not None
        place = self._placed.setdefault(item_id, TYPED + len(self._placed))
        state, row = self.texts.put(place, read), self.state.items.row[item_id]
        self.state.items.spare[row] = self.texts.row(place)
        self._shown.add(row, state)


def _of_pairs(recommender: Recommender) -> keras.Model:
    """The model without the tasks that score a whole catalogue in each row."""
    model, types = recommender.model, recommender.assembly.types
    kept = {name: out for name, out in model.output.items() if not types[name].candidates}
    return keras.Model(model.input, kept)


def _because(used: str, why: str) -> dict[str, str]:
    return {"used": used, "why": why}


def _plain(value: Any) -> Any:
    """A prediction as JSON has it; null where it is not finite."""
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value]
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
