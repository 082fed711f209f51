"""Tables and figures of notebook 16: what answers are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from mtrec.explain.domain import Measured
from mtrec.explain.players import HISTORY
from mtrec.explain.reasons import Explanation, Reason
from mtrec.explain.units import shown
from mtrec.registry import Form
from mtrec.report.plots import BETTER, LOW_TO_HIGH, WORSE, NotDrawn, largest, turn_labels

WORDS = ("categorical", "multi")  # kinds of feature whose values have names
MOST = 12  # bars of an example
LEAST_ROWS = 10  # of a value whose experts are looked at
SHORT, LONG = 28, 60  # characters of a title beside a bar, and in a table


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
    columns = ["expert", "mean weight", "most in task", "weight there"]
    columns += ["most for", "above its task's mean"]
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
        best, more = _most(usual, values)
        rows.append((expert + 1, own.mean(), by_task.idxmax(), by_task.max(), best, more))
    return pd.DataFrame(rows, columns=columns)


def _most(usual: np.ndarray, values: Mapping[str, np.ndarray]) -> tuple[str, float]:
    """The value whose rows have most weight beyond what their tasks have, and how much more.

    Args:
        usual: weight of an expert above its task's mean, ``(m,)``.
        values: rows of each value.

    Returns:
        An empty name and NaN where no value's rows have more than their tasks.
    """
    found = {name: float(usual[rows].mean()) for name, rows in values.items()}
    best = max(found, key=lambda name: found[name], default="")
    return (best, found[best]) if best and found[best] > 0 else ("", np.nan)


def _values(measured: Measured, users: pd.DataFrame, items: pd.DataFrame) -> dict[str, np.ndarray]:
    """Answers whose user or item has a value, by ``column: value``.

    Of rare values none, and of columns of bare numbers, which name nothing to a reader.
    """
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
            if each.str.isdecimal().all():
                continue
            for value, at in each.index.groupby(each).items():
                if len(at) >= LEAST_ROWS:
                    found[f"{name}: {value}"] = np.unique(at)
    return found


def example_figure(found: Explanation, task: str, kind: Any, title: str) -> Figure | NotDrawn:
    """Contributions of the largest groups and past events to one answer, and of all others.

    They add up to the way from the answer for the reference input to this one.

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
        return NotDrawn("nothing that this task sees tells the row from the reference input.")
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
        else f"{shown(kind, reason.prediction)}, against "
        f"{shown(kind, reason.base)} for the reference input"
    )  # fmt: skip
    return f"{of}{said};\n{first} {'raises' if by > 0 else 'lowers'} it most"


def _short(one: Mapping[str, Any]) -> str:
    return _cut(str(one.get("title") or one["item"]))


def _cut(name: str) -> str:
    """A name that fits beside a bar, as matplotlib is to read it."""
    return _at_most(name, SHORT).replace("$", r"\$")


def _at_most(name: str, longest: int) -> str:
    return name if len(name) <= longest else name[: longest - 1].rstrip() + "…"


def similar_table(found: Explanation, which: str) -> pd.DataFrame:
    """The most similar items, or past events; of those with one text the first alone.

    Without titles there is no column of them; where texts repeat, another says how many more items
    among the most similar have the same.

    Args:
        found: the explanation.
        which: ``items`` or ``history``.
    """
    columns = ["item", "title", "similarity", "others with this title"]
    rows = [
        (one["item"], _at_most(str(one.get("title") or ""), LONG), one["similarity"], 0)
        for one in found.similar[which]
    ]
    table = pd.DataFrame(rows, columns=columns)
    named = table["title"].where(table["title"] != "", table["item"])
    if (named == table["item"]).all():
        return table[["item", "similarity"]]
    table["others with this title"] = named.groupby(named).transform("size") - 1
    table = table[~named.duplicated()].reset_index(drop=True)
    return table if table["others with this title"].any() else table[columns[:3]]
