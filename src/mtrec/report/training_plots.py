"""Figures of notebook 04: how models learn, and how they learnt."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtrec.balancing.nashmtl import NashMTL
from mtrec.report.plots import COLOURS

DASHES = "-", "--", ":", "-."  # of models' learning curves
FLATTEST = 0.02  # span of a panel of losses, as a share of them
GRADIENTS = (2.0, -0.2), (-0.45, 0.6)  # of two tasks that disagree, one three times as long
GREYS = "0.6", "0.35"
STEPS = 600  # of a weight that is averaged


def curves(frame: pd.DataFrame, title: str) -> Figure:
    """Validation loss by epoch, a panel per task, a line per model (``model`` column).

    A panel's title gives the lowest loss of each model. No panel is so flat that it would show
    nothing but noise: see :data:`FLATTEST`.
    """
    tasks = list(dict.fromkeys(frame["task"]))
    models = list(dict.fromkeys(frame["model"]))
    columns = 2 if len(tasks) in (2, 4) else min(3, len(tasks))
    rows = -(-len(tasks) // columns)
    size = (3.2 * columns + 0.4, 2.6 * rows + 0.8)
    figure, panels = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axes, task in zip(panels.flat, tasks, strict=False):
        part = frame[frame["task"] == task]
        lines = {name: part[part["model"] == name] for name in models}
        for (name, line), colour, dash in zip(lines.items(), COLOURS, DASHES, strict=False):
            axes.plot(line["epoch"], line["val_loss"], dash, color=colour, label=name, linewidth=2)
        lowest = ", ".join(f"{n} {line['val_loss'].min():.3f}" for n, line in lines.items())
        axes.set_title(f"{task}\nlowest: {lowest}", fontsize=10)
        _no_flatter(axes)
    for axes in panels.flat[len(tasks) :]:
        axes.remove()
    for axes in panels.flat[max(0, len(tasks) - columns) : len(tasks)]:
        axes.set_xlabel("epoch")
    figure.supylabel("validation loss (constant = 1)", fontsize=11)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncol=len(models), frameon=False)
    figure.suptitle(title)
    return figure


def _no_flatter(axes: Axes) -> None:
    """Plain numbers on the axis of losses, over a span of at least :data:`FLATTEST`."""
    low, high = axes.get_ylim()
    lack = FLATTEST * abs(high) - (high - low)
    if lack > 0:
        axes.set_ylim(low - lack / 2, high + lack / 2)
    axes.ticklabel_format(axis="y", useOffset=False, style="plain")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def method(momentum: float, seed: int, title: str) -> Figure:
    """What Nash-MTL and the average of weights do, on examples of two numbers each.

    Left, two gradients of different length and the steps that their mean and Nash-MTL take, by
    :class:`~mtrec.balancing.nashmtl.NashMTL` itself, all drawn as long as one. Right, a weight that
    steps around its best value, 0, and the average that ``momentum`` keeps.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    _directions(left)
    _average(right, momentum, np.random.default_rng(seed))
    figure.suptitle(title)
    return figure


def _directions(axes: Axes) -> None:
    gradients = np.array(GRADIENTS)
    gram = tf.constant(gradients @ gradients.T, tf.float32)
    weights = NashMTL(2).weigh(tf.ones(2), gram, tf.ones(2, tf.bool)).numpy()
    steps = {"mean of both": gradients.mean(axis=0), "Nash-MTL": weights @ gradients}
    arrows = {f"gradient of task {n + 1}": one for n, one in enumerate(gradients)}
    arrows |= {name: one / np.linalg.norm(one) for name, one in steps.items()}
    for (name, (x, y)), colour in zip(arrows.items(), (*GREYS, *COLOURS), strict=False):
        axes.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "->", "color": colour, "lw": 2})
        axes.plot([], [], color=colour, linewidth=2, label=name)
    way = {name: gradients @ one > 0 for name, one in steps.items()}
    helped = [f"{name} helps {'both' if both.all() else 'one'}" for name, both in way.items()]
    axes.set(xlim=(-0.8, 2.3), ylim=(-0.4, 1.5), aspect="equal",
             xlabel="first weight", ylabel="second weight")  # fmt: skip
    axes.set_title("; ".join(helped), fontsize=10)
    axes.legend(fontsize=8, loc="upper right")


def _average(axes: Axes, momentum: float, rng: np.random.Generator) -> None:
    """A weight that is drawn to 0 by noisy gradients at a constant rate."""
    weight = average = 2.0
    weights, averages = [], []
    for noise in rng.normal(size=STEPS):
        weight -= 0.1 * (weight + 3 * noise)
        average = momentum * average + (1 - momentum) * weight
        weights.append(weight)
        averages.append(average)
    last = slice(STEPS // 2, None)
    off = [np.abs(np.array(values)[last]).mean() for values in (weights, averages)]
    axes.plot(weights, color="0.7", linewidth=1, label="the weight itself")
    axes.plot(averages, color=COLOURS[0], linewidth=2, label=f"its average, m = {momentum:g}")
    axes.axhline(0, color="black", linewidth=1)
    axes.set(xlabel="step", ylabel="distance from the best weight")
    axes.set_title(f"second half: {off[0]:.2f} off, its average {off[1]:.2f}", fontsize=10)
    axes.legend(fontsize=8, loc="upper right")
