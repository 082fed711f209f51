"""A linear probe: how much of a binary label text vectors hold."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold

from mtrec.metrics.intervals import evaluate
from mtrec.text.embed import reduce

Array = np.ndarray
FOLDS = 5
FAMILY = "binary"  # of metrics: those of probabilities of yes
STRENGTHS = (0.1, 1.0, 10.0, 100.0)  # C, chosen inside each training fold


def held_out(vectors: Array, labels: Array, components: int, seed: int) -> Array:
    """Held-out probability of 1 for each text, ``(n,)``, by cross-validation."""
    found = np.empty(len(labels))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for training, held in folds.split(vectors, labels):
        fit = np.zeros(len(labels), dtype=bool)
        fit[training] = True
        reduced, _ = reduce(vectors, fit, components)
        model = LogisticRegressionCV(
            Cs=STRENGTHS, l1_ratios=(0.0,), cv=3, scoring="neg_log_loss", max_iter=1000,
            use_legacy_attributes=False,
        ).fit(reduced[training], labels[training])  # fmt: skip
        found[held] = model.predict_proba(reduced[held])[:, 1]
    return found


def quality(
    labels: Array, found: Array, default: Array, resamples: int, seed: int
) -> dict[str, float]:
    """Held-out log-loss and its difference from the default's, with intervals; accuracy, AUC."""
    scores = evaluate(
        FAMILY, labels, {"own": found, "default": default}, np.arange(len(labels)),
        resamples, seed, {"difference": ("own", "default")},
    )  # fmt: skip
    row: dict[str, float] = {}
    for column, system in (("log_loss", "own"), ("difference", "difference")):
        interval = scores[system]["log_loss"]
        row |= {column: interval["value"], f"{column}_low": interval["low"],
                f"{column}_high": interval["high"]}  # fmt: skip
    rate = labels.mean()
    row |= {name: scores["own"][name]["value"] for name in ("accuracy", "auc")}
    row["constant_log_loss"] = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    return {name: round(float(value), 5) for name, value in row.items()}
