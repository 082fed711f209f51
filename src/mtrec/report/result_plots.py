"""Figures of notebooks 05 to 12: what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtrec.report.findings import verdict
from mtrec.report.plots import (
    AROUND_ZERO,
    COLOURS,
    LOW_TO_HIGH,
    VERDICTS,
    NotDrawn,
    turn_labels,
)

FEWEST = 30  # predictions in a bin of a reliability diagram
HARDLY = 0.05  # a cosine that is as good as none
MARKERS = "osD^v"  # of lines that are told apart
KEY = "95 % intervals: blue is better, orange worse, grey undecided"
NO_VERDICT = "0.25"  # a colour that says nothing of better or worse
ONE_TRAINING = (
    "95 % intervals over users (items where a task has no user);\n"
    "one training of each, so no verdict"
)


def forest(
    frame: pd.DataFrame, title: str, label: str, one_training: bool = False
) -> Figure | NotDrawn:
    """Values with 95 % intervals, one per row of ``frame`` (task, metric, value, low, high).

    Args:
        frame: as above.
        title: of the figure.
        label: of the values.
        one_training: of each model; then nothing is coloured as better or worse.
    """
    if frame.empty:
        return NotDrawn("there is no such comparison in this domain.")
    names = [f"{row.task} ({row.metric})" for row in frame.itertuples()]
    figure, axes = plt.subplots(figsize=(7, 0.45 * len(frame) + 1.6 + 0.2 * one_training))
    bars(axes, frame, frame["value"], names, NO_VERDICT if one_training else None)
    axes.xaxis.set_major_locator(MaxNLocator(6))  # labels such as -0.0025 must not touch
    axes.set(title=title, xlabel=f"{label}\n{ONE_TRAINING if one_training else KEY}")
    return figure


def interval(
    axes: Axes, y: float, value: float, low: float, high: float, limit: float | None = None,
    colour: Any = None,
) -> None:  # fmt: skip
    """A gain with its interval in the colour of its verdict, or in ``colour``.

    With a ``limit`` the line ends there, and an arrow says that it would go on.
    """
    colour = colour or VERDICTS[verdict(low, high)]
    end = np.inf if limit is None else limit
    axes.plot(np.clip([low, high], -end, end), [y, y], color=colour, linewidth=2)
    if abs(value) <= end:
        axes.plot(value, y, "o", color=colour, markersize=5)
    for side, marker, furthest in ((-1, "<", min(value, low)), (1, ">", max(value, high))):
        if side * furthest > end:
            axes.plot(side * end, y, marker, color=colour, markersize=7, clip_on=False)


def bars(
    axes: Axes, frame: pd.DataFrame, values: pd.Series, names: Sequence[str], colour: Any = None
) -> None:
    """Draw gains with their intervals (``low``, ``high``) from the top down, see :data:`KEY`."""
    at = np.arange(len(frame))[::-1]
    for y, row, value in zip(at, frame.itertuples(), values, strict=True):
        interval(axes, y, value, row.low, row.high, colour=colour)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(at, list(names))
    axes.set_ylim(-0.6, len(frame) - 0.4)


def reliability(tables: Mapping[str, pd.DataFrame], title: str) -> Figure | NotDrawn:
    """Observed frequency against predicted probability; the diagonal is perfect calibration.

    Bins of fewer than :data:`FEWEST` predictions are left out: their frequency is chance.
    """
    if not tables:
        return NotDrawn("no task is binary or multi-label.")
    drawn = {name: table[table["rows"] >= FEWEST] for name, table in tables.items()}
    known = pd.concat([table.assign(task=name) for name, table in drawn.items()])
    if known.empty:
        return NotDrawn(f"no bin of a tenth has {FEWEST} predictions.")
    figure, axes = plt.subplots(figsize=(6, 4.7))
    axes.plot([0, 1], [0, 1], color="black", linewidth=1, label="perfect")
    for (name, table), marker in zip(drawn.items(), MARKERS, strict=False):
        axes.plot(table["predicted"], table["observed"], marker=marker, label=name)
    off = (known["observed"] - known["predicted"]).abs().to_numpy()
    worst = known.iloc[int(off.argmax())]
    axes.set(xlabel="predicted probability", ylabel="observed frequency",
             xlim=(0, 1), ylim=(0, 1.02))  # fmt: skip
    axes.set_title(
        f"furthest off: {worst['task']}, {worst['predicted']:.2f} came true "
        f"{worst['observed']:.2f}", fontsize=10,
    )  # fmt: skip
    axes.legend()
    figure.suptitle(title, fontsize=12)
    return figure


def confusion(labels: np.ndarray, chosen: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Confusion matrix, rows normalised to percent; school grades and numbers in their order."""
    counts = pd.crosstab(pd.Series(labels), pd.Series(chosen))
    counts = counts.reindex(index=range(len(names)), columns=range(len(names)), fill_value=0)
    share = counts.div(counts.sum(axis=1).replace(0, 1), axis=0) * 100
    share.index, share.columns = list(names), list(names)
    if set(names) <= {"K", *(name for name in names if name.isdecimal())}:
        order = sorted(names, key=_grade)
        share = share.loc[order, order]
    size = 0.4 * len(names) + 2.6
    figure, axes = plt.subplots(figsize=(size + 1.6, size))
    sns.heatmap(
        share, annot=len(names) <= 16, fmt=".0f", cmap=LOW_TO_HIGH, vmin=0, vmax=100, ax=axes,
        annot_kws={"fontsize": 8}, cbar_kws={"label": "share of actual class [%]"},
    )  # fmt: skip
    axes.set(xlabel="predicted", ylabel="actual")
    turn_labels(axes)
    axes.set_title(_mistake(share, np.mean(labels == chosen)), fontsize=10)
    figure.suptitle(title, fontsize=11)
    return figure


def _grade(name: str) -> int:
    """The number that a class is called by; kindergarten, K, comes before grade 1."""
    return 0 if name == "K" else int(name)


def _mistake(share: pd.DataFrame, right: float) -> str:
    """How many rows are right, and which class is mistaken most for which."""
    off = share.mask(np.eye(len(share), dtype=bool), 0.0)
    if off.to_numpy().max() == 0:
        return f"{right:.0%} right"
    row, column = np.unravel_index(off.to_numpy().argmax(), off.shape)
    most = f"{off.iloc[row, column]:.0f} % of {off.index[row]}"
    return f"{right:.0%} right; {most}\nsaid to be {off.columns[column]}"


def matrix(
    frame: pd.DataFrame, title: str, label: str, rows: str, columns: str
) -> Figure | NotDrawn:
    """A heatmap, around zero if some values are below it; unknown ones are left blank.

    Where rows and columns are the same, so is a task's value with itself, which says nothing.
    """
    known = frame.to_numpy(dtype=float, copy=True)
    if list(frame.index) == list(frame.columns):
        np.fill_diagonal(known, np.nan)
    frame = pd.DataFrame(known, frame.index, frame.columns)
    known = known[np.isfinite(known)]
    if not len(known):
        return NotDrawn("no value is known.")
    largest = float(np.abs(known).max()) or 1.0
    signed = bool(known.min() < -0.01 * largest)
    digits = 0 if largest >= 50 else 1 if largest >= 5 else 2
    shown = frame.round(digits) + 0.0  # no -0.00
    figure, axes = plt.subplots(figsize=(1.0 * len(frame.columns) + 2.8, 0.55 * len(frame) + 1.6))
    sns.heatmap(
        frame, annot=shown, fmt=f".{digits}f", ax=axes, annot_kws={"fontsize": 9},
        cmap=AROUND_ZERO if signed else LOW_TO_HIGH, vmin=-largest if signed else 0, vmax=largest,
        cbar_kws={"label": label},
    )  # fmt: skip
    axes.set(title=title, xlabel=columns, ylabel=rows)
    axes.grid(visible=False)
    turn_labels(axes)
    return figure


def cosines(frame: pd.DataFrame, title: str) -> Figure | NotDrawn:
    """Gradient cosine of every pair of tasks by epoch (``epoch``, ``task``, ``other``, ``cosine``).

    Each pair is shown once; pairs whose labels never share a batch are left out. Those that stay
    within :data:`HARDLY` of zero are one kind of line, since they would hide each other.
    """
    order = list(dict.fromkeys(frame["task"]))
    place = frame["task"].map(order.index) < frame["other"].map(order.index)
    part = frame[place & frame["cosine"].notna()]
    if part.empty:
        return NotDrawn("no two tasks have labels in the same batch.")
    part = part.assign(pair=part["task"] + " · " + part["other"])
    lines = part.pivot_table("cosine", "epoch", "pair", sort=False)
    furthest = lines.apply(lambda line: line[line.abs().idxmax()])
    order = furthest.abs().sort_values(ascending=False, kind="stable").index
    apart = [pair for pair in order if abs(furthest[pair]) > HARDLY][: len(MARKERS)]
    others = [pair for pair in order if pair not in apart]
    figure, axes = plt.subplots(figsize=(8, 4.5))
    for place, pair in enumerate(others):
        count = f"{len(others)} other pair{'s' if len(others) > 1 else ''}"
        label = f"{count}, within ±{furthest[others].abs().max():.2f}"
        axes.plot(lines[pair], color="0.6", linewidth=1, label="_" if place else label)
    for pair, colour, marker in zip(apart, COLOURS, MARKERS, strict=False):
        axes.plot(lines[pair], color=colour, marker=marker, label=pair)
    axes.axhline(0, color="black", linewidth=1)
    most = f"furthest from zero: {order[0]}, {furthest[order[0]]:+.2f}"
    axes.set(title=f"{title}\n{most}", xlabel="epoch",
             ylabel="cosine of gradients on shared weights")  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(title=None, fontsize=8, bbox_to_anchor=(1.01, 1), loc="upper left", frameon=False)
    return figure


def intervals(
    frame: pd.DataFrame, names: Sequence[str], title: str, label: str
) -> Figure | NotDrawn:
    """Means with 95 % intervals (``gain``, ``low``, ``high``), one line per name, best on top."""
    if frame.empty:
        return NotDrawn("there is no result yet; run `make study`.")
    figure, axes = plt.subplots(figsize=(7.5, 0.33 * len(frame) + 1.6))
    bars(axes, frame, frame["gain"], names)
    axes.tick_params(axis="y", labelsize=9)
    told = [verdict(row.low, row.high) for row in frame.itertuples()]
    said = f"of {len(told)}, better: {told.count('better')}, worse: {told.count('worse')}"
    axes.set(title=f"{title}\n{said}, undecided: {told.count('undecided')}",
             xlabel=f"{label}\n{KEY}")  # fmt: skip
    return figure
