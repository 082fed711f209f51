"""Figures of notebooks 01 and 02: what the data and their texts are like."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from mtrec.report.plots import (
    COLOURS,
    SPLIT_COLOURS,
    NotDrawn,
)

WIDTHS = {"week": 7.0, "day": 1.0, "hour": 1 / 24, "minute": 1 / 1440}  # of bars over time, in days
FEWEST_BARS = 4  # over the whole time; a shorter width is taken otherwise
FEW = 12  # so many different values have a bar each


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
