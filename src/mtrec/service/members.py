"""Whoever answers a task with the joint model or instead of it, told of events as the model is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from keras import ops

from mtrec.fusion import store
from mtrec.fusion.domain import uses
from mtrec.fusion.product import decide, in_words, weights
from mtrec.models.predict import compile_forward, predict
from mtrec.models.store import load_model
from mtrec.models.twins import JOINT
from mtrec.peers.base import Question
from mtrec.service.past import Past
from mtrec.serving.catalogue import first_of_items, open_catalogue

if TYPE_CHECKING:
    from mtrec.service.state import State
    from mtrec.serving.recommender import Recommender

Array = np.ndarray
PAUSE = 60.0  # seconds after a failure until a system is asked again
SMALLEST = 2  # rows of a twin's batch; one row alone would be compiled anew


@dataclass(frozen=True)
class Rows:
    """What is asked about, as of now.

    Attributes:
        users: rows of users, ``(n,)``; 0 for none.
        items: rows of items, ``(n,)``; 0 for none.
        inputs: the model's inputs for them.
        columns: context columns ``(n,)`` by name, NaN where unknown.
    """

    users: Array
    items: Array
    inputs: Mapping[str, Array]
    columns: Mapping[str, Array]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Context columns as a table."""
        return pd.DataFrame(dict(self.columns), index=range(len(self.users)))


@dataclass(frozen=True, kw_only=True)
class Moment(Question):
    """Rows as specialists are asked about them, with what events changed until now.

    Attributes:
        asked: the rows.
        state: of users and items.
        past: of users; None where nobody reads it.
    """

    asked: Rows
    state: State
    past: Past | None

    @cached_property
    def user(self) -> Array:
        """Row of each user in the encoder, ``(n,)``; 0 where it came after training."""
        return _learnt(self.asked.users, self.state.users.modelled)

    @cached_property
    def item(self) -> Array:
        """Row of each item in the encoder, ``(n,)``; 0 where it came after training."""
        return _learnt(self.asked.items, self.state.items.modelled)

    @cached_property
    def time(self) -> Array:
        """Now, in milliseconds, ``(n,)``."""
        return np.full(len(self), self.state.now)

    @cached_property
    def histories(self) -> tuple[Array, Array]:
        """As :attr:`mtrec.peers.base.Question.histories`, of users after training, too."""
        return self.asked.inputs["history_items"], self.asked.inputs["history_events"]

    def context(self, side: str) -> Array:
        """As :meth:`mtrec.peers.base.Question.context`."""
        return self.asked.inputs[f"{side}_context"]

    @cached_property
    def met(self) -> tuple[Array, Array, Array]:
        """As :attr:`mtrec.peers.base.Question.met`, of users after training, too."""
        assert self.past is not None
        return self.past.met(self.asked.users)

    def popular(self, half_life: float) -> Array:
        """As :meth:`mtrec.peers.base.Question.popular`."""
        assert self.past is not None
        counts = self.past.popular(half_life, self.state.now)
        return np.broadcast_to(counts, (len(self), len(counts)))


class Members:
    """Who answers the tasks of a domain that the joint model does not answer alone.

    Args:
        kept: weights and fitted specialists.
        trained: folder of the trained models, for twins.
        recommender: the joint model.
        state: what is known now.
        stale: a sentence where a fusion is there that is not of this model.

    Raises:
        FileNotFoundError: a twin is not there.
    """

    def __init__(
        self,
        kept: store.Kept,
        trained: Path,
        recommender: Recommender,
        state: State,
        stale: str = "",
    ):
        self._kept = replace(kept, events=None)  # which the past holds
        self._assembly, self._state = recommender.assembly, state
        self._events, self._stale = recommender.events, stale
        self._failed: dict[str, tuple[float, str]] = {}  # when, and why, by task
        self._twins = {task: load_model(trained / f"{task}.keras") for task in store.networks(kept)}
        self._forward = {task: compile_forward(model) for task, model in self._twins.items()}
        self._catalogues = {
            task: open_catalogue(replace(recommender, model=model), fused=True)
            for task, model in self._twins.items()
            if task == first_of_items(recommender.assembly.types)
        }
        self._past = None
        if kept.events is not None:
            size = state.items.modelled - 1
            self._past = Past(kept.events, state.users, size, state.now)

    def __contains__(self, task: str) -> bool:
        failed, _ = self._failed.get(task, (-PAUSE, ""))
        return task in self._kept.choices and time.monotonic() - failed >= PAUSE

    @property
    def trouble(self) -> dict[str, str]:
        """By task, why the joint model answers it until the system that failed has answered."""
        return {task: why for task, (_, why) in self._failed.copy().items()}

    def asks(self, task: str, member: str) -> bool:
        """Whether a member has a say in a task."""
        choice = self._kept.choices.get(task) if task in self else None
        return member == JOINT if choice is None else member in uses(choice)

    @property
    def systems(self) -> dict[str, str]:
        """Who answers each task, in words."""
        choices, failed = self._kept.choices, self.trouble
        return {
            task: in_words(None if task in failed else choices.get(task))
            for task in self._assembly.types
        }

    @property
    def said(self) -> list[str]:
        """Why the joint model answers what others should, a sentence each."""
        failed = [f"{task} is answered by joint: {why}" for task, why in self.trouble.items()]
        return [self._stale] * bool(self._stale) + failed

    def weights(self, task: str) -> dict[str, float]:
        """Weights of the systems that answer a task; of one, 1."""
        return weights(self._kept.choices.get(task) if task in self else None)

    def note(self, user: int, item: int, time: int) -> None:
        """Count that a user met an item."""
        if self._past is not None:
            self._past.add(user, self._state.items.learnt(item), time)

    def rows(
        self,
        users: Array,
        items: Array,
        inputs: Mapping[str, Array],
        given: Mapping[str, Array] | None = None,
    ) -> Rows:
        """Rows of users and items ``(n,)`` with what is known of them.

        Args:
            users: rows of users; 0 for none.
            items: rows of items; 0 for none.
            inputs: the model's inputs for them.
            given: context columns that a request brings.
        """
        columns: dict[str, Array] = {}
        for side, scaler in self._assembly.encoder.contexts.items():
            values = self._state.context(side, users, items, given)
            columns |= dict(zip(scaler.columns, values.T, strict=True))
        return Rows(users, items, inputs, columns)

    def answer(
        self, task: str, rows: Rows, joint: Array | None, out: Array | None = None
    ) -> Array | None:
        """What the chosen system says.

        Args:
            task: its name.
            rows: what is asked about.
            joint: what the joint model says of them; None where it has no say.
            out: candidates that do not compete, in rankings.

        Returns:
            Predictions in the form of the task type's; None where a system failed: it steps aside
            for a while, and :attr:`trouble` says why.
        """
        choice, kind = self._kept.choices[task], self._assembly.types[task]

        def ask(name: str) -> Array:
            return self._kept.specialists[task, name].answer(self._moment(task, rows))

        try:
            said = decide(choice, kind.form, joint, lambda: self._twin(task, rows), ask, out)
        except Exception as error:  # whatever a specialist raises: the joint model answers
            self._failed[task] = time.monotonic(), f"{type(error).__name__}: {error}"
            return None
        self._failed.pop(task, None)
        return said

    def _twin(self, task: str, rows: Rows) -> Array:
        size, state = len(rows.users), self._state
        learnt = {
            "user": _learnt(rows.users, state.users.modelled),
            "item": _learnt(rows.items, state.items.modelled),
        }
        if catalogue := self._catalogues.get(task):
            own = {**rows.inputs, **learnt}
            asked = {name: own[name] for name in self._twins[task].input}
            query = ops.convert_to_numpy(catalogue.query(asked))
            return query @ catalogue.items.T + catalogue.bias
        whole = np.resize(np.arange(size), max(size, SMALLEST))
        inputs = {name: values[whole] for name, values in {**rows.inputs, **learnt}.items()}
        logits = predict(self._twins[task], inputs, forward=self._forward[task])[task][:size]
        return ops.convert_to_numpy(self._assembly.types[task].predict(logits))

    def _moment(self, task: str, rows: Rows) -> Moment:
        state, assembly = self._state, self._assembly
        kind, means = assembly.types[task], None
        if task in state.means:
            means = kind.from_means(state.means[task].means(rows.items, rows.users))
        start = means if task in assembly.offsets else None
        return Moment(
            rows.frame, assembly.encoder, self._events, kind, assembly.seen[task], start, means,
            asked=rows, state=state, past=self._past,
        )  # fmt: skip


def _learnt(rows: Array, modelled: int) -> Array:
    return np.where(rows < modelled, rows, 0).astype("int32")
