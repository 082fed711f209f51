"""``reports/benchmarks/README.md`` and its figures, from ``benchmarks/results.json`` alone."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mtrec.bench.figures import figures, points, profile
from mtrec.bench.machine import machine
from mtrec.bench.targets import (
    DIFFERENCE,
    comparable,
    higher_is_better,
    is_ours,
    judge,
    main_metric,
    reasons,
)
from mtrec.bench.words import LEADS, PIPELINE, PROFILE, SCALING, question
from mtrec.report import markdown
from mtrec.study.report import verdict as judged_by

WORDS = {
    "ahead": "we lead",
    "ahead, not told apart": "ahead, not told apart",
    "level": "level",
    "not told apart": "not told apart",
    "behind, not told apart": "**behind**, not told apart",
    "behind": "**we do not**",
}
MANY = 6  # more systems than this stand in rows, as do their notes


def write(root: Path, rows: pd.DataFrame) -> None:
    """Write the page and its figures; figures of protocols that are gone go too.

    Args:
        root: of the repository.
        rows: see :class:`mtrec.bench.results.Row`.
    """
    folder = root / "reports" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    judged = judge(rows)
    made = figures(folder / "figures", rows, judged)
    for file in (folder / "figures").glob("*.png"):
        if file.stem not in made:
            file.unlink()
    temporary = folder / "README.partial"
    temporary.write_text(page(rows, judged, made, machine()), encoding="utf-8")
    os.replace(temporary, folder / "README.md")


def page(
    rows: pd.DataFrame, judged: pd.DataFrame, figures: Sequence[str], machine: Sequence[str]
) -> str:
    """The page as Markdown.

    Args:
        rows: all rows.
        judged: see :func:`mtrec.bench.targets.judge`.
        figures: names of those that were made.
        machine: lines about what this ran on.
    """
    counts = judged["verdict"].value_counts()
    parts = [
        "# Benchmarks",
        "Written by `make bench` from `benchmarks/results.json`; do not edit. Our systems' "
        "names begin with `mtrec`. Everyone learns from the same frozen split, chooses on "
        "validation rows, and is scored by one function; **bold** is the best of a column. "
        "Brackets are 95 % intervals: of accuracy the means over seeds of the bounds of a "
        "bootstrap over users, of ratings, top-N and next baskets the bounds of the mean over "
        "seeds, in cold start the widest bounds over seeds, of speed a bootstrap of the median "
        "over the turns. In the protocols of ratings, likes, top-N and next baskets ours are "
        "models made for them (`mtrec.bench.models`); elsewhere they are the pipeline's own, or "
        "its parts put together for speed. Beside a version of ours stands the commit that it "
        "was measured at, or, of the oldest rows, that recorded it; rows of the cold-start "
        "study name the one that they were read at.",
        "## On what",
        "\n".join(f"- {line}" for line in machine),
        "## Against the targets",
        f"{counts.get('met', 0)} met, {counts.get('missed', 0)} missed, "
        f"{counts.get('not measured', 0)} not measured. A target is met by the value, whatever its "
        f"interval.{_differences(rows)}",
        *_picture(figures, "targets", "Share of each target that was reached"),
        *_verdicts(judged),
        "## Where we lead, where we do not",
        "The best of ours and the best peer are those of the test rows: a look at who stands "
        "where, kinder to the side with more systems. Where a target above names no system of "
        "ours, the best of ours counts there, too. Where a protocol has paired differences from "
        "its peers, they decide. *Not told apart*: the interval of the paired difference "
        "reaches zero; elsewhere the two intervals overlap, which does not say that a paired "
        "test would not tell them apart.",
        _standing(rows),
        *_leads(rows),
        "## Cost against size" if "scaling" in figures else "",
        *_picture(figures, "scaling", "Seconds and memory over events, tasks and items"),
    ]
    for protocol in sorted(set(rows["protocol"])):
        parts += _section(protocol, rows[rows["protocol"] == protocol], figures)
    return "\n\n".join(part for part in parts if part) + "\n"


def _differences(rows: pd.DataFrame) -> str:
    """How many differences are told apart from zero; that is more than not to be worse."""
    some = rows[rows["protocol"].str.startswith(PIPELINE)]
    some = some[some["system"].str.contains(DIFFERENCE) & some["low"].notna()]
    if some.empty:
        return ""
    better, worse = int((some["low"] > 0).sum()), int((some["high"] < 0).sum())
    return (
        f" *Not worse* asks only that the interval of a difference reaches zero, which a noisy "
        f"task does easily: of {len(some)} differences between joint and single-task models "
        f"{better} are above zero with their whole interval, {worse} below, and "
        f"{len(some) - better - worse} undecided."
    )


def _picture(figures: Sequence[str], name: str, words: str) -> list[str]:
    return [f"![{words}](figures/{name}.png)"] if name in figures else []


def _verdicts(judged: pd.DataFrame) -> list[str]:
    """A table per verdict, misses first."""
    parts = []
    for verdict in ("missed", "met", "not measured"):
        some = judged[judged["verdict"] == verdict]
        if some.empty:
            continue
        table = pd.DataFrame(
            {
                "protocol": some["protocol"],
                "metric": some["metric"],
                "target": some["target"],
                "ours": [_ours(line) for line in some.itertuples()],
                "needed": [_needed(line) for line in some.itertuples()],
            }
        )
        parts += [f"### {verdict.capitalize()}", markdown(table)]
        if verdict == "missed":
            parts.append("\n".join(f"- {words}" for words in reasons(some)))
    return parts


def _ours(line: Any) -> str:
    """What we have, with its interval where that decides."""
    if pd.isna(line.value):
        return ""
    interval = _interval(line.low, line.high) if line.bound == 0 else ""
    return f"{_number(line.value)}{interval} ({line.system})"


def _needed(line: Any) -> str:
    """What it takes, and how that comes about."""
    if pd.isna(line.bound):
        return ""
    if not isinstance(line.peer, str):
        return _number(line.bound)
    best = f"{_number(line.bound / line.factor)} ({line.peer})"
    return best if line.factor == 1 else f"{_number(line.bound)} = {line.factor:g} x {best}"


def _standing(rows: pd.DataFrame) -> str:
    """Our best system against the best peer, per protocol's main metric; many metrics: a count."""
    lines = []
    for protocol, part in comparable(rows).groupby("protocol", sort=True):
        main, paired = main_metric(str(protocol)), part["system"].str.contains(DIFFERENCE).any()
        pairs = [pair for m, some in part.groupby("metric") if (pair := _pair(m, some, paired))]
        if main is None:
            named = {
                word: [pair["metric"] for pair in pairs if pair["standing"] == word]
                for word in ("ahead", "not told apart", "behind")
            }
            if pairs:
                lines.append([
                    protocol, f"{len(pairs)} metrics", f"ahead in {len(named['ahead'])}",
                    f"not told apart in {len(named['not told apart'])}",
                    f"behind in {len(named['behind'])}: {', '.join(named['behind'])}".rstrip(": "),
                ])  # fmt: skip
            continue
        for pair in pairs:
            if pair["metric"] == main:
                lines.append([protocol, main, pair["ours"], pair["peer"], WORDS[pair["standing"]]])
    columns = ["protocol", "metric", "our best", "best peer", ""]
    return markdown(pd.DataFrame(lines, columns=columns)) if lines else "No peer was measured."


def _pair(metric: str, rows: pd.DataFrame, paired: bool) -> dict | None:
    """Ours and the best peer in one metric; None where nothing compares them.

    Where differences are paired, ours is the system that they are of, and ``standing`` is ``ahead``
    or ``behind`` if the interval of the difference excludes zero, else ``not told apart``. Without
    them it is our best, ``ahead`` or ``behind`` by value, and adds whether intervals overlap.
    """
    up = higher_is_better(metric)
    differences = rows["system"].str.contains(DIFFERENCE)
    differs, rows = rows[differences].set_index("system"), rows[~differences]
    mine, peers = rows[is_ours(rows["system"])], rows[~is_ours(rows["system"])]
    if up is None or mine.empty or peers.empty:
        return None
    one, other = (part.sort_values("value", ascending=not up).iloc[0] for part in (mine, peers))
    if paired:
        tail = f"{DIFFERENCE}{other['system']}"
        name = next((name for name in differs.index if name.endswith(tail)), None)
        if name is None:
            return None
        one = mine[mine["system"] == name.removesuffix(tail)].iloc[0]
        told = {"better": "ahead", "worse": "behind", "unclear": "not told apart"}
        standing = told[judged_by(tuple(differs.loc[name, ["value", "low", "high"]]))]
    else:
        gain = (one["value"] - other["value"]) * (1 if up else -1)
        standing = "ahead" if gain > 0 else "behind" if gain < 0 else "level"
        if gain and one["low"] <= other["high"] and other["low"] <= one["high"]:
            standing += ", not told apart"
    shown = [f"{_number(best['value'])} ({best['system']})" for best in (one, other)]
    return {"metric": metric, "ours": shown[0], "peer": shown[1], "standing": standing}


def _leads(rows: pd.DataFrame) -> list[str]:
    """What leads are likely due to, of the protocols that were measured."""
    here = set(rows["protocol"])
    found = [f"- {name}: {text}" for name, text in LEADS.items()
             if any(fnmatch.fnmatch(protocol, name) for protocol in here)]  # fmt: skip
    if not found:
        return []
    return ["Why we lead where we do, as far as we understand it; no part was taken out to see:",
            "\n".join(found)]  # fmt: skip


def _section(protocol: str, rows: pd.DataFrame, figures: Sequence[str]) -> list[str]:
    hashes = sorted(set(rows["split_sha256"]) - {""})
    split = f" Split: `{hashes[0][:12]}`." if len(hashes) == 1 else ""
    if protocol.startswith(SCALING):
        tables = [_curve(rows)]
        pictures: list[str] = []
    elif protocol == PROFILE:
        tables = [_stages(rows)]
        pictures = _picture(figures, protocol, "Wall time of each stage, by domain")
    else:
        differences = rows["system"].str.contains(DIFFERENCE)
        tables = [markdown(table(some)) for some in (rows[~differences], rows[differences])
                  if len(some)]  # fmt: skip
        pictures = _picture(figures, protocol, f"{protocol}: systems by {main_metric(protocol)}")
    return [
        f"## {protocol}", (question(protocol) + split).strip(), *pictures, *tables,
        _notes(rows),
    ]  # fmt: skip


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
        text = _number(row["value"])
        ranked = row["system"] in set(same["system"]) and DIFFERENCE not in row["system"]
        if len(same) > 1 and up is not None and ranked:
            best = same["value"].max() if up else same["value"].min()
            text = f"**{text}**" if row["value"] == best else text
        cells.append(text + _interval(row["low"], row["high"]))
    return cells


def _interval(low: float, high: float) -> str:
    return "" if pd.isna(low) else f" [{_number(low)}, {_number(high)}]"


def _stages(rows: pd.DataFrame) -> str:
    wide = profile(rows)
    wide = wide.assign(sum=wide.sum(axis=1))
    wide.loc["sum"] = wide.sum()
    shown = wide.map(lambda seconds: f"{seconds:,.0f}" if seconds else "")
    return markdown(shown.rename_axis(columns=None).reset_index())


def _curve(rows: pd.DataFrame) -> str:
    found = points(rows).drop(columns="protocol")
    shown = pd.DataFrame(
        {
            "size": [f"{size:,}" for size in found["size"]],
            "seconds": found["seconds"].map(_number),
            "peak memory [MB]": [f"{value:,.0f}" for value in found["peak_mb"]],
        }
    )
    values = rows.set_index("metric")["value"]
    words = (
        f"Exponents: {values['exponent_seconds']:.2f} over all sizes, "
        f"{values['exponent_seconds_end']:.2f} between the two largest; memory "
        f"{values['exponent_peak_mb']:.2f}."
    )
    return f"{markdown(shown)}\n\n{words}"


def _notes(rows: pd.DataFrame) -> str:
    """How each system was run: a line per system and note, with its metrics where notes differ."""
    lines = []
    for system, part in rows.sort_values("system", kind="stable").groupby("system"):
        for note, some in part.groupby("note", sort=False):
            if DIFFERENCE in system and not note:
                continue  # nothing was run for it
            row = some.iloc[0]
            facts = [f"{row['seeds']} run{'s' if row['seeds'] != 1 else ''}"]
            if some["seconds"].nunique() == 1:
                facts.append(f"{_number(row['seconds'])} s")
            if some["peak_mb"].nunique() == 1:
                facts.append(f"{row['peak_mb']:,.0f} MB")
            name = f"{system} {row['version'] or ''}".strip()
            told = ", ".join([name, *some["metric"]]) if part["note"].nunique() > 1 else name
            lines.append(f"- {told}: {', '.join(facts)}" + (f"; {note}" if note else ""))
    if len(lines) <= MANY:
        return "\n".join(lines)
    return "<details><summary>How each was run</summary>\n\n" + "\n".join(lines) + "\n\n</details>"


def _number(value: float) -> str:
    """Four significant digits, thousands with commas.

    Example:
        >>> _number(0.88361), _number(163999.7), _number(12.346)
        ('0.8836', '164,000', '12.35')
    """
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 1 else f"{value:.4f}"
