"""Which teacher would a child gain most from, and what happened to those who had that teacher.

STAR put children into the classes of their school by lot. So within a school and grade what
held-out children gained under a teacher is a fair reference for what was predicted, with limits:
the lot was drawn when a child entered the study, not each year; about a tenth of the children
changed the type of their class later; tests were not missed at random; and what a class gained is
its teacher's work together with its size and its other children.

Source: Krueger 1999, section II, https://doi.org/10.1162/003355399556052.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from mtrec.metrics import intervals
from mtrec.tables.schema import Tables

Scorer = Callable[[pd.DataFrame], pd.DataFrame]
SUBJECTS = {"math": "last_math", "reading": "last_reading"}


def candidates(rows: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Every teacher of the same school and grade for each row.

    Args:
        rows: examples with ``item_id``, the teacher whom the child had.
        items: teachers with ``school`` and ``grade``.

    Returns:
        The rows repeated, with ``item_id`` of the candidate, ``row`` (index of the example),
        ``school``, ``cell`` (school and grade) and ``had`` (whether it is the child's own
        teacher); children with no choice of teacher are left out.
    """
    place = items[["item_id", "school"]].assign(cell=items["school"] + "/" + items["grade"])
    own = rows.assign(row=rows.index).merge(place, on="item_id").rename(columns={"item_id": "own"})
    pairs = own.merge(place[["item_id", "cell"]], on="cell")
    pairs = pairs.sort_values(["row", "item_id"], ignore_index=True)
    choice = pairs.groupby("row")["item_id"].transform("size") > 1
    return pairs[choice].assign(had=pairs["own"] == pairs["item_id"]).reset_index(drop=True)


def predicted_gains(
    score: Scorer, rows: pd.DataFrame, items: pd.DataFrame, subject: str
) -> pd.DataFrame:
    """Predicted and observed gain of each row under each candidate teacher.

    Args:
        score: predicted scores, a column per subject, of pairs of child and teacher; for rows of
            the past it must answer as of their ``timestamp``.
        rows: examples with the context columns that the model reads; those without an earlier or
            an own score are left out.
        items: teachers with ``school`` and ``grade``.
        subject: ``math`` or ``reading``.

    Returns:
        :func:`candidates` with ``predicted`` and, the same for all candidates of a row,
        ``observed``.
    """
    last = SUBJECTS[subject]
    pairs = candidates(rows[rows[subject].notna() & rows[last].notna()], items)
    return pairs.assign(
        predicted=score(pairs)[subject] - pairs[last], observed=pairs[subject] - pairs[last]
    )


def recommend(gains: pd.DataFrame) -> pd.DataFrame:
    """The candidate with the highest ``predicted`` gain of each ``row``, the first of equals."""
    ordered = gains.sort_values(["row", "predicted", "item_id"], ascending=[True, False, True])
    return ordered.drop_duplicates("row").reset_index(drop=True)


def teachers(gains: pd.DataFrame) -> pd.DataFrame:
    """Predicted and observed gain per teacher, as deviations from the mean of school and grade.

    ``predicted`` is the mean over all rows of the cell, whoever taught them, so that who sits in a
    class does not matter; ``observed`` is the mean of those who had the teacher. Cells where fewer
    than two teachers have an observed child are left out.
    """
    by = ["school", "cell", "item_id"]
    observed = gains[gains["had"]].groupby(by)["observed"].mean()
    both = gains.groupby(by)["predicted"].mean().to_frame().join(observed).dropna().reset_index()
    cell = both.groupby("cell")
    both = both[cell["item_id"].transform("size") > 1]
    centre = both.groupby("cell")[["predicted", "observed"]].transform("mean")
    return both.assign(
        predicted=both["predicted"] - centre["predicted"],
        observed=both["observed"] - centre["observed"],
    ).reset_index(drop=True)


def agreement(table: pd.DataFrame) -> float:
    """Spearman correlation of predicted and observed deviations of :func:`teachers`."""
    return float(spearmanr(table["predicted"], table["observed"]).statistic)


def advantage(best: pd.DataFrame) -> float:
    r"""Observed gain of those who had the recommended teacher minus that of the others.

    Within school and grade, cells weighted by :math:`n_1 n_0/(n_1+n_0)`: the coefficient of a
    regression with a constant per cell.
    """
    centred = best[["had", "observed"]].astype(float)
    centred = centred - centred.groupby(best["cell"]).transform("mean")
    return float(centred["had"] @ centred["observed"] / (centred["had"] ** 2).sum())


def interval(
    table: pd.DataFrame, statistic: Callable[[pd.DataFrame], float], resamples: int, seed: int
) -> tuple[float, float]:
    """95 % bootstrap interval of ``statistic``, resampling whole schools.

    A cell lies in one school, so a school drawn twice changes no mean of a cell.
    See :func:`mtrec.metrics.intervals.interval`.
    """
    schools = table.groupby("school").ngroups
    weights = intervals.weightings(table["school"].to_numpy(), resamples, seed).astype(int)
    rows = np.arange(len(table))
    draws = np.array([statistic(table.iloc[np.repeat(rows, each)]) for each in weights])
    found = intervals.interval(statistic(table), draws, schools)
    return found["low"], found["high"]


def report(
    score: Scorer, tables: Tables, resamples: int, seed: int
) -> list[tuple[str, pd.DataFrame]]:
    """Two tables on the test rows: agreement per teacher, and gain under the recommended one.

    ``promised`` is how far the recommended teacher's predicted gain lies above the mean of the
    choice. Beside the model stands each teacher's mean gain of training children, which needs none.
    """
    examples, items = tables.examples, tables.items
    test = examples[examples["split"] == "test"]
    ranks, gained = [], []
    for subject in SUBJECTS:
        model = predicted_gains(score, test, items, subject)
        past = model.assign(predicted=_training_gain(examples, model, subject))
        past = past[past["predicted"].notna()]
        for name, gains in (("joint model", model), ("mean gain of training children", past)):
            head = {"subject": subject, "by": name}
            ranks.append({**head, **_agreement_row(gains, resamples, seed)})
            gained.append({**head, **_advantage_row(gains, resamples, seed)})
    return [
        ("Does the predicted gain of a teacher agree with that of held-out children?",
         pd.DataFrame(ranks)),
        ("How much more held-out children gained who happened to have the recommended teacher",
         pd.DataFrame(gained)),
    ]  # fmt: skip


def _agreement_row(gains: pd.DataFrame, resamples: int, seed: int) -> dict[str, float]:
    table = teachers(gains)
    low, high = interval(table, agreement, resamples, seed)
    return {
        "teachers": len(table),
        "children": int(gains["had"].sum()),
        "Spearman": agreement(table),
        "low": low,
        "high": high,
    }


def _advantage_row(gains: pd.DataFrame, resamples: int, seed: int) -> dict[str, float]:
    best = recommend(gains)
    low, high = interval(best, advantage, resamples, seed)
    average = best["row"].map(gains.groupby("row")["predicted"].mean())
    return {
        "had the teacher": int(best["had"].sum()),
        "did not": int((~best["had"]).sum()),
        "promised": float((best["predicted"] - average).mean()),
        "observed": advantage(best),
        "low": low,
        "high": high,
    }


def _training_gain(examples: pd.DataFrame, pairs: pd.DataFrame, subject: str) -> pd.Series:
    """Mean gain of the training children of each pair's teacher."""
    training = examples[examples["split"] == "train"]
    gain = training[subject] - training[SUBJECTS[subject]]
    return pairs["item_id"].map(gain.groupby(training["item_id"]).mean())
