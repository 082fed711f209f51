"""``own_million``: a stranger's files with a million events, from ``mtrec new`` to trained models.

In a clone of its own: two files are drawn (50,000 customers, 10,000 products with Zipf popularity,
stars from four hidden tastes, ISO times, titles), ``mtrec new`` and ``mtrec check`` read them, and
``dvc repro`` makes tables, text vectors and models. Wall time and peak memory of each step are
those of its process and all that it started.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.harness.launch import launch
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
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "mtrec"
        _run(["git", "clone", "--quiet", str(root), str(clone)], root)
        shutil.copytree(root / "data" / "smollm2-135m", clone / "data" / "smollm2-135m")
        settings = clone / "params.yaml"
        text = settings.read_text(encoding="utf-8")
        settings.write_text(shorter(text), encoding="utf-8")
        draw(Path(folder), events, seed=0)
        command = str(Path(sys.executable).with_name("mtrec"))
        files = ["--events", str(Path(folder) / "events.csv"), "--items",
                 str(Path(folder) / "items.csv")]  # fmt: skip
        steps = {"new": [command, "new", "million", *files], "check": [command, "check", "million"]}
        dvc = str(Path(sys.executable).with_name("dvc"))
        steps |= {stage: [dvc, "repro", "--single-item", f"{stage}@million"] for stage in STAGES}
        rows = []
        for step, words in steps.items():
            seconds, peak_mb = _run(words, clone, warnings=step == "check")
            rows += _rows(step, seconds, peak_mb)
        return rows


def shorter(params: str) -> str:
    """The text of ``params.yaml`` with few epochs of training."""
    return re.sub(r"(?m)^(training:.*(?:\n  .*)*?\n  epochs: )\d+", rf"\g<1>{EPOCHS}", params)


def draw(folder: Path, events: int, seed: int) -> None:
    """Write ``events.csv`` and ``items.csv``."""
    rng = np.random.default_rng(seed)
    popularity = 1 / np.arange(1, PRODUCTS + 1) ** 0.8
    taste, kind = rng.normal(size=(CUSTOMERS, TASTES)), rng.normal(size=(PRODUCTS, TASTES))
    user = rng.integers(0, CUSTOMERS, events)
    item = rng.choice(PRODUCTS, events, p=popularity / popularity.sum())
    liked = 3.4 + 0.5 * (taste[user] * kind[item]).sum(axis=1) + 0.8 * rng.normal(size=events)
    seconds = np.sort(rng.integers(1_500_000_000, 1_600_000_000, events))
    created = pd.to_datetime(seconds, unit="s").strftime("%Y-%m-%dT%H:%M:%SZ")
    pd.DataFrame(
        {"customer_id": user, "product_id": item, "created_at": created,
         "stars": np.clip(np.round(liked), 1, 5).astype(int), "price": rng.random(events).round(2)}
    ).to_csv(folder / "events.csv", index=False)  # fmt: skip
    words = rng.choice(WORDS, (PRODUCTS, 2))
    things = rng.choice(THINGS, PRODUCTS)
    groups = np.digitize(kind[:, 0], np.linspace(-1.5, 1.5, len(KINDS) - 1))
    pd.DataFrame(
        {"product_id": range(PRODUCTS),
         "title": [f"{a} {b} {c} no. {n}" for n, ((a, b), c) in
                   enumerate(zip(words, things, strict=True))],
         "department": np.asarray(KINDS)[groups]}
    ).to_csv(folder / "items.csv", index=False)  # fmt: skip


def _run(words: list[str], folder: Path, warnings: bool = False) -> tuple[float, float]:
    """Wall time and peak memory of a command; a check may end with status 1 for its findings."""
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    cost = launch(words, folder, PYTHONHASHSEED="0", TF_CPP_MIN_LOG_LEVEL="3", MPLBACKEND="agg",
                  DVC_NO_ANALYTICS="1", PYTHONPATH=str(folder / "src"), PATH=tools)  # fmt: skip
    if cost.status not in ((0, 1) if warnings else (0,)):
        raise RuntimeError(f"{' '.join(words[:3])} failed: {cost.said}")
    return cost.seconds, cost.peak_mb


def _rows(step: str, seconds: float, peak_mb: float) -> list[Row]:
    note = f"one million events; training: {EPOCHS} epoch of all models"
    return [
        Row("own_million", "", "mtrec", "", f"{unit} {step}", value, None, None, 1, seconds,
            peak_mb, note)
        for unit, value in (("seconds", round(seconds, 1)), ("peak_mb", peak_mb))
    ]  # fmt: skip


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {"own_million": million}
