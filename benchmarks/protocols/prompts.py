"""Prompts, as an honest row: TALLRec's thousand questions, answered by a language model's logits.

``tallrec``: without an example; with titles in another order; the frozen model with a probe on its
last state, and with adapters, after 16, 64 or 256 answered questions. ``tallrec_in_context``: with
sixteen examples before each question. Intervals are over the test's users, of whom there are 16.
No setting was chosen on any row: prompt, probe and adapters were fixed beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.harness.ask import OURS, ask
from benchmarks.harness.frozen import Split, frozen
from benchmarks.harness.results import DIFFERENCE, Row
from benchmarks.models import tallrec
from benchmarks.models.tallrec import Rows
from benchmarks.protocols.rating_rows import RESAMPLES, SEED, THREADS, Run, row
from mtrec.metrics.intervals import evaluate

Array = np.ndarray
PRESET = "smollm2-135m"
BLOCK = 26  # of 30: adapters are on the top four
SHOTS = (16, 64, 256)
SEEDS = (0, 1)  # draws of examples
STRENGTH = 0.01  # of the probe: C of scikit-learn, on standardised states
ADAPTERS: dict[str, Any] = {"rank": 8, "alpha": 16.0, "epochs": 6, "rate": 1e-3}
IN_CONTEXT = 16
ZERO = "mtrec prompt, zero-shot"
SHUFFLED = "mtrec prompt, zero-shot, titles in another order"


def split(root: Path) -> Split:
    """Row numbers of the raw file."""

    def make() -> dict[str, Array]:
        return {part: rows.row for part, rows in data(root).items()}

    return frozen(root / "benchmarks" / "splits", "tallrec", make)


@cache
def data(root: Path) -> Mapping[str, Rows]:
    """Rows by part."""
    return tallrec.read(root / "data" / "ml-100k")


def examples(root: Path, seed: int, shuffle: int | None = None) -> tuple[Array, Array]:
    """Questions of the most shots that are asked, and their answers 0 or 1."""
    rows = data(root)["train"]
    rows = rows.take(tallrec.shots(rows, max(SHOTS), seed))
    return np.array(tallrec.questions(rows, shuffle)), rows.label.astype("int64")


def answer(root: Path, by: str, count: int = 0, seed: int = 0, shuffle: int | None = None) -> Run:
    """A system's answers to the test's questions.

    Args:
        root: of the repository.
        by: ``logits``, ``probe`` or ``lora``, see ``systems/prompts_mtrec.py``.
        count: of examples.
        seed: of their draw.
        shuffle: seed of another order of titles; None: in the order in which they were seen.
    """
    shown, labels = examples(root, seed, shuffle)
    shown = shown[:count] if by == "logits" else shown  # the others read all once, and use some
    arrays = {
        "questions": np.array(tallrec.questions(data(root)["test"], shuffle)),
        "shots": shown, "labels": labels[:count],
    }  # fmt: skip
    found = ask(
        root, OURS, "prompts_mtrec", arrays, by=by, seed=seed, threads=THREADS, preset=PRESET,
        raw=str(root / "data"), folder=str(root / "build" / "benchmarks" / "prompts"), block=BLOCK,
        instruction=tallrec.INSTRUCTION, strength=STRENGTH, adapters=ADAPTERS,
    )  # fmt: skip
    seconds = float(found.arrays["cpu_seconds"])
    return Run(found.arrays["predictions"], found.version, seconds, found.peak_mb)


def liked_share(root: Path) -> Run:
    """The share of the ten films that the user liked: what an answer can know without a title."""
    return Run(data(root)["test"].liked.mean(axis=1), "", 0.0, 0.0)


def scored(root: Path, systems: Mapping[str, tuple[Sequence[Run], str]]) -> list[Row]:
    """Rows of the AUC of each system, and of each minus the zero-shot prompt, paired."""
    test = data(root)["test"]
    labels, user = test.label.astype("int64"), test.user
    name, sha256 = "tallrec", split(root).sha256
    rows = []
    for system, (runs, note) in systems.items():
        scores = [
            evaluate("binary", labels, {"": run.predictions}, user, RESAMPLES, SEED)[""]["auc"]
            for run in runs
        ]
        rows.append(row(name, sha256, system, "auc", runs, scores, note))
    return rows


def beyond(root: Path, before: Run, after: Run, name: str, note: str) -> Row:
    """The AUC of one system minus another's, its interval over users drawn together."""
    test = data(root)["test"]
    labels, users = test.label.astype("int64"), np.unique(test.user)
    rows = [np.flatnonzero(test.user == user) for user in users]
    rng, drawn = np.random.default_rng(SEED), []

    def gain(chosen: Array) -> float:
        return float(
            roc_auc_score(labels[chosen], after.predictions[chosen])
            - roc_auc_score(labels[chosen], before.predictions[chosen])
        )

    for _ in range(RESAMPLES):
        picked = rng.integers(0, len(users), len(users))
        drawn.append(gain(np.concatenate([rows[user] for user in picked])))
    low, high = np.quantile(drawn, [0.025, 0.975])
    value = gain(np.arange(len(labels)))
    return Row(
        "tallrec", split(root).sha256, name, after.version, "auc", value, float(low), float(high),
        1, after.seconds, after.peak_mb, note,
    )  # fmt: skip


def measure(root: Path) -> list[Row]:
    """``tallrec``."""
    zero, shuffled = answer(root, "logits"), answer(root, "logits", shuffle=0)
    systems: dict[str, tuple[Sequence[Run], str]] = {
        "share of the ten that was liked": ([liked_share(root)], "no model, no titles"),
        ZERO: ([zero], "logit of Yes minus No"),
        SHUFFLED: ([shuffled], "control: liked titles, and disliked ones, permuted"),
    }
    for count in SHOTS:
        runs = [answer(root, "probe", count, seed) for seed in SEEDS]
        note = f"few-shot: logistic regression on the last state, C {STRENGTH}"
        systems[f"mtrec probe, {count} shots"] = (runs, note)
    runs = [answer(root, "lora", SHOTS[-1], seed) for seed in SEEDS]
    note = f"few-shot: adapters on query and value of the top four blocks, {ADAPTERS}"
    systems[f"mtrec LoRA, {SHOTS[-1]} shots"] = (runs, note)
    change = beyond(root, zero, shuffled, f"{SHUFFLED}{DIFFERENCE}{ZERO}", "paired over users")
    return [*scored(root, systems), change]


def in_context(root: Path) -> list[Row]:
    """``tallrec_in_context``."""
    found = answer(root, "logits", IN_CONTEXT)
    note = f"{IN_CONTEXT} examples as former turns, some 2,500 tokens before each question"
    rows = scored(root, {f"mtrec prompt, {IN_CONTEXT} examples shown": ([found], note)})
    return [Row(**{**vars(one), "protocol": "tallrec_in_context"}) for one in rows]


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    "tallrec": measure,
    "tallrec_in_context": in_context,
}
