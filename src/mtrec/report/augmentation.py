"""What changing batches at random is worth: gains by task and kind of row, and costs."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from mtrec.report import controls
from mtrec.report.findings import verdict
from mtrec.report.plots import VERDICTS, NotDrawn
from mtrec.report.tables import show_interval
from mtrec.studies.augmentation_plan import PLAIN

WARM = "warm"
GROUPS = {WARM: "warm rows", "cold user": "rows of new users", "cold item": "rows of new items"}
VALUE, GAIN = "value", "difference"
CHANCE = 0.05  # of an interval of 95 % to exclude zero where there is nothing
PALE = 0.3  # opacity of an undecided gain's ground


def combined(results: pd.DataFrame) -> pd.DataFrame:
    """The gain of every variant over seeds, a line per task and kind of rows.

    Args:
        results: see :class:`mtrec.studies.augmentation.Variants`.

    Returns:
        ``variant``, ``rows``, ``task``, ``metric``, ``n``; ``value``, ``low`` and ``high`` of the
        gain, positive is better, in units of the metric; ``percent``, the gain in percent of the
        plain training's value; ``verdict``.
    """
    found = []
    for (variant, rows), part in results.groupby(["variant", "rows"], sort=False):
        own = controls.combined(part).assign(variant=variant, rows=rows)
        found.append(own.merge(part[["task", "n"]].drop_duplicates("task"), on="task"))
    every = pd.concat(found, ignore_index=True)
    plain = every[(every["variant"] == PLAIN) & (every["system"] == VALUE)]
    plain = plain.set_index(["rows", "task"])["value"].abs()
    gains = every[(every["variant"] != PLAIN) & (every["system"] == GAIN)].drop(columns="system")
    at = pd.MultiIndex.from_frame(gains[["rows", "task"]])
    said = [verdict(low, high) for low, high in zip(gains["low"], gains["high"], strict=True)]
    percent = 100 * gains["value"] / plain.reindex(at).to_numpy()
    return gains.assign(percent=percent, verdict=said).reset_index(drop=True)


def counts(gains: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """Per variant: tasks that gain and lose by their intervals, and CPU time of an epoch.

    Args:
        gains: of :func:`combined`.
        results: what it was made of.
    """
    lines = []
    for variant, own in gains.groupby("variant", sort=False):
        line: dict[str, object] = {"variant": variant}
        for group, title in GROUPS.items():
            part = own[own["rows"] == group]["verdict"]
            if len(part):
                better, worse = (int((part == said).sum()) for said in ("better", "worse"))
                line[title] = f"{better} better, {worse} worse of {len(part)}"
        times = results[results["variant"] == variant].drop_duplicates("seed")
        line["time of an epoch"] = (times["seconds"] / times["plain_seconds"]).median()
        lines.append(line)
    return pd.DataFrame(lines).fillna("")


def table(gains: pd.DataFrame) -> pd.DataFrame:
    """Every gain whose interval excludes zero, the largest first."""
    clear = gains[gains["verdict"] != "undecided"].sort_values("percent", ascending=False)
    return pd.DataFrame(
        [
            {"variant": row["variant"], "rows": GROUPS.get(row["rows"], row["rows"]),
             "n": row["n"], "task": row["task"], "gain":
             f"{show_interval(row, signed=True)} {row['metric']}",
             "gain [%]": row["percent"], "verdict": row["verdict"]}
            for row in clear[clear["rows"].isin(GROUPS)].to_dict("records")
        ]
    )  # fmt: skip


def message(gains: pd.DataFrame) -> str:
    """What was found, in the few words of a figure's title."""
    said = [*gains.loc[gains["rows"].isin(GROUPS), "verdict"]]
    better, worse = (said.count(word) or "none" for word in ("better", "worse"))
    return f"of {len(said)} comparisons {better} better, {worse} worse"


def sentences(gains: pd.DataFrame) -> list[str]:
    """What the intervals say of each kind of rows, and what chance alone would say."""
    said = []
    for group, title in GROUPS.items():
        part = gains[gains["rows"] == group]
        if part.empty:
            continue
        lists = {
            word: ", ".join(f"{row.variant} ({row.task})" for row in part.itertuples()
                            if row.verdict == word) or "none"
            for word in ("better", "worse")
        }  # fmt: skip
        said.append(
            f"On {title}, of {len(part)} comparisons the interval is above zero in: "
            f"{lists['better']}; below zero in: {lists['worse']}. Were there nothing to find, "
            f"about {CHANCE * len(part):.1f} of them would exclude it."
        )
    return said


def figure(gains: pd.DataFrame, title: str) -> Figure | NotDrawn:
    """Gains in percent by variant and task, a panel per kind of rows, coloured by verdict."""
    groups = [group for group in GROUPS if group in set(gains["rows"])]
    if not groups:
        return NotDrawn("no result is known yet; run `make study`.")
    variants = list(dict.fromkeys(gains["variant"]))
    height = 0.34 * len(variants) + 0.8
    drawn, panels = plt.subplots(
        len(groups), 1, figsize=(7.5, height * len(groups) + 0.6), squeeze=False
    )
    for axes, group in zip(panels[:, 0], groups, strict=True):
        _panel(axes, gains[gains["rows"] == group], variants)
        said = [*gains.loc[gains["rows"] == group, "verdict"]]
        counted = f"{said.count('better')} better, {said.count('worse')} worse of {len(said)}"
        axes.set_title(f"{GROUPS[group]}: {counted}", fontsize=11)
    marks = [
        plt.Rectangle((0, 0), 1, 1, color=_ground(said), label=said) for said in VERDICTS
    ]  # fmt: skip
    drawn.legend(handles=marks, loc="outside lower center", ncol=len(marks), frameon=False)
    drawn.suptitle(title)
    return drawn


def _panel(axes: Axes, gains: pd.DataFrame, variants: list[str]) -> None:
    tasks = list(dict.fromkeys(gains["task"]))
    axes.set(xlim=(-0.5, len(tasks) - 0.5), ylim=(len(variants) - 0.5, -0.5))
    for row in gains.itertuples():
        x, y = tasks.index(row.task), variants.index(row.variant)
        ground = plt.Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, color=_ground(row.verdict))
        axes.add_patch(ground)
        dark = "white" if row.verdict != "undecided" else "black"
        said = _percent(row.percent) if np.isfinite(row.percent) else "–"
        axes.text(x, y, said, ha="center", va="center", fontsize=9, color=dark)
    axes.set_xticks(range(len(tasks)), tasks)
    axes.set_yticks(range(len(variants)), variants)
    axes.grid(False)
    for side in axes.spines.values():
        side.set_visible(False)


def _percent(value: float) -> str:
    """With a sign, but where it rounds to nothing."""
    return f"{value:+.1f} %" if abs(value) >= 0.05 else "0.0 %"


def _ground(said: str) -> tuple[float, ...]:
    return to_rgba(VERDICTS[said], PALE if said == "undecided" else 1.0)
