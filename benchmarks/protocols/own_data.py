"""``own_million``: a stranger's files with a million events, from ``mtrec new`` to trained models.

In a clone of its own: two files are drawn (50,000 customers, 10,000 products with Zipf popularity,
stars from four hidden tastes, ISO times, titles), ``mtrec new`` and ``mtrec check`` read them, and
``dvc repro`` makes tables, text vectors and models. Wall time and peak memory of each step are
those of its process and all that it started.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.harness import strangers
from benchmarks.harness.launch import Cost
from benchmarks.harness.results import Row

CUSTOMERS, PRODUCTS, TASTES = 50_000, 10_000, 4
EPOCHS = 1
STAGES = ("preprocessing", "task_embedding", "model_building", "training")
KINDS = ("tools", "garden", "kitchen", "toys", "books", "music", "sports", "pets")
WORDS = ("red", "blue", "green", "large", "small", "light", "heavy", "fine", "old", "new", "round")
THINGS = ("hammer", "spade", "pan", "robot", "novel", "drum", "ball", "leash", "lamp", "chair")


def million(root: Path, events: int = 1_000_000) -> Sequence[Row]:
    """Rows ``seconds <step>`` and ``peak_mb <step>``.

    Raises:
        RuntimeError: a step fails; with its last words.
    """
    with strangers.clone_of(root) as clone:
        settings = clone / "params.yaml"
        settings.write_text(shorter(settings.read_text(encoding="utf-8")), encoding="utf-8")
        costs = strangers.bring(clone, "million", draw(events, seed=0))
        costs |= strangers.stages(clone, "million", STAGES)
        return [row for step, cost in costs.items() for row in _rows(step, cost)]


def shorter(params: str) -> str:
    """The text of ``params.yaml`` with few epochs of training."""
    return re.sub(r"(?m)^(training:.*(?:\n  .*)*?\n  epochs: )\d+", rf"\g<1>{EPOCHS}", params)


def draw(events: int, seed: int) -> dict[str, pd.DataFrame]:
    """Events and items."""
    rng = np.random.default_rng(seed)
    popularity = 1 / np.arange(1, PRODUCTS + 1) ** 0.8
    taste, kind = rng.normal(size=(CUSTOMERS, TASTES)), rng.normal(size=(PRODUCTS, TASTES))
    user = rng.integers(0, CUSTOMERS, events)
    item = rng.choice(PRODUCTS, events, p=popularity / popularity.sum())
    liked = 3.4 + 0.5 * (taste[user] * kind[item]).sum(axis=1) + 0.8 * rng.normal(size=events)
    seconds = np.sort(rng.integers(1_500_000_000, 1_600_000_000, events))
    created = pd.to_datetime(seconds, unit="s").strftime("%Y-%m-%dT%H:%M:%SZ")
    bought = pd.DataFrame(
        {"customer_id": user, "product_id": item, "created_at": created,
         "stars": np.clip(np.round(liked), 1, 5).astype(int), "price": rng.random(events).round(2)}
    )  # fmt: skip
    words = rng.choice(WORDS, (PRODUCTS, 2))
    things = rng.choice(THINGS, PRODUCTS)
    groups = np.digitize(kind[:, 0], np.linspace(-1.5, 1.5, len(KINDS) - 1))
    titles = [
        f"{a} {b} {c} no. {n}" for n, ((a, b), c) in enumerate(zip(words, things, strict=True))
    ]
    products = pd.DataFrame(
        {"product_id": range(PRODUCTS), "title": titles, "department": np.asarray(KINDS)[groups]}
    )
    return {"events": bought, "items": products}


def _rows(step: str, cost: Cost) -> list[Row]:
    note = f"one million events; training: {EPOCHS} epoch of all models"
    return [
        Row("own_million", "", "mtrec", "", f"{unit} {step}", value, None, None, 1,
            cost.seconds, cost.peak_mb, note)
        for unit, value in (("seconds", round(cost.seconds, 1)), ("peak_mb", cost.peak_mb))
    ]  # fmt: skip


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {"own_million": million}
