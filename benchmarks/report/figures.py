"""Which figures the page has, and the frames that they and its tables are made of."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mtrec.bench import plots
from mtrec.bench.targets import DIFFERENCE, higher_is_better, main_metric
from mtrec.bench.words import PROFILE, QUESTIONS, SCALING, UNITS
from mtrec.evaluation.plots import save, style


def figures(folder: Path, rows: pd.DataFrame, judged: pd.DataFrame) -> list[str]:
    """Draw the figures and return their names."""
    style()
    made = []
    lines = reached(judged)
    if len(lines):
        met = int((lines["verdict"] == "met").sum())
        title = f"{met} of {len(lines)} targets that are a number are met (others: tables)"
        save(plots.against_targets(lines, title), folder / "targets.png")
        made.append("targets")
    for protocol, part in rows.groupby("protocol"):
        metric = main_metric(str(protocol))
        some = part[(part["metric"] == metric) & ~part["system"].str.contains(DIFFERENCE)]
        if len(some) > 1 and metric is not None:
            up = bool(higher_is_better(metric))
            title = QUESTIONS.get(str(protocol), str(protocol)).split(". ")[0].rstrip(".")
            figure = plots.systems(some, title, UNITS.get(metric, metric), up)
            save(figure, folder / f"{protocol}.png")
            made.append(str(protocol))
    stages = rows[rows["protocol"] == PROFILE]
    if len(stages):
        title = "Where the time of make repro goes"
        save(plots.stacked(profile(stages) / 60, title, "minutes"), folder / f"{PROFILE}.png")
        made.append(PROFILE)
    curves = points(rows)
    if len(curves):
        title = "Cost against size: better than linear where flatter than the dashed line"
        save(plots.scaling(curves, title), folder / "scaling.png")
        made.append("scaling")
    return made


def reached(judged: pd.DataFrame) -> pd.DataFrame:
    """``name``, ``reached`` (1 = the target) and ``verdict`` of targets that are a number."""
    some = judged[judged["bound"].notna() & (judged["bound"] != 0)]
    some = some[~some["protocol"].isin(["cold_items", "cold_users"]) | some["peer"].isna()]
    up = some["metric"].map(higher_is_better).astype(bool)
    ratio = (some["value"] / some["bound"]).where(up, some["bound"] / some["value"])
    return pd.DataFrame(
        {
            "name": some["protocol"] + " " + some["metric"] + " " + some["target"],
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
