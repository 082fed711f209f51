"""Train on thinned data with every feature step; what is done already is not done again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd

from mtrec.config import Experiment
from mtrec.features.assemble import Assembly, assemble, dataset
from mtrec.features.dataset import Dataset
from mtrec.features.factors import Settings as Factors
from mtrec.settings import Features, ModelBuilding, Sparse
from mtrec.studies import runner, workbench
from mtrec.studies.plan import plain
from mtrec.studies.score import score
from mtrec.studies.sparse_data_plan import PLAN, Setting
from mtrec.studies.thin import recount, thin
from mtrec.studies.workbench import VALIDATION_ROWS, Workbench, library_of, sample_rows
from mtrec.tables import schema
from mtrec.tables.schema import Tables
from mtrec.tasks.base import TaskType
from mtrec.text import embeddings

TRAINING_ROWS = 5_000  # at most, so that large and small domains take like times


def study(run: Experiment, minutes: float | None = None) -> bool:
    """Train with every level and step; see :func:`mtrec.studies.runner.main`."""
    run = plain(run)
    tables, vectors = schema.read(run.paths.tables), embeddings.load(run.paths.embeddings)
    whole = cache(lambda: fit_whole(run, tables, vectors))  # only if anything is trained

    def trainings(setting: Setting, seeds: list[int]) -> Iterator[tuple[int, pd.DataFrame]]:
        return train(prepare(run, tables, vectors, setting, whole()), setting, seeds)

    return runner.resume(PLAN, run, trainings, minutes)


def fit_whole(run: Experiment, tables: Tables, vectors: Mapping) -> dict[str, TaskType]:
    """Task types fitted on all training rows.

    Classes that thinning takes away still count in the test, or a thinner world would be judged by
    an easier one.
    """
    whole, domain = recount(tables, run.domain)
    return assemble(whole, vectors, domain, _sizes(run)).types


def prepare(
    run: Experiment, tables: Tables, vectors: Mapping, setting: Setting, types: dict[str, TaskType]
) -> Workbench:
    """Thin the data, fit the features with the step, and sample the rows that train.

    Args:
        run: the settings.
        tables: the four tables, whole.
        vectors: text vectors.
        setting: level and step.
        types: see :func:`fit_whole`.
    """
    short, seed, sizes = run.sparse, run.seed, _sizes(run)
    training_settings = run.training.model_copy(
        update={"epochs": short.epochs, "batch_size": short.batch_size}
    )
    thinned, domain = recount(thin(tables, setting.level, seed), run.domain)
    domain = domain.model_copy(update={"features": with_step(domain.features, setting, short)})
    assembly = assemble(thinned, vectors, domain, sizes)
    split = thinned.examples["split"].to_numpy()
    training, held = np.flatnonzero(split == "train"), np.flatnonzero(split == "validation")
    data = dataset(replace(assembly, types=types), thinned, domain.tasks)
    assembly = _with_types(assembly, types, data.take(training))
    share = min(short.share, TRAINING_ROWS / len(training))
    rows = sample_rows(data.masks, training, share, seed)
    held = sample_rows(data.masks, held, min(1.0, VALIDATION_ROWS / len(held)), seed)
    return Workbench(
        domain, thinned, vectors, assembly, data, rows, held, data.take(rows), data.take(held),
        sizes, training_settings, library_of(run, thinned, data.take(rows)),
    )  # fmt: skip


def with_step(features: Features, setting: Setting, short: Sparse) -> Features:
    """The features with the setting's step, and without any other."""
    step: dict[str, Factors | str | None] = {"factors": None, "imputation": None}
    if setting.part == "factors":
        step["factors"] = Factors.model_validate(
            {"method": setting.method, "components": short.components}
        )
    if setting.part == "imputation":
        step["imputation"] = setting.method
    return features.model_copy(update=step)


def train(
    bench: Workbench, setting: Setting, seeds: list[int]
) -> Iterator[tuple[int, pd.DataFrame]]:
    """One training per seed: a row per task with validation loss and main test metric."""
    names = tuple(bench.assembly.types)
    for seed, model, outcome in workbench.fit(bench, names, seeds):
        losses = workbench.validation_loss(outcome)
        yield seed, pd.DataFrame(
            [
                {"level": setting.level, "part": setting.part, "method": setting.method,
                 "seed": seed, "task": name, "metric": metric, "value": round(value, 6),
                 "val_loss": round(losses[name], 6), "rows": len(bench.training),
                 "events": len(bench.tables.events)}
                for name, (metric, value) in score(bench, model, names).items()
            ]
        )  # fmt: skip


def _sizes(run: Experiment) -> ModelBuilding:
    history = run.model_building.history.model_copy(update={"length": run.sparse.history})
    return run.model_building.model_copy(update={"history": history})


def _with_types(assembly: Assembly, types: dict[str, TaskType], training: Dataset) -> Assembly:
    """The assembly with given types; constant predictions are those of the rows that are left."""
    known = {name: training.labels[name][training.masks[name]] for name in types}
    return replace(
        assembly,
        types=types,
        base_logits={name: kind.base_logits(known[name]) for name, kind in types.items()},
        scales={name: kind.scale(known[name]) for name, kind in types.items()},
    )
