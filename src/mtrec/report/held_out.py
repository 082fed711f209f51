"""What the held-out split says, for the final table, and what answers cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mtrec.metrics.families import MAIN_METRIC
from mtrec.report.tables import arrow, difference_table, show_interval

PAIRED = "peer_difference"
UNSERVED = "another one leads, and cannot be served"
FOLDER = "reports/held_out"
NONE = "Not opened yet: `mtrec held-out all --why …` does it, once."


def read(root: Path) -> dict[str, dict[str, Any]]:
    """``reports/held_out/<domain>.json`` of every domain that was opened; whole ones alone."""
    found = {}
    for file in sorted((root / FOLDER).glob("*.json")):
        try:
            report = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:  # cut off or edited
            continue
        if {"tasks", "held_out"} <= report.keys():
            found[file.stem] = report
    return found


def table(opened: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """A line per task: systems with 95 % intervals over users, and the answer's paired gain."""
    rows = []
    for domain, report in opened.items():
        gains = {row["task"]: row for row in difference_table(report, PAIRED).to_dict("records")}
        for name, task in report["tasks"].items():
            metric, peer = MAIN_METRIC[task["type"]], "peer" in task
            served = task["served"] == task["chosen"]
            rows.append(
                {"task": f"{domain} · {name}", "metric": arrow(metric),
                 "joint": show_interval(task["joint"][metric]),
                 "single-task": show_interval(task["single"][metric]),
                 "best specialist": (
                     f"{task['best_peer']} {show_interval(task['peer'][metric])}" if peer else ""
                 ),
                 "served answer": show_interval(task["answer"][metric]) if served else UNSERVED,
                 "by": task["served"],
                 "gain over the specialist": (
                     show_interval(_positive(gains[name]), signed=True) if peer and served else ""
                 )}
            )  # fmt: skip
    return pd.DataFrame(rows)


def _positive(found: Mapping[str, Any]) -> dict[str, float]:
    """The numbers without a minus before a zero, as of an error that is none."""
    return {name: found[name] + 0.0 for name in ("value", "low", "high")}


def how(opened: Mapping[str, Mapping[str, Any]]) -> str:
    """How each domain was split anew, in two sentences."""
    parts = []
    for domain, report in opened.items():
        about = report["held_out"]
        other = ", ".join(
            f"{name.replace('_', ' ')} {str(value).partition('T')[0]}"
            for name, value in about["data"].items()
        )
        parts.append(f"`{domain}` ({other})" if other else f"`{domain}`")
    seeds = sorted({report["held_out"]["seed"] for report in opened.values()})
    commits = sorted({report["held_out"]["commit"][:7] for report in opened.values()})
    return (
        f"Seed {', '.join(map(str, seeds))}: {', '.join(parts)}. The code is that of commit "
        f"{', '.join(commits)}."
    )


def costs(metrics: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """A line per domain: seconds to fit all specialists, the slowest, and one pair's request."""
    rows = []
    for domain, found in metrics.items():
        if "costs" not in found:
            continue
        fit = {
            f"{who} ({task})": seconds
            for task, members in found["costs"]["seconds to fit"].items()
            for who, seconds in members.items()
        }
        slowest = max(fit, key=lambda name: fit[name], default="")
        pair = found["costs"]["one pair [ms]"]
        rows.append(
            {"domain": f"`{domain}`", "all specialists [s]": f"{sum(fit.values()):,.0f}",
             "the slowest": f"{slowest}: {fit[slowest]:,.0f} s" if fit else "",
             "one pair, joint [ms]": f"{pair['joint']:,.0f}",
             "one pair, answer [ms]": f"{pair['answer']:,.0f}"}
        )  # fmt: skip
    return pd.DataFrame(rows)
