"""Tables and figures of notebook 14: who answers each task, and what that is worth."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from mtrec.files import write_text
from mtrec.fusion.domain import ANSWER, NETWORKS, PEER, Fused
from mtrec.metrics.families import MAIN_METRIC
from mtrec.models.twins import JOINT
from mtrec.report.plots import NotDrawn
from mtrec.report.result_plots import bars
from mtrec.report.tables import arrow, difference_table, percent_table, show_interval
from mtrec.serving.recommender import Recommender

OVER = {
    "peer_difference": "the best peer", "joint_difference": "the joint model",
    "single_difference": "the twin",
}  # fmt: skip


def results_table(report: Mapping[str, Any]) -> pd.DataFrame:
    """The main metric on the test rows, with 95 % intervals over users."""
    rows = []
    for name, task in report["tasks"].items():
        metric = MAIN_METRIC[task["type"]]
        peer = f"{task['best_peer']} {show_interval(task[PEER][metric])}" if PEER in task else ""
        rows.append(
            {"task": name, "metric": arrow(metric), "joint": show_interval(task["joint"][metric]),
             "single-task": show_interval(task["single"][metric]), "best peer": peer,
             "answer": show_interval(task[ANSWER][metric]), "by": task["chosen"]}
        )  # fmt: skip
    return pd.DataFrame(rows)


def weights_table(report: Mapping[str, Any]) -> pd.DataFrame:
    """Weights of the fusion of all validation rows: one line per task and member asked."""
    rows = []
    for name, task in report["tasks"].items():
        for member, value in task["validation"].items():
            rows.append(
                {"task": name, "member": member, "weight": task["weights"].get(member, 0.0),
                 "metric": arrow(MAIN_METRIC[task["type"]]), "validation": value,
                 "test": task["test"][member]}
            )  # fmt: skip
    return pd.DataFrame(rows)


def reasons(report: Mapping[str, Any]) -> list[str]:
    """Who answers each task and why, and who stepped aside: a sentence each."""
    found = [f"{name}: {task['why']}" for name, task in report["tasks"].items()]
    return found + [note for task in report["tasks"].values() for note in task["notes"]]


def verdict(report: Mapping[str, Any], name: str) -> str:
    """In how many tasks the answer is ahead of another system, behind it, or undecided.

    Args:
        report: from :func:`mtrec.fusion.domain.report`.
        name: of the difference.

    Example:
        >>> gain = {"value": 0.1, "low": 0.05, "high": 0.2}
        >>> task = {"type": "binary", "joint_difference": {"auc": gain}}
        >>> verdict({"tasks": {"like": task}}, "joint_difference")
        'Of 1 task, the answer is ahead of the joint model in 1, behind in 0, undecided in 0.'
    """
    table = difference_table(report, name)
    if table.empty:
        return f"No task can be compared with {OVER[name]}."
    ahead, behind = int((table["low"] > 0).sum()), int((table["high"] < 0).sum())
    count = f"{len(table)} task{'s' if len(table) > 1 else ''}"
    return (
        f"Of {count}, the answer is ahead of {OVER[name]} in {ahead}, behind in {behind}, "
        f"undecided in {len(table) - ahead - behind}."
    )


def figure(report: Mapping[str, Any], title: str) -> Figure | NotDrawn:
    """Gains of the answer over the best peer and over the joint model, in % of their metric."""
    kinds = {name: OVER[name] for name in ("peer_difference", "joint_difference")}
    tables = {name: percent_table(report, name) for name in kinds}
    if all(table.empty for table in tables.values()):
        return NotDrawn("there is no such comparison in this domain.")
    size = max(len(table) for table in tables.values())
    drawn, both = plt.subplots(1, 2, figsize=(9, 0.45 * size + 1.8))
    for axes, (name, table) in zip(both, tables.items(), strict=True):
        bars(axes, table, table["value"], list(table["task"]))
        ahead, behind = (table["low"] > 0).sum(), (table["high"] < 0).sum()
        count = f"ahead in {ahead} of {len(table)}, behind in {behind}"
        same = sum(report["tasks"][task]["chosen"] == JOINT for task in table["task"])
        if name == "joint_difference" and same:
            count += f"; it is the answer in {same}"
        axes.set_title(f"over {kinds[name]}:\n{count}", fontsize=10)
        axes.set_xlabel("gain in the main metric [%]")
    drawn.suptitle(title)
    return drawn


def write_costs(
    fused: Mapping[str, Fused],
    systems: Mapping[str, Recommender],
    pairs: pd.DataFrame,
    file: Path,
    repeats: int = 5,
) -> None:
    """Keep what the answer costs on this machine; not part of any hash.

    Seconds to fit each specialist, by task; and milliseconds of a request for one pair, the best
    of several after a first one, by system.
    """
    fit = {
        name: {who: round(s, 1) for who, s in one.seconds.items() if who not in NETWORKS}
        for name, one in fused.items()
    }
    pair = {
        name: round(1000 * _fastest(partial(model.score, pairs[:1]), repeats), 1)
        for name, model in systems.items()
    }
    write_text(file, json.dumps({"seconds to fit": fit, "one pair [ms]": pair}, indent=2) + "\n")


def _fastest(call: Callable[[], Any], repeats: int) -> float:
    call()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return min(taken)


def systems_table(model: Recommender) -> pd.DataFrame:
    """Who answers each task in service."""
    systems = getattr(model, "systems", {})
    return pd.DataFrame({"task": list(systems), "answered by": list(systems.values())})
