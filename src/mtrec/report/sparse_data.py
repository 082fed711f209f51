"""The results of the study of sparse data as tables, a figure and sentences."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from mtrec.metrics.families import HIGHER_IS_BETTER
from mtrec.metrics.intervals import mean_interval
from mtrec.report.comparison import show
from mtrec.report.findings import verdict
from mtrec.report.plots import COLOURS, NotDrawn
from mtrec.studies.sparse_data_plan import NONE

KEYS = ["level", "task", "seed"]
APART = 0.24  # of the distance between levels: markers of the methods do not hide each other


def with_gain(results: pd.DataFrame) -> pd.DataFrame:
    r"""Add ``gain``: how much better the test metric is than without the step, in percent.

    .. math:: \pm 100\, \frac{M - M^{none}}{M^{none}}

    at the same level of thinning, for the same task and seed; positive is better.
    """
    none = results[results["part"] == NONE].set_index(KEYS)["value"]
    base = none.reindex(pd.MultiIndex.from_frame(results[KEYS])).to_numpy()
    sign = results["metric"].map(lambda metric: 1 if HIGHER_IS_BETTER[metric] else -1)
    return results.assign(gain=100 * sign * (results["value"] - base) / base)


def gains(results: pd.DataFrame) -> pd.DataFrame:
    """Mean gain over tasks by level, step and method, with a 95 % interval over seeds (t).

    Returns:
        ``level``, ``part``, ``method``, ``gain``, ``low``, ``high``, ``verdict``.
    """
    steps = with_gain(results)[results["part"] != NONE]
    rows = []
    for (level, part, method), found in steps.groupby(["level", "part", "method"], sort=False):
        interval = mean_interval(found.groupby("seed")["gain"].mean().to_numpy())
        rows.append((level, part, method, *interval, verdict(*interval[1:])))
    return pd.DataFrame(rows, columns=["level", "part", "method", "gain", "low", "high", "verdict"])


def gain_table(found: pd.DataFrame, part: str) -> pd.DataFrame:
    """:func:`gains` of one step for readers: a line per method, a column per level."""
    chosen = found[found["part"] == part]
    cells = [show((row.gain, row.low, row.high), 1, signed=True) for row in chosen.itertuples()]
    table = chosen.assign(cell=cells).pivot(index="method", columns="level", values="cell")
    levels = sorted(table.columns, reverse=True)
    table = table.reindex(index=list(dict.fromkeys(chosen["method"])), columns=levels)
    return table.rename(columns=lambda level: f"{level:.0%}").reset_index()


def plain(results: pd.DataFrame) -> pd.DataFrame:
    """What thinning alone does: each task's test metric without a step, by level."""
    none = results[results["part"] == NONE]
    rows = []
    for (task, metric), part in none.groupby(["task", "metric"], sort=False):
        arrow = "↑" if HIGHER_IS_BETTER[metric] else "↓"
        row: dict[str, object] = {"task": task, "metric": f"{metric} {arrow}"}
        for level, values in sorted(part.groupby("level")["value"], reverse=True):
            row[f"{level:.0%}"] = f"{values.mean():.3f}"
        rows.append(row)
    return pd.DataFrame(rows)


def sizes(results: pd.DataFrame) -> pd.DataFrame:
    """Events and training rows that are left at each level."""
    found = results.groupby("level", as_index=False)[["events", "rows"]].first()
    found = found.sort_values("level", ascending=False)
    return found.assign(level=[f"{level:.0%}" for level in found["level"]]).rename(
        columns={"rows": "training rows"}
    )


def conclusions(results: pd.DataFrame) -> list[str]:
    """One sentence per step and method: at which levels it is clearly better or worse."""
    found = gains(results)
    lines = []
    for (part, method), rows in found.groupby(["part", "method"], sort=False):
        said = {
            word: [f"{level:.0%}" for level in rows.loc[rows["verdict"] == word, "level"]]
            for word in ("better", "worse")
        }
        clear = [f"clearly {word} at {', '.join(at)}" for word, at in said.items() if at]
        lines.append(
            f"{part} by {method}: mean gain over tasks from {rows['gain'].min():+.1f} % to "
            f"{rows['gain'].max():+.1f} %; {'; '.join(clear) or 'at no level a clear difference'}."
        )
    return lines


def message(found: pd.DataFrame) -> str:
    """What each step does, in the few words of a figure's title.

    Args:
        found: :func:`gains`.
    """
    parts = []
    for part, rows in found.groupby("part", sort=False):
        better, worse = ((rows["verdict"] == word).sum() for word in ("better", "worse"))
        if better or worse:
            parts.append(f"{part}: {better} better and {worse} worse of {len(rows)}")
        else:
            parts.append(f"{part}: nothing clear")
    return "; ".join(parts)


def gains_figure(found: pd.DataFrame, title: str) -> Figure | NotDrawn:
    """Mean gain by level of thinning, a panel per step, a line per method; bars are intervals.

    Args:
        found: :func:`gains`.
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
            at = [position + APART * (place - 1) for position in range(len(rows))]
            bars = [rows["gain"] - rows["low"], rows["high"] - rows["gain"]]
            axes.errorbar(
                at, rows["gain"], yerr=bars, color=COLOURS[place], marker="osD"[place % 3],
                label=method, capsize=2, markersize=4,
            )  # fmt: skip
        axes.axhline(0, color="black", linewidth=1)
        levels = sorted(set(chosen["level"]), reverse=True)
        axes.set_xticks(range(len(levels)), [f"{level:.0%}" for level in levels])
        axes.set(title=part, xlabel="events and training rows left")
        axes.legend(title=None, fontsize=8)
    panels[0][0].set_ylabel("mean test gain over tasks\nagainst no step [%]")
    figure.suptitle(title)
    return figure
