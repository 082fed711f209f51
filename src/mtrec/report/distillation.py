"""What one model learns of the fused answer: a table, a figure, a share in words."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from mtrec.report import controls
from mtrec.report.findings import verdict, verdicts
from mtrec.report.gains import in_percent
from mtrec.report.plots import NotDrawn
from mtrec.report.tables import arrow, show_interval

SYSTEMS = {
    "joint": "taught by twins", "distilled": "taught by the fused answer", "fused": "fused answer",
}  # fmt: skip
PUPIL, TEACHER, KEPT = "difference", "teacher_difference", "kept_difference"
QUESTIONS = {
    PUPIL: "Being taught by the fused answer, where it teaches,",
    TEACHER: "The fused answer, against the joint model,",
}
TWIN = "the twin"


def combined(results: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds with intervals, see :func:`mtrec.report.controls.combined`, and ``who``."""
    who = results[["task", "who"]].drop_duplicates("task")
    return controls.combined(results).merge(who, on="task")


def table(found: pd.DataFrame) -> pd.DataFrame:
    """The main metric of both pupils and of the teacher, and the gain that is kept."""
    rows = []
    for (task, metric, who), own in found.groupby(["task", "metric", "who"], sort=False):
        known = {row["system"]: row for row in own.to_dict("records")}
        gain, most, behind = known[PUPIL], known.get(TEACHER), known.get(KEPT)
        shown = {
            title: show_interval(known[name]) for name, title in SYSTEMS.items() if name in known
        }
        rows.append(
            {"task": task, "metric": arrow(metric), "teacher": who, **shown,
             "gain": show_interval(gain, signed=True),
             "verdict": verdict(gain["low"], gain["high"]),
             "minus the fused answer": show_interval(behind, signed=True) if behind else "",
             "of its gain [%]": _share(gain, most)}
        )  # fmt: skip
    return pd.DataFrame(rows).fillna("")


def _share(gain: dict, most: dict | None) -> str:
    """How much of the teacher's gain the pupil keeps, where there is a gain."""
    if most is None or not most["low"] > 0:
        return "–"
    return f"{100 * gain['value'] / most['value']:.0f}"


def sentences(found: pd.DataFrame) -> list[str]:
    """What the intervals allow to be said of tasks that the fused answer teaches."""
    taught = found[found["who"] != TWIN]
    return [
        verdicts(controls.difference(taught, name), subject) for name, subject in QUESTIONS.items()
    ]


def figure(found: pd.DataFrame, title: str) -> Figure | NotDrawn:
    """Gains over the pupil of the twins in percent of its value, of the other and of fusion."""
    known = {(row["task"], row["system"]): row for row in found.to_dict("records")}
    gains = {
        f"{task}: {said}": (known[task, system], known[task, "joint"]["value"])
        for task in dict.fromkeys(found["task"])
        for system, said in ((PUPIL, "one model"), (TEACHER, "fused answer"))
        if (task, system) in known
    }
    return in_percent(gains, title, "gain over the joint model [% of its metric]")
