"""Figures of notebook 08."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mtrec.cold.report import OURS, PEERS, is_difference, pooled
from mtrec.evaluation.metrics import HIGHER_IS_BETTER
from mtrec.evaluation.plots import COLOURS


def systems(results: pd.DataFrame, split: str, title: str) -> Figure:
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
        return _none(title)
    figure, panels = plt.subplots(
        1, len(tasks), figsize=(2.6 * len(tasks) + 1, 0.36 * len(order) + 1.5), sharey=True,
        squeeze=False,
    )  # fmt: skip
    at = {system: -place for place, system in enumerate(order)}
    for axes, task in zip(panels[0], tasks, strict=True):
        part = found[found["task"] == task]
        for row in part.itertuples():
            colour = COLOURS[0 if row.system in OURS else 1]
            axes.plot([row.low, row.high], [at[row.system]] * 2, color=colour, linewidth=2)
            axes.plot(row.value, at[row.system], "o" if row.system in OURS else "s", color=colour)
        metric = part["metric"].iloc[0]
        better = "higher is better" if HIGHER_IS_BETTER[metric] else "lower is better"
        axes.set(title=task, xlabel=f"{metric}\n({better})")
        axes.set_yticks(list(at.values()), list(at))
        axes.tick_params(axis="x", labelsize=8, rotation=30)
    figure.suptitle(title)
    return figure


def gains(found: pd.DataFrame, titles: dict[str, str], title: str) -> Figure:
    """Paired differences by task with 95 % intervals, a panel per comparison; zero is a line.

    Each difference is in units of half its widest interval in the task, so that metrics of
    different size share an axis: beyond 0 with its whole bar is a clear difference.

    Args:
        found: :func:`mtrec.cold.report.differences`.
        titles: comparison -> what it asks.
        title: of the figure.
    """
    tasks, chosen = (
        list(dict.fromkeys(found["task"])),
        [n for n in titles if n in set(found["system"])],
    )
    if not chosen:
        return _none(title)
    half = (found["high"] - found["low"]).groupby(found["task"]).max() / 2
    figure, panels = plt.subplots(
        1, len(chosen), figsize=(2.3 * len(chosen) + 1, 0.4 * len(tasks) + 1.8), sharey=True,
        squeeze=False,
    )  # fmt: skip
    for axes, name in zip(panels[0], chosen, strict=True):
        for row in found[found["system"] == name].itertuples():
            unit, y = max(half[row.task], np.finfo(float).tiny), -tasks.index(row.task)
            colour = COLOURS[7 if row.verdict == "unclear" else 0]
            axes.plot([row.low / unit, row.high / unit], [y, y], color=colour, linewidth=2)
            axes.plot(row.value / unit, y, "o", color=colour)
        axes.axvline(0, color="black", linewidth=1)
        axes.set(title=name.replace(" - ", " − "), xlabel="difference\n(+ is better)")
        axes.set_yticks([-place for place in range(len(tasks))], tasks)
    figure.suptitle(title)
    return figure


def _none(title: str) -> Figure:
    """The figure of a split that has not been studied yet."""
    figure, axes = plt.subplots(figsize=(5, 1.5))
    axes.text(0.5, 0.5, "no result yet: `make study`", ha="center", va="center")
    axes.set_axis_off()
    figure.suptitle(title)
    return figure
