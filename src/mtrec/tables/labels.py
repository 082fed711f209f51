"""The labels of a task: a column of the examples, where it counts."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from mtrec.settings import Task


def relevant(examples: pd.DataFrame, tasks: Mapping[str, Task], name: str) -> pd.Series:
    """The label of a task, missing where the task it waits for (``when:``) is not known to be 1."""
    task, labels = tasks[name], examples[tasks[name].label]
    if task.when is None:
        return labels
    return labels.where(relevant(examples, tasks, task.when) == 1)
