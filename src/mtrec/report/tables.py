"""Results as tables for readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from mtrec.domains.units import unit
from mtrec.metrics.families import CUTOFF, HIGHER_IS_BETTER, MAIN_METRIC
from mtrec.metrics.intervals import as_numbers

SYSTEMS = {"baseline": "baseline", "single": "single-task", "joint": "joint"}
PEER, UNIT = "peer", "unit"
GAIN = "gain over single (+ is better)"
UNDEFINED = "–"  # such as an AUC of rows that are all alike
COLUMNS = ["task", "metric", "value", "low", "high"]
IN_UNITS = ("rmse", "mae")  # main metrics in the unit of the label
EVERY = {
    "warm": "is warm", "cold user": "is of a cold user", "cold item": "is of a cold item",
    "cold user and item": "is of a cold user and a cold item",
}  # fmt: skip


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


def label_units(domain: str, tasks: Mapping[str, Any]) -> dict[str, str]:
    """The unit of each task's label, where people know one.

    Args:
        domain: name of the domain.
        tasks: settings by name.

    Example:
        >>> from types import SimpleNamespace
        >>> label_units("ecommerce", {"spend": SimpleNamespace(label="spend")})
        {'spend': 'log(1 + dollars)'}
    """
    known = {name: unit(domain, task.label) for name, task in tasks.items()}
    return {
        name: f"log(1 + {one.name})" if one.logarithm else one.name
        for name, one in known.items()
        if one.name
    }


def results_table(
    metrics: Mapping[str, Any], units: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """The main metric of each task for every system, with 95 % intervals over users.

    Args:
        metrics: as in ``metrics.json``.
        units: of labels by task, see :func:`label_units`; shown where an error is in that unit.
    """
    rows = []
    for name, task in metrics["tasks"].items():
        metric = MAIN_METRIC[task["type"]]
        systems = {
            title: show_interval(task[s][metric]) for s, title in SYSTEMS.items() if s in task
        }
        peers = [f"{p} {show_interval(task[p][metric])}" for p in task.get("peers", ())]
        unit_name = (units or {}).get(name, "") if metric in IN_UNITS else ""
        rows.append(
            {"task": name, "metric": arrow(metric), UNIT: unit_name, PEER: "; ".join(peers),
             **systems}
        )  # fmt: skip
    table = pd.DataFrame(rows)
    return table.drop(columns=[column for column in (UNIT, PEER) if not table[column].any()])


def metric_table(task: Mapping[str, Any]) -> pd.DataFrame:
    """All metrics of one task for every system, with 95 % intervals, and the joint model's gain."""
    systems = {title: task[s] for s, title in SYSTEMS.items() if s in task}
    systems |= {name: task[name] for name in task.get("peers", ())}
    return pd.DataFrame(
        [
            {"metric": arrow(metric),
             **{title: show_interval(found[metric]) for title, found in systems.items()},
             GAIN: show_interval(better(task["difference"][metric], metric), signed=True)}
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
    return pd.DataFrame(rows, columns=COLUMNS)


def peer_table(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """The joint model minus each peer, one line per task and peer; empty without peers."""
    rows = [
        {"task": f"{name} vs {peer}", **gain(task, f"{peer}_difference")}
        for name, task in metrics["tasks"].items()
        for peer in task.get("peers", ())
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def percent_table(metrics: Mapping[str, Any], name: str = "difference") -> pd.DataFrame:
    """As :func:`difference_table`, in percent of what the other system has.

    Metrics of different units can share an axis then. Percent of zero are undefined, NaN.
    """
    table = difference_table(metrics, name)
    other = "single" if name == "difference" else name.removesuffix("_difference")
    for row in table.itertuples():
        base = as_numbers(metrics["tasks"][row.task][other][row.metric])["value"]
        for column in ("value", "low", "high"):
            share = 100 * getattr(row, column) / abs(base) if base else np.nan
            table.loc[row.Index, column] = share
    return table


def gain(task: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A paired difference in the main metric, signed so that positive is better."""
    metric = MAIN_METRIC[task["type"]]
    return {"metric": metric, **better(task[name][metric], metric)}


def better(found: Mapping[str, Any], metric: str) -> dict[str, float]:
    """A difference (``value``, ``low``, ``high``), signed so that positive is better.

    Example:
        >>> better({"value": 0.2, "low": 0.1, "high": 0.3}, "rmse")
        {'value': -0.2, 'low': -0.3, 'high': -0.1}
    """
    known = as_numbers(found)
    if HIGHER_IS_BETTER[metric]:
        return known
    turned = {"value": known["value"], "low": known["high"], "high": known["low"]}
    return {name: 0.0 - value for name, value in turned.items()}  # zero has no sign


def no_groups(cold: pd.DataFrame, rows: Mapping[str, int]) -> str:
    """Why rows with cold users or items cannot be compared with others; empty if they can.

    Args:
        cold: from :func:`mtrec.evaluation.domain.cold_start`.
        rows: test rows by task.

    Example:
        >>> cold = pd.DataFrame({"task": ["like"], "rows": ["warm"], "n": [90]})
        >>> no_groups(cold, {"like": 90})
        'No groups to compare: every test row is warm.'
    """
    groups = list(dict.fromkeys(cold["rows"]))
    if len(groups) > 1:
        return ""
    if not groups:
        return "No groups to compare: each has fewer than 30 test rows."
    if all(part["n"].iloc[0] == rows[task] for task, part in cold.groupby("task")):
        return f"No groups to compare: every test row {EVERY[groups[0]]}."
    return f"No groups to compare: any but '{groups[0]}' has fewer than 30 test rows."


def cold_tables(cold: pd.DataFrame) -> list[pd.DataFrame]:
    """The table of :func:`cold_table`, or none where it would say what the main results say."""
    return [cold_table(cold)] if cold["rows"].nunique() > 1 else []


def cold_table(cold: pd.DataFrame) -> pd.DataFrame:
    """Joint model and its differences by group of rows, one line per task and group."""
    rows = []
    for (task, metric, group, n), part in cold.groupby(["task", "metric", "rows", "n"], sort=False):
        found = part.set_index("system")
        both = all(_never(found.loc[system], metric) for system in ("joint", "single"))
        rows.append(
            {"task": task, "rows": group, "n": n, "metric": arrow(metric),
             "joint": _cold_cell(found.loc["joint"], metric, n),
             "baseline": _cold_cell(found.loc["baseline"], metric, n),
             GAIN: UNDEFINED if both else
             show_interval(better(found.loc["difference"], metric), signed=True)}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _never(found: Mapping[str, Any], metric: str) -> bool:
    """Whether no list has its item on top: resamples of zeros are zeros, which is no certainty."""
    return metric.endswith(f"@{CUTOFF}") and found["value"] == 0


def _cold_cell(found: Mapping[str, Any], metric: str, n: int) -> str:
    if _never(found, metric):
        return f"0 of {n:,} in the top {CUTOFF}"
    return show_interval(found)


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
