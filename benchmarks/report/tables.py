"""Tables of the page: systems by metrics, curves, the profile; and how each system was run."""

from __future__ import annotations

import pandas as pd

from benchmarks.harness.results import DIFFERENCE
from benchmarks.report.figures import points, profile
from benchmarks.report.numbers import interval, number
from benchmarks.report.targets import comparable, higher_is_better, main_metric
from mtrec.report.readme import markdown

MANY = 6  # more systems than this stand in rows, as do their notes


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Systems by metrics, or metrics by systems where these are fewer; the best is bold."""
    rows = rows.assign(cell=_cells(rows))
    wide = rows.pivot(index="system", columns="metric", values="cell").fillna("")
    if wide.shape[1] > MANY:
        wide = wide.T
    else:
        lead = main_metric(rows["protocol"].iloc[0])
        lead = str(lead if lead in wide else wide.columns[0])
        values = rows[rows["metric"] == lead].set_index("system")["value"]
        down = higher_is_better(lead) or DIFFERENCE in values.index[0]  # differences: positive wins
        order = values.sort_values(ascending=not down).index
        columns = [lead, *(metric for metric in wide if metric != lead)]
        wide = wide.reindex([*order, *wide.index.difference(order)])[columns]
    return wide.rename_axis(columns=None).reset_index()


def _cells(rows: pd.DataFrame) -> list[str]:
    cells = []
    for _, row in rows.iterrows():
        same = comparable(rows[rows["metric"] == row["metric"]])
        up = higher_is_better(row["metric"])
        text = number(row["value"])
        ranked = row["system"] in set(same["system"]) and DIFFERENCE not in row["system"]
        if len(same) > 1 and up is not None and ranked:
            best = same["value"].max() if up else same["value"].min()
            text = f"**{text}**" if row["value"] == best else text
        cells.append(text + interval(row["low"], row["high"]))
    return cells


def stages(rows: pd.DataFrame) -> str:
    """The profile: seconds by domain and stage, with sums."""
    wide = profile(rows)
    wide = wide.assign(sum=wide.sum(axis=1))
    wide.loc["sum"] = wide.sum()
    shown = wide.map(lambda seconds: f"{seconds:,.0f}" if seconds else "")
    return markdown(shown.rename_axis(columns=None).reset_index())


def curve(rows: pd.DataFrame) -> str:
    """Costs by size, and their exponents."""
    found = points(rows).drop(columns="protocol")
    shown = pd.DataFrame(
        {
            "size": [f"{size:,}" for size in found["size"]],
            "seconds": found["seconds"].map(number),
            "peak memory [MB]": [f"{value:,.0f}" for value in found["peak_mb"]],
        }
    )
    values = rows.set_index("metric")["value"]
    told = (
        f"Exponents: {values['exponent_seconds']:.2f} over all sizes, "
        f"{values['exponent_seconds_end']:.2f} between the two largest; memory "
        f"{values['exponent_peak_mb']:.2f}."
    )
    return f"{markdown(shown)}\n\n{told}"


def notes(rows: pd.DataFrame) -> str:
    """How each system was run: a line per system and note, with its metrics where notes differ."""
    lines = []
    for system, part in rows.sort_values("system", kind="stable").groupby("system"):
        for note, some in part.groupby("note", sort=False):
            if DIFFERENCE in system and not note:
                continue  # nothing was run for it
            row = some.iloc[0]
            facts = [f"{row['seeds']} run{'s' if row['seeds'] != 1 else ''}"]
            if some["seconds"].nunique() == 1:
                facts.append(f"{number(row['seconds'])} s")
            if some["peak_mb"].nunique() == 1:
                facts.append(f"{row['peak_mb']:,.0f} MB")
            name = f"{system} {row['version'] or ''}".strip()
            told = ", ".join([name, *some["metric"]]) if part["note"].nunique() > 1 else name
            lines.append(f"- {told}: {', '.join(facts)}" + (f"; {note}" if note else ""))
    if len(lines) <= MANY:
        return "\n".join(lines)
    return "<details><summary>How each was run</summary>\n\n" + "\n".join(lines) + "\n\n</details>"
