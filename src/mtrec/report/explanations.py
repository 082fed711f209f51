"""Tables and figures of notebook 16: what answers are made of, and whether that is true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtrec.explain.domain import BASELINES, METHODS, Measured
from mtrec.explain.faithful import DELETION, INSERTION
from mtrec.explain.players import HISTORY
from mtrec.explain.reasons import Explanation, Reason
from mtrec.explain.units import shown
from mtrec.metrics.intervals import as_numbers
from mtrec.registry import Form
from mtrec.report.plots import BETTER, COLOURS, LOW_TO_HIGH, WORSE, NotDrawn, largest, turn_labels
from mtrec.report.tables import show_interval

LINES = {  # of the orders in which features are taken away; thin ones over wide ones
    "integrated gradients": (COLOURS[0], "-", 4), "occlusion": (COLOURS[2], "--", 1.8),
    "popularity": (COLOURS[1], "-", 3), "random": (COLOURS[7], ":", 2),
}  # fmt: skip
WORDS = ("categorical", "multi")  # kinds of feature whose values have names
MOST = 12  # bars of an example
LEAST_ROWS = 10  # of a value whose experts are looked at


def importance_figure(table: pd.DataFrame, title: str) -> Figure:
    """Share of each feature in what each task's answers are made of, in percent."""
    figure, axes = plt.subplots(figsize=(7, 0.32 * len(table) + 1.9))
    sns.heatmap(
        100 * table, mask=table == 0, annot=True, fmt=".0f", cmap=LOW_TO_HIGH, vmin=0, ax=axes,
        annot_kws={"size": 9}, cbar_kws={"label": "share of contributions [%]"},
    )  # fmt: skip
    axes.set(xlabel="task", ylabel="")
    axes.grid(visible=False)  # it would show through cells that are left out
    turn_labels(axes)
    first = table.idxmax()  # of each task
    said = [f"{name} in {(first == name).sum()}" for name in first.value_counts().index[:2]]
    axes.set_title(f"the largest part of {table.shape[1]} tasks: {', '.join(said)}", fontsize=10)
    figure.suptitle(title)
    return figure


def completeness_table(report: Mapping[str, Any]) -> pd.DataFrame:
    """What contributions lack to the difference of logits, by task."""
    rows = [
        {"task": name, "answers": task["answers"],
         "largest gap [0.001]": 1000 * task["completeness"]["largest"],
         "median gap [0.001]": 1000 * task["completeness"]["median"],
         "gradients (median)": int(task["completeness"]["steps"])}
        for name, task in report["tasks"].items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def gains_table(report: Mapping[str, Any], what: str, method: str = METHODS[0]) -> pd.DataFrame:
    """Gains of a method's order over orders that do not know the row, in logits."""
    rows = []
    for name, task in report["tasks"].items():
        found = task["curves"][what]
        row = {"task": name, "answers": found["answers"]}
        for kind in (DELETION, INSERTION):
            for other in BASELINES:
                one = found.get(f"{kind}: {method} over {other}")
                row[f"{kind}, over {other}"] = show_interval(one, signed=True) if one else ""
        rows.append(row)
    return pd.DataFrame(rows)


def verdict(report: Mapping[str, Any], method: str) -> str:
    """In how many comparisons of curves a method's order is ahead, behind, or undecided."""
    ahead, behind, known = _standing(report, method)
    return (
        f"{method}: of {known} comparisons with an order that does not know the row, ahead in "
        f"{ahead}, behind in {behind}, undecided in {known - ahead - behind}."
    )


def _standing(
    report: Mapping[str, Any], method: str, what: str = "", kind: str = ""
) -> tuple[int, int, int]:
    """Comparisons in which a method's order is ahead, in which behind, and all.

    Args:
        report: of the answers.
        method: whose order.
        what: of features or past events alone, if given.
        kind: deletion or insertion alone, if given.
    """
    found = [
        as_numbers(one)
        for task in report["tasks"].values()
        for part, curves in task["curves"].items()
        if not what or part == what
        for name, one in curves.items()
        if name != "answers" and name.startswith(kind) and f": {method} over" in name
    ]
    known = [one for one in found if np.isfinite(one["low"])]
    ahead = sum(one["low"] > 0 for one in known)
    behind = sum(one["high"] < 0 for one in known)
    return ahead, behind, len(known)


def curves_figure(measured: Measured, report: Mapping[str, Any], title: str) -> Figure | NotDrawn:
    """Mean curves over all tasks, deletion and insertion, of features and of past events.

    Each task's logits are divided by the mean way from the baseline to the row, so that tasks count
    alike.

    Args:
        measured: the answers that were taken apart.
        report: of them, whose comparisons the titles of the panels count.
        title: of the figure.
    """
    drawn = [curves for curves in measured.curves if len(curves.answers)]
    if not drawn:
        return NotDrawn("no answer could be taken apart.")
    figure, every = plt.subplots(
        len(drawn), 2, figsize=(9, 2.9 * len(drawn) + 0.6), squeeze=False, sharex=True, sharey=True
    )
    for row, curves in zip(every, drawn, strict=True):
        for axes, kind in zip(row, (DELETION, INSERTION), strict=True):
            _curves(axes, measured, curves, kind)
            ahead, behind, known = _standing(report, METHODS[0], curves.what, kind)
            axes.set_title(
                f"{kind} of {curves.what}: sooner than another\norder in {ahead} of {known}, later "
                f"in {behind}", fontsize=10,
            )  # fmt: skip
        row[0].set_ylabel("from an average row (0)\nto the answer (100) [%]")
    every[-1, 0].set_xlabel("inputs made average [%]")
    every[-1, 1].set_xlabel("inputs put back [%]")
    every[0, 0].legend(frameon=False, fontsize=9, title="order of inputs", title_fontsize=9)
    figure.suptitle(title)
    return figure


def _curves(axes: Axes, measured: Measured, curves: Any, kind: str) -> None:
    task = measured.asked.task[curves.answers]
    for name, (colour, dash, width) in LINES.items():
        values = curves.values[kind][name]
        lines = []
        for place in np.unique(task):
            own = values[task == place]
            whole, none = (own[:, 0], own[:, -1]) if kind == DELETION else (own[:, -1], own[:, 0])
            sign = np.where(whole >= none, 1.0, -1.0)
            way = np.mean(np.abs(whole - none))
            if way > 0:
                lines.append(np.mean(sign[:, None] * (own - none[:, None]), axis=0) / way)
        if lines:
            mean = 100 * np.mean(lines, axis=0)
            along = np.linspace(0, 100, len(mean))
            axes.plot(along, mean, dash, color=colour, label=name, linewidth=width)
    axes.axhline(0, color="black", linewidth=0.8)


def likeness_table(report: Mapping[str, Any]) -> pd.DataFrame:
    """How alike explanations are to those of the model with shuffled weights."""
    rows = [
        {"task": name, **{what: show_interval(one)
                          for what, one in task["likeness to other weights"].items()}}
        for name, task in report["tasks"].items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def experts_figure(table: pd.DataFrame | None, title: str) -> Figure | NotDrawn:
    """Mean weight of each expert in each task's answers."""
    if table is None:
        return NotDrawn("the shared layer has no gates.")
    figure, axes = plt.subplots(figsize=(7, 0.45 * len(table) + 1.9))
    sns.heatmap(table, annot=True, fmt=".2f", cmap=LOW_TO_HIGH, vmin=0, vmax=1, ax=axes,
                cbar_kws={"label": "mean weight"})  # fmt: skip
    axes.set(xlabel="", ylabel="task")
    axes.tick_params(axis="y", rotation=0)
    name, most = largest(table)
    axes.set_title(f"largest weight: {most:.2f}, {name}", fontsize=10)
    figure.suptitle(title)
    return figure


def specialities(measured: Measured, users: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """For which task, and for which users or items, each expert has most weight.

    Args:
        measured: with gates; without there is no line.
        users: the table; columns of words are looked at.
        items: the table.
    """
    asked, trunk = measured.asked, measured.trunk
    columns = ["expert", "mean weight", "most in task", "weight there", "most for", "weight for it"]
    if asked.gates is None:
        return pd.DataFrame(columns=columns)
    gates = asked.gates[asked.at, asked.task]
    tasks = np.array(trunk.tasks)[asked.task]
    values = _values(measured, users, items)
    rows = []
    for expert in range(gates.shape[1]):
        own = pd.Series(gates[:, expert])
        by_task = own.groupby(tasks).mean()
        usual = own.to_numpy() - by_task[tasks].to_numpy()  # what the task explains is out
        best = _most(pd.Series(usual), values)
        there = own[values[best]].mean() if best else np.nan
        rows.append((expert + 1, own.mean(), by_task.idxmax(), by_task.max(), best or "", there))
    return pd.DataFrame(rows, columns=columns)


def _most(weights: pd.Series, values: Mapping[str, np.ndarray]) -> str | None:
    """The value whose rows have most weight beyond what their tasks have."""
    found = {name: weights[rows].mean() for name, rows in values.items()}
    return max(found, key=lambda name: found[name], default=None)


def _values(measured: Measured, users: pd.DataFrame, items: pd.DataFrame) -> dict[str, np.ndarray]:
    """Answers whose user or item has a value, by ``column: value``; of rare ones none."""
    found = {}
    asked, encoder = measured.asked, measured.trunk.assembly.encoder
    for side, table in (("user", users), ("item", items)):
        rows = asked.inputs[side][asked.at]
        ids = np.array(["", *getattr(encoder, side).ids], dtype=object)[rows]
        names = [
            one.name
            for one in getattr(encoder, side).fields
            if one.kind in WORDS and one.name != f"{side}_id" and one.name in table
        ]
        own = table.set_index(f"{side}_id")[names].reindex(ids).reset_index(drop=True)
        for name in names:
            each = own[name].explode().dropna().astype(str)
            for value, at in each.index.groupby(each).items():
                if len(at) >= LEAST_ROWS:
                    found[f"{name}: {value}"] = np.unique(at)
    return found


def example_figure(found: Explanation, task: str, kind: Any, title: str) -> Figure | NotDrawn:
    """Contributions of the largest groups and past events to one answer, and of all others.

    They add up to the way from the answer of an average row to this one.

    Args:
        found: the explanation.
        task: whose answer.
        kind: its type.
        title: of the figure; what was found is said below it.
    """
    reason = found.tasks[task]
    parts = [(one["group"], one["contribution"]) for one in reason.groups]
    parts = [part for part in parts if part[0] != HISTORY]
    parts += [(f"past: {_short(one)}", one["contribution"]) for one in reason.history]
    parts.sort(key=lambda part: -abs(part[1]))
    if not parts:
        return NotDrawn("nothing that this task sees tells the row from an average one.")
    bars, whole = parts[:MOST], reason.logit - reason.base_logit
    if len(parts) > MOST:
        bars.append(("all others", whole - sum(value for _, value in bars)))
    names, values = zip(*bars[::-1], strict=True)
    figure, axes = plt.subplots(figsize=(7, 0.3 * len(bars) + 1.8))
    axes.barh(np.arange(len(bars)), values, color=[BETTER if v > 0 else WORSE for v in values])
    axes.set_yticks(np.arange(len(bars)), names)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_title(_message(reason, kind, *parts[0]), fontsize=10)
    in_label = kind.form is Form.NUMBER and np.isclose(whole, reason.prediction - reason.base)
    unit = f"to {task}, as its label counts" if in_label else "[log-odds]"
    axes.set_xlabel(f"contribution {unit}: blue raises, orange lowers")
    axes.grid(axis="y", visible=False)
    figure.suptitle(title)
    return figure


def _message(reason: Reason, kind: Any, first: str, by: float) -> str:
    """What is said of the row, and what made most of it."""
    of = "" if reason.of is None else f"{_cut(reason.of)}: "
    said = (
        f"rank {reason.rank}" if reason.rank is not None
        else f"{shown(kind, reason.prediction)}, where an average row has "
        f"{shown(kind, reason.base)}"
    )  # fmt: skip
    return f"{of}{said}; {first} {'raises' if by > 0 else 'lowers'} it most"


def _short(one: Mapping[str, Any]) -> str:
    return _cut(str(one.get("title") or one["item"]))


def _cut(name: str) -> str:
    """A name that fits beside a bar, as matplotlib is to read it."""
    return (name if len(name) <= 28 else name[:27] + "…").replace("$", r"\$")


def similar_table(found: Explanation, which: str) -> pd.DataFrame:
    """The most similar items, or past events."""
    rows = [
        {"item": one["item"], "title": _short(one), "similarity": one["similarity"]}
        for one in found.similar[which]
    ]
    return pd.DataFrame(rows, columns=["item", "title", "similarity"])
