"""Tables and figures of notebook 16: what answers are made of, and whether that is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtrec.explain.domain import BASELINES, FEATURES, LEAST_EVENTS, METHODS, PAST, Measured
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
LEAST_ANSWERS = 20  # of which a mean has an interval
ALIKE = 0.5  # rank correlation with the explanation of shuffled weights that is too much
LEAST = {FEATURES: 2, PAST: LEAST_EVENTS}  # parts of an answer whose order is tested
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
    """Gains of a method's order over orders that do not know the row, in logits.

    Tasks without answers are left out, intervals of fewer than :data:`LEAST_ANSWERS`, too.
    """
    rows = []
    for name, task in report["tasks"].items():
        found = task["curves"][what]
        if not found["answers"]:
            continue
        row = {"task": name, "answers": found["answers"]}
        for kind in (DELETION, INSERTION):
            for other in BASELINES:
                one = found[f"{kind}: {method} over {other}"]
                row[f"{kind}, over {other}"] = _shown(one, found["answers"], signed=True)
        rows.append(row)
    columns = [f"{kind}, over {other}" for kind in (DELETION, INSERTION) for other in BASELINES]
    return pd.DataFrame(rows, columns=["task", "answers", *columns])


def _shown(one: Mapping[str, Any], answers: int, signed: bool = False) -> str:
    """A mean with its interval, without it where too few answers say what it is."""
    some = one if answers >= LEAST_ANSWERS else {"value": one["value"], "low": None, "high": None}
    return show_interval(some, signed=signed)


def verdict(report: Mapping[str, Any], method: str) -> str:
    """In how many comparisons of curves a method's order is ahead, behind, or undecided."""
    ahead, behind, known = _standing(report, method)
    return (
        f"{method}: of {known} comparisons with an order that does not know the row, ahead in "
        f"{ahead}, behind in {behind}, undecided in {known - ahead - behind}."
    )


def findings(report: Mapping[str, Any]) -> list[str]:
    """What the curves say, in sentences: how each method stands, where it fails, what is missing.

    Args:
        report: of the answers.
    """
    said = []
    for method in METHODS:
        said += [verdict(report, method), behind(report, method)]
    return [*said, *(line for what in LEAST for line in unmeasured(report, what))]


def behind(report: Mapping[str, Any], method: str) -> str:
    """The tasks in which a method's order is worse than one that does not know the row."""
    _, _, known = _standing(report, method)
    if not known:
        return f"{method}: no task has enough answers to compare orders."
    named = []
    for name in report["tasks"]:
        places = [
            f"{what}, {_listed(worse)}"
            for what in LEAST
            if (worse := [
                key.replace(f": {method} over", " over")
                for key, one in _comparisons(report, method, name, what) if one["high"] < 0
            ])
        ]  # fmt: skip
        if places:
            named.append(f"{name} ({'; '.join(places)})")
    if not named:
        return f"{method}: nowhere behind an order that does not know the row."
    return (
        f"{method}: behind an order that does not know the row in {', '.join(named)}. "
        f"Do not trust the order of the reasons by {method} there."
    )


def unmeasured(report: Mapping[str, Any], what: str) -> list[str]:
    """Sentences on tasks that have no gains, and on those that have no intervals.

    Args:
        report: of the answers.
        what: features or past events.
    """
    count = {name: task["curves"][what]["answers"] for name, task in report["tasks"].items()}
    none = [name for name, answers in count.items() if not answers]
    few = [f"{name} ({n})" for name, n in count.items() if 0 < n < LEAST_ANSWERS]
    said = []
    if none:
        said.append(
            f"Not measured, since no row asked about has {LEAST[what]} {what} that the task sees: "
            f"{', '.join(none)}."
        )
    if few:
        said.append(
            f"Fewer than {LEAST_ANSWERS} answers of {what}, so without an interval and not "
            f"counted above: {', '.join(few)}."
        )
    return said


def still_alike(report: Mapping[str, Any]) -> str:
    """The tasks whose explanations hardly change when the model's weights are shuffled."""
    over = f"after the weights were shuffled (over {ALIKE})"
    whole, sizes = _survivors(report, sizes=False), _survivors(report, sizes=True)
    said = []
    if whole:
        said.append(
            f"Still alike {over}: {_numbered(whole)}. Do not trust the order of the reasons there."
        )
    if sizes:
        said.append(
            f"Of their sizes alone, still alike {over}: {_numbered(sizes)}. Which reasons are "
            f"large there says more of the row than of what the model learnt."
        )
    return "\n".join(said) or f"No explanation is still alike {over}."


def _survivors(report: Mapping[str, Any], sizes: bool) -> dict[str, float]:
    """The largest likeness of each task that is over :data:`ALIKE`, of signs or of sizes alone."""
    found: dict[str, float] = {}
    for name, task in report["tasks"].items():
        for what, one in task["likeness to other weights"].items():
            value = as_numbers(one)["value"]
            if ("sizes alone" in what) == sizes and value > ALIKE:
                found[name] = max(value, found.get(name, value))
    return found


def _numbered(found: Mapping[str, float]) -> str:
    return ", ".join(f"{name} ({value:.2f})" for name, value in found.items())


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _comparisons(
    report: Mapping[str, Any], method: str, task: str, what: str
) -> list[tuple[str, dict[str, float]]]:
    """A method's comparisons that have an interval, by name; none of too few answers."""
    curves = report["tasks"][task]["curves"].get(what, {"answers": 0})
    if curves["answers"] < LEAST_ANSWERS:
        return []
    found = [
        (name, as_numbers(one))
        for name, one in curves.items()
        if name != "answers" and f": {method} over" in name
    ]
    return [(name, one) for name, one in found if np.isfinite(one["low"])]


def _standing(
    report: Mapping[str, Any], method: str, what: str = "", kind: str = ""
) -> tuple[int, int, int]:
    """Comparisons in which a method's order is ahead, in which behind, and all with an interval.

    Args:
        report: of the answers.
        method: whose order.
        what: of features or past events alone, if given.
        kind: deletion or insertion alone, if given.
    """
    known = [
        one
        for task in report["tasks"]
        for part in ([what] if what else LEAST)
        for name, one in _comparisons(report, method, task, part)
        if name.startswith(kind)
    ]
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
            axes.set_title(_standing_title(report, curves.what, kind), fontsize=10)
        row[0].set_ylabel("from the reference input (0)\nto the answer (100) [%]")
    every[-1, 0].set_xlabel("inputs set to the reference [%]")
    every[-1, 1].set_xlabel("inputs put back [%]")
    every[0, 0].legend(frameon=False, fontsize=9, title="order of inputs", title_fontsize=9)
    figure.suptitle(title)
    return figure


def _standing_title(report: Mapping[str, Any], what: str, kind: str) -> str:
    """How many comparisons integrated gradients win and lose, as the title of a panel."""
    ahead, late, known = _standing(report, METHODS[0], what, kind)
    if not known:
        return f"{kind} of {what}:\nfewer than {LEAST_ANSWERS} answers in every task"
    return f"{kind} of {what}: sooner than another\norder in {ahead} of {known}, later in {late}"


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
        {"task": name, **{what: _shown(one, task["answers"])
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
