"""``POST /explain``: why the joint model says what it says of a user and an item, as of now."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mtrec.explain.titles import titles_of
from mtrec.service.fallback import of_user
from mtrec.service.schemas import Explain

if TYPE_CHECKING:
    from mtrec.config import Experiment
    from mtrec.explain.reasons import Explainer, Tokens
    from mtrec.service.answer import Answers
    from mtrec.tables.schema import Tables

Array = np.ndarray


class Reasons:
    """Explains answers of one domain; compiled when it is first asked.

    Args:
        answers: of the domain.
        items: the table of items.

    Attributes:
        tokens: makes what says where in a text each task looks; None where no texts are read.
    """

    def __init__(self, answers: Answers, items: pd.DataFrame):
        self._answers, self._titles = answers, titles_of(items)
        self.tokens: Callable[[], Tokens | None] | None = None
        self._explainer: Explainer | None = None
        self._lock = threading.Lock()

    def read(self, asked: Explain) -> dict[str, Any]:
        """What has to be known of the moment of a request; the rest may be done in a thread.

        Raises:
            ValueError: the request names a task or column that there is not.
        """
        answers, state = self._answers, self._answers.state
        for name in asked.tasks or ():
            if name not in answers.types:
                known = ", ".join(answers.types)
                raise ValueError(f"tasks: there is no '{name:.64}' (known: {known})")
        user = state.users.row.get(asked.user_id or "", 0)
        item = state.items.row.get(asked.item_id or "", 0)
        given = answers.given([asked.context], 1) if asked.context else None
        inputs = state.inputs(np.array([user]), np.array([item]), given)
        met = state.met(user)
        met = met[met < state.items.modelled]
        if asked.history is not None:
            past = self._past(asked)
            inputs |= past
            met = np.unique(past["history_items"][past["history_items"] > 0]).astype("int64")
        fallback = None
        if asked.user_id is not None and asked.history is None:
            fallback = of_user(state, asked.user_id, user)
        return {"inputs": inputs, "met": met, "tasks": asked.tasks, "fallback": fallback}

    def explain(self, moment: dict[str, Any]) -> dict[str, Any]:
        """Reasons, from what :meth:`read` found; one at a time."""
        with self._lock:
            found = self._made().explain(moment["inputs"], moment["tasks"], moment["met"])
        members = self._answers.members
        found = found.shared_with({task: members.weights(task) for task in found.tasks})
        return {
            "model": self._answers.version, "fallback": moment["fallback"], **found.plain()
        }  # fmt: skip

    def _made(self) -> Explainer:
        if self._explainer is None:
            from mtrec.explain.reasons import Explainer
            from mtrec.explain.trunk import Trunk

            one = self._answers.recommender
            tokens = None if self.tokens is None else self.tokens()
            trunk = Trunk(one.model, one.assembly, one.events)
            self._explainer = Explainer(trunk, self._titles, tokens)
        return self._explainer

    def _past(self, asked: Explain) -> dict[str, Array]:
        """Histories of the model's inputs, of events that a request brings.

        Raises:
            ValueError: there is no such event column.
        """
        state = self._answers.state
        items = np.zeros_like(state.history_items[:1])
        values = np.zeros((*items.shape, state.history_values.shape[2] + 1), "float32")
        events = (asked.history or [])[-items.shape[1] :]
        for place, event in enumerate(events, items.shape[1] - len(events)):
            strange = sorted(set(event.values) - set(state.encoder.event.columns))
            if strange:
                known = ", ".join(state.encoder.event.columns) or "none"
                raise ValueError(f"history: there is no column '{strange[0]}' (known: {known})")
            items[0, place] = state.items.learnt(state.items.row.get(event.item_id, 0))
            values[0, place, :-1] = state._scaled(event.values)
            values[0, place, -1] = np.log1p(event.days_ago) / 5.0
        return {"history_items": items, "history_events": values}


def tokens_of(run: Experiment, answers: Answers, tables: Tables) -> Tokens | None:
    """Words that each task looks at in texts; None for models that do not read them.

    Only texts whose states training left in the cache: a request cannot wait for the language
    model.
    """
    from mtrec.explain.tokens import cached_texts, looks
    from mtrec.text.backbone import load_tokenizer

    one, reader = answers.recommender, run.model_building.reader
    if reader is None or not one.model.readers:
        return None
    sides = {"user": tables.users, "item": tables.items}
    settings, raw = run.task_embedding, run.paths.raw
    texts = cached_texts(sides, reader, settings, raw, run.paths.cache)
    return looks(
        one.model, one.assembly, texts, sides, lambda: load_tokenizer(settings.preset, raw)
    )
