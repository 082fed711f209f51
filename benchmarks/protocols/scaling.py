"""Cost against size: ``scaling_events``, ``scaling_tasks`` and ``scaling_items``.

Synthetic tables go through mtrec's own encoder, model and compiled training step with the
pipeline's sizes (histories of 8), each size in a process of its own, once. ``seconds@N`` is

- events: preparing N examples and one epoch of training on them (2 binary tasks, batches of 1,024,
  10,000 items, a user per ten events; ``lazy_adamw``, whose steps do not grow with the users);
- tasks: one epoch of 18,000 rows with N binary tasks, from the median step;
- items: one step of 64 rows with a binary task and one that ranks all N items.

``peak_mb@N`` is the process's peak memory, libraries included (about 700 MB before any data).
``exponent_seconds`` is the slope of log seconds over log N: 1 is linear, below that fixed costs
show; ``exponent_seconds_end`` is that slope between the two largest sizes, where they do least.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.ask import OURS, Answer, ask
from benchmarks.harness.results import Row
from benchmarks.harness.timing import exponent

EVENTS = (10_000, 100_000, 1_000_000, 10_000_000)
TASKS = (1, 2, 4, 8, 16, 32)
ITEMS = (1_000, 10_000, 100_000, 1_000_000)
COMMON: dict[str, Any] = {
    "seed": 42, "threads": os.cpu_count() or 1, "users": 2_000, "items": 1_000, "events": 20_000,
    "tasks": 1, "ranking": False, "batch": 1024, "steps": 20, "optimizer": "adamw",
}  # fmt: skip


def scaling_events(root: Path, sizes: Sequence[int] = EVENTS) -> list[Row]:
    """10^4 to 10^7 events."""
    found = {
        size: _ask(root, events=size, users=size // 10, items=10_000, tasks=2, steps=0,
                   optimizer="lazy_adamw")
        for size in sizes
    }  # fmt: skip
    parts = {
        n: (float(a.arrays["prepare"]), float(a.arrays["steps"].sum())) for n, a in found.items()
    }
    note = "preparing and one epoch; 2 binary tasks; by size " + ", ".join(
        f"{before:.3g} + {epoch:.3g} s" for before, epoch in parts.values()
    )
    return rows("scaling_events", found, {n: sum(part) for n, part in parts.items()}, note)


def scaling_tasks(root: Path, sizes: Sequence[int] = TASKS) -> list[Row]:
    """1 to 32 tasks."""
    found = {size: _ask(root, tasks=size) for size in sizes}
    seconds = {
        n: float(np.median(a.arrays["steps"]) * a.arrays["per_epoch"]) for n, a in found.items()
    }
    return rows("scaling_tasks", found, seconds, "one epoch of 18,000 rows; binary tasks")


def scaling_items(root: Path, sizes: Sequence[int] = ITEMS) -> list[Row]:
    """10^3 to 10^6 items."""
    few = {"events": 80, "batch": 64, "steps": 8}  # a loss's scale is found on 4,096 labels at once
    found = {size: _ask(root, items=size, ranking=True, **few) for size in sizes}
    seconds = {n: float(np.median(a.arrays["steps"])) for n, a in found.items()}
    note = "one step of 64 rows; a binary and a ranking task"
    return rows("scaling_items", found, seconds, note)


def rows(
    protocol: str, found: Mapping[int, Answer], seconds: Mapping[int, float], note: str
) -> list[Row]:
    """The points of a curve and their exponents.

    Args:
        protocol: its name.
        found: what the system answered, by size.
        seconds: cost by size.
        note: what the seconds are of.
    """
    sizes = sorted(found)
    costs, memory = [seconds[n] for n in sizes], [found[n].peak_mb for n in sizes]
    figures: dict[str, tuple[float, Answer]] = {
        "exponent_seconds": (exponent(sizes, costs), found[sizes[-1]]),
        "exponent_seconds_end": (exponent(sizes[-2:], costs[-2:]), found[sizes[-1]]),
        "exponent_peak_mb": (exponent(sizes, memory), found[sizes[-1]]),
    }
    figures |= {f"seconds@{n}": (seconds[n], found[n]) for n in sizes}
    figures |= {f"peak_mb@{n}": (found[n].peak_mb, found[n]) for n in sizes}
    return [
        Row(protocol, "", "mtrec", answer.version, metric, value, None, None, 1,
            round(answer.seconds, 2), answer.peak_mb, note)
        for metric, (value, answer) in figures.items()
    ]  # fmt: skip


def _ask(root: Path, **changes: Any) -> Answer:
    return ask(root, OURS, "scale_mtrec", {}, **{**COMMON, **changes})


PROTOCOLS: dict[str, Callable[[Path], Sequence[Row]]] = {
    "scaling_events": scaling_events,
    "scaling_tasks": scaling_tasks,
    "scaling_items": scaling_items,
}
