"""The results of the cold-start study as tables and sentences that claim no more than intervals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mtrec.metrics.families import HIGHER_IS_BETTER
from mtrec.report.comparison import verdict

OURS = ("ids", "tables", "llm", "both")
PEERS = ("means", "lightfm", "catboost")
QUESTIONS = {
    "tables - ids": "table columns against ids",
    "llm - ids": "text against ids",
    "both - tables": "text added to tables",
    "both - means": "the whole model against means and popularity",
    "tables - means": "the whole model (no text here) against means and popularity",
    "both - lightfm": "the whole model against LightFM",
    "tables - lightfm": "the whole model (no text here) against LightFM",
    "both - catboost": "the whole model against CatBoost",
    "tables - catboost": "the whole model (no text here) against CatBoost",
}


def scores(results: pd.DataFrame, split: str) -> pd.DataFrame:
    """Each task's main metric by system, value and 95 % interval; the best value is marked.

    Over several trainings: mean of the values, lowest and highest bound.
    """
    found = pooled(results[(results["split"] == split) & ~is_difference(results)])
    columns = [s for s in (*OURS, *PEERS) if s in set(found["system"])]
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
    return results.groupby(keys, sort=False, as_index=False).agg(
        rows=("rows", "mean"), entities=("entities", "mean"), trainings=("seed", "nunique"),
        value=("value", "mean"), low=("low", "min"), high=("high", "max"),
    )  # fmt: skip


def differences(results: pd.DataFrame, split: str) -> pd.DataFrame:
    """Paired differences, positive is better, and whether each interval excludes zero."""
    found = pooled(results[(results["split"] == split) & is_difference(results)])
    found = found[found["system"].isin(questions(results))]
    verdicts = [verdict((row.value, row.low, row.high)) for row in found.itertuples()]
    return found.assign(verdict=verdicts).reset_index(drop=True)


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


VERDICTS: Mapping[str, str] = {
    "better": "better in", "worse": "worse in", "unclear": "not told apart in",
}  # fmt: skip


def is_difference(results: pd.DataFrame) -> np.ndarray:
    """Which rows hold a paired difference of two systems."""
    return results["system"].str.contains(" - ", regex=False).to_numpy()


def _show(row: pd.Series, best: float) -> str:
    mark = " *" if row["value"] == best else ""
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]{mark}"
