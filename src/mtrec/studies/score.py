"""The main test metric of each task of a model."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from mtrec.features.candidates import left_out
from mtrec.features.dataset import Dataset
from mtrec.metrics.ranks import ranks
from mtrec.models.predict import predict
from mtrec.registry import METRICS
from mtrec.studies.workbench import Workbench


def score(
    bench: Workbench,
    model: keras.Model,
    names: tuple[str, ...],
    rows: np.ndarray | None = None,
) -> dict[str, tuple]:
    """``(metric, value)`` by task on some rows; ordered levels are scored as numbers.

    Args:
        bench: shared parts.
        model: of these tasks.
        names: tasks.
        rows: numbers of examples; those of the test if None.
    """
    if rows is None:
        rows = np.flatnonzero((bench.tables.examples["split"] == "test").to_numpy())
    part = bench.data.take(rows)
    logits = predict(model, part.inputs)
    return {name: _score(bench, name, part, rows, logits[name]) for name in names}


def _score(
    bench: Workbench, name: str, part: Dataset, rows: np.ndarray, logits: np.ndarray
) -> tuple:
    kind, known = bench.assembly.types[name], part.masks[name]
    found = ops.convert_to_numpy(kind.predict(logits[known]))
    family, labels, found = kind.in_units(part.labels[name][known], found)
    if kind.candidates:
        label = bench.domain.tasks[name].label
        out = left_out(kind, bench.assembly.encoder, bench.tables, label, rows[known])
        found = ranks(found, labels, out)
    metric = METRICS[family].main
    return metric, float(METRICS[family].values(labels, found)[metric])
