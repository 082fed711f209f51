"""Gains of different metrics on one axis."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from mtrec.report.plots import NotDrawn
from mtrec.report.result_plots import KEY, interval


def in_percent(
    gains: Mapping[str, tuple[Mapping[str, float], float]], title: str, label: str
) -> Figure | NotDrawn:
    """Gains of different metrics on one axis, a line each, see :data:`KEY`.

    Args:
        gains: a gain (``value``, ``low``, ``high``) and what it is measured against, by name.
        title: of the figure.
        label: of the gains.
    """
    if not gains:
        return NotDrawn("no result is known yet; run `make study`.")
    figure, axes = plt.subplots(figsize=(7.5, 0.42 * len(gains) + 1.7))
    at = np.arange(len(gains))[::-1]
    for y, (gain, base) in zip(at, gains.values(), strict=True):
        interval(axes, y, *(100 * gain[bound] / abs(base) for bound in ("value", "low", "high")))
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(at, list(gains))
    axes.set(title=title, ylim=(-0.6, len(gains) - 0.4), xlabel=f"{label}\n{KEY}")
    return figure
