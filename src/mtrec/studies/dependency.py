"""How much the label of one task says about that of another, before any model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.preprocessing import MultiLabelBinarizer

from mtrec.registry import TASK_TYPES, Form
from mtrec.settings import Task

Array = np.ndarray
LEVELS = 10  # quantile bins of a number
CLUSTERS = 8  # of label sets
ROWS = 20_000  # sampled training rows  # fmt: skip


def dependency(examples: pd.DataFrame, tasks: Mapping[str, Task], seed: int) -> pd.DataFrame:
    r"""Adjusted mutual information of the labels of every two tasks, on training rows.

    .. math:: \mathrm{AMI}(U, V) = \frac{I(U; V) - \mathrm{E}\,I}{\tfrac12 (H(U) + H(V)) -
              \mathrm{E}\,I}

    0 is what chance gives, 1 is the same label. Numbers are binned, sets of labels clustered.
    Rows count where both labels are known; a label that never varies there tells nothing.

    Args:
        examples: the examples table.
        tasks: task settings by name.
        seed: of the sample and the clusters.

    Returns:
        ``(tasks, tasks)``, NaN where no row has both labels or one of them never varies there.

    Source: Vinh et al. 2010, "Information Theoretic Measures for Clusterings Comparison".
    """
    training = examples[examples["split"] == "train"]
    codes = {
        name: label_codes(training[task.label], task.type, seed) for name, task in tasks.items()
    }
    found = pd.DataFrame(np.nan, index=list(tasks), columns=list(tasks))
    for first in tasks:
        for second in tasks:
            rows = np.flatnonzero((codes[first] >= 0) & (codes[second] >= 0))
            rows = np.random.default_rng(seed).permutation(rows)[:ROWS]
            one, other = codes[first][rows], codes[second][rows]
            if min(len(set(one)), len(set(other))) > 1:
                found.loc[first, second] = adjusted_mutual_info_score(one, other)
    return found


def label_codes(labels: pd.Series, kind: str, seed: int) -> Array:
    """A label as one of a few codes, ``(n,)``; -1 where it is unknown.

    Example:
        >>> label_codes(pd.Series([1.0, None, 3.0]), "binary", 0).tolist()
        [0, -1, 1]
    """
    known = labels.notna().to_numpy()
    codes = np.full(len(labels), -1)
    part = labels[known]
    if part.empty:
        return codes
    form = TASK_TYPES.forms[kind]
    if form is Form.SET:
        sets = MultiLabelBinarizer().fit_transform(part).astype("float32")
        size = min(CLUSTERS, len(np.unique(sets, axis=0)))
        codes[known] = KMeans(size, random_state=seed, n_init=1).fit_predict(sets)
    elif form is Form.NUMBER and part.nunique() > LEVELS:
        codes[known] = pd.qcut(part.astype(float), LEVELS, labels=False, duplicates="drop")
    else:
        codes[known] = pd.factorize(part, sort=True)[0]
    return codes
