"""Many short trainings on the same part of one domain, for analyses and comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import keras
import numpy as np
import pandas as pd

from mtrec.config import Experiment
from mtrec.features.assemble import Assembly, assemble, dataset
from mtrec.features.dataset import Dataset
from mtrec.models.twins import build_some
from mtrec.settings import Domain, ModelBuilding, Short, Task, Training
from mtrec.tables import schema
from mtrec.tables.schema import Tables
from mtrec.text import embeddings
from mtrec.text.states import read_sides
from mtrec.training.loop import Outcome, Trainer
from mtrec.training.objective import dependent
from mtrec.training.reading import Library

VALIDATION_ROWS = 10_000  # sampled from more


@dataclass(frozen=True)
class Workbench:
    """What all trainings share.

    Attributes:
        domain: its settings.
        tables: the four tables.
        vectors: text vectors of users, items and tasks.
        assembly: features and task types, fitted on the whole training split.
        data: all examples.
        training_rows: numbers of the sampled training rows.
        validation_rows: numbers of the sampled validation rows.
        training: those rows.
        validation: those rows.
        sizes: of models.
        settings: of trainings.
        library: texts for models that read them.
    """

    domain: Domain
    tables: Tables
    vectors: Mapping[str, np.ndarray]
    assembly: Assembly
    data: Dataset
    training_rows: np.ndarray
    validation_rows: np.ndarray
    training: Dataset
    validation: Dataset
    sizes: ModelBuilding
    settings: Training
    library: Library


def library_of(run: Experiment, tables: Tables, data: Dataset) -> Library:
    """The texts of a domain for models of its settings; the seed is the domain's.

    Args:
        run: the settings.
        tables: the four tables.
        data: training rows, whose texts tell mean and deviation of a state.
    """
    reader, own = run.model_building.reader, (run.task_embedding, run.paths.raw, run.paths.cache)
    return Library(read_sides(tables, reader, *own), data.inputs, run.seed)


def prepare(run: Experiment, short: Short) -> Workbench:
    """Read a domain's tables and sample its training rows.

    Weights are not averaged over steps: so short a training has not left its start behind.

    Args:
        run: the settings.
        short: share of the rows, length of histories, batch, epochs.
    """
    domain = run.domain
    history = run.model_building.history.model_copy(update={"length": short.history})
    sizes = run.model_building.model_copy(update={"history": history})
    changes = {"epochs": short.epochs, "batch_size": short.batch_size, "ema_momentum": 0.0}
    settings = run.training.model_copy(update=changes)
    tables, vectors = schema.read(run.paths.tables), embeddings.load(run.paths.embeddings)
    assembly = assemble(tables, vectors, domain, sizes)
    data = dataset(assembly, tables, domain.tasks)
    split = tables.examples["split"].to_numpy()
    rows = sample_rows(data.masks, np.flatnonzero(split == "train"), short.share, run.seed)
    held = np.flatnonzero(split == "validation")
    held = sample_rows(data.masks, held, min(1.0, VALIDATION_ROWS / len(held)), run.seed)
    return Workbench(
        domain, tables, vectors, assembly, data, rows, held, data.take(rows), data.take(held),
        sizes, settings, library_of(run, tables, data.take(rows)),
    )  # fmt: skip


def whole(run: Experiment) -> Workbench:
    """All rows of a domain, with the pipeline's settings."""
    tables, vectors = schema.read(run.paths.tables), embeddings.load(run.paths.embeddings)
    assembly = assemble(tables, vectors, run.domain, run.model_building)
    data = dataset(assembly, tables, run.domain.tasks)
    split = tables.examples["split"].to_numpy()
    rows, held = (np.flatnonzero(split == part) for part in ("train", "validation"))
    return Workbench(
        run.domain, tables, vectors, assembly, data, rows, held, data.take(rows), data.take(held),
        run.model_building, run.training, library_of(run, tables, data.take(rows)),
    )  # fmt: skip


def sample_rows(
    masks: Mapping[str, np.ndarray], rows: np.ndarray, share: float, seed: int
) -> np.ndarray:
    """Rows drawn so that each combination of known labels keeps its share, in order.

    Example:
        >>> masks = {"a": np.array([True] * 10), "b": np.array([True] * 2 + [False] * 8)}
        >>> len(sample_rows(masks, np.arange(10), 0.5, seed=0))
        5
    """
    frame = pd.DataFrame({name: mask[rows] for name, mask in masks.items()})
    chosen = frame.groupby(list(frame)).sample(frac=share, random_state=seed).index
    return rows[np.sort(chosen.to_numpy())]


def fit(
    bench: Workbench,
    names: Sequence[str],
    seeds: Iterable[int],
    weights: Mapping[str, float] | None = None,
    watch: Callable[[keras.Model, int], None] | None = None,
) -> Iterator[tuple[int, keras.Model, Outcome]]:
    """Train a model of some tasks once per seed; yields the seed, the model and the outcome.

    The step is compiled once and the model is one and the same object, so it must be used before
    the next seed is asked for. Every model takes the same number of steps per epoch.

    Args:
        bench: shared parts.
        names: tasks of the model.
        seeds: of initial weights, batches and the balancer.
        weights: static weights that replace those of the settings.
        watch: called with the model and the epoch's number after each epoch.
    """
    starts = {}  # before any training: building a model empties the cache of compiled steps
    for seed in seeds:
        model = build_some(bench.assembly, names, bench.vectors["tasks"], bench.sizes, seed)
        starts[seed] = [np.asarray(variable) for variable in model.variables]
    if not starts:
        return
    trainer = trainer_of(bench, model, names, weights)
    for seed, start in starts.items():
        for variable, value in zip(model.variables, start, strict=True):
            variable.assign(value)
        yield seed, model, trainer.run(seed, watch=watch and partial(watch, model))


def trainer_of(
    bench: Workbench,
    model: keras.Model,
    names: Sequence[str],
    weights: Mapping[str, float] | None = None,
) -> Trainer:
    """What trains a model of some tasks; a batch holds their share of the joint model's rows.

    Args:
        bench: shared parts.
        model: made for these tasks.
        names: tasks of the model.
        weights: static weights that replace those of the settings.
    """
    types = {name: bench.assembly.types[name] for name in names}
    return Trainer(
        model, types, bench.assembly.scales,
        weights or {name: bench.domain.tasks[name].weight for name in names},
        bench.training.only(*names), bench.validation.only(*names), bench.settings,
        max(1, len(bench.training) // bench.settings.batch_size),
        dependent(types, bench.domain.tasks), bench.library,
    )  # fmt: skip


def validation_loss(outcome: Outcome) -> dict[str, float]:
    """Normalised validation loss by task at the best epoch."""
    best = outcome.curve[outcome.curve["epoch"] == outcome.best_epoch]
    return dict(zip(best["task"], best["val_loss"].astype(float), strict=True))


def with_layer(bench: Workbench, layer: str, balancing: str) -> Workbench:
    """The same bench with another shared layer and balancer."""
    shared = bench.sizes.shared.model_copy(update={"layer": layer})
    return replace(
        bench,
        sizes=bench.sizes.model_copy(update={"shared": shared}),
        settings=bench.settings.model_copy(update={"balancing": balancing}),
    )


def with_head(bench: Workbench, task: str, change: Mapping[str, str]) -> Workbench:
    """The same bench with another type, head or loss of one task; the others are the defaults."""
    tasks = {**bench.domain.tasks}
    values = {**tasks[task].model_dump(), "head": None, "loss": None, **change}
    tasks[task] = tasks[task].model_validate(values)
    return with_tasks(bench, tasks)


def with_tasks(bench: Workbench, tasks: Mapping[str, Task]) -> Workbench:
    """The same rows for other tasks; the text vectors are taken to be theirs."""
    domain = bench.domain.model_copy(update={"tasks": tasks})
    assembly = assemble(bench.tables, bench.vectors, domain, bench.sizes)
    data = dataset(assembly, bench.tables, tasks)
    return replace(
        bench, domain=domain, assembly=assembly, data=data,
        training=data.take(bench.training_rows), validation=data.take(bench.validation_rows),
    )  # fmt: skip
