"""Figures of notebook 09."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mtrec.report.plots import COLOURS, NotDrawn


def gains(found: pd.DataFrame, title: str) -> Figure | NotDrawn:
    """Mean gain by level of thinning, a panel per step, a line per method; bars are intervals.

    Args:
        found: :func:`mtrec.report.sparse_data.gains`.
        title: of the figure.
    """
    parts = list(dict.fromkeys(found["part"]))
    if not parts:
        return NotDrawn("no result is known yet; run `make study`.")
    figure, panels = plt.subplots(
        1, len(parts), figsize=(3.8 * len(parts), 3.6), sharey=True, squeeze=False
    )
    for axes, part in zip(panels[0], parts, strict=True):
        chosen = found[found["part"] == part]
        for place, (method, rows) in enumerate(chosen.groupby("method", sort=False)):
            rows = rows.sort_values("level", ascending=False)
            at = [position + 0.12 * (place - 1) for position in range(len(rows))]
            bars = [rows["gain"] - rows["low"], rows["high"] - rows["gain"]]
            axes.errorbar(
                at, rows["gain"], yerr=bars, color=COLOURS[place], marker="osD"[place % 3],
                label=method, capsize=2,
            )  # fmt: skip
        axes.axhline(0, color="black", linewidth=1)
        levels = sorted(set(chosen["level"]), reverse=True)
        axes.set_xticks(range(len(levels)), [f"{level:.0%}" for level in levels])
        axes.set(title=part, xlabel="events and training rows left")
        axes.legend(title=None, fontsize=8)
    panels[0][0].set_ylabel("mean test gain over tasks\nagainst no step [%]")
    figure.suptitle(title)
    return figure
