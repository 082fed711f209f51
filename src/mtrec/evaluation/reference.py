"""Trained figures against the committed reference, printed as lines that stay the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from math import isnan
from pathlib import Path
from typing import Any

from mtrec.config import experiment
from mtrec.files import write_text
from mtrec.metrics.family import Family
from mtrec.metrics.intervals import as_numbers
from mtrec.registry import METRICS


def main_figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The main metric of each task, joint and single: ``"rating joint rmse" -> value``."""
    return {figure: value for figure, value, _ in _figures(metrics)}


def _figures(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float, Family]]:
    """The main figures with the metrics that they are of."""
    for name, task in metrics["tasks"].items():
        family = METRICS[task["type"]]
        for system in ("joint", "single"):
            value = as_numbers(task[system][family.main])["value"]
            if not isnan(value):  # undefined, such as an AUC of rows that are all alike
                yield f"{name} {system} {family.main}", round(value, 4), family


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
    for name, value, family in _figures(metrics):
        tolerance = family.allowed(reference.get(name, 0.0))
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


def read(path: Path) -> dict[str, float]:
    """The committed reference, empty if there is none yet."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def update(domain: str) -> Path:
    """Make the last evaluation of ``domain`` the reference; returns the file to commit."""
    paths = experiment(domain).paths
    metrics = json.loads((paths.evaluation / "metrics.json").read_text(encoding="utf-8"))
    write_text(paths.reference, json.dumps(main_figures(metrics), indent=2) + "\n")
    return paths.reference
