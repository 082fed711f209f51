"""Evaluate all models of a domain on its test rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mtrec.config import Experiment
from mtrec.evaluation.held_out import SINGLE, HeldOut, Predictions
from mtrec.features.assemble import Assembly
from mtrec.features.dataset import Dataset
from mtrec.features.encoder import usable_events
from mtrec.files import write_text
from mtrec.metrics.calibration import reliability_table
from mtrec.metrics.intervals import evaluate
from mtrec.models.store import load_model
from mtrec.models.twins import JOINT
from mtrec.registry import METRICS
from mtrec.serving import recommender
from mtrec.tables.schema import Tables
from mtrec.tables.spreadsheet import defused

Array = np.ndarray


def predict_tasks(
    assembly: Assembly,
    data: Dataset,
    tables: Tables,
    tasks: Mapping[str, Any],
    trained: Path,
    seed: int,
) -> dict[str, Predictions]:
    """Predict the test rows of every task with the joint model, its twin, baseline and peers."""
    held = HeldOut(assembly, data, tables, tasks)
    joint = held.answers(load_model(trained / f"{JOINT}.keras"), tuple(assembly.types))
    found = {}
    for name in assembly.types:
        twin = held.answers(load_model(trained / f"{name}.keras"), (name,))
        systems = {JOINT: joint[name], SINGLE: twin[name], **held.others(name, seed)}
        found[name] = held.predictions(name, systems)
    return found


def score(
    predictions: Mapping[str, Predictions], resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """All metrics of all systems with intervals and paired differences, per task."""
    return {
        name: {
            "type": p.type,
            "peers": list(p.peers),
            **evaluate(p.type, p.labels, p.systems, p.clusters, resamples, seed, p.differences),
        }
        for name, p in predictions.items()
    }


def cold_start(
    predictions: Mapping[str, Predictions], examples: pd.DataFrame, resamples: int, seed: int
) -> pd.DataFrame:
    """The main metric where user or item had no training row, and where both had.

    Groups with fewer than 30 rows are left out.
    """
    rows = []
    for name, p in predictions.items():
        flags = examples.iloc[p.rows]
        cold_user, cold_item = flags["cold_user"].to_numpy(), flags["cold_item"].to_numpy()
        groups = {"warm": ~cold_user & ~cold_item, "cold user": cold_user, "cold item": cold_item}
        if (cold_user == cold_item).all():
            groups = {"warm": ~cold_user, "cold user and item": cold_user}
        metric = METRICS[p.type].main
        for group, chosen in groups.items():
            if chosen.sum() < 30:
                continue
            systems = {key: values[chosen] for key, values in p.systems.items()}
            found = evaluate(p.type, p.labels[chosen], systems, p.clusters[chosen], resamples, seed,
                             p.differences)  # fmt: skip
            rows += [
                {"task": name, "metric": metric, "rows": group, "n": int(chosen.sum()),
                 "system": system, **found[system][metric]}
                for system in (*p.systems, *p.differences)
            ]  # fmt: skip
    columns = ["task", "metric", "rows", "n", "system", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def write(
    domain: str, seed: int, tasks: dict, parameters: int, hardware: dict[str, str], file: Path
) -> dict[str, Any]:
    """Write and return ``metrics.json``, whole or not at all; it holds no wall times."""
    metrics = {"domain": domain, "seed": seed, **hardware, "parameters": parameters, "tasks": tasks}
    write_text(file, json.dumps(plain(metrics), indent=2) + "\n")
    return metrics


def test_table(predictions: Mapping[str, Predictions]) -> pd.DataFrame:
    """Test rows and users behind each task's figures."""
    rows = [(name, p.type, len(p.rows), len(set(p.clusters))) for name, p in predictions.items()]
    return pd.DataFrame(rows, columns=["task", "type", "test rows", "users (or items)"])


def row_counts(predictions: Mapping[str, Predictions]) -> dict[str, int]:
    """Test rows by task."""
    return {name: len(p.rows) for name, p in predictions.items()}


def reliability(predictions: Mapping[str, Predictions]) -> dict[str, pd.DataFrame]:
    """Reliability table of the joint model per task that predicts probabilities of 0 and 1."""
    return {
        name: reliability_table(p.labels, p.systems[JOINT])
        for name, p in predictions.items()
        if METRICS[p.type].probabilities
    }


def class_tasks(assembly: Assembly) -> dict[str, tuple[str, ...]]:
    """Class names of the tasks with one class of several."""
    return {name: kind.class_names for name, kind in assembly.types.items() if kind.class_names}


def confusion(p: Predictions) -> tuple[Array, Array]:
    """Actual and predicted class of each test row by the joint model."""
    found = p.systems[JOINT]
    chosen = found.argmax(axis=1) if found.ndim == 2 else (found >= 0.5).astype(int)
    return p.labels.astype(int), chosen


def write_confusion(p: Predictions, classes: tuple[str, ...], file: Path) -> None:
    """Write actual and predicted class names as CSV, for DVC's confusion plot."""
    names = defused(pd.Series(classes, dtype="str")).to_numpy()
    actual, chosen = confusion(p)
    frame = pd.DataFrame({"actual": names[actual], "predicted": names[chosen]})
    write_text(file, frame.to_csv(index=False))


def extra_report(run: Experiment, tables: Tables) -> list[tuple[str, pd.DataFrame]]:
    """What the domain's module adds to the report: titles and tables, often none."""
    extra = getattr(run.module, "extra_report", None)
    if extra is None:
        return []
    return extra(_scorer(run, tables), tables, run.evaluation.resamples, run.seed)


def _scorer(run: Experiment, tables: Tables) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The joint model's answers for rows like those of the examples, as of their own time."""
    loaded = recommender.load(run.name, run.paths.root)
    model = replace(loaded, events=usable_events(tables, loaded.assembly.encoder))

    def score(pairs: pd.DataFrame) -> pd.DataFrame:
        used = [column for column in pairs if column in model.columns]
        parts = [
            replace(model, now=time).score(part[used]) for time, part in pairs.groupby("timestamp")
        ]
        return pd.concat(parts).reindex(pairs.index)

    return score


def plain(value: Any) -> Any:
    """Round to six digits; NaN, which JSON lacks, becomes null."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, float):
        return round(value, 6) if np.isfinite(value) else None
    return value
