"""What several trainings with their controls allow to be said."""

from __future__ import annotations

import pandas as pd

from mtrec.metrics.families import HIGHER_IS_BETTER
from mtrec.metrics.intervals import over_trainings
from mtrec.report.findings import verdict, verdicts
from mtrec.report.tables import arrow, show_interval

SYSTEMS = {
    "baseline": "baseline", "single": "single-task", "self_taught": "self-taught",
    "joint": "joint", "without_text": "joint without text", "without_words": "joint without words",
    "without_text_and_words": "joint without text and words",
    "without_graph": "joint without graph",
}  # fmt: skip
QUESTIONS = {  # difference -> what is judged
    "difference": "Joint training",
    "control_difference": "Joint training, against self-taught models,",
    "teacher_difference": "Self-teaching of single-task models",
    "text_difference": "The language model",
    "words_difference": "The bag of words",
    "text_and_words_difference": "Language model and bag of words together",
    "graph_difference": "The graph",
    "baseline_difference": "The joint model, against the baseline,",
}
PEERS = "The joint model, against its peers,"
COLUMNS = ["task", "metric", "value", "low", "high"]


def combined(results: pd.DataFrame) -> pd.DataFrame:
    """Over seeds: ``task``, ``metric``, ``system``, ``value``, ``low``, ``high``, ``seeds``.

    Differences are signed so that positive is better. See
    :func:`mtrec.metrics.intervals.over_trainings`.
    """
    rows = []
    for (task, metric, system), part in results.groupby(["task", "metric", "system"], sort=False):
        found = over_trainings(*(part[name].to_numpy() for name in ("value", "low", "high")))
        if system.endswith("_difference") or system == "difference":
            found = _better_is_positive(found, metric)
        rows.append({"task": task, "metric": metric, "system": system, **found,
                     "seeds": len(part)})  # fmt: skip
    return pd.DataFrame(rows)


def _better_is_positive(found: dict[str, float], metric: str) -> dict[str, float]:
    if HIGHER_IS_BETTER[metric]:
        return found
    return {"value": -found["value"], "low": -found["high"], "high": -found["low"]}


def difference(found: pd.DataFrame, name: str) -> pd.DataFrame:
    """One of :data:`QUESTIONS`, a line per task that asks it."""
    return found.loc[found["system"] == name, COLUMNS].reset_index(drop=True)


def message(found: pd.DataFrame, name: str, subject: str) -> str:
    """One of :data:`QUESTIONS` answered in the few words of a figure's title.

    Args:
        found: see :func:`combined`.
        name: of the difference.
        subject: what is judged, such as "joint training".
    """
    part = difference(found, name)
    if found["seeds"].min() < 2:
        return f"what {subject} is worth, by one training"
    said = [verdict(row.low, row.high) for row in part.itertuples()]
    hurts = said.count("worse") or "none"
    tasks = f"{len(part)} task{'s' * (len(part) != 1)}"
    return f"{subject} helps {said.count('better') or 'none'} of {tasks} and hurts {hurts}"


def peer_differences(found: pd.DataFrame) -> pd.DataFrame:
    """The joint model minus each peer; empty without peers."""
    others = found[found["system"].str.endswith("_difference")]
    others = others[~others["system"].isin([*QUESTIONS])]
    peers = others["system"].str.removesuffix("_difference")
    named = others.assign(task=others["task"] + " vs " + peers)
    return named[COLUMNS].reset_index(drop=True)


def table(found: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds of the main metric of every network and the baseline, with intervals."""
    rows = []
    for (task, metric), part in found.groupby(["task", "metric"], sort=False):
        known = part.set_index("system")
        shown = {
            title: show_interval(known.loc[name].to_dict())
            for name, title in SYSTEMS.items() if name in known.index
        }  # fmt: skip
        rows.append({"task": task, "metric": arrow(metric), **shown})
    return pd.DataFrame(rows).fillna("")


def sentences(found: pd.DataFrame) -> list[str]:
    """A verdict for each question that the domain can answer; none from a single training."""
    if found["seeds"].min() < 2:
        return ["One training of each model allows no verdict."]
    asked = {subject: difference(found, name) for name, subject in QUESTIONS.items()}
    asked[PEERS] = peer_differences(found)
    return [verdicts(part, subject) for subject, part in asked.items() if len(part)]
