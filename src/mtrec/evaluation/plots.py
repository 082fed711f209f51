"""Figures of the notebooks: one claim each, colour-blind safe, readable at half width."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

COLOURS = sns.color_palette("colorblind")
SPLIT_COLOURS = {"train": COLOURS[0], "validation": COLOURS[1], "test": COLOURS[2]}


def style() -> None:
    """One look for all figures: white ground, so that they read on light and dark pages."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    plt.rcParams.update(
        {"figure.figsize": (7, 4), "figure.dpi": 96, "figure.facecolor": "white",
         "axes.titlesize": 12, "svg.hashsalt": "mtrec", "figure.constrained_layout.use": True}
    )  # fmt: skip


def save(figure: Figure, path: Path) -> Figure:
    """Write a PNG without dates or versions in it, whole or not at all, and return the figure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    figure.savefig(temporary, format="png", bbox_inches="tight", metadata={"Software": None})
    os.replace(temporary, path)
    plt.close(figure)  # shown once, by the cell that returns it
    return figure


def split_timeline(examples: pd.DataFrame, title: str) -> Figure:
    """Rows per week, coloured by split."""
    timed = examples[examples["timestamp"].notna()]
    figure, axes = plt.subplots()
    sns.histplot(
        timed, x="timestamp", hue="split", hue_order=list(SPLIT_COLOURS), palette=SPLIT_COLOURS,
        binwidth=7, multiple="stack", ax=axes, linewidth=0.3,
    )  # fmt: skip
    axes.set(title=title, xlabel="week", ylabel="examples per week")
    figure.autofmt_xdate()
    return figure


def histogram(values: pd.Series, title: str, label: str, log: bool = False) -> Figure:
    """Distribution of a column; ``log`` for a logarithmic axis of values."""
    figure, axes = plt.subplots()
    sns.histplot(values.dropna(), bins=40, log_scale=log, ax=axes, color=COLOURS[0])
    if log:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(title=title, xlabel=label, ylabel="users")
    return figure


def label_presence(masks: Mapping[str, np.ndarray], splits: Sequence[str], title: str) -> Figure:
    """Share of rows of each split that carry each task's label, in percent."""
    frame = pd.DataFrame(masks).groupby(np.asarray(splits)).mean().reindex(SPLIT_COLOURS) * 100
    figure, axes = plt.subplots(figsize=(7, 3))
    sns.heatmap(frame, annot=True, fmt=".1f", cmap="cividis", vmin=0, vmax=100, ax=axes,
                cbar_kws={"label": "rows with a label [%]"})  # fmt: skip
    axes.set(title=title, xlabel="task", ylabel="split")
    return figure


def embedding_map(vectors: np.ndarray, groups: pd.Series, title: str) -> Figure:
    """First two principal components of text vectors, coloured by the six largest groups.

    Without two components there is nothing to map; the figure then says so.
    """
    if vectors.shape[1] < 2:
        figure, axes = plt.subplots(figsize=(7, 1.5))
        axes.text(0.5, 0.5, "too few texts for a map", ha="center", va="center")
        axes.set_axis_off()
        return figure
    largest = list(groups.value_counts().index[:6])
    known = np.isfinite(vectors).all(axis=1) & groups.isin(largest).to_numpy()
    figure, axes = plt.subplots(figsize=(7, 5))
    sns.scatterplot(
        x=vectors[known, 0], y=vectors[known, 1], hue=groups[known].to_numpy(), hue_order=largest,
        style=groups[known].to_numpy(), style_order=largest, s=18, alpha=0.7, linewidth=0, ax=axes,
    )  # fmt: skip
    axes.set(title=title, xlabel="component 1",
             ylabel="component 2")  # fmt: skip
    axes.legend(title=None, fontsize=8, markerscale=1.5)
    return figure


def gate_map(gates: np.ndarray, tasks: Sequence[str], title: str) -> Figure:
    """Mean weight of each expert per task, ``(tasks, experts)``."""
    figure, axes = plt.subplots(figsize=(7, 0.5 * len(tasks) + 1.5))
    columns = [f"expert {number + 1}" for number in range(gates.shape[1])]
    sns.heatmap(pd.DataFrame(gates, tasks, columns), annot=True, fmt=".2f", cmap="cividis", vmin=0,
                ax=axes, cbar_kws={"label": "mean gate weight"})  # fmt: skip
    axes.set(title=title, xlabel="", ylabel="task")
    axes.tick_params(axis="y", rotation=0)
    return figure


def curves(frame: pd.DataFrame, title: str) -> Figure:
    """Validation loss by epoch, a panel per task, a line per model (``model`` column)."""
    with plt.rc_context({"figure.constrained_layout.use": False}):  # seaborn lays out its grids
        grid = sns.relplot(
            frame, x="epoch", y="val_loss", hue="model", style="model", col="task", kind="line",
            col_wrap=3, height=2.4, aspect=1.1, markers=True, dashes=False, palette="colorblind",
            facet_kws={"sharey": False, "legend_out": False},
        )  # fmt: skip
    below = {"bbox_to_anchor": (0.5, 0.0), "ncol": 4, "title": "", "frameon": False}
    sns.move_legend(grid, "upper center", **below)
    grid.set_titles("{col_name}")
    grid.set_axis_labels("epoch", "validation loss\n(constant = 1)")
    grid.figure.suptitle(title, y=1.06)  # above the panels' own titles
    return grid.figure


def forest(frame: pd.DataFrame, title: str, label: str) -> Figure:
    """Values with 95 % intervals, one per row of ``frame`` (task, metric, value, low, high)."""
    figure, axes = plt.subplots(figsize=(7, 0.45 * len(frame) + 1.4))
    at = np.arange(len(frame))[::-1]
    sure = (frame["low"] > 0) | (frame["high"] < 0)
    for y, (_, row), colour in zip(at, frame.iterrows(), sure, strict=True):
        axes.plot([row["low"], row["high"]], [y, y], color=COLOURS[0 if colour else 7], linewidth=2)
        axes.plot(row["value"], y, "o", color=COLOURS[0 if colour else 7])
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(at, [f"{row.task} ({row.metric})" for row in frame.itertuples()])
    axes.xaxis.set_major_locator(MaxNLocator(6))  # labels such as -0.0025 must not touch
    axes.set(title=title, xlabel=label)
    return figure


def reliability(tables: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Observed frequency against predicted probability; the diagonal is perfect calibration."""
    figure, axes = plt.subplots(figsize=(5, 4.5))
    axes.plot([0, 1], [0, 1], color="black", linewidth=1, label="perfect")
    for (name, table), marker in zip(tables.items(), "osD^v", strict=False):
        axes.plot(table["predicted"], table["observed"], marker=marker, label=name)
    axes.set(title=title, xlabel="predicted probability", ylabel="observed frequency",
             xlim=(0, 1), ylim=(0, 1))  # fmt: skip
    axes.legend()
    return figure


def confusion(labels: np.ndarray, chosen: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Confusion matrix, rows normalised to percent."""
    counts = pd.crosstab(pd.Series(labels), pd.Series(chosen))
    counts = counts.reindex(index=range(len(names)), columns=range(len(names)), fill_value=0)
    share = counts.div(counts.sum(axis=1).replace(0, 1), axis=0) * 100
    share.index, share.columns = list(names), list(names)
    size = 0.45 * len(names) + 2.5
    figure, axes = plt.subplots(figsize=(size + 1, size))
    sns.heatmap(
        share, annot=len(names) <= 16, fmt=".0f", cmap="cividis", vmin=0, vmax=100, ax=axes,
        annot_kws={"fontsize": 8}, cbar_kws={"label": "share of actual class [%]"},
    )  # fmt: skip
    axes.set(title=title, xlabel="predicted", ylabel="actual")
    return figure


def matrix(frame: pd.DataFrame, title: str, label: str, rows: str, columns: str) -> Figure:
    """A heatmap, around zero if some values are below it; unknown ones are left blank."""
    figure, axes = plt.subplots(figsize=(1.0 * len(frame.columns) + 2.6, 0.7 * len(frame) + 1.6))
    known = frame.to_numpy(dtype=float)
    known = known[np.isfinite(known)]
    largest = float(np.abs(known).max()) if len(known) else 1.0
    signed = bool(len(known)) and known.min() < -0.01 * largest
    sns.heatmap(
        frame.astype(float), annot=True, fmt=".2f", cmap="PuOr" if signed else "Purples", ax=axes,
        vmin=-largest if signed else 0, vmax=largest, annot_kws={"fontsize": 9},
        cbar_kws={"label": label},
    )  # fmt: skip
    axes.set(title=title, xlabel=columns, ylabel=rows)
    axes.grid(visible=False)
    axes.tick_params(axis="x", rotation=30)
    axes.tick_params(axis="y", rotation=0)
    return figure


def cosines(frame: pd.DataFrame, title: str) -> Figure:
    """Gradient cosine of every pair of tasks by epoch (``epoch``, ``task``, ``other``, ``cosine``).

    Each pair is shown once; pairs whose labels never share a batch are left out.
    """
    order = list(dict.fromkeys(frame["task"]))
    place = frame["task"].map(order.index) < frame["other"].map(order.index)
    part = frame[place & frame["cosine"].notna()]
    part = part.assign(pair=part["task"] + " · " + part["other"])
    figure, axes = plt.subplots(figsize=(8, 4.5))
    sns.lineplot(part, x="epoch", y="cosine", hue="pair", style="pair", markers=True, dashes=False,
                 errorbar=None, ax=axes)  # fmt: skip
    axes.axhline(0, color="black", linewidth=1)
    axes.set(title=title, xlabel="epoch", ylabel="cosine of gradients on shared weights")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(title=None, fontsize=8, bbox_to_anchor=(1.01, 1), loc="upper left")
    return figure


def intervals(frame: pd.DataFrame, names: Sequence[str], title: str, label: str) -> Figure:
    """Means with 95 % intervals (``gain``, ``low``, ``high``), one line per name, best on top."""
    figure, axes = plt.subplots(figsize=(7.5, 0.33 * len(frame) + 1.4))
    at = np.arange(len(frame))[::-1]
    sure = (frame["low"] > 0) | (frame["high"] < 0)
    for y, row, clear in zip(at, frame.itertuples(), sure, strict=True):
        colour = COLOURS[0 if clear else 7]
        axes.plot([row.low, row.high], [y, y], color=colour, linewidth=2)
        axes.plot(row.gain, y, "o", color=colour)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(at, list(names))
    axes.tick_params(axis="y", labelsize=9)
    axes.set(title=title, xlabel=label)
    return figure
