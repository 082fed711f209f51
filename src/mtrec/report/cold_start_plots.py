"""Figures of notebook 08."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtrec.metrics.families import HIGHER_IS_BETTER
from mtrec.report.cold_start import OURS, PEERS, is_difference, pooled
from mtrec.report.plots import COLOURS, NotDrawn

NO_RESULT = NotDrawn("no result is known yet; run `make study`.")
ACROSS = 3  # panels side by side, so that they read at half width


def systems(results: pd.DataFrame, split: str, title: str) -> Figure | NotDrawn:
    """A panel per task: every system's main metric with its 95 % interval, ours above the peers.

    Args:
        results: all results.
        split: the split to show.
        title: of the figure.
    """
    found = pooled(results[(results["split"] == split) & ~is_difference(results)])
    tasks = list(dict.fromkeys(found["task"]))
    order = [system for system in (*OURS, *PEERS) if system in set(found["system"])]
    if not tasks:
        return NO_RESULT
    figure, panels = _grid(len(tasks), 0.36 * len(order) + 1.3)
    at = {system: -place for place, system in enumerate(order)}
    for axes, task in zip(panels, tasks, strict=True):
        part = found[found["task"] == task]
        for row in part.itertuples():
            colour = COLOURS[0 if row.system in OURS else 1]
            axes.plot([row.low, row.high], [at[row.system]] * 2, color=colour, linewidth=2)
            axes.plot(row.value, at[row.system], "o" if row.system in OURS else "s", color=colour)
        metric = part["metric"].iloc[0]
        better = "higher is better" if HIGHER_IS_BETTER[metric] else "lower is better"
        axes.set(title=task, xlabel=f"{metric} ({better})")
        axes.set_yticks(list(at.values()), list(at))
        axes.set_ylim(-len(order) + 0.4, 0.6)
    figure.suptitle(title)
    handles = [
        plt.Line2D([], [], color=COLOURS[colour], marker=marker, linewidth=2, label=name)
        for colour, marker, name in ((0, "o", "ours"), (1, "s", "peers"))
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def gains(found: pd.DataFrame, titles: dict[str, str], title: str) -> Figure | NotDrawn:
    """Paired differences by task with 95 % intervals, a panel per comparison; zero is a line.

    Each difference is in units of half its widest interval in the task, so that metrics of
    different size share an axis: beyond 0 with its whole bar is a clear difference.

    Args:
        found: :func:`mtrec.report.cold_start.differences`.
        titles: comparison -> what it asks.
        title: of the figure.
    """
    tasks, chosen = (
        list(dict.fromkeys(found["task"])),
        [n for n in titles if n in set(found["system"])],
    )
    if not chosen:
        return NO_RESULT
    half = (found["high"] - found["low"]).groupby(found["task"]).max() / 2
    figure, panels = _grid(len(chosen), 0.36 * len(tasks) + 1.1)
    for axes, name in zip(panels, chosen, strict=True):
        for row in found[found["system"] == name].itertuples():
            unit, y = max(half[row.task], np.finfo(float).tiny), -tasks.index(row.task)
            colour = COLOURS[7 if row.verdict == "unclear" else 0]
            axes.plot([row.low / unit, row.high / unit], [y, y], color=colour, linewidth=2)
            axes.plot(row.value / unit, y, "o", color=colour)
        axes.axvline(0, color="black", linewidth=1)
        axes.set(title=name.replace(" - ", " − "), ylim=(-len(tasks) + 0.4, 0.6))
        axes.set_yticks([-place for place in range(len(tasks))], tasks)
    figure.suptitle(title)
    unit = "difference in half widths of the task's widest interval"
    figure.supxlabel(f"{unit}\nright is better, grey is unclear", fontsize=11)
    return figure


def _grid(panels: int, height: float) -> tuple[Figure, list[Axes]]:
    """Panels in rows of three with a common y axis; ``height`` of a row in inches."""
    across = 2 if panels == 4 else min(panels, ACROSS)
    down = -(-panels // across)
    figure, grid = plt.subplots(
        down, across, figsize=(2.4 * across + 1.2, height * down + 0.9), sharey=True, squeeze=False
    )
    for axes in grid.flat[panels:]:
        axes.remove()
    for axes in grid.flat[:panels]:
        axes.tick_params(labelsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    return figure, list(grid.flat[:panels])
