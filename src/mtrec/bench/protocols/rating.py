"""MovieLens-100K ratings, RMSE on the official folds.

Every system learns a fold's 80,000 training rows and answers its 20,000 test rows from user, item
and time. 10 % of a fold's training rows, drawn once, are its validation. A peer's settings are the
best of fourteen on the validation rows of the fold that is answered, and so are the weights of our
blend. Ours were fixed after thirteen trials on those of u1 and hold for all folds; in the others
some of these rows are test rows, so that the mean of the folds is told without them, too. Then
everything learns all 80,000. Where training draws, a fold's figure is the mean over three seeds.
Intervals, of differences too, are those of a bootstrap over users, each drawn with all their rows
of all folds; their bounds are means over seeds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
    RESAMPLES,
    SEED,
    VALUES,
    Run,
    System,
    beside,
    choose,
    our_parts,
    row,
    run_peer,
    table,
)  # fmt: skip
from mtrec.bench.models.rating_scores import by_seed, interval, paired, pick, rmse
from mtrec.bench.results import Row
from mtrec.bench.splits import Split, frozen
from mtrec.bench.targets import DIFFERENCE
from mtrec.evaluation.intervals import resample_weights

Array = np.ndarray
FOLDS, SIZE = 5, 20_000
SHARE = 10  # one training row in so many is for validation
SEEDS = (0, 1, 2)
FUSED = "mtrec fused"
PAIRED_NOTE = "how far ours is below, on the same resamples of users"

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
        FUSED: Run(
            blend(values, shares(root, number)), found.version, found.seconds, found.peak_mb
        ),
    }


@cache
def chosen(root: Path, number: int, system: System) -> System:
    """A peer with the settings of least RMSE on a fold's validation rows."""
    labels = table(root)["rating"].to_numpy("float64")

    def loss(rows: Array, answers: Array) -> float:
        return float(rmse([labels[rows]], [stars(answers)])[0])

    return choose(root, fold(root, number), system, loss)


def stars(answers: Array) -> Array:
    """Ratings from 1 to 5, from ratings or from chances of the five levels."""
    return np.clip(answers @ VALUES if answers.ndim == 2 else answers, 1, 5)


@cache
def peer(root: Path, number: int, system: System, seed: int) -> Run:
    """A peer on a fold."""
    found = run_peer(root, fold(root, number), system, seed)
    return replace(found, predictions=stars(found.predictions))


@dataclass(frozen=True)
class Answered:
    """A system on a fold: its trainings, what it is, and what was chosen on the fold."""

    runs: list[Run]
    note: str
    chosen: str


def answered(root: Path, number: int) -> dict[str, Answered]:
    """Every system on a fold, trained once a seed; one that draws nothing is trained once."""
    weighed = ", ".join(f"{w:.2f}" for w in shares(root, number))
    found = {}
    for system in PEERS:
        one = chosen(root, number, system)
        runs = beside(partial(peer, root, number, one), SEEDS if one.random else SEEDS[:1])
        note = f"{system.note}; best of {len(system.trials)} settings on validation"
        found[system.name] = Answered(runs, note, json.dumps(one.options["settings"]))
    per_seed = beside(partial(ours, root, number), SEEDS)
    for name, note, choice in (
        ("mtrec joint network", JOINT_NOTE, ""),
        ("mtrec bayesian factors", BAYES_NOTE, ""),
        (FUSED, FUSED_NOTE, f"{weighed} (factors, network, factors)"),
    ):
        found[name] = Answered([one[name] for one in per_seed], note, choice)
    return found


def measure(protocol: str, numbers: Sequence[int], root: Path) -> list[Row]:
    """RMSE of every system, mean over folds, and how far our best model is below each peer.

    Args:
        protocol: name in the results.
        numbers: of the folds.
        root: of the repository.
    """
    splits = [fold(root, number) for number in numbers]
    sha256 = together_sha(splits)
    every = [answered(root, number) for number in numbers]
    rows = [split.rows["test"] for split in splits]
    labels = [table(root)["rating"].to_numpy("float64")[part] for part in rows]
    users = table(root)["user"].to_numpy()[np.concatenate(rows)]
    ends = np.cumsum([len(part) for part in rows])[:-1]
    weights = np.split(resample_weights(users, RESAMPLES, SEED), ends, axis=1)
    unseen = [~np.isin(part, fold(root, 1).rows["validation"]) for part in rows]
    draws, found = {}, []
    for name in every[0]:
        here = [one[name] for one in every]
        per_seed = by_seed([one.runs for one in here])
        draws[name] = [rmse(labels, answers, weights) for answers in per_seed]
        note = noted(here, numbers, labels, per_seed, unseen)
        found.append(row(protocol, sha256, name, "rmse", trainings(here),
                         [interval(one) for one in draws[name]], note))  # fmt: skip
    for peer in PEERS:
        gains = paired(draws[peer.name], draws[FUSED])
        name = f"{FUSED}{DIFFERENCE}{peer.name}"
        found.append(row(protocol, sha256, name, "rmse", trainings([one[FUSED] for one in every]),
                         [interval(one) for one in gains], PAIRED_NOTE))  # fmt: skip
    return found


def trainings(here: Sequence[Answered]) -> list[Run]:
    """Of a system on all folds."""
    return [run for one in here for run in one.runs]


def noted(
    here: Sequence[Answered], numbers: Sequence[int], labels: Sequence[Array],
    per_seed: Sequence[Sequence[Array]], unseen: Sequence[Array],
) -> str:  # fmt: skip
    """What a system is and what was chosen; of several folds also how each went.

    Args:
        here: the system on each fold.
        numbers: of the folds.
        labels: of each fold's test rows.
        per_seed: predictions of them, by seed and fold.
        unseen: which of them are not among the rows that our settings were chosen on, by fold.
    """
    if len(here) == 1:
        return "; ".join(part for part in (here[0].note, here[0].chosen) if part)
    folds = [
        np.mean([rmse(labels[at : at + 1], one[at : at + 1]) for one in per_seed])
        for at in range(len(here))
    ]  # fmt: skip
    told = [
        f"u{number} {value:.4f} {one.chosen}".strip()
        for number, value, one in zip(numbers, folds, here, strict=True)
    ]
    clean = np.mean([rmse(pick(labels, unseen), pick(one, unseen)) for one in per_seed])
    return "; ".join(
        [here[0].note, *told, f"without rows that our settings were chosen on {clean:.4f}"]
    )


def together_sha(splits: Sequence[Split]) -> str:
    """SHA-256 of a split, or of several splits' SHA-256s, one a line."""
    if len(splits) == 1:
        return splits[0].sha256
    return hashlib.sha256("\n".join(split.sha256 for split in splits).encode()).hexdigest()


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    "rating_u1": partial(measure, "rating_u1", (1,)),
    "rating_u1_u5_mean": partial(measure, "rating_u1_u5_mean", tuple(range(1, FOLDS + 1))),
}
