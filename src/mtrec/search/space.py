"""The settings that a search may vary, by dotted path, and experiments that have them.

A path begins with the block that a domain may change for itself (``model_building``, ``training``,
``features``), or is ``task_embedding.components``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial
from pydantic import ValidationError

from mtrec.config import Experiment, merged, sentence_of, source_settings
from mtrec.paths import ConfigError
from mtrec.settings import Choice, Range, Settings

Chosen = dict[str, Any]  # settings by dotted path
OWN = ("model_building", "training", "features")  # blocks of a domain
COMPONENTS = "task_embedding.components"
CLOSED = {  # what a trial could not tell, with the reason
    "training.distillation": "a trial trains no teachers",
    "training.recalibrate": "it is fitted on the rows that judge",
    "training.deterministic": "it changes no result",
    "training.epochs": "search.epochs says how long a trial lasts",
}
DIGITS = 3  # of a float: what is tried is what is written


@dataclass(frozen=True)
class Space:
    """What may vary, checked against the settings of a domain.

    Attributes:
        vary: how each setting may vary, by dotted path.
        present: what the domain has now.
    """

    vary: Mapping[str, Choice | Range]
    present: Chosen

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The space as Optuna has it."""
        return {key: _distribution(one) for key, one in self.vary.items()}

    def suggest(self, trial: Trial) -> Chosen:
        """What a trial is to try."""
        found = {key: _suggest(trial, key, one) for key, one in self.vary.items()}
        return {
            key: rounded(value)
            if isinstance(value, float) and value != self.present[key]
            else value
            for key, value in found.items()
        }

    def only(self, keys: tuple[str, ...]) -> Space:
        """The part of the space that a grid varies."""
        return Space({k: self.vary[k] for k in keys}, {k: self.present[k] for k in keys})

    def points(self) -> dict[str, list[Any]]:
        """The values that a grid tries: all choices, or both ends and the middle."""
        return {key: _points(one) for key, one in self.vary.items()}

    def canonical(self) -> Chosen:
        """Settings that the space alone determines."""
        return {key: points[0] for key, points in self.points().items()}


def space_of(run: Experiment) -> Space:
    """The search space of a domain.

    Raises:
        ConfigError: there is none, a key names no setting, a value is refused by the settings, or
            the present value lies outside.
    """
    if not run.search.space:
        raise ConfigError(
            "params.yaml: search.space is empty, so there is nothing to search. Name settings in "
            "it, such as training.learning_rate: {kind: log, low: 0.0005, high: 0.01}."
        )
    present = {}
    for key, one in run.search.space.items():
        present[key] = _present(run, key)
        for value in one.values if isinstance(one, Choice) else _points(one):
            changed(run, {key: value}, f"params.yaml: search.space.{key}")
        if not _inside(one, present[key]):
            raise ConfigError(
                f"params.yaml: search.space.{key}: {run.name} has {present[key]!r} at present, "
                f"which the search could not try ({_shown(one)}). Widen it, since the first trial "
                "has the present settings."
            )
    return Space(run.search.space, present)


def changed(run: Experiment, chosen: Chosen, where: str = "search") -> Experiment:
    """The experiment with other settings.

    Args:
        run: the settings.
        chosen: those that differ, by dotted path.
        where: what an error begins with.

    Raises:
        ConfigError: the settings refuse a value.
    """
    blocks: dict[str, dict[str, Any]] = {}
    for key, value in chosen.items():
        block, *path, last = key.split(".")
        inner = blocks.setdefault(block, {})
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    try:
        made: dict[str, Any] = {
            block: _validated(_block(run, block), changes) for block, changes in blocks.items()
        }
    except ValidationError as error:
        raise ConfigError(sentence_of(where, error)) from None
    if "features" in made:
        features = source_settings(run.name, made.pop("features"))
        made["domain"] = run.domain.model_copy(update={"features": features})
    return replace(run, **made)


def _validated(block: Settings, changes: dict[str, Any]) -> Settings:
    return type(block).model_validate(merged(block.model_dump(), changes))


def _block(run: Experiment, block: str) -> Settings:
    return run.domain.features if block == "features" else getattr(run, block)


def _present(run: Experiment, key: str) -> Any:
    """The value that a domain has of a setting; see :func:`space_of` for what is raised."""
    where = f"params.yaml: search.space.{key}"
    if key in CLOSED:
        raise ConfigError(f"{where} cannot be searched: {CLOSED[key]}. Leave it out.")
    block, *path = key.split(".")
    if block not in OWN and key != COMPONENTS:
        raise ConfigError(
            f"{where}: there is no such setting to search; a key begins with {', '.join(OWN)}, or "
            f"is {COMPONENTS}."
        )
    found: Any = _block(run, block).model_dump()
    for part in path:
        if not isinstance(found, dict) or part not in found:
            there = ", ".join(found) if isinstance(found, dict) else "nothing"
            raise ConfigError(
                f"{where}: {run.name} has no setting '{key}': '{part}' is not there (there: "
                f"{there}). Mend or drop this key."
            )
        found = found[part]
    if isinstance(found, dict | list | tuple) or not path:
        raise ConfigError(f"{where}: '{key}' is a block or a list; name one value in it.")
    return found


def _inside(one: Choice | Range, value: Any) -> bool:
    if isinstance(one, Choice):
        return any(
            value == v and isinstance(value, bool) == isinstance(v, bool) for v in one.values
        )
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and one.low <= value <= one.high


def _shown(one: Choice | Range) -> str:
    if isinstance(one, Choice):
        return ", ".join(map(repr, one.values))
    return f"{one.low:g} to {one.high:g}"


def _distribution(one: Choice | Range) -> BaseDistribution:
    if isinstance(one, Choice):
        return CategoricalDistribution(one.values)
    if one.kind == "int":
        return IntDistribution(int(one.low), int(one.high))
    return FloatDistribution(one.low, one.high, log=one.kind == "log")


def _suggest(trial: Trial, key: str, one: Choice | Range) -> Any:
    if isinstance(one, Choice):
        return trial.suggest_categorical(key, one.values)
    if one.kind == "int":
        return trial.suggest_int(key, int(one.low), int(one.high))
    return trial.suggest_float(key, one.low, one.high, log=one.kind == "log")


def rounded(value: float) -> float:
    """A float as it is tried and written, with few digits.

    Example:
        >>> rounded(0.00123456)
        0.00123
    """
    return float(f"{value:.{DIGITS}g}")


def _points(one: Choice | Range) -> list[Any]:
    if isinstance(one, Choice):
        return [*one.values]
    if one.kind == "int":
        return sorted({int(one.low), round((one.low + one.high) / 2), int(one.high)})
    log = one.kind == "log"
    middle = math.sqrt(one.low * one.high) if log else (one.low + one.high) / 2
    return [one.low, rounded(middle), one.high]
