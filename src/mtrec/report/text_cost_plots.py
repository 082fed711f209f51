"""The figure of notebook 10."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from mtrec.report.plots import COLOURS, NotDrawn

MARKERS = {"truncation": "o", "layer": "s", "precision": "D", "bucketing": "^"}
BESIDE: tuple[dict[str, Any], ...] = (  # shorter texts are named left below their mark
    {"xytext": (4, 5)},
    {"xytext": (-5, -11), "ha": "right"},
)


def cost_and_loss(frame: pd.DataFrame, title: str) -> Figure | NotDrawn:
    """Log-loss of the probe against core-minutes for all texts, a line per thing that is changed.

    Args:
        frame: results of :func:`mtrec.studies.text_cost.study`; each line runs through the default.
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
            axes.annotate(row.setting, (row.cpu_minutes, row.log_loss), fontsize=8,
                          textcoords="offset points", **BESIDE[part == "truncation"])  # fmt: skip
    axes.plot(default["cpu_minutes"], default["log_loss"], "*", color="black", markersize=13,
              label="default")  # fmt: skip
    axes.axhline(frame["constant_log_loss"].iloc[0], color="black", linewidth=1, linestyle=":")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks([2, 5, 10, 20, 50])
    axes.set(title=title, xlabel="time for all texts [core-minutes]",
             ylabel="held-out log-loss (dotted: no text)")  # fmt: skip
    axes.legend(fontsize=8)
    return figure
