"""A trained domain that answers requests with the system that leads each task."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from keras import ops

from mtrec.fusion import store
from mtrec.fusion.choice import FUSED, Choice
from mtrec.fusion.domain import blend, uses
from mtrec.fusion.members import TWIN
from mtrec.models.predict import Forward, compile_forward, predict
from mtrec.models.store import load_model
from mtrec.models.twins import JOINT
from mtrec.paths import Paths, find_root
from mtrec.peers.base import Question
from mtrec.registry import Form
from mtrec.serving import recommender
from mtrec.serving.catalogue import first_of_items
from mtrec.serving.recommender import Recommender, RequestWarning

if TYPE_CHECKING:
    from mtrec.explain.reasons import Explanation

Array = np.ndarray


@dataclass(frozen=True, repr=False)
class FusedRecommender(Recommender):
    """The joint model, and beside it whoever answers a task better.

    Attributes:
        kept: who answers, and fitted specialists.
        trained: folder of the trained models, for twins.
    """

    kept: store.Kept | None = None
    trained: Path = Path()

    @property
    def systems(self) -> dict[str, str]:
        """Who answers each task, in words.

        Example:
            ``{"rating": "joint", "next_item": "fused: single 0.50, als 0.33, ease 0.17"}``
        """
        return {task: in_words(self._kept.choices.get(task)) for task in self.assembly.types}

    def predict(self, pairs: pd.DataFrame) -> dict[str, Array]:
        """Raw predictions by task: probabilities, values, or scores over the catalogue."""
        found = super().predict(pairs)
        if pairs.empty:
            return found
        rows = self.rows(pairs)
        return {name: self._answer(name, rows, joint) for name, joint in found.items()}

    def recommend(self, user_id: str, k: int = 10) -> pd.DataFrame:
        """The ``k`` best items for the first task that ranks items, of those not met before.

        As :meth:`mtrec.serving.recommender.Recommender.recommend`, by whoever answers that task.
        """
        name = first_of_items(self.assembly.types)
        if name not in self._kept.choices or k < 1:
            return super().recommend(user_id, k)
        asked = pd.DataFrame({"user_id": [user_id], "item_id": [None]}, dtype="object")
        ids = self._ids(asked)
        scores = self._ranking(name, asked)
        user = self.assembly.encoder.user.rows(ids["user_id"])[0]
        scores[self.met_by(user) - 1] = -np.inf
        best = np.argsort(-scores, kind="stable")[: min(k, int(np.isfinite(scores).sum()))]
        items = np.asarray(self.assembly.encoder.item.ids)[best]
        answer = pd.DataFrame({"item_id": items, "score": scores[best]})
        answer.attrs["unknown"] = self._unknown(ids)
        return answer

    def explain(
        self, user_id: str | None, item_id: str | None = None, tasks: Sequence[str] | None = None
    ) -> Explanation:
        """As :meth:`mtrec.serving.recommender.Recommender.explain`, with the joint model's share.

        The joint model alone is explained. Where others answer a task with it or instead of it,
        its reason says so, and ``members`` has the weights.
        """
        found = super().explain(user_id, item_id, tasks)
        choices = self._kept.choices
        return found.shared_with({task: weights(choices.get(task)) for task in found.tasks})

    @property
    def _kept(self) -> store.Kept:
        return self.kept or store.Kept({}, {}, None, {})

    def _ranking(self, task: str, asked: pd.DataFrame) -> Array:
        """Scores of one user's candidates by whoever answers a task, ``(candidates,)``."""
        rows = self.rows(asked)
        joint = None
        if JOINT in uses(self._kept.choices[task]):
            joint = super().predict(asked)[task]
        return np.array(self._answer(task, rows, joint)[0], dtype="float64")

    def _answer(self, task: str, rows: pd.DataFrame, joint: Array | None) -> Array:
        """What the chosen system says of rows of ids, times and context."""
        choice = self._kept.choices.get(task)
        if choice is None:
            assert joint is not None
            return joint

        def ask(name: str) -> Array:
            return self._kept.specialists[task, name].answer(self._question(task, rows))

        form, out = self.assembly.types[task].form, self._out(task, rows)
        return decide(choice, form, joint, lambda: self._twin(task, rows), ask, out)

    def _twin(self, task: str, rows: pd.DataFrame) -> Array:
        whole = rows.iloc[np.resize(np.arange(len(rows)), max(len(rows), 2))]
        inputs = self.assembly.encoder.inputs(whole, self.events)
        inputs |= self.head_inputs(inputs["user"], inputs["item"])
        model, forward = self._twins[task]
        logits = predict(model, inputs, forward=forward)[task][: len(rows)]
        return ops.convert_to_numpy(self.assembly.types[task].predict(logits))

    @cached_property
    def _twins(self) -> dict[str, tuple[object, Forward]]:
        models = {
            task: load_model(self.trained / f"{task}.keras") for task in store.networks(self._kept)
        }
        return {task: (model, compile_forward(model)) for task, model in models.items()}

    def _question(self, task: str, rows: pd.DataFrame) -> Question:
        """The rows as specialists are asked about them."""
        kind, encoder = self.assembly.types[task], self.assembly.encoder
        start, means = self._means(task, rows), None
        if kept := self._kept.means.get(task):
            user, item = encoder.user.rows(rows["user_id"]), encoder.item.rows(rows["item_id"])
            means = kind.from_means(kept.learnt.total(kept.item[item], kept.user[user]))
        events = self._kept.events if kind.candidates and self._kept.events else self.events
        seen = self.assembly.seen[task]
        return Question(rows, encoder, events, kind, seen, start, start if means is None else means)

    def _means(self, task: str, rows: pd.DataFrame) -> Array | None:
        """Running means that the task's head starts from; None without."""
        if task not in self.offsets:
            return None
        encoder, (of_user, of_item) = self.assembly.encoder, self.offsets[task]
        user, item = encoder.user.rows(rows["user_id"]), encoder.item.rows(rows["item_id"])
        total = self.assembly.offsets[task].total(of_item[item], of_user[user])
        return self.assembly.types[task].from_means(total)

    def _out(self, task: str, rows: pd.DataFrame) -> Array | None:
        """Candidates that do not compete: items met before, or the user himself."""
        kind = self.assembly.types[task]
        if not kind.candidates:
            return None
        user = self.assembly.encoder.user.rows(rows["user_id"])
        out = np.zeros((len(rows), kind.outputs), dtype=bool)
        for row, number in enumerate(user):
            known = self.met_by(int(number)) if kind.candidates == "items" else np.array([number])
            out[row, known[known > 0] - 1] = True
        return out


def decide(
    choice: Choice,
    form: Form,
    joint: Array | None,
    twin: Callable[[], Array],
    specialist: Callable[[str], Array],
    out: Array | None,
) -> Array:
    """The answer of whoever a choice names; members without a say are not asked.

    Args:
        choice: who answers.
        form: what labels are.
        joint: what the joint model says; None where it has no say.
        twin: what the single-task model says.
        specialist: what a specialist says, by name.
        out: candidates that do not compete, in rankings.
    """
    found: dict[str, Array] = {}
    for name in sorted(uses(choice)):
        if name == JOINT:
            assert joint is not None
            found[name] = joint
        else:
            found[name] = twin() if name == TWIN else specialist(name)
    if choice.chosen != FUSED:
        return found[choice.chosen]
    return blend(choice, form, found, out)


def weights(choice: Choice | None) -> dict[str, float]:
    """Weights of the systems that answer a task; of one, 1. None: the joint model answers."""
    if choice is None or choice.chosen != FUSED:
        return {JOINT if choice is None else choice.chosen: 1.0}
    return {name: float(weight) for name, weight in choice.weights.items() if weight > 0}


def in_words(choice: Choice | None) -> str:
    """Who answers a task: ``joint``, or ``fused: single 0.50, als 0.33, ease 0.17``."""
    if choice is None or choice.chosen != FUSED:
        return JOINT if choice is None else choice.chosen
    parts = sorted(weights(choice).items(), key=lambda part: -part[1])
    said = f"{FUSED}: " + ", ".join(f"{name} {weight:.2f}" for name, weight in parts)
    return said if choice.ranker is None else f"{said}, ordered by a network"


def load(domain: str, root: Path | None = None) -> Recommender:
    """Load a trained domain with the system that leads each task.

    Where the stage ``fusion`` has not run since the training, the joint model answers every task.

    Args:
        domain: name of the domain, as in ``params.yaml``.
        root: root of the repository; found from the working folder if None.

    Raises:
        FileNotFoundError: the domain was not trained yet.
    """
    root = root or find_root()
    paths, base = Paths(root, domain), recommender.load(domain, root)
    parts = {one.name: getattr(base, one.name) for one in fields(base)}
    kept, trouble = store.current(paths)
    if trouble:
        warnings.warn(trouble, RequestWarning, stacklevel=2)
    return FusedRecommender(**parts, kept=kept, trained=paths.trained)
