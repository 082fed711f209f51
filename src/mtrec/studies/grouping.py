"""Which tasks should share a model: every grouping, its predicted and its measured gain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from mtrec.metrics.intervals import mean_interval

Grouping = tuple[tuple[str, ...], ...]
MOST_TASKS = 9  # 21,147 groupings; more tasks want a search


def groupings(tasks: Sequence[str]) -> Iterator[Grouping]:
    """Every way to divide the tasks into models (Bell's number of them).

    Example:
        >>> [len(g) for g in groupings(["a", "b", "c"])]
        [1, 2, 2, 2, 3]

    Raises:
        ValueError: more than nine tasks.
    """
    if len(tasks) > MOST_TASKS:
        raise ValueError(
            f"{len(tasks)} tasks have too many groupings to list (at most {MOST_TASKS}). Leave "
            "tasks out of the analysis."
        )
    if not tasks:
        yield ()
        return
    first, rest = tasks[0], tasks[1:]
    for smaller in groupings(rest):
        for position, group in enumerate(smaller):
            yield ((first, *group), *smaller[:position], *smaller[position + 1 :])
        yield ((first,), *smaller)


def predicted_gain(grouping: Grouping, pairs: pd.DataFrame) -> float:
    """Mean over tasks of the mean pairwise gain from their group's other tasks; alone is 0.

    Args:
        grouping: groups of tasks.
        pairs: gain of the column's task from the row's; NaN counts as 0.

    Source: Standley et al. 2020, "Which Tasks Should Be Learned Together in Multi-task
    Learning?", https://arxiv.org/abs/1905.07553 (higher-order approximation).
    """
    gains = []
    for group in grouping:
        for task in group:
            others = [pairs.loc[other, task] for other in group if other != task]
            gains.append(float(np.mean(np.nan_to_num(others))) if others else 0.0)
    return float(np.mean(gains))


def suggest(pairs: pd.DataFrame) -> tuple[Grouping, float]:
    """The grouping of the greatest predicted gain; of equals, the one with the fewest models."""
    found = [(predicted_gain(g, pairs), -len(g), g) for g in groupings(list(pairs.index))]
    gain, _, grouping = max(found, key=lambda row: (round(row[0], 9), row[1]))
    order = list(pairs.index)
    return tuple(tuple(sorted(group, key=order.index)) for group in grouping), gain


def measured_gain(grouping: Grouping, results: pd.DataFrame) -> tuple[float, float, float]:
    """Mean over tasks of the measured gain in percent, with its 95 % interval over seeds.

    Args:
        grouping: groups whose trainings are in ``results``.
        results: see :func:`mtrec.studies.task_analysis.train_sets`.
    """
    table = results.set_index(["tasks", "task", "seed"])["val_loss"]
    per_seed = []
    for seed in sorted(results["seed"].unique()):
        gains = []
        for group in grouping:
            for task in group:
                alone = table[(task, task, seed)]
                gains.append(100 * (alone - table[("+".join(group), task, seed)]) / alone)
        per_seed.append(np.mean(gains))
    return mean_interval(np.array(per_seed))


def comparison(suggested: dict[str, tuple[Grouping, float]], results: pd.DataFrame) -> pd.DataFrame:
    """Predicted and measured gain of each suggested grouping, beside one model for all."""
    rows = []
    for name, (grouping, predicted) in suggested.items():
        value, low, high = measured_gain(grouping, results)
        rows.append({"suggested by": name, "models": len(grouping), "grouping": describe(grouping),
                     "predicted gain": predicted, "measured gain [%]": value, "low": low,
                     "high": high})  # fmt: skip
    return pd.DataFrame(rows)


def describe(grouping: Grouping) -> str:
    """A grouping in words: ``a + b | c``."""
    return " | ".join(" + ".join(group) for group in grouping)
