"""MovieLens-100K ratings, RMSE on the official folds.

Every system learns a fold's 80,000 training rows and answers its 20,000 test rows from user, item
and time. 10 % of a fold's training rows, drawn once, are its validation: a peer's settings are the
best of fourteen on these rows of the fold that is answered, and the weights of our blend come from
them, too. Then everything learns all 80,000. Where training draws, a fold's figure is the mean over
three seeds. Intervals are of a bootstrap over users, each drawn with all their rows of all folds.

Ours and myFM know the user's day, and no minute or second, which nobody knows before a rating is
written. On u1 alone both stand once more with these (``to the second``), as users of this file
rate page by page, and are compared with each other.

Our settings were fixed after thirteen trials on u1, which learned its training rows and were judged
on its validation rows, and hold for all folds. For the other folds both are in part test rows, so
that only u1 is wholly apart from that choice; of the mean of the folds there is also ``unseen
rmse``, without u1's validation rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from benchmarks.harness.frozen import Split, frozen
from benchmarks.harness.results import DIFFERENCE, FINE, OURS, Row
from benchmarks.models.rating_blend import blend, weights
from benchmarks.models.rating_sides import DAYS, SECONDS
from benchmarks.protocols.rating_rows import (
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
    settings,
    table,
)  # fmt: skip
from benchmarks.protocols.rating_scores import mean_rmse, rmse_draws
from mtrec.evaluation.intervals import interval

Array = np.ndarray
FOLDS, SIZE = 5, 20_000
SHARE = 10  # one training row in so many is for validation
SEEDS = (0, 1, 2)
FUSED = "mtrec fused"

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
           {"task": "rating", "iterations": 512, "burn": 5, "spans": list(DAYS)}, True,
           "512 iterations, days, a user's days, implicit and side features", RANKS),
)  # fmt: skip
FINE_PEER = replace(
    PEERS[-1], name=f"{PEERS[-1].name}{FINE}",
    options={**PEERS[-1].options, "spans": list(SECONDS)},
    note="512 iterations, days, a user's days, minutes and seconds, implicit and side features",
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
def shares(root: Path, number: int, spans: tuple[int, ...] = DAYS) -> Array:
    """Weights of our components, from a fold's validation rows."""
    split = fold(root, number)
    found = our_parts(root, split.rows["train"], split.rows["validation"], 0, spans)
    labels = table(root)["rating"].to_numpy("float64")[split.rows["validation"]]
    return weights(found.levels @ VALUES, labels)


@cache
def ours(root: Path, number: int, spans: tuple[int, ...], seed: int) -> dict[str, Run]:
    """Our systems on a fold."""
    rows = fold(root, number).rows
    known = np.concatenate([rows["train"], rows["validation"]])
    found = our_parts(root, known, rows["test"], seed, spans)
    values = found.levels @ VALUES
    bayes_seconds = found.seconds - found.joint_seconds
    return {
        "mtrec joint network": Run(values[1], found.version, found.joint_seconds, found.peak_mb),
        "mtrec bayesian factors": Run(values[0], found.version, bayes_seconds, found.peak_mb),
        FUSED: Run(
            blend(values, shares(root, number, spans)), found.version, found.seconds, found.peak_mb
        ),
    }


@cache
def chosen(root: Path, number: int, system: System) -> System:
    """A peer with the settings of least RMSE on a fold's validation rows."""
    labels = table(root)["rating"].to_numpy("float64")

    def loss(rows: Array, answers: Array) -> float:
        return mean_rmse([labels[rows]], [stars(answers)])

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
class Trained:
    """A system on a fold: a training a seed, what it is, and what was chosen on the fold."""

    runs: list[Run]
    note: str
    chosen: str


def train(root: Path, number: int, fine: bool) -> dict[str, Trained]:
    """Every system on a fold, once a seed; one that draws nothing once.

    Args:
        root: of the repository.
        number: of the fold.
        fine: with the systems that read minutes and seconds.
    """
    found = {}
    for system in (*PEERS, FINE_PEER) if fine else PEERS:
        one = chosen(root, number, system)
        runs = beside(partial(peer, root, number, one), SEEDS if one.random else SEEDS[:1])
        found[system.name] = Trained(runs, one.note, settings(one))
    found |= train_ours(root, number, DAYS)
    if fine:
        fused = train_ours(root, number, SECONDS)[FUSED]
        note = f"{fused.note}; a user's minutes and seconds besides days"
        found[f"{FUSED}{FINE}"] = replace(fused, note=note)
    return found


def train_ours(root: Path, number: int, spans: tuple[int, ...]) -> dict[str, Trained]:
    """Our systems on a fold, once a seed."""
    weighed = ", ".join(f"{weight:.2f}" for weight in shares(root, number, spans))
    per_seed = beside(partial(ours, root, number, spans), SEEDS)
    return {
        name: Trained([one[name] for one in per_seed], note, choice)
        for name, note, choice in (
            ("mtrec joint network", JOINT_NOTE, ""),
            ("mtrec bayesian factors", BAYES_NOTE, ""),
            (FUSED, FUSED_NOTE, f"{weighed} (factors, network, factors)"),
        )
    }


@dataclass(frozen=True)
class Asked:
    """Some rows of each fold's test: where they are in it, their labels, their users."""

    at: list[Array]
    labels: list[Array]
    users: list[Array]

    def interval(self, value: float, draws: Array) -> dict[str, float]:
        """A value and its 95 % interval from draws of :func:`rmse_draws`."""
        return interval(value, draws, len(np.unique(np.concatenate(self.users))))

    @classmethod
    def of(cls, root: Path, tests: Sequence[Array], kept: Sequence[Array]) -> Asked:
        """Rows that are kept, ``(n,)`` of bool by fold."""
        data = [table(root).iloc[rows[keep]] for rows, keep in zip(tests, kept, strict=True)]
        return cls(
            list(kept), [part["rating"].to_numpy("float64") for part in data],
            [part["user"].to_numpy() for part in data],
        )  # fmt: skip

    def score(self, folds: Sequence[Trained]) -> tuple[Array, Array]:
        """RMSE of the folds ``(folds,)`` and draws of their mean; both are means over seeds."""
        seeds = [
            [run.predictions[keep] for run, keep in zip(runs, self.at, strict=True)]
            for runs in zip(*(fold.runs for fold in folds), strict=True)
        ]
        each = [
            [mean_rmse([label], [found]) for label, found in zip(self.labels, one, strict=True)]
            for one in seeds
        ]
        draws = [rmse_draws(self.labels, one, self.users) for one in seeds]
        return np.mean(each, axis=0), np.mean(draws, axis=0)


def measure(protocol: str, numbers: Sequence[int], root: Path) -> list[Row]:
    """RMSE of every system, mean over folds, and how far ``mtrec fused`` is below each peer.

    Differences are of systems that read times to the same grain.

    Args:
        protocol: name in the results.
        numbers: of the folds.
        root: of the repository.
    """
    splits = [fold(root, number) for number in numbers]
    every = [train(root, number, fine=len(numbers) == 1) for number in numbers]
    tests = [split.rows["test"] for split in splits]
    metrics = {"rmse": [np.ones(len(rows), bool) for rows in tests]}
    if len(numbers) > 1:
        metrics["unseen rmse"] = [
            ~np.isin(rows, fold(root, 1).rows["validation"]) for rows in tests
        ]
    return [
        replace(one, protocol=protocol, split_sha256=together_sha(splits))
        for metric, kept in metrics.items()
        for one in scored(metric, Asked.of(root, tests, kept), every, numbers)
    ]


def scored(
    metric: str, asked: Asked, every: Sequence[Mapping[str, Trained]], numbers: Sequence[int]
) -> list[Row]:
    """Rows of one metric, without protocol and split."""
    found, known = [], {}
    for name in every[0]:
        here = [one[name] for one in every]
        known[name] = each, draws = asked.score(here)
        runs = [run for one in here for run in one.runs]
        told = [
            f"u{number} {value:.4f} {one.chosen}".strip()
            for number, value, one in zip(numbers, each, here, strict=True)
        ]
        note = "; ".join([here[0].note, *told])
        score = asked.interval(float(each.mean()), draws)
        found.append(row("", "", name, metric, runs, [score], note))
    for name in known:
        if name.startswith(OURS):
            continue
        mine = f"{FUSED}{FINE}" if name.endswith(FINE) else FUSED
        gains = [theirs - own for theirs, own in zip(known[name], known[mine], strict=True)]
        gain = asked.interval(float(gains[0].mean()), gains[1])
        found.append(Row(
            "", "", f"{mine}{DIFFERENCE}{name}", "", metric, gain["value"], gain["low"],
            gain["high"], len(SEEDS) * len(numbers), float("nan"), float("nan"),
        ))  # fmt: skip
    return found


def together_sha(splits: Sequence[Split]) -> str:
    """SHA-256 of a split, or of several splits' SHA-256s, one a line."""
    if len(splits) == 1:
        return splits[0].sha256
    return hashlib.sha256("\n".join(split.sha256 for split in splits).encode()).hexdigest()


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    "rating_u1": partial(measure, "rating_u1", (1,)),
    "rating_u1_u5_mean": partial(measure, "rating_u1_u5_mean", tuple(range(1, FOLDS + 1))),
}
