"""The Complete Journey, four tasks: ``ecommerce_purchase``, ``_spend``, ``_category``, ``_basket``.

Rows, split (in weeks) and features are the pipeline's (``make repro``); our models are its own,
trained over three seeds. A peer learns from the same features, texts included, as notebook 05's
peers do: LightGBM one task at a time, torch-rechub's MMoE the two tasks about pairs and, apart, the
two about households, because it cannot hide the product from a head. Where our heads start from
running means (``offset``), LightGBM's trees add to these, too, and read them. A peer's settings,
trees and epochs are chosen on the validation weeks. Later weeks differ from earlier ones, and the
pipeline shifts our models' ``purchase`` to the validation weeks' rate (``training.recalibrate``);
all other systems are shifted alike.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from benchmarks.harness.ask import Answer, search
from benchmarks.harness.results import Row
from benchmarks.models.retrained import SEEDS, Domain, split_sha256, trained
from benchmarks.models.wide_table import codes_and_numbers, targets
from mtrec.evaluation.baselines import baseline
from mtrec.evaluation.intervals import evaluate
from mtrec.evaluation.peers.base import PeerTask
from mtrec.evaluation.peers.boosting import features
from mtrec.models.assemble import JOINT
from mtrec.tasks import Binary
from mtrec.training.recalibration import shift

Array = np.ndarray
RESAMPLES = 200
METRICS = {
    "purchase": ("auc", "log_loss", "ece"),
    "spend": ("rmse",),
    "category": ("accuracy", "log_loss"),
    "basket": ("map",),
}
TOGETHER = {"purchase": ("purchase", "spend"), "spend": ("purchase", "spend"),
            "category": ("category", "basket"), "basket": ("category", "basket")}  # fmt: skip
OURS, ALONE, MEANS = "mtrec joint", "mtrec single-task twin", "running means"
LIGHTGBM, MMOE = "LightGBM", "MMoE (torch-rechub)"
TREES = tuple(
    {"num_leaves": leaves, "min_data_in_leaf": rows, "lambda_l2": penalty, "learning_rate": rate,
     "feature_fraction": share}
    for leaves, rows, penalty, rate, share
    in product((7, 15, 31, 63, 127), (20, 100), (0.0, 10.0), (0.05, 0.02), (0.7, 0.4))
)  # fmt: skip
NETWORKS = tuple(
    {"decay": decay, "width": width, "rate": rate, "dropout": dropout}
    for decay, width, rate, dropout
    in product((1e-4, 1e-3, 3e-3, 1e-2), (32, 64), (1e-3, 3e-3, 1e-2), (0.2, 0.1, 0.0))
)  # fmt: skip
NOTES = {
    OURS: "the pipeline's joint model of all four tasks, taught by the four single-task twins",
    ALONE: "the pipeline's model of this task alone",
    MEANS: "of household and product, shrunken; chosen on validation",
    LIGHTGBM: "one model per task (basket: per label, settings of the most frequent); trees by "
    f"early stopping; best of {len(TREES)} settings on validation",
    MMOE: "one model of two tasks (a tower per label); 4 experts 64-32; epochs by early stopping; "
    f"best of {len(NETWORKS)} settings on validation",
}
SHIFTED = "shifted to the rate of the validation rows"
STARTED = {LIGHTGBM: "trees add to running means, which are among the features"}
TINY = 1e-6


@dataclass(frozen=True)
class Runs:
    """Predictions of the validation and of the test rows, one of each per training.

    Attributes:
        seconds: of one training, with the settings that were chosen.
        chosen: these settings as JSON.
    """

    held: list[Array]
    test: list[Array]
    version: str = ""
    seconds: float = float("nan")
    peak_mb: float = float("nan")
    chosen: str = ""


def run(name: str, root: Path) -> Sequence[Row]:
    """Rows of one task."""
    found = trained("ecommerce", root)
    bench, kind = found.bench, found.bench.assembly.types[name]
    held, test = (found.rows(part, name) for part in ("validation", "test"))
    labels = bench.data.labels[name]
    means = baseline(name, bench.assembly.types, bench.data, bench.tables, bench.domain.tasks)
    started = bench.domain.tasks[name].offset is not None
    runs = {
        OURS: network(found, JOINT, name),
        ALONE: network(found, name, name),
        MEANS: Runs([means[held]], [means[test]]),
        LIGHTGBM: lightgbm(root, peer_task(found, name),
                           scores(kind.metrics, means) if started else None),
        MMOE: mmoe(root, TOGETHER[name])[name],
    }  # fmt: skip
    shifted = isinstance(kind, Binary) and bench.settings.recalibrate
    if shifted:
        runs = {system: recalibrated(one, labels[held]) for system, one in runs.items()}
    users = bench.tables.examples["user_id"].to_numpy()[test].astype(str)
    sha256 = split_sha256(found)
    rows = []
    for system, one in runs.items():
        asked = {str(k): answers for k, answers in enumerate(one.test)}
        scored = evaluate(kind.metrics, labels[test], asked, users, RESAMPLES, SEEDS[0])
        parts = (NOTES[system], STARTED.get(system, "") if started else "",
                 SHIFTED if shifted else "", one.chosen)  # fmt: skip
        note = "; ".join(part for part in parts if part)
        for metric in METRICS[name]:
            value, low, high = (
                float(np.mean([each[metric][part] for each in scored.values()]))
                for part in ("value", "low", "high")
            )
            rows.append(Row(f"ecommerce_{name}", sha256, system, one.version, metric, value,
                            low, high, len(scored), round(one.seconds, 1), one.peak_mb,
                            note))  # fmt: skip
    return rows


def recalibrated(runs: Runs, labels: Array) -> Runs:
    """The same probabilities, shifted to the labels' rate on the validation rows."""
    held, test = ([scores("binary", one) for one in part] for part in (runs.held, runs.test))
    by = [shift(Binary(), labels, logits[:, None]) for logits in held]
    return replace(
        runs,
        held=[expit(logits + bias) for logits, bias in zip(held, by, strict=True)],
        test=[expit(logits + bias) for logits, bias in zip(test, by, strict=True)],
    )


def network(found: Domain, model: str, name: str) -> Runs:
    """Answers of our trainings to one task."""
    runs = found.models[model]
    held, test = ([run.answers[part][name] for run in runs] for part in ("validation", "test"))
    return Runs(held, test, seconds=float(np.mean([run.seconds for run in runs])))


def peer_task(found: Domain, name: str) -> PeerTask:
    """A task as peers see it."""
    bench = found.bench
    return PeerTask(
        name, bench.domain.tasks[name], bench.assembly.types[name], bench.tables,
        bench.assembly.encoder, bench.data.labels[name], bench.data.masks[name], SEEDS[0],
    )  # fmt: skip


def scores(kind: str, predictions: Array) -> Array:
    """Log-odds, log-probabilities, or the values themselves, float64."""
    values = predictions.astype("float64")
    if kind == "regression":
        return values
    if kind == "multiclass":
        return np.log(np.clip(values, TINY, None))
    clipped = np.clip(values, TINY, 1 - TINY)
    return np.log(clipped) - np.log1p(-clipped)


def lightgbm(root: Path, task: PeerTask, start: Array | None) -> Runs:
    """LightGBM on the task's visible features, three seeds; sets get a model per label.

    Args:
        root: of the repository.
        task: what it learns.
        start: log-odds or logits of all examples that trees add to and read; None without.
    """
    ones, starts, first = [task], [start], 0
    if task.kind.metrics == "multilabel":
        ones = [replace(task, kind=Binary(), labels=column) for column in task.labels.T]
        starts = [None] * len(ones) if start is None else list(start.T)
        first = int(task.labels[task.rows("train")].sum(axis=0).argmax())
    best = TREES[int(_trees(root, ones[first], starts[first], TREES).arrays["best"])]
    found = [
        [_trees(root, replace(one, seed=seed), own, [best])
         for one, own in zip(ones, starts, strict=True)]
        for seed in SEEDS
    ]  # fmt: skip
    held, test = (
        [np.stack([one.arrays[part] for one in run], axis=1) for run in found]
        if len(ones) > 1 else [run[0].arrays[part] for run in found]
        for part in ("held", "test")
    )  # fmt: skip
    return Runs(held, test, found[0][0].version, sum(one.seconds for one in found[0]),
                max(one.peak_mb for one in found[0]), json.dumps(best))  # fmt: skip


def _trees(
    root: Path, task: PeerTask, start: Array | None, trials: Sequence[Mapping[str, Any]]
) -> Answer:
    columns = features(task)
    chosen = [name for name, column in columns.items() if isinstance(column.dtype, _CATEGORY)]
    numbers = columns.assign(
        **{name: columns[name].cat.codes.where(columns[name].cat.codes >= 0) for name in chosen}
    ).to_numpy(dtype="float64")
    if start is not None:
        numbers = np.column_stack([numbers, start])
    arrays: dict[str, Array] = {}
    for part, end in (("train", ""), ("validation", "_held"), ("test", "_test")):
        arrays |= {f"x{end}": numbers[task.rows(part)], f"y{end}": task.labels[task.rows(part)]}
        if start is not None:
            arrays[f"start{end}"] = start[task.rows(part)]
    del arrays["y_test"]
    return search(
        root, "boosting", "tables_lightgbm", arrays, trials, kind=task.kind.metrics,
        categories=[columns.columns.get_loc(name) for name in chosen], seed=task.seed,
        classes=task.kind.outputs,
    )  # fmt: skip


@cache
def mmoe(root: Path, names: tuple[str, ...]) -> dict[str, Runs]:
    """torch-rechub's MMoE of some tasks, three seeds; settings are chosen with the first."""
    found = trained("ecommerce", root)
    tasks = {name: peer_task(found, name) for name in names}
    codes, sizes, numbers = codes_and_numbers(tasks[names[0]])
    labels, masks, kinds = targets(tasks)
    split = found.bench.tables.examples["split"].to_numpy()
    arrays = {"sizes": np.array(sizes)}
    for part in ("train", "validation", "test"):
        rows = np.flatnonzero((split == part) & masks.any(axis=1))
        arrays |= {f"{part}_codes": codes[rows], f"{part}_numbers": numbers[rows]}
        if part != "test":
            arrays |= {f"{part}_labels": labels[rows], f"{part}_masks": masks[rows]}
    train = partial(search, root, "torch", "tables_rechub", arrays, kinds=kinds)
    first = train(NETWORKS, seed=0)
    best = NETWORKS[int(first.arrays["best"])]
    more = [train([best], seed=seed) for seed in range(1, len(SEEDS))]
    runs = {}
    for name, task in tasks.items():
        parts: dict[str, list[Array]] = {}
        for part in ("validation", "test"):
            rows = np.flatnonzero((split == part) & masks.any(axis=1))
            at = np.searchsorted(rows, task.rows(part))
            parts[part] = [_own(task, names, tasks, one.arrays[part][at]) for one in (first, *more)]
        runs[name] = Runs(parts["validation"], parts["test"], first.version, more[0].seconds,
                          more[0].peak_mb, json.dumps(best))  # fmt: skip
    return runs


def _own(
    task: PeerTask, names: Sequence[str], tasks: Mapping[str, PeerTask], found: Array
) -> Array:
    """A task's columns of the model's answers, classes as shares of one."""
    start = 0
    for name in names:
        width = tasks[name].kind.outputs
        if name == task.name:
            break
        start += width
    own = found[:, start : start + width]
    if task.kind.metrics == "multiclass":
        return own / own.sum(axis=1, keepdims=True)
    return own if task.kind.metrics == "multilabel" else own[:, 0]


_CATEGORY = pd.CategoricalDtype
PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    f"ecommerce_{name}": partial(run, name) for name in METRICS
}
