"""Which trainings notebook 09 needs, and what is known of them; nothing here needs TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mtrec.config import Experiment
from mtrec.features.factors import METHODS
from mtrec.features.impute import IMPUTERS
from mtrec.settings import Domain
from mtrec.studies import ledger
from mtrec.studies.plan import Plan, Trainings, learnt_from, plain
from mtrec.tables import schema
from mtrec.tables.schema import Tables

VERSION = 1
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


def trainings(run: Experiment) -> Iterator[Trainings]:
    """Every setting of a domain, with its keys."""
    run = plain(run)
    for setting in plan(run, schema.read(run.paths.tables)):
        name = f"{setting.level:.0%}, {setting.part} {setting.method}"
        seeds = [run.seed + n for n in range(run.sparse.seeds)]
        keys = {seed: fingerprint(run, setting, seed) for seed in seeds}
        yield Trainings(setting.part, name, keys, setting)


PLAN = Plan("sparse_data", "_sparse", ("level", "part", "method", "task", "seed"), trainings)


def plan(run: Experiment, tables: Tables) -> list[Setting]:
    """The settings of a domain; imputation only where a number is missing."""
    gaps = has_gaps(tables, run.domain)
    return [setting for setting in settings(run) if gaps or setting.part != "imputation"]


def settings(run: Experiment) -> list[Setting]:
    """Every setting, level by level."""
    steps = [(NONE, NONE), *(("factors", method) for method in METHODS)]
    steps += [("imputation", method) for method in IMPUTERS]
    return [Setting(level, *step) for level in run.sparse.levels for step in steps]


def has_gaps(tables: Tables, domain: Domain) -> bool:
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


def fingerprint(run: Experiment, setting: Setting, seed: int) -> str:
    """What identifies a training: a change of any setting that it depends on makes it new."""
    short = run.sparse.model_dump(exclude={"seeds", "levels"})
    return ledger.key("sparse_data", VERSION, seed, *learnt_from(run), short, vars(setting))
