"""The task analysis as tables and files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from mtrec.config import Experiment
from mtrec.files import write_text


def settings_table(run: Experiment) -> pd.DataFrame:
    """How short every training behind the analysis is, and what it shares."""
    short = run.analysis
    return pd.DataFrame(
        [{"share of training rows [%]": round(100 * short.share), "batch": short.batch_size,
          "epochs, at most": short.epochs, "past events": short.history, "seeds": short.seeds,
          "shared layer": run.model_building.shared.layer, "balancing": run.training.balancing}]
    )  # fmt: skip


def closest(labels: pd.DataFrame) -> str:
    """The two labels that say most of each other, in the few words of a figure's title.

    Args:
        labels: dependencies ``(tasks, tasks)``, NaN where unknown.

    Example:
        >>> closest(pd.DataFrame([[1, 0.2], [0.2, 1]], ["a", "b"], ["a", "b"]))
        'a and b depend on each other most'
    """
    upper = np.triu(labels.to_numpy(dtype=float), 1)
    if not np.nanmax(upper, initial=0.0) > 0:
        return "labels do not depend on each other"
    row, column = np.unravel_index(np.nanargmax(upper), upper.shape)
    return f"{labels.index[row]} and {labels.columns[column]} depend on each other most"


def relative_affinity(affinity: pd.DataFrame) -> pd.DataFrame:
    """Affinity in percent of what a step for the column's own task does, ``(tasks, tasks)``."""
    return 100 * affinity / np.diag(affinity)


def agreement(predictions: Mapping[str, pd.DataFrame], measured: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of what each cheap measure says of a pair with its measured transfer.

    Args:
        predictions: ``(tasks, tasks)`` by measure; row is the partner, column the task.
        measured: gain of the column's task from the row's.

    Returns:
        ``measure``, ``pairs`` (ordered ones that both know), ``Spearman's rho``, ``p``.
    """
    off = ~np.eye(len(measured), dtype=bool)
    rows = []
    for name, matrix in predictions.items():
        both = off & np.isfinite(matrix.to_numpy()) & np.isfinite(measured.to_numpy())
        count = int(both.sum())
        rho, p = (np.nan, np.nan)
        if count > 2:
            rho, p = stats.spearmanr(matrix.to_numpy()[both], measured.to_numpy()[both])
        rows.append((name, count, float(rho), float(p)))
    return pd.DataFrame(rows, columns=["measure", "pairs", "Spearman's rho", "p"])


def write(frames: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write each frame as ``<name>.csv`` and all as ``metrics.json``, whole or not at all."""
    plain: dict[str, object] = {}
    for name, frame in frames.items():
        rounded = frame.round(6)
        write_text(folder / f"{name}.csv", rounded.to_csv(index=True))
        plain[name] = json.loads(rounded.to_json(orient="split"))
    write_text(folder / "metrics.json", json.dumps(plain, indent=1) + "\n")
