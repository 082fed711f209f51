"""Search for a domain's settings: a trial is one joint model, judged on validation rows.

The labels of test rows are taken out of the tables before anything is fitted
(:func:`closed`). They are read once, when all trials are done, by the comparison of the settings
before and after.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from mtrec.config import Experiment
from mtrec.evaluation.held_out import HeldOut
from mtrec.features.assemble import assemble, dataset
from mtrec.lock import only_run
from mtrec.metrics.families import MAIN_METRIC
from mtrec.metrics.intervals import evaluate
from mtrec.models.twins import build_some
from mtrec.search.driver import EPOCHS, VALUES, Hopeless, Report, Search, settings_of
from mtrec.search.score import Values
from mtrec.search.space import Chosen, changed, space_of
from mtrec.settings import Search as SearchSettings
from mtrec.settings import Task
from mtrec.studies import ledger, runner, workbench
from mtrec.studies.score import score
from mtrec.studies.search_plan import (
    COMPARISON,
    COMPLETE,
    PLAN,
    PRUNED,
    Compared,
    comparisons,
    identity,
    journal,
    searched,
)
from mtrec.studies.workbench import Workbench
from mtrec.tables import schema
from mtrec.tables.schema import Tables
from mtrec.text import embeddings
from mtrec.training.loop import TrainingError

BEFORE, AFTER = "before", "after"


def closed(tables: Tables, tasks: Mapping[str, Task]) -> Tables:
    """The tables without the labels of test rows."""
    examples = tables.examples
    known = examples["split"] != "test"
    labels = {task.label for task in tasks.values()}
    blank = {label: examples[label].where(known) for label in sorted(labels)}
    return replace(tables, examples=examples.assign(**blank))


@dataclass
class Source:
    """A domain's tables, and what trials make of them.

    Attributes:
        run: the settings.
        tables: the four tables.
        vectors: text vectors.
    """

    run: Experiment
    tables: Tables
    vectors: Mapping[str, np.ndarray]
    _last: dict[str, Workbench] = field(default_factory=dict)

    @classmethod
    def read(cls, run: Experiment, opened: bool = False) -> Source:
        """Read a domain.

        Args:
            run: the settings.
            opened: whether labels of test rows are kept.
        """
        tables = schema.read(run.paths.tables)
        tables = tables if opened else closed(tables, run.domain.tasks)
        return cls(run, tables, embeddings.load(run.paths.embeddings))

    def bench(self, chosen: Chosen) -> Workbench:
        """Rows and features for some settings; what the last ones fitted is used again."""
        run = changed(self.run, chosen)
        short, sizes = run.search, run.model_building
        epochs = short.epochs or run.training.epochs
        training = run.training.model_copy(update={"epochs": epochs, "distillation": 0.0})
        reads = sizes.reader and sizes.reader.model_dump(include={"sides", "max_tokens"})
        features = run.domain.features.model_dump(mode="json")
        fitted = json.dumps([features, sizes.min_count, sizes.history.length,
                             run.task_embedding.components, reads])  # fmt: skip
        if fitted not in self._last:
            self._last.clear()  # one is enough, and may be large
            self._last[fitted] = self._fit(run)
        return replace(self._last[fitted], sizes=sizes, settings=training)

    def measure(self, chosen: Chosen, report: Report) -> Values:
        """Train one joint model; the main metric of each task on the validation rows.

        Raises:
            Hopeless: a loss became infinite.
        """
        bench = self.bench(chosen)
        names, seed = tuple(bench.assembly.types), self.run.seed
        model = build_some(bench.assembly, names, bench.vectors["tasks"], bench.sizes, seed)
        try:
            workbench.trainer_of(bench, model, names).run(seed, report=report)
        except TrainingError as error:
            raise Hopeless(str(error)) from None
        return score(bench, model, names, bench.validation_rows)

    def _fit(self, run: Experiment) -> Workbench:
        tables, domain = self.tables, run.domain
        vectors = dict(self.vectors)
        for side in ("users", "items"):
            vectors[side] = vectors[side][:, : run.task_embedding.components]
        assembly = assemble(tables, vectors, domain, run.model_building)
        data = dataset(assembly, tables, domain.tasks)
        split = tables.examples["split"].to_numpy()
        rows, held = (np.flatnonzero(split == part) for part in ("train", "validation"))
        rows = workbench.sample_rows(data.masks, rows, run.search.share, run.seed)
        return Workbench(
            domain, tables, vectors, assembly, data, rows, held, data.take(rows), data.take(held),
            run.model_building, run.training,
            workbench.library_of(run, tables, data.take(rows)),
        )  # fmt: skip


def search_of(run: Experiment, sampler: str, trials: int | None = None) -> Search:
    """A sampler's search of a domain, with its journal.

    Args:
        run: the settings.
        sampler: its name.
        trials: at most, if not those of the settings.

    Raises:
        ConfigError: the settings' space is none.
    """
    space = space_of(run)
    own = {**searched(run)}
    known = {
        "space": ledger.key(own.pop("space"), own.pop("grid")),
        "settings": ledger.key(identity(run), own),
        "tables or text vectors": _data(run),
    }
    return Search(
        sampler, space.only(run.search.grid) if sampler == "grid" else space,
        journal(run, sampler), known, trials or run.search.trials, run.seed, run.search.pruner,
    )  # fmt: skip


def study(run: Experiment, minutes: float | None = None) -> bool:
    """Try settings with every sampler, then compare before and after on the test rows once.

    See :func:`mtrec.studies.runner.main`. Trials that ``mtrec tune`` has made count.

    Raises:
        BusyError: another process does this study of the domain.
    """
    began = time.monotonic()
    with only_run(run.paths.artifacts / "search" / "study.lock"):
        trials = partial(_trials, run, Source.read(run), began, minutes)
        if not runner.resume(PLAN, run, trials, minutes):
            return False
        if not [*comparisons(run)]:
            print(f"{run.name}: trials are missing; run again to go on", flush=True)
            return False
        return runner.resume(COMPARISON, run, partial(_compare, run), minutes)


def _trials(
    run: Experiment, source: Source, began: float, minutes: float | None,
    sampler: str, missing: Sequence[int],
) -> Iterator[tuple[int, pd.DataFrame]]:  # fmt: skip
    """The trials that the results lack: those of the journal, then new ones."""
    search = search_of(run, sampler)
    known = ledger.read(PLAN.file(run))
    if "sampler" in known:
        keys = {*next(some.keys for some in PLAN.trainings(run) if some.part == sampler).values()}
        restore(search, known[known["key"].isin(keys)])
    finished = search.finished()
    for number, trial in enumerate(finished[: search.planned]):
        if number in missing:
            yield number, row_of(trial, sampler, number)
    left = None if minutes is None else minutes - (time.monotonic() - began) / 60
    for number, trial in enumerate(search.run(source.measure, left), start=len(finished)):
        yield number, row_of(trial, sampler, number)


def row_of(trial: FrozenTrial, sampler: str, number: int) -> pd.DataFrame:
    """A finished trial as a line of the results."""
    begun, ended = trial.datetime_start, trial.datetime_complete
    complete = trial.state == TrialState.COMPLETE
    values = trial.user_attrs.get(VALUES, {})
    return pd.DataFrame([{
        "sampler": sampler, "trial": number, "state": COMPLETE if complete else PRUNED,
        "score": round(trial.value, 6) if complete and trial.value is not None else np.nan,
        "epochs": trial.user_attrs.get(EPOCHS, 0),
        "seconds": round((ended - begun).total_seconds()) if begun and ended else 0,
        "settings": json.dumps(settings_of(trial)),
        "values": json.dumps({task: [m, round(v, 6)] for task, (m, v) in values.items()}),
    }])  # fmt: skip


def restore(search: Search, rows: pd.DataFrame) -> None:
    """Put committed trials into a journal that has none, as in a new clone."""
    if not len(rows) or search.finished():
        return
    search.begin(
        [
            (json.loads(row["settings"]), None if pd.isna(row["score"]) else float(row["score"]),
             {task: tuple(value) for task, value in json.loads(row["values"]).items()},
             int(row["epochs"]))
            for _, row in rows.sort_values("trial").iterrows()
        ]
    )  # fmt: skip


def _compare(
    run: Experiment, pair: Compared, seeds: Sequence[int]
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Train with the settings before and after, on all rows, and judge both on the test rows."""
    source = Source.read(replace(run, search=whole(run)), opened=True)
    for seed in seeds:
        answers: dict[str, dict[str, Any]] = {}
        for system, chosen in ((BEFORE, pair.before), (AFTER, pair.after)):
            bench = source.bench(chosen)
            held = HeldOut(bench.assembly, bench.data, bench.tables, bench.domain.tasks)
            names = tuple(bench.assembly.types)
            for _, model, _ in workbench.fit(bench, names, [seed]):
                for task, found in held.answers(model, names).items():
                    answers.setdefault(task, {})[system] = found
        yield seed, _figures(run, held, answers, seed)


def whole(run: Experiment) -> SearchSettings:
    """The search's settings for a training of the pipeline's length on all rows."""
    return run.search.model_copy(update={"share": 1.0, "epochs": None})


def _figures(
    run: Experiment, held: HeldOut, answers: Mapping[str, Mapping[str, Any]], seed: int
) -> pd.DataFrame:
    """The main metric of each task before and after, and their paired difference."""
    given = {task: held.predictions(task, found) for task, found in answers.items()}
    rows = []
    for task, asked in given.items():
        metric = MAIN_METRIC[asked.type]
        found = evaluate(
            asked.type, asked.labels, asked.systems, asked.clusters, run.evaluation.resamples,
            run.seed, {"difference": (AFTER, BEFORE)},
        )  # fmt: skip
        rows += [
            {"seed": seed, "task": task, "metric": metric, "system": system,
             **{name: round(value, 6) for name, value in found[system][metric].items()}}
            for system in (BEFORE, AFTER, "difference")
        ]  # fmt: skip
    return pd.DataFrame(rows)


def _data(run: Experiment) -> str:
    """SHA-256 over the files of tables and text vectors."""
    digest = hashlib.sha256()
    for folder in (run.paths.tables, run.paths.embeddings):
        for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]
