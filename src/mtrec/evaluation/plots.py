"""Figures of the notebooks: one claim each, colour-blind safe, readable at half width.

A function here returns a figure, or :class:`NotDrawn` where one would say nothing. :func:`save`
takes either and returns what a cell shows. Titles name what is shown, not what came out of a
training, which differs a little between machines.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from PIL import Image

COLOURS = sns.color_palette("colorblind")
SPLIT_COLOURS = {"train": COLOURS[0], "validation": COLOURS[1], "test": COLOURS[2]}
LOW_TO_HIGH = sns.light_palette(COLOURS[0], as_cmap=True)
AROUND_ZERO = sns.blend_palette([COLOURS[3], "white", COLOURS[0]], as_cmap=True)
DPI = 150  # a figure of seven inches has 1050 pixels: sharp at half of a page's width
NOT_DRAWN = "Not drawn: "
FEW = 12  # so many different values have a bar each
FEWEST_UNLABELLED = 1.0  # percent of rows without a label, below which there is nothing to show
WIDTHS = {"week": 7.0, "day": 1.0, "hour": 1 / 24, "minute": 1 / 1440}  # of bars over time, in days
FEWEST_BARS = 4  # over the whole time; a shorter width is taken otherwise


@dataclass(frozen=True)
class NotDrawn:
    """What a plot function returns instead of a figure that says nothing; a cell shows why."""

    because: str

    def __repr__(self) -> str:
        return NOT_DRAWN + self.because


@dataclass(frozen=True)
class Picture:
    """A figure as a cell shows it: the bytes of its file, under any backend, and its title."""

    png: bytes
    title: str

    def __repr__(self) -> str:
        return f"[figure] {self.title}"

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        with Image.open(io.BytesIO(self.png)) as image:
            return self.png, {"width": round(image.width * 96 / DPI)}  # in pixels of a web page


def style() -> None:
    """One look for all figures: white ground, so that they read on light and dark pages."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    plt.rcParams.update(
        {"figure.figsize": (7, 4), "figure.dpi": 96, "savefig.dpi": DPI,
         "figure.facecolor": "white", "axes.titlesize": 12, "svg.hashsalt": "mtrec",
         "figure.constrained_layout.use": True}
    )  # fmt: skip


def save(figure: Figure | NotDrawn, path: Path) -> Picture | NotDrawn:
    """Write a figure as PNG, whole or not at all, and return what its cell shows.

    The file has at most 256 colours, which no line or map here needs more of, and neither date nor
    version in it. What is not drawn leaves no file of an earlier run either.
    """
    if isinstance(figure, NotDrawn):
        path.unlink(missing_ok=True)
        return figure
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    temporary.write_bytes(_png(figure))
    os.replace(temporary, path)
    plt.close(figure)  # or the inline backend would show it a second time
    first = figure.axes[0].get_title() if figure.axes else ""
    return Picture(path.read_bytes(), figure.get_suptitle() or first)


def _png(figure: Figure) -> bytes:
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", bbox_inches="tight", metadata={"Software": None})
    with Image.open(drawn) as image:
        few = image.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(small, format="png", optimize=True, dpi=(DPI, DPI))
    return small.getvalue()


def split_timeline(examples: pd.DataFrame, title: str, has_clock: bool) -> Figure | NotDrawn:
    """Rows per week, or per day, hour or minute of a short time, coloured by split.

    Args:
        examples: with ``timestamp`` and ``split``.
        title: of the figure.
        has_clock: times are those of the data, not an order that was made up.
    """
    if not has_clock:
        return NotDrawn("these data have no dates; their times only put the rows in an order.")
    timed = examples[examples["timestamp"].notna()]
    days = (timed["timestamp"].max() - timed["timestamp"].min()) / pd.Timedelta(days=1)
    unit = next((name for name, width in WIDTHS.items() if days >= FEWEST_BARS * width), None)
    if unit is None:
        return NotDrawn(f"all rows lie within {FEWEST_BARS} minutes.")
    figure, axes = plt.subplots()
    sns.histplot(
        timed, x="timestamp", hue="split", hue_order=list(SPLIT_COLOURS), palette=SPLIT_COLOURS,
        binwidth=WIDTHS[unit], multiple="stack", alpha=1, ax=axes, linewidth=0.3,
    )  # fmt: skip
    axes.set(title=title, xlabel=unit, ylabel=f"examples per {unit}")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    sns.move_legend(axes, "upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.autofmt_xdate()
    return figure


def histogram(counts: pd.Series, title: str, label: str) -> Figure | NotDrawn:
    """How many users have each count; many different counts share bars of a logarithmic axis."""
    values = counts.dropna()
    if values.nunique() < 2:
        return NotDrawn(f"{label} are {values.iloc[0] if len(values) else 0} for everyone.")
    figure, axes = plt.subplots()
    if values.nunique() <= FEW:
        sns.countplot(x=values, ax=axes, color=COLOURS[0], saturation=1)
    else:
        edges = np.geomspace(values.min(), values.max() + 1, 30)
        bins = np.unique(np.floor(edges)) - 0.5  # between whole numbers, so that no bar is empty
        axes.hist(values, bins=list(bins), color=COLOURS[0], edgecolor="white", linewidth=0.5)
        axes.set_xscale("log")
        wide = values.max() > 1000 * values.min()
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}" if x >= 1 else "")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set(title=title, xlabel=label, ylabel="users")
    return figure


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
    _turn_labels(axes)
    return figure


def _turn_labels(axes: Axes) -> None:
    """Names of rows level, those of columns slanted, so that long ones do not touch."""
    plt.setp(axes.get_xticklabels(), rotation=30, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="y", rotation=0)


def embedding_map(vectors: np.ndarray, groups: pd.Series, title: str) -> Figure | NotDrawn:
    """First two principal components of text vectors, coloured by the six largest groups.

    The axes end where 98 % of the items lie, or a few outliers would press the rest together.
    """
    if vectors.shape[1] < 2 or not np.isfinite(vectors).all(axis=1).any():
        return NotDrawn("the items have no texts, so there is nothing to map.")
    largest = list(groups.value_counts().index[:6])
    known = np.isfinite(vectors).all(axis=1) & groups.isin(largest).to_numpy()
    figure, axes = plt.subplots(figsize=(7, 4.5))
    sns.scatterplot(
        x=vectors[known, 0], y=vectors[known, 1], hue=groups[known].to_numpy(), hue_order=largest,
        style=groups[known].to_numpy(), style_order=largest, s=18, alpha=0.7, linewidth=0, ax=axes,
    )  # fmt: skip
    axes.set(title=title, xlabel="principal component 1", ylabel="principal component 2",
             xlim=_middle(vectors[known, 0]), ylim=_middle(vectors[known, 1]))  # fmt: skip
    axes.legend(title=groups.name, bbox_to_anchor=(1, 1), loc="upper left", frameon=False,
                fontsize=9, markerscale=1.5)  # fmt: skip
    return figure


def _middle(values: np.ndarray) -> tuple[float, float]:
    """Where the middle 98 % lie, with a margin."""
    low, high = np.quantile(values, [0.01, 0.99])
    margin = 0.05 * (high - low) + np.finfo(float).tiny
    return float(low - margin), float(high + margin)


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


def forest(frame: pd.DataFrame, title: str, label: str) -> Figure | NotDrawn:
    """Values with 95 % intervals, one per row of ``frame`` (task, metric, value, low, high)."""
    if frame.empty:
        return NotDrawn("there is no such comparison in this domain.")
    names = [f"{row.task} ({row.metric})" for row in frame.itertuples()]
    figure, axes = plt.subplots(figsize=(7, 0.45 * len(frame) + 1.6))
    bars(axes, frame, frame["value"], names)
    axes.xaxis.set_major_locator(MaxNLocator(6))  # labels such as -0.0025 must not touch
    axes.set(title=title, xlabel=f"{label}\n95 % intervals; grey ones include zero")
    return figure


def bars(axes: Axes, frame: pd.DataFrame, values: pd.Series, names: Sequence[str]) -> None:
    """Draw values with their intervals (``low``, ``high``) from the top down; grey: with zero."""
    at = np.arange(len(frame))[::-1]
    sure = (frame["low"] > 0) | (frame["high"] < 0)
    for y, row, value, clear in zip(at, frame.itertuples(), values, sure, strict=True):
        colour: Any = COLOURS[0 if clear else 7]
        axes.plot([row.low, row.high], [y, y], color=colour, linewidth=2)
        axes.plot(value, y, "o", color=colour)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(at, list(names))
    axes.set_ylim(-0.6, len(frame) - 0.4)


def reliability(tables: Mapping[str, pd.DataFrame], title: str) -> Figure | NotDrawn:
    """Observed frequency against predicted probability; the diagonal is perfect calibration."""
    if not tables:
        return NotDrawn("no task is binary or multi-label.")
    figure, axes = plt.subplots(figsize=(6, 4.5))
    axes.plot([0, 1], [0, 1], color="black", linewidth=1, label="perfect")
    for (name, table), marker in zip(tables.items(), "osD^v", strict=False):
        axes.plot(table["predicted"], table["observed"], marker=marker, label=name)
    axes.set(title=title, xlabel="predicted probability", ylabel="observed frequency",
             xlim=(0, 1), ylim=(0, 1.02))  # fmt: skip
    axes.legend()
    return figure


def confusion(labels: np.ndarray, chosen: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Confusion matrix, rows normalised to percent; numbers are in their order."""
    counts = pd.crosstab(pd.Series(labels), pd.Series(chosen))
    counts = counts.reindex(index=range(len(names)), columns=range(len(names)), fill_value=0)
    share = counts.div(counts.sum(axis=1).replace(0, 1), axis=0) * 100
    share.index, share.columns = list(names), list(names)
    if all(str(name).isdigit() for name in names):
        order = sorted(names, key=int)
        share = share.loc[order, order]
    size = 0.4 * len(names) + 2.2
    figure, axes = plt.subplots(figsize=(size + 1.2, size))
    sns.heatmap(
        share, annot=len(names) <= 16, fmt=".0f", cmap=LOW_TO_HIGH, vmin=0, vmax=100, ax=axes,
        annot_kws={"fontsize": 8}, cbar_kws={"label": "share of actual class [%]"},
    )  # fmt: skip
    axes.set(title=title, xlabel="predicted", ylabel="actual")
    axes.tick_params(axis="y", rotation=0)
    return figure


def matrix(
    frame: pd.DataFrame, title: str, label: str, rows: str, columns: str
) -> Figure | NotDrawn:
    """A heatmap, around zero if some values are below it; unknown ones are left blank.

    Where rows and columns are the same, a task's value with itself does not stretch the colours.
    """
    known = frame.to_numpy(dtype=float)
    if not np.isfinite(known).any():
        return NotDrawn("no value is known.")
    others = known.copy()
    if list(frame.index) == list(frame.columns):
        np.fill_diagonal(others, np.nan)
    others = others[np.isfinite(others)]
    others = others if np.any(others) else known[np.isfinite(known)]
    largest = float(np.abs(others).max()) or 1.0
    signed = bool(others.min() < -0.01 * largest)
    digits = 0 if largest >= 50 else 1 if largest >= 5 else 2
    shown = frame.astype(float).round(digits) + 0.0  # no -0.00
    figure, axes = plt.subplots(figsize=(1.0 * len(frame.columns) + 2.8, 0.55 * len(frame) + 1.6))
    sns.heatmap(
        frame.astype(float), annot=shown, fmt=f".{digits}f", ax=axes, annot_kws={"fontsize": 9},
        cmap=AROUND_ZERO if signed else LOW_TO_HIGH, vmin=-largest if signed else 0, vmax=largest,
        cbar_kws={"label": label, "extend": "max" if np.nanmax(known) > largest else "neither"},
    )  # fmt: skip
    axes.set(title=title, xlabel=columns, ylabel=rows)
    axes.grid(visible=False)
    _turn_labels(axes)
    return figure


def cosines(frame: pd.DataFrame, title: str) -> Figure | NotDrawn:
    """Gradient cosine of every pair of tasks by epoch (``epoch``, ``task``, ``other``, ``cosine``).

    Each pair is shown once; pairs whose labels never share a batch are left out.
    """
    order = list(dict.fromkeys(frame["task"]))
    place = frame["task"].map(order.index) < frame["other"].map(order.index)
    part = frame[place & frame["cosine"].notna()]
    if part.empty:
        return NotDrawn("no two tasks have labels in the same batch.")
    part = part.assign(pair=part["task"] + " · " + part["other"])
    figure, axes = plt.subplots(figsize=(8, 4.5))
    sns.lineplot(part, x="epoch", y="cosine", hue="pair", style="pair", markers=True, dashes=False,
                 errorbar=None, ax=axes)  # fmt: skip
    axes.axhline(0, color="black", linewidth=1)
    axes.set(title=title, xlabel="epoch", ylabel="cosine of gradients on shared weights")
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
    axes.set(title=title, xlabel=f"{label}\n95 % intervals; grey ones include zero")
    return figure
