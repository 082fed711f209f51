"""What tuning the language model adds to a reader of its frozen states: tables and a figure."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mtrec.report import controls
from mtrec.report.findings import verdict
from mtrec.report.plots import COLOURS, NotDrawn
from mtrec.report.tables import arrow, show_interval

SYSTEMS = {"frozen": "frozen language model", "lora": "with adapters"}
LOOKS = {"frozen": ("o", COLOURS[7]), "lora": ("s", COLOURS[0])}  # marker, colour
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
    """Every task's main metric by number of training texts, frozen and tuned."""
    first = found.drop_duplicates(["task", "metric"]).drop_duplicates("task")
    if first.empty:
        return NotDrawn("no result is known yet; run `make study`.")
    counts = sorted(found["rows"].unique())
    lines = -(-len(first) // 2)
    drawn, panels = plt.subplots(lines, 2, figsize=(7.5, 3.1 * lines), squeeze=False)
    for axes, (task, metric) in zip(
        panels.flat, zip(first["task"], first["metric"], strict=True), strict=False
    ):
        own = found[(found["task"] == task) & (found["metric"] == metric)]
        for place, (name, (marker, colour)) in enumerate(LOOKS.items()):
            line = own[own["system"] == name].sort_values("rows")
            at = [counts.index(rows) + 0.1 * (place - 0.5) for rows in line["rows"]]
            bars = [line["value"] - line["low"], line["high"] - line["value"]]
            axes.errorbar(at, line["value"], yerr=bars, capsize=2, marker=marker, color=colour,
                          label=SYSTEMS[name])  # fmt: skip
        axes.set(
            title=task,
            xlabel="training texts",
            ylabel=arrow(metric),
            xlim=(-0.4, len(counts) - 0.6),
        )
        axes.set_xticks(range(len(counts)), [f"{count:,}" for count in counts])
    for axes in panels.flat[len(first) :]:
        axes.set_axis_off()
    drawn.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside lower center", ncol=2,
                 frameon=False, title="bars are 95 % intervals")  # fmt: skip
    drawn.suptitle(title)
    return drawn
