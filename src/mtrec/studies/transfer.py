"""Measured transfer: trained together minus trained alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from mtrec.metrics.intervals import mean_interval


def small_sets(tasks: Sequence[str]) -> list[tuple[str, ...]]:
    """Every task alone, every pair, and all tasks.

    Example:
        >>> small_sets(["a", "b"])
        [('a',), ('b',), ('a', 'b')]
    """
    found = [(task,) for task in tasks] + list(combinations(tasks, 2)) + [tuple(tasks)]
    return list(dict.fromkeys(found))


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
