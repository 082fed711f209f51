"""Which trainings the comparison consists of, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mtrec.config import Experiment
from mtrec.registry import TASK_TYPES, Form
from mtrec.settings import Study, Task
from mtrec.studies import ledger
from mtrec.studies.plan import ELSEWHERE, Plan, Trainings, learnt_from, plain
from mtrec.tables import schema
from mtrec.tables.labels import relevant

VERSION = 1
MOST_LEVELS = 10  # distinct values up to which a number may be treated as ordered levels


@dataclass(frozen=True)
class Setting:
    """One setting of the comparison; it is trained once per seed.

    Attributes:
        part: ``alone`` (a model per task), ``joint``, ``weightings`` or ``heads``.
        layer: shared layer.
        balancing: balancer.
        weights: static weight per task, in the tasks' order; empty for ones.
        tasks: tasks of the model.
        seeds: number of trainings; one per static weighting, as in a search.
        head: changes to the settings of the one task, for ``heads``; the unchanged ones are
            ``alone``.
    """

    part: str
    layer: str
    balancing: str
    weights: tuple[float, ...]
    tasks: tuple[str, ...]
    seeds: int
    head: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """What tables call the setting within its part."""
        if self.part == "heads":
            return " ".join(value for _, value in self.head)
        if self.part == "weightings":
            return " : ".join(f"{weight:.2f}" for weight in self.weights)
        return f"{self.layer} + {self.balancing}"


def trainings(run: Experiment) -> Iterator[Trainings]:
    """Every setting of a domain, with its keys."""
    run = plain(run)
    for setting in plan(run, schema.read(run.paths.tables).examples):
        keys = {run.seed + n: fingerprint(run, setting, run.seed + n) for n in range(setting.seeds)}
        yield Trainings(setting.part, f"{setting.part}, {setting.name}", keys, setting)


PLAN = Plan("comparison", "", ("part", "setting", "task", "seed"), trainings)


def plan(run: Experiment, examples: pd.DataFrame) -> list[Setting]:
    """Every setting of the study of a domain."""
    tasks, training = run.domain.tasks, examples["split"] == "train"
    labels = {n: relevant(examples, tasks, n) for n, t in tasks.items() if _numbers(t.type)}
    levels = {name: column[training].nunique() for name, column in labels.items()}
    lowest = {name: column.min() for name, column in labels.items()}
    return settings(run.study, tasks, levels, lowest, run.seed)


def fingerprint(run: Experiment, setting: Setting, seed: int) -> str:
    """What identifies a training: a change of any setting that it depends on makes it new.

    Layer and balancer are the setting's own, and length of histories, epochs and batch the
    study's, so that a new default of any leaves finished trainings valid; so do more seeds.
    """
    study, own = run.study, {key: v for key, v in vars(setting).items() if key != "seeds"}
    building = ELSEWHERE["model_building"] | {"shared": {"layer": True}}
    without = {"model_building": building, "training": ELSEWHERE["training"] | {"balancing": True}}
    return ledger.key(
        "comparison", VERSION, seed, *learnt_from(run, without), own,
        study.share, study.history, study.batch_size, study.epochs,
    )  # fmt: skip


def settings(
    study: Study,
    tasks: Mapping[str, Task],
    levels: Mapping[str, int],
    lowest: Mapping[str, float],
    seed: int,
) -> list[Setting]:
    """All settings in the order of interest: an interrupted study has the important ones.

    Args:
        study: its settings.
        tasks: task settings by name.
        levels: number of distinct training labels of each regression task.
        lowest: lowest label of each regression task.
        seed: of the static weightings.
    """
    names, layer = tuple(tasks), study.layer
    alone = [Setting("alone", layer, "static", (), (name,), study.seeds) for name in names]
    pairs = [(other, balancing) for balancing in study.balancers for other in study.layers]
    pairs += [(layer, balancing) for balancing in study.more_balancers]
    joint = [Setting("joint", *pair, (), names, study.seeds) for pair in dict.fromkeys(pairs)]
    weighted = [
        Setting("weightings", layer, "static", weights, names, 1)
        for weights in weightings(len(names), study.weightings, seed)
    ]
    heads = [
        Setting("heads", layer, "static", (), (name,), study.seeds, tuple(change.items()))
        for name, task in tasks.items()
        for change in TASK_TYPES.compared[task.type]
        if not _numbers(task.type) or _possible(change, levels[name], lowest[name])
    ]
    first = [s for s in joint if s.layer == layer or s.balancing == study.balancers[0]]
    return [*alone, *first, *weighted, *heads, *(s for s in joint if s not in first)]


def _numbers(kind: str) -> bool:
    """Whether labels of a task type are numbers, which may be few, or negative."""
    return TASK_TYPES.forms[kind] is Form.NUMBER


def _possible(change: Mapping[str, str], levels: int, lowest: float) -> bool:
    """Whether a head or loss takes such labels: few levels, none negative, or all positive."""
    if "type" in change and TASK_TYPES.forms[change["type"]] is Form.LEVEL:
        return levels <= MOST_LEVELS
    if change.get("head") == "relu":
        return lowest >= 0
    return lowest > 0


def weightings(tasks: int, count: int, seed: int) -> list[tuple[float, ...]]:
    """Static weightings with mean 1: equal ones first, then draws from the uniform simplex.

    A regular grid over five tasks has no 15 points; a uniform draw covers the simplex evenly.

    Example:
        >>> weightings(2, 2, seed=0)[0]
        (1.0, 1.0)
    """
    drawn = np.random.default_rng(seed).dirichlet(np.ones(tasks), count - 1) * tasks
    floor = np.maximum(drawn, 0.05)  # no task is switched off
    scaled = floor / floor.mean(axis=1, keepdims=True)
    return [(1.0,) * tasks, *(tuple(float(w) for w in row.round(4)) for row in scaled)]
