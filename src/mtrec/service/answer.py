"""What is said of pairs, and what answers follow from, of one domain: model, state, events."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from mtrec.fusion import store
from mtrec.models.predict import compile_forward, predict
from mtrec.service.explain import Reasons
from mtrec.service.fallback import because, of_user
from mtrec.service.lists import Lists
from mtrec.service.members import Members
from mtrec.service.schemas import Pair, Score
from mtrec.service.state import State
from mtrec.service.texts import ROOM, TYPED, Read, Texts

if TYPE_CHECKING:
    from mtrec.serving.recommender import Recommender
    from mtrec.settings import Task
    from mtrec.tables.schema import Tables

Array = np.ndarray


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
        lists: what ranks items.
        reasons: what explains answers.
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
        self.lists = Lists(self, tables)
        self.reasons = Reasons(self, tables.items)

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
        found = self.predict(users, items, [pair.context for pair in pairs], texts)
        columns = {name: self.types[name].answers(values) for name, values in found.items()}
        answers = []
        for at, pair in enumerate(pairs):
            user, item = int(users[at]), int(items[at])
            fallback = {}
            if pair.user_id is not None and (said := of_user(self.state, pair.user_id, user)):
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
            return because("text", "the item is one that is known by its text alone")
        if pair.item_id is None or 0 < item < self.state.items.modelled:
            return None
        if not item:
            return because("new item", "the item is unknown and no event of it came")
        came = "the item came after training: its context and means speak for it"
        if pair.item_id in self._placed:
            return because("text", f"{came}, and its text")
        if pair.item_id in self.unread:
            return because("new item", f"{came}; text pending")
        return because("new item", f"{came}; {self._trouble.get(pair.item_id, 'it has no text')}")

    def predict(
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
        columns = self.given(given, full) if any(given) else None
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

    def given(self, given: Sequence[Mapping[str, float]], size: int) -> dict[str, Array]:
        """Context columns ``(size,)`` that pairs of a request bring; NaN where one brings none.

        Raises:
            ValueError: there is no such column.
        """
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
        self.lists.shown.count(item)
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
        self.lists.shown.add(row, state)


def _of_pairs(recommender: Recommender) -> keras.Model:
    """The model without the tasks that score a whole catalogue in each row."""
    model, types = recommender.model, recommender.assembly.types
    kept = {name: out for name, out in model.output.items() if not types[name].candidates}
    return keras.Model(model.input, kept)


def _plain(value: Any) -> Any:
    """A prediction as JSON has it; null where it is not finite."""
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value]
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
