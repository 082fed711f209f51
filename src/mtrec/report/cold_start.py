"""The cold-start study as tables, figures and sentences that claim no more than intervals."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtrec.metrics.families import HIGHER_IS_BETTER
from mtrec.registry import PEERS
from mtrec.report.findings import verdict
from mtrec.report.plots import COLOURS, NotDrawn
from mtrec.report.result_plots import KEY, interval

OURS = ("ids", "tables", "llm", "both")
OTHERS = {"means": "means and popularity"} | {
    name: PEERS.known[name].title or name for name in PEERS.cold
}
QUESTIONS = {
    "tables - ids": "table columns against ids",
    "llm - ids": "text against ids",
    "both - tables": "text added to tables",
} | {
    f"{ours} - {other}": f"the whole model{note} against {title}"
    for other, title in OTHERS.items()
    for ours, note in (("both", ""), ("tables", " (no text here)"))
}

VERDICTS: Mapping[str, str] = {
    "better": "better in", "worse": "worse in", "undecided": "undecided in",
}  # fmt: skip
NO_RESULT = NotDrawn("no result is known yet; run `make study`.")
LIMIT = 200.0  # percent, where the axis of gains ends; it is logarithmic beyond one
TICKS = (-100, -10, -1, 0, 1, 10, 100)
ACROSS = 3  # panels side by side, so that they read at half width


def scores(results: pd.DataFrame, split: str) -> pd.DataFrame:
    """Each task's main metric by system, value and 95 % interval; the best value is marked.

    Over several trainings: mean of the values, lowest and highest bound.
    """
    found = pooled(results[(results["split"] == split) & ~is_difference(results)])
    columns = [s for s in (*OURS, *OTHERS) if s in set(found["system"])]
    rows = []
    for (task, metric), part in found.groupby(["task", "metric"], sort=False):
        values = part.set_index("system")
        higher = HIGHER_IS_BETTER[metric]
        best = values["value"].max() if higher else values["value"].min()
        row = {"task": task, "metric": f"{metric} {'↑' if higher else '↓'}"}
        for system in columns:
            known = system in values.index
            row[system] = _show(values.loc[system], best) if known else "–"
        rows.append(row)
    return pd.DataFrame(rows, columns=["task", "metric", *columns])


def pooled(results: pd.DataFrame) -> pd.DataFrame:
    """One row per split, task and system: mean value, and the widest bounds over the trainings."""
    keys = ["split", "task", "type", "metric", "system"]
    return measured(results).groupby(keys, sort=False, as_index=False).agg(
        rows=("rows", "mean"), entities=("entities", "mean"), trainings=("seed", "nunique"),
        value=("value", "mean"), low=("low", "min"), high=("high", "max"),
    )  # fmt: skip


def measured(results: pd.DataFrame) -> pd.DataFrame:
    """Results without rankings of systems that could not tell candidates apart, before lots.

    Until ties were drawn by lot such a system had exactly 0 in every training, where a random order
    has a little more. That says nothing of it, nor does a difference from it.
    """
    if results.empty:
        return results
    keys = ["split", "task", "system"]
    own = results[~is_difference(results)]
    nothing = (own["type"] == "ranking") & (own[["value", "low", "high"]] == 0).all(axis=1)
    tied = nothing.groupby([own[key] for key in keys]).all()
    names = {*tied[tied].index}
    rows = results[keys].itertuples(index=False)
    kept = [
        names.isdisjoint((split, task, one) for one in system.split(" - "))
        for split, task, system in rows
    ]
    return results[kept]


def differences(results: pd.DataFrame, split: str) -> pd.DataFrame:
    """Paired differences, positive is better, and whether each interval excludes zero.

    ``of`` is the value of the system that is subtracted.
    """
    known = pooled(results[results["split"] == split])
    values = known.set_index(["task", "system"])["value"]
    found = known[is_difference(known) & known["system"].isin(questions(results))]
    verdicts = [verdict(row.low, row.high) for row in found.itertuples()]
    other = found["system"].str.split(" - ").str[1]
    of = values.reindex(pd.MultiIndex.from_arrays([found["task"], other])).to_numpy()
    return found.assign(verdict=verdicts, of=of).reset_index(drop=True)


def questions(results: pd.DataFrame) -> dict[str, str]:
    """The comparisons that this domain allows; with text the whole model is ``both``."""
    text = "both" in set(results["system"])
    asked = {n: q for n, q in QUESTIONS.items() if n in set(results["system"])}
    return {n: q for n, q in asked.items() if not (text and "no text here" in q)}


def shown(found: pd.DataFrame) -> pd.DataFrame:
    """:func:`differences` for readers."""
    values = [f"{row.value:+.3f} [{row.low:+.3f}, {row.high:+.3f}]" for row in found.itertuples()]
    return found[["task", "metric", "system"]].assign(
        **{"difference (+ is better)": values, "verdict": found["verdict"]}
    )


def test_sizes(results: pd.DataFrame) -> pd.DataFrame:
    """Test rows and held-out entities behind each task's figures."""
    first = pooled(results).drop_duplicates(["split", "task"])
    return pd.DataFrame(
        {"split": first["split"], "task": first["task"], "trainings": first["trainings"],
         "test rows": first["rows"].round().astype(int),
         "held-out entities": first["entities"].round().astype(int)}
    ).reset_index(drop=True)  # fmt: skip


def conclusions(results: pd.DataFrame, split: str) -> list[str]:
    """One sentence per comparison: in which tasks it is clearly better, clearly worse, neither."""
    found = differences(results, split)
    lines = []
    for name, question in questions(results).items():
        part = found[found["system"] == name]
        if part.empty:
            continue
        tasks = {v: list(part.loc[part["verdict"] == v, "task"]) for v in VERDICTS}
        said = [f"{VERDICTS[v]} {', '.join(names)}" for v, names in tasks.items() if names]
        lines.append(f"{split}, {question}: {'; '.join(said)}.")
    return lines


def is_difference(results: pd.DataFrame) -> np.ndarray:
    """Which rows hold a paired difference of two systems."""
    return results["system"].str.contains(" - ", regex=False).to_numpy()


def _show(row: pd.Series, best: float) -> str:
    mark = " *" if row["value"] == best else ""
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]{mark}"


def systems_figure(results: pd.DataFrame, split: str, title: str) -> Figure | NotDrawn:
    """A panel per task: every system's main metric with its 95 % interval, ours above the peers.

    Args:
        results: all results.
        split: the split to show.
        title: of the figure.
    """
    found = pooled(results[(results["split"] == split) & ~is_difference(results)])
    tasks = list(dict.fromkeys(found["task"]))
    order = [system for system in (*OURS, *OTHERS) if system in set(found["system"])]
    if not tasks:
        return NO_RESULT
    figure, panels = _grid(len(tasks), 0.36 * len(order) + 1.3)
    at = {system: -place for place, system in enumerate(order)}
    for axes, task in zip(panels, tasks, strict=True):
        part = found[found["task"] == task]
        for row in part.itertuples():
            colour = COLOURS[0 if row.system in OURS else 1]
            axes.plot([row.low, row.high], [at[row.system]] * 2, color=colour, linewidth=2)
            axes.plot(row.value, at[row.system], "o" if row.system in OURS else "s", color=colour)
        metric = part["metric"].iloc[0]
        better = "higher is better" if HIGHER_IS_BETTER[metric] else "lower is better"
        axes.set(title=task, xlabel=f"{metric} ({better})")
        axes.set_yticks(list(at.values()), list(at))
        axes.set_ylim(-len(order) + 0.4, 0.6)
    figure.suptitle(title)
    handles = [
        plt.Line2D([], [], color=COLOURS[colour], marker=marker, linewidth=2, label=name)
        for colour, marker, name in ((0, "o", "ours"), (1, "s", "peers"))
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def differences_figure(
    found: pd.DataFrame, titles: dict[str, str], title: str
) -> Figure | NotDrawn:
    """Paired gains by task with 95 % intervals, a panel per comparison; zero is a line.

    Each is in percent of what the other system has, so that metrics share an axis; where that is
    nothing, any gain is without bound.

    Args:
        found: :func:`differences`.
        titles: comparison -> what it asks.
        title: of the figure.
    """
    tasks = list(dict.fromkeys(found["task"]))
    chosen = [name for name in titles if name in set(found["system"])]
    if not chosen:
        return NO_RESULT
    figure, panels = _grid(len(chosen), 0.36 * len(tasks) + 1.4)
    for axes, name in zip(panels, chosen, strict=True):
        part = found[found["system"] == name]
        for row in part.itertuples():
            unit = max(abs(row.of) / 100, np.finfo(float).tiny)
            value, low, high = (number / unit for number in (row.value, row.low, row.high))
            interval(axes, -tasks.index(row.task), value, low, high, LIMIT)
        axes.axvline(0, color="black", linewidth=1)
        better, worse = ((part["verdict"] == one).sum() for one in ("better", "worse"))
        axes.set_title(
            f"{name.replace(' - ', ' − ')}\nbetter in {better} of {len(part)}, worse in {worse}",
            fontsize=10,
        )
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
        axes.minorticks_off()
        axes.set(xlim=(-LIMIT, LIMIT), ylim=(-len(tasks) + 0.4, 0.6))
        axes.set_yticks([-place for place in range(len(tasks))], tasks)
    figure.suptitle(title)
    arrows = f"logarithmic beyond 1, an arrow goes on beyond {LIMIT:.0f} %"
    figure.supxlabel(f"gain over the other system [%], {arrows}\n{KEY}", fontsize=10)
    return figure


def _grid(panels: int, height: float) -> tuple[Figure, list[Axes]]:
    """Panels in rows of three with a common y axis; ``height`` of a row in inches."""
    across = 2 if panels == 4 else min(panels, ACROSS)
    down = -(-panels // across)
    figure, grid = plt.subplots(
        down, across, figsize=(2.4 * across + 1.2, height * down + 0.9), sharey=True, squeeze=False
    )
    for axes in grid.flat[panels:]:
        axes.remove()
    for axes in grid.flat[:panels]:
        axes.tick_params(labelsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    return figure, list(grid.flat[:panels])
