"""Which trainings notebook 09 needs, and what is known of them; nothing here needs TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mtrec.features.factors import METHODS
from mtrec.features.impute import IMPUTERS
from mtrec.studies import ledger
from mtrec.studies.comparison import NOT_HERE, learnt_from

NONE = "none"


@dataclass(frozen=True)
class Setting:
    """A level of thinning and a feature step.

    Attributes:
        level: share of events and training rows that is left.
        part: ``none``, ``factors`` or ``imputation``.
        method: name of the step's method, ``none`` without one.
    """

    level: float
    part: str = NONE
    method: str = NONE


def keys(run: Any, tables: Any) -> dict[str, list[str]]:
    """What identifies each training of the present settings, by step.

    Args:
        run: :class:`mtrec.config.Experiment` as :func:`mtrec.studies.comparison.plain` has it.
        tables: the four tables.
    """
    found: dict[str, list[str]] = {}
    for setting in plan(run, tables):
        found[setting.part] = found.get(setting.part, []) + [*keys_by_seed(run, setting).values()]
    return found


def results(run: Any, known: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """What is known, see :func:`mtrec.studies.ledger.known`.

    Args:
        run: :class:`mtrec.config.Experiment`.
        known: see :func:`keys`.

    Raises:
        FileNotFoundError: nothing is known of the domain.
    """
    command = f"make study DOMAIN={run.name} PART=sparse_data"
    training = ["level", "part", "method", "task", "seed"]
    return ledger.known(results_file(run), known, training, command)


def plan(run: Any, tables: Any) -> list[Setting]:
    """The settings of a domain; imputation only where a number is missing."""
    gaps = has_gaps(tables, run.domain)
    return [setting for setting in settings(run) if gaps or setting.part != "imputation"]


def settings(run: Any) -> list[Setting]:
    """Every setting, level by level."""
    steps = [(NONE, NONE), *(("factors", method) for method in METHODS)]
    steps += [("imputation", method) for method in IMPUTERS]
    return [Setting(level, *step) for level in run.sparse.levels for step in steps]


def has_gaps(tables: Any, domain: Any) -> bool:
    """Whether a numeric column of users or items, or a context column, is missing anywhere.

    Recounted means are missing for users and items without an event, so context columns always
    count.
    """
    numeric = [
        table[list(columns.numeric)].isna().to_numpy().any()
        for table, columns in (
            (tables.users, domain.features.user),
            (tables.items, domain.features.item),
        )
    ]
    return any(numeric) or bool(domain.features.user.context or domain.features.item.context)


def results_file(run: Any) -> Path:
    """Where the results of a domain are kept, committed."""
    return run.paths.study.with_name(f"{run.name}_sparse.csv")


def keys_by_seed(run: Any, setting: Setting) -> dict[int, str]:
    """What identifies each training of a setting, by seed."""
    seeds = [run.seed + n for n in range(run.sparse.seeds)]
    return {seed: fingerprint(run, setting, seed) for seed in seeds}


def fingerprint(run: Any, setting: Setting, seed: int) -> str:
    """What identifies a training: a change of any setting that it depends on makes it new."""
    training = run.training.model_dump(exclude={"epochs", "batch_size", *NOT_HERE})
    return ledger.key(
        run.name, seed, run.seed, run.sparse.model_dump(exclude={"seeds", "levels"}),
        run.model_building.model_dump(exclude={"history": {"length"}}), training,
        learnt_from(run.domain), run.task_embedding.model_dump(), vars(setting),
    )  # fmt: skip
