"""Samplers, which say what to try next, and pruners, which say what to end early, by name."""

from __future__ import annotations

import math
import warnings

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GridSampler, RandomSampler, TPESampler

from mtrec.search.space import Space

SAMPLERS = ("tpe", "random", "grid")
RANDOM_AT_FIRST = 8  # trials before TPE has a model of the space
WARM_UP = 3  # epochs before a trial may be ended


def make_sampler(name: str, space: Space, seed: int, before: int) -> BaseSampler:
    """A sampler for the next trial, so that a search that goes on draws as one that never ended.

    ``tpe`` is the multivariate tree-structured Parzen estimator (Bergstra et al. 2011, *Algorithms
    for Hyper-Parameter Optimization*; Falkner et al. 2018, *BOHB*, section 3.2), which counts a
    trial that another process has begun as a bad one, so that processes keep apart. ``random`` is
    Bergstra and Bengio 2012. ``grid`` takes every combination of ``Space.points``.

    Args:
        name: of the sampler.
        space: what may vary.
        seed: of the search.
        before: trials that there are, with which draws change; a grid keeps its order.

    Raises:
        ValueError: there is no such sampler, or nothing for a grid to vary.
    """
    drawn = seed + 1000 * before + (500 if name == "random" else 0)  # not those of tpe at first
    if name == "tpe":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return TPESampler(
                n_startup_trials=RANDOM_AT_FIRST,
                multivariate=True,
                constant_liar=True,
                seed=drawn,
            )
    if name == "random":
        return RandomSampler(seed=drawn)
    if name != "grid":
        raise ValueError(f"there is no sampler '{name}' (known: {', '.join(SAMPLERS)})")
    if not space.vary:
        raise ValueError(
            "params.yaml: search.grid is empty, so a grid has nothing to vary. Name keys of "
            "search.space in it."
        )
    return GridSampler(space.points(), seed=seed)


def size(name: str, space: Space, trials: int) -> int:
    """How many trials a sampler makes: of a grid those of its points, and the first."""
    if name != "grid":
        return trials
    return 1 + math.prod(len(points) for points in space.points().values()) if space.vary else 0


def make_pruner(name: str) -> BasePruner:
    """A pruner that reads a trial's validation loss after each epoch.

    ``median`` ends what is worse than the median of the trials before at the same epoch (Golovin
    et al. 2017, *Google Vizier*); ``halving`` keeps the best third of those that come to 3, 9, 27
    epochs (Li et al. 2020, *A System for Massively Parallel Hyperparameter Tuning*).
    """
    if name == "median":
        return MedianPruner(n_startup_trials=RANDOM_AT_FIRST // 2, n_warmup_steps=WARM_UP)
    if name == "halving":
        return SuccessiveHalvingPruner(min_resource=WARM_UP, reduction_factor=3)
    return NopPruner()
