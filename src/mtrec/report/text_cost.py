"""The cost and loss of embedding, for readers: table, figure, what intervals allow to say."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from mtrec.report.comparison import show
from mtrec.report.findings import verdict
from mtrec.report.plots import COLOURS, NotDrawn

LOG_LOSS = ["log_loss", "log_loss_low", "log_loss_high"]
DIFFERENCE = ["difference", "difference_low", "difference_high"]

MARKERS = {"truncation": "o", "layer": "s", "precision": "D", "bucketing": "^"}
BESIDE: dict[str, dict[str, Any]] = {  # where a setting's name stands: away from other marks
    "truncation": {"xytext": (0, -13), "ha": "center"},
    "precision": {"xytext": (7, -3)},
}
ABOVE: dict[str, Any] = {"xytext": (0, 8), "ha": "center"}


def shown(results: pd.DataFrame) -> pd.DataFrame:
    """One line per setting, the default first: time, padding, log-loss and what it differs by."""
    rows = [
        {
            "changed": row["part"], "setting": row["setting"], "ms per text": row["ms_per_text"],
            "tokens per s": row["tokens_per_second"], "padding [%]": 100 * row["padding"],
            "all texts [min]": row["minutes"], "all texts [core-min]": row["cpu_minutes"],
            "log-loss": show(tuple(row[LOG_LOSS])),
            "minus default": "" if row["part"] == "default" else show(
                tuple(row[DIFFERENCE]), signed=True
            ),
            "accuracy": f"{row['accuracy']:.3f}", "AUC": f"{row['auc']:.3f}",
        }
        for _, row in results.iterrows()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def conclusions(results: pd.DataFrame, cores: int, limit: float) -> list[str]:
    """What was measured, one sentence each.

    Args:
        results: all settings, see :func:`mtrec.studies.text_cost.measure`.
        cores: of the machine.
        limit: minutes that embedding all texts may take.
    """
    default = results[results["part"] == "default"].iloc[0]
    alone = results["cpu_minutes"] / cores
    fits = results[alone <= limit].sort_values("log_loss", kind="stable")
    lines = [
        f"All {default['all_texts']:,} distinct texts are {default['all_tokens']:,} tokens after "
        f"the cut. Beside the other jobs of the measurement the default would take "
        f"{default['minutes']:.1f} minutes; its {default['cpu_minutes']:.1f} core-minutes are "
        f"{default['cpu_minutes'] / cores:.1f} minutes of {cores} cores that do nothing else.",
        f"Within {limit:g} such minutes: {', '.join(fits['setting']) or 'none'}.",
    ]
    if len(fits):
        lines.append(f"The lowest log-loss among them has: {fits['setting'].iloc[0]}.")
    for _, row in results[results["part"] != "default"].iterrows():
        low, high = -row["difference_high"], -row["difference_low"]
        change = 100 * (row["cpu_minutes"] / default["cpu_minutes"] - 1)
        lines.append(
            f"{row['setting']}: {change:+.0f} % core time; log-loss "
            f"{show(tuple(row[DIFFERENCE]), signed=True)} "
            f"({verdict(low, high)})."
        )
    return lines


def cost_and_loss(frame: pd.DataFrame, title: str) -> Figure | NotDrawn:
    """Log-loss of the probe against core-minutes for all texts, a line per thing that is changed.

    Args:
        frame: see :func:`mtrec.studies.text_cost.measure`; each line runs through the default.
        title: the claim.
    """
    if frame.empty:
        return NotDrawn("no setting is measured yet; run `make study`.")
    default = frame[frame["part"] == "default"]
    figure, axes = plt.subplots(figsize=(7.5, 4.8))
    for colour, (part, marker) in zip(COLOURS, MARKERS.items(), strict=False):
        own = frame[frame["part"] == part]
        line = pd.concat([own, default]).sort_values("cpu_minutes")
        axes.plot(line["cpu_minutes"], line["log_loss"], color=colour, linewidth=1)
        axes.plot(own["cpu_minutes"], own["log_loss"], marker, color=colour, label=part)
        for row in own.itertuples():
            axes.vlines(row.cpu_minutes, row.log_loss_low, row.log_loss_high, colour, alpha=0.35)
            axes.annotate(
                row.setting, (row.cpu_minutes, row.log_loss), fontsize=8,
                textcoords="offset points", **BESIDE.get(part, ABOVE),
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )  # fmt: skip
    axes.plot(default["cpu_minutes"], default["log_loss"], "*", color="black", markersize=13,
              label="default of this study")  # fmt: skip
    axes.axhline(frame["constant_log_loss"].iloc[0], color="black", linewidth=1, linestyle=":")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks([2, 5, 10, 20, 50])
    axes.set(title=title, xlabel="time for all texts [core-minutes]",
             ylabel="held-out log-loss (dotted: no text)")  # fmt: skip
    axes.legend(fontsize=8)
    return figure
