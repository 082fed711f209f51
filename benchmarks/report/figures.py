"""Which figures the page has, and the frames that they and its tables are made of."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from benchmarks.harness.results import DIFFERENCE, FINE
from benchmarks.report import charts
from benchmarks.report.standing import finding
from benchmarks.report.targets import higher_is_better, main_metric
from benchmarks.report.words import question
from mtrec.report.plots import save, style

SCALING, PROFILE = "scaling_", "repro_profile"  # names of protocols with figures of their own
WIDTH = 54  # letters of a title's line
UNITS = {
    "rows_per_second": "training rows per second",
    "tokens_per_second": "tokens per second",
    "p50_ms": "median latency [ms]",
    "rmse": "RMSE (less is better)",
    "auc": "AUC (more is better)",
    "ndcg@10": "NDCG@10 (more is better)",
    "accuracy": "accuracy (more is better)",
    "map": "mean average precision (more is better)",
}


def figures(rows: pd.DataFrame, judged: pd.DataFrame) -> dict[str, Callable[[], Figure]]:
    """What draws each figure, by name: the targets, a protocol's systems, the profile, scaling.

    Args:
        rows: all rows.
        judged: see :func:`benchmarks.report.targets.judge`.
    """
    made: dict[str, Callable[[], Figure]] = {}
    lines = reached(judged)
    if len(lines):
        met = int((lines["verdict"] == "met").sum())
        title = f"{met} of {len(lines)} targets that are a number are met (others: tables)"
        made["targets"] = partial(charts.against_targets, lines, title)
    for protocol, part in rows.groupby("protocol"):
        metric = main_metric(str(protocol))
        some = part[(part["metric"] == metric) & ~part["system"].str.contains(DIFFERENCE)]
        if len(some) > 1 and metric is not None:
            up = bool(higher_is_better(metric))
            title = _title(str(protocol), part)
            label = UNITS.get(metric, metric)
            made[str(protocol)] = partial(charts.systems, some, title, label, up)
    stages = rows[rows["protocol"] == PROFILE]
    if len(stages):
        title = "Where the time of make repro goes"
        made[PROFILE] = partial(charts.stacked, profile(stages) / 60, title, "minutes")
    curves = points(rows)
    if len(curves):
        title = "Cost against size: better than linear where flatter than the dashed line"
        made["scaling"] = partial(charts.scaling, curves, title)
    return made


def _title(protocol: str, rows: pd.DataFrame) -> str:
    """Who stands where, and below it what was asked."""
    asked = (question(protocol) or protocol).split(". ")[0].rstrip(".")
    told = finding(protocol, rows)
    if not told and rows["system"].str.contains(FINE, regex=False).any():
        told = "No system of ours that counts for a target was measured yet"
    return "\n".join(textwrap.fill(line, WIDTH) for line in (told, asked) if line)


def draw(folder: Path, made: Mapping[str, Callable[[], Figure]]) -> None:
    """Write the figures into a folder; files of figures that are gone go too."""
    style()
    for name, drawn in made.items():
        save(drawn(), folder / f"{name}.png")
    for file in folder.glob("*.png"):
        if file.stem not in made:
            file.unlink()


def reached(judged: pd.DataFrame) -> pd.DataFrame:
    """``name``, ``reached`` (1 = the target) and ``verdict`` of targets that are a number."""
    some = judged[judged["bound"].notna() & (judged["bound"] != 0)]
    some = some[~some["protocol"].isin(["cold_items", "cold_users"]) | some["peer"].isna()]
    up = some["metric"].map(higher_is_better).astype(bool)
    target = some["target"].str.replace(r" \(.*\)$", "", regex=True)  # whose it is: in the table
    ratio = (some["value"] / some["bound"]).where(up, some["bound"] / some["value"])
    return pd.DataFrame(
        {
            "name": some["protocol"] + " " + some["metric"] + ": " + target,
            "reached": ratio,
            "verdict": some["verdict"],
        }
    ).reset_index(drop=True)


def points(rows: pd.DataFrame) -> pd.DataFrame:
    """``protocol``, ``size``, ``seconds`` and ``peak_mb`` of the scaling protocols."""
    some = rows[rows["protocol"].str.startswith(SCALING) & rows["metric"].str.contains("@")]
    split = some["metric"].str.split("@", expand=True)
    if some.empty:
        return pd.DataFrame(columns=["protocol", "size", "seconds", "peak_mb"])
    found = some.assign(kind=split[0], size=split[1].astype(int))
    wide = found.pivot(index=["protocol", "size"], columns="kind", values="value")
    return wide.rename_axis(columns=None).reset_index()


def profile(rows: pd.DataFrame) -> pd.DataFrame:
    """Seconds by domain (rows, longest first) and stage (columns, longest first)."""
    parts = rows["metric"].str.split(expand=True)
    found = pd.DataFrame({"domain": parts[0], "stage": parts[1], "seconds": rows["value"]})
    wide = found.pivot(index="domain", columns="stage", values="seconds").fillna(0.0)
    wide = wide[wide.sum().sort_values(ascending=False).index]
    return wide.loc[wide.sum(axis=1).sort_values(ascending=False).index]
