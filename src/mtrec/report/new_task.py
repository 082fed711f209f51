"""What a task that was added by its text is worth: tables and a figure."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtrec.metrics.families import HIGHER_IS_BETTER
from mtrec.report import controls
from mtrec.report.findings import verdict
from mtrec.report.plots import COLOURS, NotDrawn
from mtrec.report.tables import arrow, show_interval

SYSTEMS = {
    "zero_shot": "added by text",
    "donor": "the donor's answers",
    "rescaled": "added by text, mean and deviation of the labels",
    "tuned": "added by text and tuned",
    "alone": "single-task model",
    "start": "joint, with the task from the start",
    "baseline": "baseline",
}
LINES = {"rescaled": ("^", 5), "tuned": ("o", 2), "alone": ("s", 1)}  # marker, colour
LEVELS = {"baseline": 7, "donor": 4, "start": 0}  # colour of each
QUESTIONS = {  # difference -> what is judged, against what
    "baseline_difference": ("the text alone", "the baseline"),
    "donor_difference": ("the text alone", "the donor's answers"),
    "rescaled_difference": ("tuning", "mean and deviation alone"),
    "alone_difference": ("tuning", "a single-task model of the same labels"),
    "start_difference": ("adding later", "all labels from the start"),
}


def combined(results: pd.DataFrame) -> pd.DataFrame:
    """Over seeds: ``task``, ``metric``, ``system``, ``labels``, ``value``, ``low``, ``high``.

    Differences are signed so that positive is better, see :func:`mtrec.report.controls.combined`;
    ``wins`` are the seeds of ``seeds`` where they are.
    """
    parts = [
        controls.combined(part).assign(labels=labels) for labels, part in results.groupby("labels")
    ]
    sign = results["metric"].map(HIGHER_IS_BETTER).map({True: 1, False: -1})
    keys = ["task", "metric", "system", "labels"]
    wins = results.assign(wins=sign * results["value"] > 0).groupby(keys, as_index=False)["wins"]
    return pd.concat(parts, ignore_index=True).merge(wins.sum(), on=keys)


def table(found: pd.DataFrame) -> pd.DataFrame:
    """The main metric of every system and number of labels, and the way that it went.

    The way is that from the baseline, 0 %, to the joint model that had all labels from the start,
    100 %.
    """
    rows = []
    for (task, metric), own in found.groupby(["task", "metric"], sort=False):
        by_system = own.set_index("system")["value"]
        base, best = by_system["baseline"], by_system["start"]
        rows += [
            {"new task": task, "labels": row["labels"], "system": SYSTEMS[row["system"]],
             arrow(metric): show_interval(row),
             "of the way [%]": round(100 * (row["value"] - base) / (best - base))}
            for row in own.to_dict("records") if row["system"] in SYSTEMS
        ]  # fmt: skip
    return pd.DataFrame(rows)


def differences(found: pd.DataFrame) -> pd.DataFrame:
    """Paired differences with what each allows to be said; a single training allows nothing."""
    return pd.DataFrame(
        [
            {"new task": row["task"], "what": subject, "against": other, "labels": row["labels"],
             f"gain in {row['metric']}": show_interval(row, signed=True),
             "seeds with a gain": f"{row['wins']} of {row['seeds']}",
             "verdict": verdict(row["low"], row["high"])}
            for name, (subject, other) in QUESTIONS.items()
            for row in found[found["system"] == name].to_dict("records")
        ]
    )  # fmt: skip


def figure(found: pd.DataFrame, title: str) -> Figure | NotDrawn:
    """The main metric by number of labels, a panel per new task; bars are 95 % intervals.

    The axes end beyond the values: the interval of a few draws of ten labels would hide the rest.
    """
    tasks = list(dict.fromkeys(found["task"]))
    if not tasks:
        return NotDrawn("no result is known yet; run `make study`.")
    drawn, panels = plt.subplots(
        len(tasks), 1, figsize=(7, 4.8 * len(tasks)), sharex=True, squeeze=False
    )
    for axes, task in zip(panels[:, 0], tasks, strict=True):
        own = found[found["task"] == task]
        _panel(axes, own)
        values = own.loc[own["system"].isin([*SYSTEMS]), "value"]
        margin = 0.1 * (values.max() - values.min())
        metric = own["metric"].iloc[0]
        unit = "\n[units of the label]" if metric in ("rmse", "mae") else ""
        axes.set(ylabel=f"{task}: {arrow(metric)}{unit}",
                 ylim=(values.min() - margin, values.max() + margin))  # fmt: skip
        axes.set_title(_finding(own))
    panels[-1, 0].set_xlabel("labels of the new task; bars are 95 % intervals")
    drawn.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncol=2,
                 fontsize=9, frameon=False)  # fmt: skip
    drawn.suptitle(title)
    return drawn


def _finding(found: pd.DataFrame) -> str:
    """What tuning gives beside a single-task model with the fewest labels and with the most."""
    by = {name: own.set_index("labels")["value"] for name, own in found.groupby("system")}
    if "tuned" not in by or "alone" not in by:
        return ""
    both = sorted({*by["tuned"].index} & {*by["alone"].index})
    said = [
        f"{count:,} labels: tuned {by['tuned'][count]:.3g}, single-task {by['alone'][count]:.3g}"
        for count in both
    ]
    return "\n".join([*said[:1], *said[1:][-1:]])


def _panel(axes: Axes, found: pd.DataFrame) -> None:
    """Systems that see a few labels as lines; those that see none or all of them as levels."""
    rows = {name: part.sort_values("labels") for name, part in found.groupby("system")}
    counts = sorted({0, *found.loc[found["system"].isin([*LINES]), "labels"]})
    for name, colour in LEVELS.items():
        level = rows[name].iloc[0]
        axes.axhline(level["value"], color=COLOURS[colour], linestyle="--", label=_known(level))
        axes.axhspan(level["low"], level["high"], color=COLOURS[colour], alpha=0.2, linewidth=0)
    _points(axes, rows["zero_shot"], counts, 0.0, {"color": "black", "marker": "D"})
    for place, (name, (marker, colour)) in enumerate(LINES.items()):
        if name in rows:
            look = {"color": COLOURS[colour], "marker": marker}
            _points(axes, rows[name], counts, 0.08 * (place - 1), look)
    axes.set_xticks(range(len(counts)), [f"{count:,}" for count in counts])


def _points(
    axes: Axes, rows: pd.DataFrame, counts: list[int], shift: float, look: dict[str, Any]
) -> None:
    at = [counts.index(labels) + shift for labels in rows["labels"]]
    bars = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
    name = SYSTEMS[rows["system"].iloc[0]]
    axes.errorbar(at, rows["value"], yerr=bars, capsize=2, label=name, **look)


def _known(row: pd.Series) -> str:
    """A system with the number of labels that it has seen, if any."""
    name = SYSTEMS[row["system"]]
    return f"{name} ({row['labels']:,} labels)" if row["labels"] else name
