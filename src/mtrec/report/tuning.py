"""What tuning the language model adds to a reader of its frozen states: tables and a figure."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from mtrec.report import controls
from mtrec.report.findings import verdict
from mtrec.report.gains import in_percent
from mtrec.report.plots import NotDrawn
from mtrec.report.tables import arrow, show_interval

SYSTEMS = {"frozen": "frozen language model", "lora": "with adapters"}
GAIN = "difference"


def combined(results: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds with intervals, a line per number of ``rows``, task, metric and system.

    Differences are signed so that positive is better, see :func:`mtrec.report.controls.combined`.
    """
    parts = [
        controls.combined(part).assign(rows=rows)
        for rows, part in results.groupby("rows", sort=False)
    ]
    return pd.concat(parts, ignore_index=True)


def table(found: pd.DataFrame) -> pd.DataFrame:
    """Both systems by task and number of rows, the gain, and what it allows to be said."""
    lines = []
    for (task, metric, rows), own in found.groupby(["task", "metric", "rows"], sort=False):
        known = {row["system"]: row for row in own.to_dict("records")}
        gain = known[GAIN]
        lines.append(
            {"task": task, "metric": arrow(metric), "training texts": rows,
             **{title: show_interval(known[name]) for name, title in SYSTEMS.items()},
             "gain": show_interval(gain, signed=True),
             "verdict": verdict(gain["low"], gain["high"])}
        )  # fmt: skip
    return pd.DataFrame(lines).sort_values(["task", "metric"], kind="stable")


def costs(results: pd.DataFrame) -> pd.DataFrame:
    """CPU minutes of a training, mean over seeds, by number of texts.

    States of the blocks below the adapters are computed once for all trainings and stand apart.
    """
    lines = []
    for rows, own in results.groupby("rows", sort=False):
        minutes = own[own["system"] != GAIN].groupby("system")["minutes"].mean()
        lines.append(
            {"training texts": rows, "states below, once [min]": own["state_minutes"].max(),
             **{f"{title} [min]": minutes[name] for name, title in SYSTEMS.items()},
             "ratio": minutes["lora"] / minutes["frozen"]}
        )  # fmt: skip
    return pd.DataFrame(lines)


def figure(found: pd.DataFrame, title: str) -> Figure | NotDrawn:
    """Gains of tuning by task and number of training texts, in percent of the frozen model's."""
    first = found.drop_duplicates("task")
    main = found.merge(first[["task", "metric"]])
    known = {(row["task"], row["rows"], row["system"]): row for row in main.to_dict("records")}
    gains = {
        f"{task} ({row['metric']}), {rows:,} texts": (row, known[task, rows, "frozen"]["value"])
        for (task, rows, system), row in known.items()
        if system == GAIN
    }
    return in_percent(gains, title, "gain of tuning [% of the frozen model's metric]")
