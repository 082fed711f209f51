"""Figures of notebooks 03 and 04: what a model has to learn from, and how it learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from mtrec.report.plots import (
    LOW_TO_HIGH,
    SPLIT_COLOURS,
    NotDrawn,
    turn_labels,
)

FEWEST_UNLABELLED = 1.0  # percent of rows without a label, below which there is nothing to show


def label_presence(
    masks: Mapping[str, np.ndarray], splits: Sequence[str], title: str
) -> Figure | NotDrawn:
    """Share of rows of each split that carry each task's label, in percent."""
    frame = pd.DataFrame(masks).groupby(np.asarray(splits)).mean().reindex(SPLIT_COLOURS) * 100
    if frame.to_numpy().min() > 100 - FEWEST_UNLABELLED:
        return NotDrawn(f"over {100 - FEWEST_UNLABELLED:.0f} % of the rows carry every label.")
    figure, axes = plt.subplots(figsize=(7, 3))
    sns.heatmap(frame, annot=True, fmt=".1f", cmap=LOW_TO_HIGH, vmin=0, vmax=100, ax=axes,
                cbar_kws={"label": "rows with a label [%]"})  # fmt: skip
    axes.set(title=title, xlabel="task", ylabel="split")
    turn_labels(axes)
    return figure


def gate_map(gates: np.ndarray, tasks: Sequence[str], title: str) -> Figure | NotDrawn:
    """Mean weight of each expert per task, ``(tasks, experts)``."""
    if gates.shape[1] < 2:
        return NotDrawn("the shared layer has no gates.")
    figure, axes = plt.subplots(figsize=(7, 0.5 * len(tasks) + 1.5))
    columns = [f"expert {number + 1}" for number in range(gates.shape[1])]
    sns.heatmap(pd.DataFrame(gates, tasks, columns), annot=True, fmt=".2f", cmap=LOW_TO_HIGH,
                vmin=0, vmax=1, ax=axes, cbar_kws={"label": "mean gate weight"})  # fmt: skip
    axes.set(title=title, xlabel="", ylabel="task")
    axes.tick_params(axis="y", rotation=0)
    return figure


def curves(frame: pd.DataFrame, title: str) -> Figure:
    """Validation loss by epoch, a panel per task, a line per model (``model`` column)."""
    with plt.rc_context({"figure.constrained_layout.use": False}):  # seaborn lays out its grids
        grid = sns.relplot(
            frame, x="epoch", y="val_loss", hue="model", style="model", col="task", kind="line",
            col_wrap=3, height=2.4, aspect=1.1, palette="colorblind", linewidth=2,
            facet_kws={"sharey": False, "legend_out": False},
        )  # fmt: skip
    below = {"bbox_to_anchor": (0.5, 0.0), "ncol": 4, "title": "", "frameon": False}
    sns.move_legend(grid, "upper center", **below)
    grid.set_titles("{col_name}")
    grid.set_axis_labels("epoch", "validation loss\n(constant = 1)")
    grid.figure.suptitle(title, y=1.06)  # above the panels' own titles
    return grid.figure
