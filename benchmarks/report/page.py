"""``reports/benchmarks/README.md`` and its figures, from ``benchmarks/results.json`` alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.harness.results import DIFFERENCE
from benchmarks.report import words
from benchmarks.report.figures import PROFILE, SCALING, draw, figures
from benchmarks.report.numbers import interval, number
from benchmarks.report.standing import standing
from benchmarks.report.tables import curve, notes, stages, table
from benchmarks.report.targets import judge, main_metric
from mtrec.files import write_text
from mtrec.report.readme import markdown

PIPELINE = "joint_"  # protocols that compare the pipeline's joint models with single-task ones


def write(root: Path, rows: pd.DataFrame) -> None:
    """Write the page and its figures; figures of protocols that are gone go too.

    Args:
        root: of the repository.
        rows: see :class:`benchmarks.harness.results.Row`.
    """
    folder = root / "reports" / "benchmarks"
    judged = judge(rows)
    made = figures(rows, judged)
    draw(folder / "figures", made)
    write_text(folder / "README.md", page(rows, judged, list(made)))


def page(rows: pd.DataFrame, judged: pd.DataFrame, figures: Sequence[str]) -> str:
    """The page as Markdown.

    Args:
        rows: all rows.
        judged: see :func:`benchmarks.report.targets.judge`.
        figures: names of those that were made.
    """
    said, lines = words.known("page"), words.leads(sorted(set(rows["protocol"])))
    parts = [
        "# Benchmarks",
        said["what this is"],
        "## On what",
        said["on what"],
        _bullets(_machines(rows)),
        "## Against the targets",
        _counted(rows, judged),
        *_picture(figures, "targets", "Share of each target that was reached"),
        *_verdicts(judged),
        "## Where we lead, where we do not",
        said["who stands where"],
        standing(rows),
        *([said["why we lead"], _bullets(lines)] if lines else []),
        "## Cost against size" if "scaling" in figures else "",
        *_picture(figures, "scaling", "Seconds and memory over events, tasks and items"),
    ]
    for protocol in sorted(set(rows["protocol"])):
        parts += _section(protocol, rows[rows["protocol"] == protocol], figures)
    return "\n\n".join(part for part in parts if part) + "\n"


def _machines(rows: pd.DataFrame) -> list[str]:
    """Each machine that rows name, with the protocols that have such rows."""
    named = rows[rows["machine"] != ""]
    return [
        f"{machine}: {', '.join(f'`{one}`' for one in sorted(set(part['protocol'])))}"
        for machine, part in named.groupby("machine")
    ]


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _counted(rows: pd.DataFrame, judged: pd.DataFrame) -> str:
    """How many targets are met, and how many differences are not zero.

    The latter is more than not to be worse, which is what their targets ask.
    """
    counts, said = judged["verdict"].value_counts(), words.known("page")
    text = said["against the targets"].format(
        met=counts.get("met", 0), missed=counts.get("missed", 0),
        unknown=counts.get("not measured", 0),
    )  # fmt: skip
    some = rows[rows["protocol"].str.startswith(PIPELINE)]
    some = some[some["system"].str.contains(DIFFERENCE) & some["low"].notna()]
    if some.empty:
        return text
    better, worse = int((some["low"] > 0).sum()), int((some["high"] < 0).sum())
    told = said["differences"].format(
        all=len(some), better=better, worse=worse, unclear=len(some) - better - worse
    )
    return f"{text} {told}"


def _picture(figures: Sequence[str], name: str, shows: str) -> list[str]:
    return [f"![{shows}](figures/{name}.png)"] if name in figures else []


def _verdicts(judged: pd.DataFrame) -> list[str]:
    """A table per verdict, misses first."""
    parts = []
    for verdict in ("missed", "met", "not measured"):
        some = judged[judged["verdict"] == verdict]
        if some.empty:
            continue
        found = pd.DataFrame(
            {
                "protocol": some["protocol"],
                "metric": some["metric"],
                "target": some["target"],
                "ours": [_ours(line) for line in some.itertuples()],
                "needed": [_needed(line) for line in some.itertuples()],
            }
        )
        parts += [f"### {verdict.capitalize()}", markdown(found)]
        if verdict == "missed":
            parts.append(_bullets(words.reasons(some)))
    return parts


def _ours(line: Any) -> str:
    """What we have, with its interval where that decides."""
    if pd.isna(line.value):
        return ""
    bounds = interval(line.low, line.high) if line.bound == 0 else ""
    value = number(line.value)
    if value == number(line.bound) and line.value != line.bound:  # else a miss would read as a hit
        value = f"{line.value:.6g}"
    return f"{value}{bounds} ({line.system})"


def _needed(line: Any) -> str:
    """What it takes, and how that comes about."""
    if pd.isna(line.bound):
        return ""
    if not isinstance(line.peer, str):
        return number(line.bound)
    best = f"{number(line.bound / line.factor)} ({line.peer})"
    return best if line.factor == 1 else f"{number(line.bound)} = {line.factor:g} x {best}"


def _section(protocol: str, rows: pd.DataFrame, figures: Sequence[str]) -> list[str]:
    """What a protocol asks, who was given what, its figure, its tables and its notes."""
    hashes = sorted(set(rows["split_sha256"]) - {""})
    split = f"Split: `{hashes[0][:12]}`." if len(hashes) == 1 else ""
    pictures: list[str] = []
    if protocol.startswith(SCALING):
        tables = [curve(rows)]
    elif protocol == PROFILE:
        tables = [stages(rows)]
        pictures = _picture(figures, protocol, "Wall time of each stage, by domain")
    else:
        differences = rows["system"].str.contains(DIFFERENCE)
        tables = [markdown(table(some)) for some in (rows[~differences], rows[differences])
                  if len(some)]  # fmt: skip
        pictures = _picture(figures, protocol, f"{protocol}: systems by {main_metric(protocol)}")
    told = " ".join(
        part for part in (words.question(protocol), words.given(protocol), split) if part
    )
    return [f"## {protocol}", told, *pictures, *tables, notes(rows)]
