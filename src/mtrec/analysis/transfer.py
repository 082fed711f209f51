"""Measured transfer: trained together minus trained alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mtrec.evaluation.intervals import mean_interval
from mtrec.training import ledger, workbench
from mtrec.training.workbench import Workbench

Sets = Iterable[tuple[str, ...]]


def small_sets(tasks: Sequence[str]) -> list[tuple[str, ...]]:
    """Every task alone, every pair, and all tasks.

    Example:
        >>> small_sets(["a", "b"])
        [('a',), ('b',), ('a', 'b')]
    """
    found = [(task,) for task in tasks] + list(combinations(tasks, 2)) + [tuple(tasks)]
    return list(dict.fromkeys(found))


def train_sets(
    bench: Workbench, sets: Sets, seeds: Sequence[int], file: Path, identity: Any
) -> pd.DataFrame:
    """Train a model for each set of tasks and seed.

    Args:
        bench: shared parts.
        sets: sets of tasks, in the domain's order.
        seeds: a training per set and seed.
        file: results so far; a finished training is not repeated.
        identity: JSON value that stands for everything the trainings depend on.

    Returns:
        ``tasks`` (names joined by ``+``), ``seed``, ``task``, ``val_loss`` (normalised).
    """
    sets = list(sets)
    keys: dict[tuple, str] = {}
    for names in sets:
        keys |= {(names, seed): ledger.key(identity, names, seed) for seed in seeds}
        done = set(ledger.read(file)["key"])
        missing = [seed for seed in seeds if keys[names, seed] not in done]
        for seed, _, outcome in workbench.fit(bench, names, missing):
            losses = workbench.validation_loss(outcome)
            rows = pd.DataFrame({"task": losses.keys(), "val_loss": losses.values()}).round(6)
            more = {"tasks": "+".join(names), "seed": seed, "key": keys[names, seed]}
            ledger.add(file, rows.assign(**more))
    found = ledger.read(file)
    found = found[found["key"].isin(keys.values())].drop(columns="key")
    return found.sort_values(["seed", "tasks"], kind="stable", ignore_index=True)


def gains(results: pd.DataFrame) -> pd.DataFrame:
    r"""Gain of each task in each set over training it alone, in percent of its loss alone.

    .. math:: 100\,(L^{alone} - L^{together}) / L^{alone}, \text{ paired by seed}

    Returns:
        ``tasks``, ``task``, ``value`` (mean over seeds), ``low``, ``high`` (95 %, Student's t).
    """
    alone = results[results["tasks"] == results["task"]].set_index(["task", "seed"])["val_loss"]
    together = results[results["tasks"] != results["task"]]
    base = alone.reindex(pd.MultiIndex.from_frame(together[["task", "seed"]])).to_numpy()
    relative = together.assign(gain=100 * (base - together["val_loss"]) / base)
    rows = [
        (tasks, task, *mean_interval(part["gain"].to_numpy()))
        for (tasks, task), part in relative.groupby(["tasks", "task"], sort=False)
    ]
    return pd.DataFrame(rows, columns=["tasks", "task", "value", "low", "high"])


def pair_matrix(found: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    """Gain of the column's task when trained together with the row's, ``(tasks, tasks)``."""
    matrix = pd.DataFrame(np.nan, index=list(tasks), columns=list(tasks))
    for row in found.itertuples():
        members = row.tasks.split("+")
        if len(members) == 2:
            partner = members[1 - members.index(row.task)]
            matrix.loc[partner, row.task] = row.value
    return matrix
