"""Results as tables for readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from mtrec.metrics.families import HIGHER_IS_BETTER, MAIN_METRIC
from mtrec.metrics.intervals import as_numbers

SYSTEMS = {"baseline": "baseline", "single": "single-task", "joint": "joint"}
PEER = "peer"
DIFFERENCE = "joint − single"
UNDEFINED = "–"  # such as an AUC of rows that are all alike


def show_interval(found: Mapping[str, float], signed: bool = False) -> str:
    """``value [low, high]`` with three decimals; without the interval or at all if undefined.

    Example:
        >>> show_interval({"value": 0.5, "low": 0.4, "high": 0.61})
        '0.500 [0.400, 0.610]'
        >>> show_interval({"value": 0.5, "low": None, "high": None})
        '0.500'
    """
    form, known = "+.3f" if signed else ".3f", as_numbers(found)
    if isnan(known["value"]):
        return UNDEFINED
    value, bounds = f"{known['value']:{form}}", f"{known['low']:{form}}, {known['high']:{form}}"
    return value if isnan(known["low"]) else f"{value} [{bounds}]"


def arrow(metric: str) -> str:
    """The metric with an arrow that says which way is better."""
    return f"{metric} {'↑' if HIGHER_IS_BETTER[metric] else '↓'}"


def results_table(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """The main metric of each task for every system, with 95 % intervals over users."""
    rows = []
    for name, task in metrics["tasks"].items():
        metric = MAIN_METRIC[task["type"]]
        systems = {
            title: show_interval(task[s][metric]) for s, title in SYSTEMS.items() if s in task
        }
        peers = [f"{p} {show_interval(task[p][metric])}" for p in task.get("peers", ())]
        rows.append({"task": name, "metric": arrow(metric), PEER: "; ".join(peers), **systems})
    table = pd.DataFrame(rows)
    return table if table[PEER].any() else table.drop(columns=PEER)


def metric_table(task: Mapping[str, Any]) -> pd.DataFrame:
    """All metrics of one task for every system, with 95 % intervals."""
    systems = {title: task[s] for s, title in SYSTEMS.items() if s in task}
    systems |= {name: task[name] for name in task.get("peers", ())}
    return pd.DataFrame(
        [
            {"metric": arrow(metric),
             **{title: show_interval(found[metric]) for title, found in systems.items()},
             DIFFERENCE: show_interval(task["difference"][metric], signed=True)}
            for metric in task["joint"]
        ]
    )  # fmt: skip


def difference_table(metrics: Mapping[str, Any], name: str = "difference") -> pd.DataFrame:
    """A paired difference in the main metric per task, signed so that positive is better."""
    rows = [
        {"task": task_name, **gain(task, name)}
        for task_name, task in metrics["tasks"].items()
        if name in task
    ]
    return pd.DataFrame(rows)


def peer_table(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """The joint model minus each peer, one line per task and peer; empty without peers."""
    rows = [
        {"task": f"{name} vs {peer}", **gain(task, f"{peer}_difference")}
        for name, task in metrics["tasks"].items()
        for peer in task.get("peers", ())
    ]
    return pd.DataFrame(rows, columns=["task", "metric", "value", "low", "high"])


def gain(task: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A paired difference in the main metric, signed so that positive is better."""
    metric = MAIN_METRIC[task["type"]]
    found = as_numbers(task[name][metric])
    low, high, sign = found["low"], found["high"], 1
    if not HIGHER_IS_BETTER[metric]:
        low, high, sign = -found["high"], -found["low"], -1
    return {"metric": metric, "value": sign * found["value"], "low": low, "high": high}


def cold_table(cold: pd.DataFrame) -> pd.DataFrame:
    """Joint model and its differences by group of rows, one line per task and group."""
    rows = []
    for (task, metric, group, n), part in cold.groupby(["task", "metric", "rows", "n"], sort=False):
        found = part.set_index("system")
        rows.append(
            {"task": task, "rows": group, "n": n, "metric": arrow(metric),
             "joint": show_interval(found.loc["joint"]),
             "baseline": show_interval(found.loc["baseline"]),
             DIFFERENCE: show_interval(found.loc["difference"], signed=True)}
        )  # fmt: skip
    return pd.DataFrame(rows)


def most_likely(chances: np.ndarray, names: Sequence[str], most: int = 3) -> list[str]:
    """The most likely labels of each row with their probabilities, the first the likeliest.

    Args:
        chances: ``(rows, labels)``.
        names: of the labels.
        most: how many.

    Example:
        >>> most_likely(np.array([[0.1, 0.42, 0.3]]), ["a", "b", "c"], 2)
        ['b 42 %, c 30 %']
    """
    order = np.argsort(-chances, axis=1, kind="stable")[:, :most]
    return [
        ", ".join(f"{names[label]} {100 * row[label]:.0f} %" for label in best)
        for row, best in zip(chances, order, strict=True)
    ]
