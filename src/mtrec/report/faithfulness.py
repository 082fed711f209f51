"""Tables, figures and findings of notebook 16: whether explanations are true of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtrec.explain.domain import BASELINES, FEATURES, LEAST_EVENTS, METHODS, PAST, Measured
from mtrec.explain.faithful import DELETION, INSERTION
from mtrec.metrics.intervals import as_numbers
from mtrec.report.plots import COLOURS, NotDrawn
from mtrec.report.tables import show_interval

LINES = {  # of the orders in which features are taken away; thin ones over wide ones
    "integrated gradients": (COLOURS[0], "-", 4), "occlusion": (COLOURS[2], "--", 1.8),
    "popularity": (COLOURS[1], "-", 3), "random": (COLOURS[7], ":", 2),
}  # fmt: skip
LEAST_ANSWERS = 20  # of which a mean has an interval
ALIKE = 0.5  # rank correlation with the explanation of shuffled weights that is too much
LEAST = {FEATURES: 2, PAST: LEAST_EVENTS}  # parts of an answer whose order is tested


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
