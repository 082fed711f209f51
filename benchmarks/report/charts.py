"""Figures of the benchmarks' page: one claim each, colour-blind safe, readable at half width."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from benchmarks.harness.results import FINE
from benchmarks.report.targets import is_ours
from mtrec.report.plots import COLOURS

OURS, PEERS = COLOURS[0], COLOURS[7]
MET, MISSED = COLOURS[2], COLOURS[3]
MANY_TIMES = 20


def systems(rows: pd.DataFrame, title: str, label: str, up: bool) -> Figure:
    """One metric of all systems as points with their 95 % intervals, the best on top.

    The axis is logarithmic where the largest value is many times the least. Systems that read what
    nobody knows in time, ``FINE``, are hollow, since no target counts them.

    Args:
        rows: of one protocol and metric.
        title: what the figure shows.
        label: of the axis: metric and unit.
        up: more is better.
    """
    rows = rows.sort_values("value", ascending=up)
    figure, axes = plt.subplots(figsize=(7, 1.6 + 0.36 * len(rows)))
    for place, (_, row) in enumerate(rows.iterrows()):
        own = bool(is_ours(pd.Series([row["system"]])).iloc[0])
        colour, marker = (OURS, "o") if own else (PEERS, "s")
        fine = FINE in row["system"]
        if pd.notna(row["low"]):
            axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2,
                      linestyle=":" if fine else "-")  # fmt: skip
        axes.plot(row["value"], place, marker, color=colour, markersize=8,
                  markerfacecolor="white" if fine else colour)  # fmt: skip
    axes.set_yticks(range(len(rows)), rows["system"])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    if rows["value"].min() > 0 and rows["value"].max() > MANY_TIMES * rows["value"].min():
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.set_title(title, fontsize=10)
    hollow = rows["system"].str.contains(FINE, regex=False).any()
    axes.set_xlabel(f"{label}\nhollow: no target counts it" if hollow else label)
    _legend(axes, ("ours", "o", OURS), ("others", "s", PEERS))
    return figure


def against_targets(judged: pd.DataFrame, title: str) -> Figure:
    """How much of each target was reached, 100 % being just enough.

    Args:
        judged: ``name``, ``reached`` (1 = the target) and ``verdict``, one line per target.
        title: of the figure.
    """
    figure, axes = plt.subplots(figsize=(10, 1.6 + 0.32 * len(judged)))
    for place, (_, row) in enumerate(judged[::-1].iterrows()):
        colour, marker = (MET, "o") if row["verdict"] == "met" else (MISSED, "X")
        axes.plot([1.0, row["reached"]], [place, place], color=colour, linewidth=2)
        axes.plot(row["reached"], place, marker, color=colour, markersize=9)
        right = row["verdict"] == "met"
        axes.annotate(share(row["reached"]), (row["reached"], place), fontsize=8, va="center",
                      xytext=(8 if right else -8, 0), textcoords="offset points",
                      ha="left" if right else "right")  # fmt: skip
    axes.axvline(1.0, color="black", linewidth=1)
    axes.margins(x=0.15)
    axes.set_yticks(range(len(judged)), judged["name"][::-1])
    axes.set_ylim(-0.6, len(judged) - 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set(title=title, xlabel="share of the target that was reached (right of the line: met)")
    _legend(axes, ("met", "o", MET), ("missed", "X", MISSED))
    return figure


def share(reached: float) -> str:
    """A share in percent, with as many digits as tell it from all of it.

    Example:
        >>> share(0.51), share(0.9986), share(0.99996), share(1.0)
        ('51 %', '99.9 %', '99.996 %', '100 %')
    """
    digits = next((n for n in range(6) if reached == 1 or round(100 * reached, n) != 100), 6)
    return f"{100 * reached:.{digits}f} %"


def scaling(points: pd.DataFrame, title: str) -> Figure:
    """Seconds and memory over size, logarithmic, a column per protocol; grey is linear.

    Args:
        points: ``protocol``, ``size``, ``seconds`` and ``peak_mb``.
        title: of the figure.
    """
    names = list(dict.fromkeys(points["protocol"]))
    figure, panels = plt.subplots(2, len(names), figsize=(3.6 * len(names), 6), squeeze=False)
    for column, name in enumerate(names):
        part = points[points["protocol"] == name].sort_values("size")
        kinds = (("seconds", "seconds"), ("peak_mb", "peak memory [MB]"))
        for line, (key, label) in enumerate(kinds):
            axes = panels[line][column]
            size, cost = part["size"].to_numpy(float), part[key].to_numpy(float)
            axes.plot(size, cost[-1] * size / size[-1], color="0.6", linestyle="--",
                      label="linear")  # fmt: skip
            axes.plot(size, cost, "o-", color=COLOURS[line], label="measured")
            axes.set(xscale="log", yscale="log", xlabel=name.removeprefix("scaling_"))
            axes.set_ylim(0.4 * np.min(cost), 2.5 * np.max(cost))
            axes.set_ylabel(label if column == 0 else "")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
            if size[-1] < 1000:
                axes.set_xticks(size, [f"{value:g}" for value in size])
                axes.xaxis.set_minor_formatter(NullFormatter())
            axes.legend(fontsize=8)
        panels[0][column].set_title(name.removeprefix("scaling_"))
    figure.suptitle(title)
    return figure


def stacked(parts: pd.DataFrame, title: str, label: str) -> Figure:
    """A bar per row, a segment per column; the first row is on top.

    Args:
        parts: what the segments measure; columns beyond the sixth are drawn as ``other``.
        title: of the figure.
        label: of the axis.
    """
    named = parts.iloc[:, :6].assign(other=parts.iloc[:, 6:].sum(axis=1))[::-1]
    figure, axes = plt.subplots(figsize=(8, 1.8 + 0.4 * len(named)))
    left = np.zeros(len(named))
    for column, colour in zip(named, COLOURS, strict=False):
        values = named[column].to_numpy()
        name = str(column).replace("_", " ")
        axes.barh(named.index, values, left=left, color=colour, edgecolor="white", label=name)
        left += values
    axes.set(title=title, xlabel=label)
    axes.legend(fontsize=8, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    return figure


def _legend(axes: Any, *kinds: tuple[str, str, str]) -> None:
    """Name markers: label, marker and colour of each."""
    handles = [
        plt.Line2D([], [], marker=marker, color=colour, linestyle="", label=name)
        for name, marker, colour in kinds
    ]
    axes.legend(handles=handles, loc="best", fontsize=9)
