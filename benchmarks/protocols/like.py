"""MovieLens-100K likes (rating >= 4), AUC: rows at random 8:1:1, and in time order 80/10/10.

Validation rows serve every choice (a peer's settings are the best of fourteen; ours are those of
``rating_u1``), then every system learns training and validation rows. A peer is given the ratings;
which of them are likes is its script's to say. Where training draws, figures are means over three
seeds, intervals too (each a bootstrap over users).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.harness.frozen import Split, frozen
from benchmarks.harness.results import Row
from benchmarks.models.rating_blend import blend, weights
from benchmarks.models.rating_sides import DAYS
from benchmarks.protocols.rating_rows import (
    BAYES_NOTE,
    DEPTHS,
    FUSED_NOTE,
    JOINT_NOTE,
    LEAVES,
    LIKED,
    RANKS,
    Parts,
    Run,
    System,
    beside,
    choose,
    our_parts,
    row,
    run_peer,
    score,
    settings,
    table,
)  # fmt: skip

Array = np.ndarray
SEEDS = (0, 1, 2)
DECAYS = tuple(
    {"decay": decay, "width": width}
    for decay in (1e-7, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3) for width in (8, 16)
)  # fmt: skip
TENTHS = (8, 9)  # training ends after the first, validation after the second

PEERS = (
    System("LR (scikit-learn)", "mtrec", "ratings_logistic",
           {}, False, "indicators of ids and side information",
           tuple({"strength": size} for size in (0.003, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15,
                                              0.2, 0.3, 0.5, 0.7, 1.0, 2.0))),
    System("LightGBM", "boosting", "ratings_boosting", {"model": "lightgbm", "task": "like"},
           True, "trees by early stopping on validation", LEAVES),
    System("CatBoost", "boosting", "ratings_boosting", {"model": "catboost", "task": "like"},
           True, "trees by early stopping on validation", DEPTHS),
    System("myFM binary probit", "factorization", "ratings_myfm",
           {"task": "like", "iterations": 300, "burn": 5, "spans": list(DAYS)}, True,
           "300 iterations, days, a user's days, implicit and side features", RANKS),
    System("myFM ordered probit", "factorization", "ratings_myfm",
           {"task": "rating", "iterations": 300, "burn": 5, "spans": list(DAYS)}, True,
           "as the binary probit, but learns the ratings; probability of 4 or 5", RANKS),
    System("DeepFM (torch-rechub)", "torch", "ratings_rechub", {"model": "deepfm"}, True,
           "64-32; epochs by early stopping on validation", DECAYS),
    System("MMoE (torch-rechub)", "torch", "ratings_rechub", {"model": "mmoe"}, True,
           "tasks like and rating; 4 experts 64-32; epochs by early stopping on validation",
           DECAYS),
)  # fmt: skip


def split(root: Path, order: str) -> Split:
    """``random``: rows permuted by seed 42; ``temporal``: by time, ties in the file's order."""

    def make() -> dict[str, Array]:
        time = table(root)["time"].to_numpy()
        drawn = np.random.default_rng(42).permutation(len(time))
        rows = drawn if order == "random" else np.argsort(time, kind="stable")
        first, second = (len(rows) * tenth // 10 for tenth in TENTHS)
        return {
            "train": np.sort(rows[:first]), "validation": np.sort(rows[first:second]),
            "test": np.sort(rows[second:]),
        }  # fmt: skip

    return frozen(root / "benchmarks" / "splits", f"like_{order}", make)


def chances(parts: Parts) -> Array:
    """Probabilities of a like by each component, the network's own head included, ``(4, n)``."""
    return np.vstack([parts.levels[:, :, LIKED - 1 :].sum(axis=2), parts.like[None]])


@cache
def shares(root: Path, order: str) -> Array:
    """Weights of our components, from validation rows."""
    rows = split(root, order).rows
    found = our_parts(root, rows["train"], rows["validation"], 0, DAYS)
    labels = table(root)["rating"].to_numpy()[rows["validation"]] >= LIKED
    return weights(chances(found), labels.astype("float64"))


def ours(root: Path, order: str, seed: int) -> dict[str, Run]:
    """Our systems' answers."""
    rows = split(root, order).rows
    known = np.concatenate([rows["train"], rows["validation"]])
    found = our_parts(root, known, rows["test"], seed, DAYS)
    chance = chances(found)
    bayes_seconds = found.seconds - found.joint_seconds
    return {
        "mtrec joint network": Run(found.like, found.version, found.joint_seconds, found.peak_mb),
        "mtrec bayesian factors": Run(chance[0], found.version, bayes_seconds, found.peak_mb),
        "mtrec fused": Run(
            blend(chance, shares(root, order)), found.version, found.seconds, found.peak_mb
        ),
    }


def chosen(root: Path, order: str, system: System) -> System:
    """A peer with the settings of the greatest AUC on validation rows."""
    liked = table(root)["rating"].to_numpy() >= LIKED

    def loss(rows: Array, answers: Array) -> float:
        return 1.0 - float(roc_auc_score(liked[rows], chance(answers)))

    return choose(root, split(root, order), system, loss)


def chance(answers: Array) -> Array:
    """Chance of a like, from itself or from chances of the five levels."""
    return answers[:, LIKED - 1 :].sum(axis=1) if answers.ndim == 2 else answers


def peer(root: Path, order: str, system: System, seed: int) -> Run:
    """A peer's answers."""
    found = run_peer(root, split(root, order), system, seed)
    return replace(found, predictions=chance(found.predictions))


def protocol(order: str) -> Callable[[Path], Sequence[Row]]:
    """``like_random`` or ``like_temporal``."""

    def measure(root: Path) -> list[Row]:
        used = ", ".join(f"{w:.2f}" for w in shares(root, order))
        found = {
            system.name: (
                beside(partial(peer, root, order, system), SEEDS if system.random else SEEDS[:1]),
                f"{system.note}; {settings(system)}",
            )
            for system in (chosen(root, order, peer) for peer in PEERS)
        }
        per_seed = beside(partial(ours, root, order), SEEDS)
        notes = {
            "mtrec joint network": f"{JOINT_NOTE}; its like head",
            "mtrec bayesian factors": f"{BAYES_NOTE}; probability of 4 or 5",
            "mtrec fused": f"{FUSED_NOTE}: {used} (factors, network, factors, like head)",
        }
        found |= {name: ([one[name] for one in per_seed], note) for name, note in notes.items()}
        data = table(root).iloc[split(root, order).rows["test"]]
        labels, user = (data["rating"] >= LIKED).to_numpy("int64"), data["user"].to_numpy()
        return [
            row(f"like_{order}", split(root, order).sha256, name, "auc", runs,
                [score("binary", "auc", labels, run.predictions, user) for run in runs], note)
            for name, (runs, note) in found.items()
        ]  # fmt: skip

    return measure


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    "like_random": protocol("random"),
    "like_temporal": protocol("temporal"),
}
