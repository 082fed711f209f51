"""The Complete Journey, four tasks: ``ecommerce_purchase``, ``_spend``, ``_category``, ``_basket``.

Rows, split (in weeks) and features are the pipeline's (``make repro``): our systems are its trained
models, and a peer learns one task from the same features without texts, as notebook 05's peers do.
LightGBM's number of trees, and the weights of the pool, are chosen on the validation weeks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from keras import ops

from mtrec.bench.models.pooled import pool
from mtrec.bench.results import Row
from mtrec.bench.systems import Answer, ask
from mtrec.config import experiment
from mtrec.data import schema
from mtrec.data.dataset import Dataset
from mtrec.evaluation.experiment import _baseline as running_means
from mtrec.evaluation.intervals import evaluate
from mtrec.evaluation.peers.base import PeerTask
from mtrec.evaluation.peers.boosting import features
from mtrec.models import assemble
from mtrec.models.store import load_model
from mtrec.tasks import Binary
from mtrec.training.loop import predict

Array = np.ndarray
RESAMPLES = 200
METRICS = {
    "purchase": ("auc", "log_loss", "ece"),
    "spend": ("rmse",),
    "category": ("accuracy", "log_loss"),
    "basket": ("map",),
}
OURS, ALONE, MEANS, POOL = "mtrec joint", "mtrec single-task twin", "running means", "mtrec pool"
TREES = {"learning_rate": 0.05, "num_leaves": 63, "min_data_in_leaf": 50, "feature_fraction": 0.7,
         "bagging_fraction": 0.8, "bagging_freq": 1}  # fmt: skip

NOTES = {
    OURS: "the pipeline's joint model of all four tasks",
    ALONE: "the pipeline's model of this task alone",
    MEANS: "of household and product, shrunken; chosen on validation",
    POOL: "joint model and running means, two weights and a bias from validation",
    "LightGBM": "one model per task (basket: per label); 63 leaves, rate 0.05; trees by early "
    "stopping on validation",
}


@dataclass(frozen=True)
class World:
    """The pipeline's ecommerce: settings, tables, features, arrays, and models by name."""

    run: Any
    tables: Any
    assembly: assemble.Assembly
    data: Dataset
    sha256: str


@cache
def world(root: Path) -> World:
    """Read what the pipeline made.

    Raises:
        FileNotFoundError: it has not run.
    """
    run = experiment("ecommerce", root)
    tables = schema.read(run.paths.tables)
    assembly = assemble.load(run.paths.trained)
    file = run.paths.tables / "examples.parquet"
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    data = assemble.dataset(assembly, tables, run.domain.tasks)
    return World(run, tables, assembly, data, sha256)


def run(name: str, root: Path) -> Sequence[Row]:
    """Rows of one task."""
    here = world(root)
    kind = here.assembly.types[name]
    task = PeerTask(
        name, here.run.domain.tasks[name], kind, here.tables, here.assembly.encoder,
        here.data.labels[name], here.data.masks[name], here.run.seed,
    )  # fmt: skip
    held, test = task.rows("validation"), task.rows("test")
    means = running_means(name, here.assembly, here.data, here.tables, here.run.domain.tasks)
    found = {
        OURS: _network(here, assemble.JOINT, name, held, test),
        ALONE: _network(here, name, name, held, test),
        MEANS: (means[held], means[test]),
    }
    trees = lightgbm(root, task, held, test)
    answers = {system: parts[1] for system, parts in found.items()}
    answers["LightGBM"] = trees.arrays["test"]
    ours = [found[OURS], found[MEANS]]
    answers[POOL] = pool(
        kind.metrics, task.labels[held], [part[0] for part in ours], [part[1] for part in ours]
    )
    users = here.tables.examples["user_id"].to_numpy()[test].astype(str)
    scored = evaluate(kind.metrics, task.labels[test], answers, users, RESAMPLES, here.run.seed)
    cost = {"LightGBM": (trees.version, trees.seconds, trees.peak_mb)}
    rows = []
    for system in answers:
        version, seconds, peak_mb = cost.get(system, ("", float("nan"), float("nan")))
        for metric in METRICS[name]:
            value, low, high = (scored[system][metric][part] for part in ("value", "low", "high"))
            rows.append(Row(f"ecommerce_{name}", here.sha256, system, version, metric, value, low,
                            high, 1, seconds, peak_mb, NOTES[system]))  # fmt: skip
    return rows


def _network(here: World, model: str, name: str, held: Array, test: Array) -> tuple[Array, Array]:
    """A trained model's predictions of the validation and of the test rows."""
    loaded, kind = load_model(here.run.paths.trained / f"{model}.keras"), here.assembly.types[name]
    parts = []
    for rows in (held, test):
        logits = predict(loaded, here.data.take(rows).inputs)[name]
        parts.append(ops.convert_to_numpy(kind.predict(logits)))
    return parts[0], parts[1]


def lightgbm(root: Path, task: PeerTask, held: Array, test: Array) -> Answer:
    """LightGBM on the task's visible features; sets get a model per label."""
    training = task.rows("train")
    if task.kind.metrics != "multilabel":
        return _trees(root, task, training, held, test)
    parts = []
    for label in range(task.labels.shape[1]):
        one = replace(task, kind=Binary(), labels=task.labels[:, label])
        parts.append(_trees(root, one, training, held, test))
    together = np.stack([part.arrays["test"] for part in parts], axis=1)
    return Answer(
        {"test": together}, parts[0].version, sum(part.seconds for part in parts),
        max(part.peak_mb for part in parts),
    )  # fmt: skip


def _trees(root: Path, task: PeerTask, training: Array, held: Array, test: Array) -> Answer:
    columns = features(task)
    chosen = [name for name, column in columns.items() if isinstance(column.dtype, _CATEGORY)]
    numbers = columns.assign(
        **{name: columns[name].cat.codes.where(columns[name].cat.codes >= 0) for name in chosen}
    ).to_numpy(dtype="float64")
    arrays = {
        "x": numbers[training], "y": task.labels[training], "x_held": numbers[held],
        "y_held": task.labels[held], "x_test": numbers[test],
    }  # fmt: skip
    return ask(
        root, "boosting", "tables_lightgbm", arrays, kind=task.kind.metrics, seed=task.seed,
        categories=[columns.columns.get_loc(name) for name in chosen], settings=TREES,
        classes=task.kind.outputs,
    )  # fmt: skip


_CATEGORY = pd.CategoricalDtype
PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    f"ecommerce_{name}": partial(run, name) for name in METRICS
}
