"""A model, its data and its state, loaded together and checked before they answer anything."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import keras

from mtrec.config import Experiment, experiment
from mtrec.domains.online import online
from mtrec.fusion import store
from mtrec.models.predict import Forward, compile_forward
from mtrec.paths import Paths
from mtrec.service import browse
from mtrec.service.answer import Answers
from mtrec.service.explain import tokens_of
from mtrec.service.members import Members
from mtrec.service.schemas import Pair, Recommend, Score
from mtrec.service.state import State
from mtrec.service.texts import Texts
from mtrec.service.words import Words, describe, words_of
from mtrec.serving import manifest, recommender
from mtrec.tables import schema
from mtrec.text import embeddings


@dataclass(frozen=True)
class Bundle:
    """What answers requests, and what is said of it.

    Attributes:
        answers: answers requests.
        data: hash of the tables that the model was trained on.
        about: what ``GET /model`` says.
        words: titles, units and what can be looked for.
        joint: what the evaluation measured of the joint model by task; None where it did not run.
        fused: what was measured of the answers of others.
    """

    answers: Answers
    data: str
    about: dict[str, Any]
    words: Words = field(default_factory=Words)
    joint: dict[str, Any] | None = None
    fused: dict[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, Any] | None:
        """What was measured of whoever answers each task; None where the evaluation did not run."""
        if self.joint is None:
            return None
        own = {task: one for task, one in self.fused.items() if task in self.answers.members}
        return self.joint | own

    @property
    def state(self) -> State:
        """What is known now."""
        return self.answers.state

    @cached_property
    def ranks_users(self) -> Forward | None:
        """Scores of all users by the tasks that rank them, compiled when it is first asked."""
        model, types = self.answers.recommender.model, self.answers.types
        own = {name: out for name, out in model.output.items() if types[name].candidates == "users"}
        return compile_forward(keras.Model(model.input, own)) if own else None


def open_bundle(domain: str, root: Path) -> Bundle:
    """Load a trained domain.

    Raises:
        FileNotFoundError: it was not trained yet, or its tables are not there.
        ValueError: the domain is unknown, or the model folder is not the one that was trained.
    """
    run = experiment(domain, root)
    known = manifest.check(run.paths)
    fusion = store.current(run.paths)  # a damaged one is refused before the models are read
    found = recommender.open_folder(domain, run.paths.trained)
    return make_bundle(run, found, known, fusion)


def make_bundle(
    run: Experiment,
    found: recommender.Recommender,
    known: manifest.Manifest,
    fusion: tuple[store.Kept | None, str],
) -> Bundle:
    """Everything that answers requests, with a first request of each kind answered."""
    tables, tasks = schema.read(run.paths.tables), run.domain.tasks
    rules = online(run.domain.module or run.name, run.domain.data)
    texts = _texts(run, found)
    if texts is not None:
        found = replace(found, model=texts.model)
    kept, stale = fusion
    kept = kept or store.Kept({}, {}, None, {})
    means = {task: one.learnt for task, one in kept.means.items()}
    state = State(found, tables, tasks, rules, means)
    members = Members(kept, run.paths.trained, found, state, stale)
    answers = Answers(found, state, tables, tasks, known.version, texts, members)
    answers.reasons.tokens = lambda: tokens_of(run, answers, tables)
    for k in (1, 2, 3):
        answers.lists.recommend(Recommend(k=k))
        answers.score(Score(pairs=[Pair()] * k))  # compiled for any number of rows
    if answers.lists.gradable:
        answers.lists.recommend(Recommend(k=1, tasks={next(iter(answers.lists.gradable)): 1.0}))
    data = _hash(run.paths)
    about = {
        "domain": run.name,
        "version": known.version,
        "files": known.files,
        "commit": known.commit or None,
        "data": known.data or data,
        "tasks": {
            name: {"type": task.type, "view": task.view, "label": task.label,
                   "ranks_items": name in answers.lists.gradable or name == answers.lists.ranking}
            for name, task in tasks.items()
        },
        "event_columns": [*state.encoder.event.columns],
        "context": _context(state),
        "filters": answers.lists.filters.columns,
        "page": {**describe(run.name, tables, tasks, found.assembly.types, state),
                 "reads_texts": texts is not None},
    }  # fmt: skip
    measured = _measured(run.paths)
    bundle = Bundle(answers, data, about, words_of(run.name, tables, state), *measured)
    browse.predict(bundle, browse.Predict())  # compiled for a page
    return bundle


def _texts(run: Experiment, found: recommender.Recommender) -> Texts | None:
    """What reads texts of new items; None where the model sees none."""
    fields = found.assembly.encoder.item.fields
    reader = run.model_building.reader if found.model.readers.get("item") is not None else None
    kinds = {field.kind for field in fields}
    vectors = embeddings.load(run.paths.embeddings) if "text" in kinds else {}
    if reader is None and "words" not in kinds and "items_axes" not in vectors:
        return None
    return Texts(found.model, fields, vectors, run.task_embedding, reader, run.paths.raw)


def _context(state: State) -> dict[str, str]:
    """Who keeps each context column up to date."""
    kept = {
        name
        for rule in state.rules.columns
        for name in (getattr(rule, part, "") for part in ("count", "mean", "column"))
    }
    return {
        column: "follows from events" if column in kept
        else f"as in the data, until an event brings it (context: {{{column}: …}})"
        for side in state.sides.values() for column in side.columns
    }  # fmt: skip


def _measured(paths: Paths) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Metrics by task: of the joint model, and of the answers that are served by others."""
    file, report = paths.evaluation / "metrics.json", paths.fusion_report
    joint = _of(file, "joint") if file.is_file() else None
    return joint, _of(report, "answer") if report.is_file() else {}


def _of(file: Path, system: str) -> dict[str, Any]:
    """Metrics of one system by task, where that system is served."""
    found = json.loads(file.read_text(encoding="utf-8"))
    tasks = found.get("tasks", found)
    return {
        name: {metric: one.get("value") if isinstance(one, dict) else one
               for metric, one in task[system].items()}
        for name, task in tasks.items()
        if isinstance(task, dict) and isinstance(task.get(system), dict)
        and task.get("served") == task.get("chosen")
    }  # fmt: skip


def _hash(paths: Paths) -> str:
    """A name of exactly these tables."""
    found = hashlib.sha256()
    for path in sorted(paths.tables.glob("*.parquet")):
        found.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]
