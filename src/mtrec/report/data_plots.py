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
PANELS = 6  # of a map, a group each
MANY = 3000  # texts: more are drawn smaller, and so many are asked for their neighbours
CELLS = 2**24  # of a block of texts that are compared with all others


def split_timeline(examples: pd.DataFrame, title: str, has_clock: bool) -> Figure | NotDrawn:
    """Rows per week, or per day, hour or minute of a short time, coloured by split.

    Args:
        examples: with ``timestamp`` and ``split``.
        title: of the figure.
        has_clock: times are those of the data, not an order that was made up.
    """
    if not has_clock:
        return NotDrawn("no day is known of these rows, so there is no line of time to show.")
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
    figure.suptitle(title)
    axes.set(title=_ends(timed), xlabel=unit, ylabel=f"examples per {unit}")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    sns.move_legend(axes, "upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.autofmt_xdate()
    return figure


def _ends(timed: pd.DataFrame) -> str:
    """Until when the rows of each split are."""
    ends = timed.groupby("split")["timestamp"].max()
    return ", ".join(
        f"{split} until {ends[split].day} {ends[split]:%b %Y}"
        for split in SPLIT_COLOURS
        if split in ends
    )


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
    """First two principal components of text vectors, a panel for each of the six largest groups.

    Grey is every item. A panel's title says how many of a text's nearest other texts, by all
    components, are of its group, and how many texts are. The axes end where 98 % of the items lie,
    or a few outliers would press the rest together.
    """
    known = np.isfinite(vectors).all(axis=1) & groups.notna().to_numpy()
    if vectors.shape[1] < 2 or not known.any():
        return NotDrawn("the items have no texts, so there is nothing to map.")
    vectors, names = vectors[known], groups[known].to_numpy()
    found = alike(vectors, names)
    found = found.head(PANELS) if len(found) > PANELS else found.sort_values("group")
    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(7, 0.8 + 2.1 * rows), sharex=True, sharey=True, squeeze=False
    )
    limits = {"xlim": _middle(vectors[:, 0]), "ylim": _middle(vectors[:, 1])}
    size = 4 if len(vectors) > MANY else 9
    for axes, row in zip(panels.flat, found.to_dict("records"), strict=False):
        own = names == row["group"]
        axes.scatter(*vectors[~own, :2].T, s=size, color="0.85", linewidth=0)
        axes.scatter(*vectors[own, :2].T, s=size, color=COLOURS[0], linewidth=0)
        said = f"{row['share']:.0%} of texts"
        if np.isfinite(row["neighbours"]):  # a single text has none
            said = f"{row['neighbours']:.0%} of\nneighbours, {said}"
        axes.set_title(f"{row['group']}: {said}", fontsize=10)
        axes.set(**limits)
    for axes in panels.flat[len(found) :]:
        axes.remove()
    for axes in panels.flat[max(0, len(found) - columns) : len(found)]:
        axes.tick_params(labelbottom=True)
    figure.suptitle(title)
    figure.supxlabel("principal component 1", fontsize=10)
    figure.supylabel("principal component 2", fontsize=10)
    return figure


def alike(vectors: np.ndarray, groups: np.ndarray, k: int = 10) -> pd.DataFrame:
    """Whether texts of a group lie together: who is nearest to them, by cosine similarity.

    Args:
        vectors: ``(n, components)``, finite; equal ones of a group count once.
        groups: ``(n,)``, no value missing.
        k: neighbours of each text; where texts are many, some thousand of them are asked.

    Returns:
        ``group``, ``share`` of the texts that are in it, and ``neighbours``: of the nearest ``k``
        other texts of a text in it, the share that is in it, too. The largest group is first.
    """
    codes = pd.factorize(groups)[0]
    first = np.unique(np.column_stack([codes, vectors]), axis=0, return_index=True)[1]
    own, unit = groups[first], vectors[first]  # group by group
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    same = np.full(len(own), np.nan)
    k = min(k, len(own) - 1)
    begins = np.flatnonzero(np.diff(codes[first], prepend=-1))
    asked = np.union1d(np.arange(0, len(own), max(1, len(own) // MANY)), begins)
    size = max(1, CELLS // len(own))
    for rows in np.split(asked, range(size, len(asked), size)) if k else []:
        similar = unit[rows] @ unit.T
        similar[np.arange(len(rows)), rows] = -np.inf
        nearest = np.argpartition(similar, -k, axis=1)[:, -k:]
        same[rows] = (own[nearest] == own[rows, None]).mean(axis=1)
    by_group = pd.DataFrame({"group": own, "neighbours": same}).groupby("group")["neighbours"]
    found = pd.DataFrame({"share": by_group.size() / len(own), "neighbours": by_group.mean()})
    found = found.reset_index()
    return found.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def _middle(values: np.ndarray) -> tuple[float, float]:
    """Where the middle 98 % lie, with a margin."""
    low, high = np.quantile(values, [0.01, 0.99])
    margin = 0.05 * (high - low) + 1e-6
    return float(low - margin), float(high + margin)
