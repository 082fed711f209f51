"""MovieLens-100K ratings, RMSE on the official folds.

Every system learns a fold's 80,000 training rows and answers its 20,000 test rows from user, item
and time. 10 % of the training rows, drawn once, are its validation. A peer's settings are the best
of fourteen on those of u1, ours were fixed after thirteen trials on the same rows, and both hold
for all folds; the folds' tests are parts of one file, so these rows are a tenth of the tests of u2
to u5, for everybody alike. The weights of our blend are each fold's own. Then everything learns all
80,000. Where training draws, u1's figures are means over three seeds, intervals too (each a
bootstrap over users); the mean of the five folds is over one training each, with the mean of the
folds' bounds, which is wider than it need be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from mtrec.bench.models.rating_blend import blend, weights
from mtrec.bench.models.rating_rows import (
    BAYES_NOTE,
    DEPTHS,
    FUSED_NOTE,
    JOINT_NOTE,
    LEAVES,
    RANKS,
    VALUES,
    Run,
    System,
    beside,
    choose,
    our_parts,
    row,
    run_peer,
    score,
    table,
)  # fmt: skip
from mtrec.bench.results import Row
from mtrec.bench.splits import Split, frozen

Array = np.ndarray
FOLDS, SIZE = 5, 20_000
SHARE = 10  # one training row in so many is for validation
SEEDS = (0, 1, 2)

PEERS = (
    System("bias (Surprise)", "factorization", "ratings_surprise", {"model": "bias"}, False,
           "ALS", tuple({"reg_u": user, "reg_i": item} for user in (3, 5, 8, 12, 15, 20, 30)
                        for item in (3, 10))),
    System("KNNBaseline (Surprise)", "factorization", "ratings_surprise", {"model": "knn"}, False,
           "items by pearson_baseline",
           tuple({"k": k, "shrinkage": shrinkage} for k in (10, 20, 30, 40, 60, 80, 160)
                 for shrinkage in (50, 100))),
    System("SVD++ (Surprise)", "factorization", "ratings_surprise", {"model": "svdpp"}, True,
           "30 epochs",
           tuple({"n_factors": size, "reg_all": weight} for size in (20, 50)
                 for weight in (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2))),
    System("LightGBM", "boosting", "ratings_boosting", {"model": "lightgbm", "task": "rating"},
           True, "trees by early stopping on validation", LEAVES),
    System("CatBoost", "boosting", "ratings_boosting", {"model": "catboost", "task": "rating"},
           True, "trees by early stopping on validation", DEPTHS),
    System("myFM ordered probit", "factorization", "ratings_myfm",
           {"task": "rating", "iterations": 512, "burn": 5}, True,
           "512 iterations, days, implicit and side features", RANKS),
)  # fmt: skip


def fold(root: Path, number: int) -> Split:
    """Official fold 1 to 5: test rows are a fifth of the file, in its order."""

    def make() -> dict[str, Array]:
        rows = np.arange(FOLDS * SIZE)
        test = rows[(number - 1) * SIZE : number * SIZE]
        known = np.setdiff1d(rows, test)
        drawn = np.random.default_rng(42).permutation(known)
        validation = np.sort(drawn[: len(known) // SHARE])
        return {
            "train": np.setdiff1d(known, validation), "validation": validation, "test": test,
        }  # fmt: skip

    return frozen(root / "benchmarks" / "splits", f"rating_u{number}", make)


@cache
def shares(root: Path, number: int) -> Array:
    """Weights of our components, from a fold's validation rows."""
    split = fold(root, number)
    found = our_parts(root, split.rows["train"], split.rows["validation"], seed=0)
    labels = table(root)["rating"].to_numpy("float64")[split.rows["validation"]]
    return weights(found.levels @ VALUES, labels)


@cache
def ours(root: Path, number: int, seed: int) -> dict[str, Run]:
    """Our systems on a fold."""
    rows = fold(root, number).rows
    known = np.concatenate([rows["train"], rows["validation"]])
    found = our_parts(root, known, rows["test"], seed)
    values = found.levels @ VALUES
    bayes_seconds = found.seconds - found.joint_seconds
    return {
        "mtrec joint network": Run(values[1], found.version, found.joint_seconds, found.peak_mb),
        "mtrec bayesian factors": Run(values[0], found.version, bayes_seconds, found.peak_mb),
        "mtrec fused": Run(
            blend(values, shares(root, number)), found.version, found.seconds, found.peak_mb
        ),
    }


@cache
def chosen(root: Path, system: System) -> System:
    """A peer with the settings of least RMSE on u1's validation rows."""
    labels = table(root)["rating"].to_numpy("float64")

    def rmse(rows: Array, answers: Array) -> float:
        return float(np.sqrt(np.mean((stars(answers) - labels[rows]) ** 2)))

    return choose(root, fold(root, 1), system, rmse)


def stars(answers: Array) -> Array:
    """Ratings from 1 to 5, from ratings or from chances of the five levels."""
    return np.clip(answers @ VALUES if answers.ndim == 2 else answers, 1, 5)


@cache
def peer(root: Path, number: int, system: System, seed: int) -> Run:
    """A peer on a fold."""
    found = run_peer(root, fold(root, number), system, seed)
    return replace(found, predictions=stars(found.predictions))


def runs(root: Path, number: int, seeds: Sequence[int]) -> dict[str, tuple[list[Run], str]]:
    """Trainings and notes by system."""
    weighed = ", ".join(f"{w:.2f}" for w in shares(root, number))
    found = {
        system.name: (
            beside(partial(peer, root, number, system), seeds if system.random else seeds[:1]),
            system.note,
        )
        for system in (chosen(root, peer) for peer in PEERS)
    }
    notes = {
        "mtrec joint network": JOINT_NOTE, "mtrec bayesian factors": BAYES_NOTE,
        "mtrec fused": f"{FUSED_NOTE}: {weighed} (factors, network, factors)",
    }  # fmt: skip
    per_seed = beside(partial(ours, root, number), seeds)
    return found | {name: ([one[name] for one in per_seed], note) for name, note in notes.items()}


def first(root: Path) -> list[Row]:
    """``rating_u1``."""
    split = fold(root, 1)
    data = table(root).iloc[split.rows["test"]]
    labels, user = data["rating"].to_numpy("float64"), data["user"].to_numpy()
    return [
        row("rating_u1", split.sha256, name, "rmse", found,
            [score("regression", "rmse", labels, run.predictions, user) for run in found], note)
        for name, (found, note) in runs(root, 1, SEEDS).items()
    ]  # fmt: skip


def mean_of_folds(root: Path) -> list[Row]:
    """``rating_u1_u5_mean``: mean of the folds' RMSE, one training each (seed 0)."""
    splits = [fold(root, number) for number in range(1, FOLDS + 1)]
    every = [runs(root, number, SEEDS[:1]) for number in range(1, FOLDS + 1)]
    rows = []
    for name, (_, note) in every[0].items():
        found, scores = [], []
        for split, one in zip(splits, every, strict=True):
            data = table(root).iloc[split.rows["test"]]
            labels, user = data["rating"].to_numpy("float64"), data["user"].to_numpy()
            found += one[name][0]
            scores.append(score("regression", "rmse", labels, found[-1].predictions, user))
        text = "; ".join(f"u{at} {one['value']:.4f}" for at, one in enumerate(scores, 1))
        if name == "mtrec fused":
            note = f"{FUSED_NOTE} of each fold"
        together = together_sha(splits)
        rows.append(row("rating_u1_u5_mean", together, name, "rmse", found, scores,
                        f"{note}; one training a fold: {text}"))  # fmt: skip
    return rows


def together_sha(splits: Sequence[Split]) -> str:
    """SHA-256 of the splits' SHA-256s, one a line."""
    return hashlib.sha256("\n".join(split.sha256 for split in splits).encode()).hexdigest()


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    "rating_u1": first,
    "rating_u1_u5_mean": mean_of_folds,
}
