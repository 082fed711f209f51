"""Trained figures against the committed reference, printed as lines that stay the same."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Any

from mtrec.config import experiment
from mtrec.evaluation.metrics import MAIN_METRIC
from mtrec.evaluation.tables import as_numbers

TOLERANCE = {
    "auc": 0.015,       # moves by about 0.003 between seeds and machines
    "log_loss": 0.03,   # of multi-class tasks, about 1 in size
    "mae": 0.02,        # of ordinal tasks, in levels
    "rmse": 0.02,       # ratings: stars; spend: log dollars; or 2 % of it, whichever is more
    "map": 0.02,        # of labels as rare as 2 %
    "ndcg@10": 0.006,   # about 0.03 in size
}  # fmt: skip


def main_figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The main metric of each task, joint and single: ``"rating joint rmse" -> value``.

    What is undefined, such as an AUC of rows that are all alike, is left out.
    """
    found = {
        f"{name} {system} {metric}": as_numbers(task[system][metric])["value"]
        for name, task in metrics["tasks"].items()
        for metric in [MAIN_METRIC[task["type"]]]
        for system in ("joint", "single")
    }
    return {name: round(value, 4) for name, value in found.items() if not isnan(value)}


def compare(metrics: Mapping[str, Any], reference: Mapping[str, float]) -> list[str]:
    """One line per figure; a figure outside its tolerance says so, with both values.

    Example:
        >>> joint = {"joint": {"auc": {"value": 0.7}}, "single": {"auc": {"value": 0.6}}}
        >>> metrics = {"tasks": {"like": {"type": "binary", **joint}}}
        >>> reference = {"like joint auc": 0.701, "like single auc": 0.7}
        >>> print(*compare(metrics, reference), sep="\\n")
        like joint auc: within 0.015 of the committed reference
        like single auc: differs, 0.6000 against 0.7000 (tolerance 0.015)
    """
    lines = []
    for name, value in main_figures(metrics).items():
        tolerance = _tolerance(name.split()[-1], reference.get(name, 0.0))
        if name not in reference:
            lines.append(f"{name}: no committed reference; run `mtrec reference` and commit it")
        elif abs(value - reference[name]) <= tolerance:
            lines.append(f"{name}: within {tolerance} of the committed reference")
        else:
            lines.append(
                f"{name}: differs, {value:.4f} against {reference[name]:.4f} "
                f"(tolerance {tolerance})"
            )
    return lines


def _tolerance(metric: str, value: float) -> float:
    """How far from the committed value a rerun may be; errors in large units get a share of it."""
    return max(TOLERANCE[metric], round(0.02 * value, 2) if metric == "rmse" else 0.0)


def read(path: Path) -> dict[str, float]:
    """The committed reference, empty if there is none yet."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def update(domain: str) -> Path:
    """Make the last evaluation of ``domain`` the reference; returns the file to commit."""
    paths = experiment(domain).paths
    metrics = json.loads((paths.evaluation / "metrics.json").read_text(encoding="utf-8"))
    temporary = paths.reference.with_suffix(".partial")
    paths.reference.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_text(json.dumps(main_figures(metrics), indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, paths.reference)
    return paths.reference
