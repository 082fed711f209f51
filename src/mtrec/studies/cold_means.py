"""The simplest answer: means of users and items, and popularity."""

from __future__ import annotations

from typing import Any

import numpy as np

from mtrec.features import offsets
from mtrec.features.events import milliseconds
from mtrec.peers import baselines
from mtrec.studies.cold_systems import ColdBench

Array = np.ndarray


def predict(cold: ColdBench, name: str) -> Array:
    """Predictions of the task's test rows in the form of the task type's ``predict``.

    Only training rows count: a new item has the mean of all, and a popularity of zero.
    """
    bench = cold.bench
    kind, known = bench.assembly.types[name], bench.data.masks[name]
    labels, split = bench.data.labels[name][known], bench.tables.examples["split"].to_numpy()[known]
    test = split == "test"
    if kind.candidates:
        scores = baselines.popularity(labels, split, kind.outputs)
        return np.broadcast_to(scores, (int(test.sum()), kind.outputs))
    rows = offsets.Rows(
        kind.outcomes(labels),
        _ids(bench, "user", bench.domain.tasks[name], known),
        _ids(bench, "item", bench.domain.tasks[name], known),
        milliseconds(bench.tables.examples["timestamp"])[known],
        split,
        in_time=False,
    )
    return kind.from_means(offsets.fit(rows).predict(rows)[test])


def _ids(bench: Any, side: str, task: Any, known: Array) -> Array:
    """Rows of a side, 0 where the task may not see it."""
    ids = bench.data.inputs[side][known]
    return ids if task.view in (side, "joint") else np.zeros_like(ids)
