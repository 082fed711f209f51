"""Figures of notebooks 03 and 04: what a model has to learn from, and how it learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtrec.report.attention import Passage
from mtrec.report.plots import (
    LOW_TO_HIGH,
    SPLIT_COLOURS,
    NotDrawn,
    largest,
    turn_labels,
)

LINE, LINES = 104, 3  # characters in a line of a passage, and lines
DARK = 0.6  # of a ground, from which on white is easier to read than black
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
    figure, axes = plt.subplots(figsize=(7, 0.5 * len(tasks) + 1.8))
    columns = [f"expert {number + 1}" for number in range(gates.shape[1])]
    sns.heatmap(pd.DataFrame(gates, tasks, columns), annot=True, fmt=".2f", cmap=LOW_TO_HIGH,
                vmin=0, vmax=1, ax=axes, cbar_kws={"label": "mean gate weight"})  # fmt: skip
    axes.set(xlabel="", ylabel="task")
    axes.tick_params(axis="y", rotation=0)
    name, most = largest(pd.DataFrame(gates, tasks, columns))
    axes.set_title(f"largest weight: {most:.2f}, {name}", fontsize=10)
    figure.suptitle(title)
    return figure


def attention(passages: Sequence[Passage], title: str) -> Figure | NotDrawn:
    """Texts once per task, each word on a ground as dark as the task's attention to it."""
    if not passages:
        return NotDrawn("no model reads these texts token by token.")
    lines = [(n, task) for n, one in enumerate(passages) for task in range(len(one.tasks))]
    figure, every = plt.subplots(len(lines), 1, figsize=(8, 0.3 + 1.05 * len(lines)), squeeze=False)
    for axes, (number, task) in zip(every[:, 0], lines, strict=True):
        passage = passages[number]
        _shaded(axes, passage.words, passage.shares[task] / passage.shares[task].max())
        name = f"text {number + 1}: {passage.tasks[task]}"
        axes.set_title(name, loc="left", fontsize=9, fontweight="bold", pad=2)
    figure.suptitle(title, fontsize=12)
    return figure


def _shaded(axes: Axes, words: Sequence[str], darkness: np.ndarray) -> None:
    """Write words in lines, on grounds from white (0) to dark (1)."""
    axes.set(xlim=(0, LINE), ylim=(-LINES + 0.4, 0.6))
    axes.set_axis_off()
    across, down = 0.0, 0
    for word, dark in zip(words, darkness, strict=True):
        if across + len(word) > LINE:
            across, down = 0.0, down + 1
        if down == LINES:
            return
        ground = {"facecolor": LOW_TO_HIGH(dark), "edgecolor": "none", "pad": 1.5}
        axes.text(
            across, -down, word.replace("$", r"\$"), fontsize=8, va="center", family="monospace",
            color="white" if dark > DARK else "black", bbox=ground,
        )  # fmt: skip
        across += len(word) + 1.2
