"""Ask a system for a split's test rows, over seeds; choose its settings; score; rows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from benchmarks.harness.ask import OURS, ask
from benchmarks.harness.frozen import Split
from benchmarks.harness.results import Row
from benchmarks.models import rating_table
from mtrec.evaluation.intervals import evaluate

Array = np.ndarray
Given = TypeVar("Given")
Found = TypeVar("Found")
RESAMPLES, SEED = 200, 42
LIKED = 4  # least rating of a like
VALUES = np.arange(1, 6)
THREADS = 1  # of a system, as one runs on each core


@dataclass(frozen=True, eq=False)  # known by identity, as options cannot be hashed
class System:
    """A system and its settings.

    Attributes:
        name: in the results.
        environment: its Python.
        script: in ``benchmarks/systems``.
        options: settings of the script.
        random: whether its training draws.
        note: for the reader.
        trials: settings to choose from, see :func:`choose`; none: its options are final.
    """

    name: str
    environment: str
    script: str
    options: Mapping[str, Any]
    random: bool
    note: str
    trials: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Run:
    """Test predictions of one training."""

    predictions: Array
    version: str
    seconds: float
    peak_mb: float


# What peers choose from, fourteen settings each.
LEAVES = tuple(
    {"num_leaves": leaves, "min_data_in_leaf": rows, "learning_rate": 0.05}
    for leaves in (7, 15, 31, 47, 63, 127, 255) for rows in (20, 100)
)  # fmt: skip
DEPTHS = tuple(
    {"depth": depth, "l2_leaf_reg": weight, "learning_rate": 0.1}
    for depth in range(3, 10) for weight in (3, 10)
)  # fmt: skip
RANKS = tuple({"rank": rank} for rank in (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32))

OUR_SETTINGS: dict[str, Any] = {
    "factors": [10, 16], "iterations": 150, "burn": 30, "pairs": 600_000, "network": {},
}  # fmt: skip
BAYES_NOTE = (
    "Gibbs sampler of our own: ordinal probit, user x item x day, implicit and side information, "
    "effects of a user's day, noise per user; rank 10"
)
JOINT_NOTE = (
    "one Keras network, tasks rating and like; taught by our Bayesian factor model (soft targets "
    "on 600,000 drawn pairs; the teacher's training is in the seconds)"
)
FUSED_NOTE = (
    "blend of the joint network and two Bayesian factor models (ranks 10 and 16), non-negative "
    "weights from validation rows"
)


def table(root: Path) -> pd.DataFrame:
    """The interactions."""
    return rating_table.interactions(root / "data" / "ml-100k")


def given(root: Path, known: Array, asked: Array) -> dict[str, Array]:
    """What a system sees."""
    sides = rating_table.sides(root / "data" / "ml-100k")
    return rating_table.given(table(root), known, asked, sides)


def run_peer(root: Path, split: Split, system: System, seed: int) -> Run:
    """A peer learns training and validation rows, marked as ``held``, and answers the test's."""
    known = np.concatenate([split.rows["train"], split.rows["validation"]])
    arrays = given(root, known, split.rows["test"])
    arrays["held"] = np.arange(len(known)) >= len(split.rows["train"])
    found = ask(
        root, system.environment, system.script, arrays, seed=seed, threads=THREADS,
        **system.options,
    )  # fmt: skip
    return Run(found.arrays["predictions"], found.version, found.seconds, found.peak_mb)


def choose(
    root: Path, split: Split, system: System, loss: Callable[[Array, Array], float]
) -> System:
    """The system with those of its trials' settings that lose least on the validation rows.

    It learns the training rows, a tenth of them marked as ``held``, and answers the validation's.

    Args:
        root: of the repository.
        split: the protocol's.
        system: with ``trials``.
        loss: of a trial, from numbers of the validation rows and the answers.
    """
    if not system.trials:
        return system
    train, asked = split.rows["train"], split.rows["validation"]
    held = np.random.default_rng(SEED).permutation(len(train)) < len(train) // 10
    parts = {"train": train[~held], "validation": train[held], "test": asked}
    inner = Split(split.name, split.sha256, parts)
    trials = [_with(system, settings) for settings in system.trials]
    losses = beside(lambda one: loss(asked, run_peer(root, inner, one, seed=0).predictions), trials)
    best = int(np.argmin(losses))
    print(f"  {system.name}: {system.trials[best]} of {[round(one, 5) for one in losses]}")
    note = f"{system.note}; best of {len(trials)} settings on validation"
    return replace(trials[best], note=note)


def settings(system: System) -> str:
    """What was chosen for a system, in words; empty without a choice."""
    return json.dumps(system.options["settings"]) if "settings" in system.options else ""


def beside(ask: Callable[[Given], Found], given: Iterable[Given]) -> list[Found]:
    """Answers in the order of the questions, one system asked on each core at a time."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(ask, given))


def _with(system: System, settings: Mapping[str, Any]) -> System:
    return replace(system, options={**system.options, "settings": settings}, trials=())


@dataclass(frozen=True)
class Parts:
    """Answers of our components for some rows: levels ``(parts, n, 5)``, like ``(n,)``."""

    levels: Array
    like: Array
    version: str
    seconds: float
    joint_seconds: float
    peak_mb: float


def our_parts(root: Path, known: Array, asked: Array, seed: int, spans: Sequence[int]) -> Parts:
    """Train our components on the known rows and answer the asked ones.

    Args:
        root: of the repository.
        known: row numbers to learn from.
        asked: row numbers to predict.
        seed: of everything.
        spans: see :data:`benchmarks.models.rating_sides.DAYS`.
    """
    found = ask(
        root, OURS, "ratings_mtrec", given(root, known, asked), seed=seed, spans=list(spans),
        **OUR_SETTINGS,
    )  # fmt: skip
    return Parts(
        found.arrays["components"], found.arrays["like"], found.version, found.seconds,
        float(found.arrays["joint_seconds"]), found.peak_mb,
    )  # fmt: skip


def row(
    protocol: str, split_sha256: str, name: str, metric: str, runs: Sequence[Run],
    scores: Sequence[Mapping[str, float]], note: str,
) -> Row:  # fmt: skip
    """Mean over runs of value, low and high of the bootstrap over users."""
    low, value, high = (
        float(np.mean([one[key] for one in scores])) for key in ("low", "value", "high")
    )
    return Row(
        protocol, split_sha256, name, runs[0].version, metric, value, low, high, len(runs),
        round(float(np.mean([run.seconds for run in runs])), 2),
        max(run.peak_mb for run in runs), note,
    )  # fmt: skip


def score(kind: str, metric: str, labels: Array, found: Array, user: Array) -> dict[str, float]:
    """Value and 95 % interval of one metric."""
    return evaluate(kind, labels, {"": found}, user, RESAMPLES, SEED)[""][metric]
