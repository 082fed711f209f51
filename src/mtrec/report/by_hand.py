"""A model built by hand and the pipeline's, on the same test rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mtrec.evaluation.held_out import HeldOut
from mtrec.registry import METRICS


def beside(
    held: HeldOut, by_hand: Mapping[str, np.ndarray], committed: Mapping[str, float]
) -> pd.DataFrame:
    """The main metric of each task beside the pipeline's, and how far apart they may be.

    Args:
        held: the test rows.
        by_hand: what the model says of each task's rows, see ``HeldOut.answers``.
        committed: the pipeline's figures, see :func:`mtrec.evaluation.reference.read`.

    Raises:
        KeyError: the reference lacks a task's figure.
    """
    rows = []
    for task, found in by_hand.items():
        asked = held.predictions(task, {"by hand": found})
        family = METRICS[asked.type]
        value = family.values(asked.labels, found)[family.main]
        figure = f"{task} joint {family.main}"
        if figure not in committed:
            raise KeyError(
                f"'{figure}' is not among the committed figures; run `mtrec reference` and commit "
                "what it writes."
            )
        theirs = committed[figure]
        rows.append((task, family.main, value, theirs, value - theirs, family.allowed(theirs)))
    return pd.DataFrame(
        rows, columns=["task", "metric", "by hand", "pipeline", "difference", "tolerance"]
    )


def verdicts(table: pd.DataFrame) -> list[str]:
    """A line per task of :func:`beside`, which stays the same while the models agree.

    Example:
        >>> row = {"task": "like", "metric": "auc", "by hand": 0.7604, "pipeline": 0.7595}
        >>> verdicts(pd.DataFrame([{**row, "difference": 0.0009, "tolerance": 0.015}]))
        ["like: auc within 0.015 of the pipeline's"]
    """
    return [
        f"{row['task']}: {row['metric']} within {row['tolerance']} of the pipeline's"
        if abs(row["difference"]) <= row["tolerance"]
        else f"{row['task']}: {row['metric']} differs, {row['by hand']:.4f} against "
        f"{row['pipeline']:.4f} (tolerance {row['tolerance']})"
        for _, row in table.iterrows()
    ]
