"""Systems timed side by side: in turns, each in a process of its own, so that drift hits all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.ask import OURS, Answer, ask

Array = np.ndarray
RESAMPLES, SEED = 200, 42
Contender = tuple[str, str, dict[str, Any]]  # environment, script, options


def in_turns(
    root: Path, arrays: Mapping[str, Array], contenders: Mapping[str, Contender], turns: int
) -> dict[str, list[Answer]]:
    """Ask every system ``turns`` times: A B C, A B C, …

    Args:
        root: of the repository.
        arrays: what all are given.
        contenders: environment, script and options by system.
        turns: how often each is asked.
    """
    found: dict[str, list[Answer]] = {name: [] for name in contenders}
    for _ in range(turns):
        for name, (environment, script, options) in contenders.items():
            found[name].append(ask(root, environment, script, arrays, **options))
    return found


def median(values: Sequence[float]) -> tuple[float, float, float]:
    """Median of repetitions with its 95 % percentile bootstrap interval.

    Example:
        >>> median([3.0, 3.0, 3.0])
        (3.0, 3.0, 3.0)
    """
    kept = np.asarray(values, dtype="float64")
    draws = np.random.default_rng(SEED).integers(0, len(kept), (RESAMPLES, len(kept)))
    low, high = np.quantile(np.median(kept[draws], axis=1), [0.025, 0.975])
    return float(np.median(kept)), float(low), float(high)


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Slope of the costs over the sizes, both logarithmic: 1 is linear, 0 independent.

    Example:
        >>> round(exponent([1, 10, 100], [2, 20, 200]), 6)
        1.0
    """
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def ours(script: str, **options: Any) -> Contender:
    """A system of this environment."""
    return OURS, script, options


def torch(script: str, **options: Any) -> Contender:
    """A system of the environment ``torch``."""
    return "torch", script, options
