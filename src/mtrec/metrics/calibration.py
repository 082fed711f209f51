"""Do probabilities mean what they say?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mtrec.metrics.families import BINS


def reliability_table(
    labels: np.ndarray, predictions: np.ndarray, bins: int = BINS
) -> pd.DataFrame:
    """Mean prediction and observed frequency per equal-width bin of probability.

    Args:
        labels: 0/1, any shape.
        predictions: probabilities, same shape.
        bins: number of bins; empty ones are left out.

    Returns:
        Columns ``predicted``, ``observed``, ``rows``.

    Example:
        >>> reliability_table(np.array([0, 1]), np.array([0.9, 0.9]))["observed"].tolist()
        [0.5]
    """
    frame = pd.DataFrame({"predicted": predictions.ravel(), "observed": labels.ravel()})
    bin_of = np.clip((frame["predicted"] * bins).astype(int), 0, bins - 1)
    grouped = frame.groupby(bin_of)
    return grouped.mean().assign(rows=grouped.size()).reset_index(drop=True)
