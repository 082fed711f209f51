"""What a study trains and what is known of it: all that its notebook reads, without TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from mtrec.config import Experiment, read_params
from mtrec.studies import ledger

PLAIN = {"l2": 0.0, "ema_momentum": 0.0, "distillation": 0.0, "recalibrate": False}
ELSEWHERE: dict[str, dict[str, Any]] = {  # of no account for a short training, which brings its own
    "model_building": {"history": {"length": True}},
    "training": {"epochs": True, "batch_size": True},
}
NOT_LEARNT = {  # files, who is compared, and what `run.model_building` and `run.training` hold
    "raw": True, "module": True, "model_building": True, "training": True,
    "tasks": {"__all__": {"peers"}},
}  # fmt: skip


@dataclass(frozen=True)
class Trainings:
    """One setting of a study.

    Attributes:
        part: of the study.
        name: of the setting, for the lines that are printed.
        keys: what identifies its results, by seed.
        setting: what the study trains it by.
    """

    part: str
    name: str
    keys: Mapping[int, str]
    setting: Any = None


@dataclass(frozen=True)
class Plan:
    """The trainings of a study and the file of their results.

    Attributes:
        name: of the study, as ``make study PART=`` has it.
        suffix: of the results' file in ``reports/study``, after the domain's name.
        columns: what tells the rows of one training from those of another.
        trainings: its settings, for the settings of an experiment.
    """

    name: str
    suffix: str
    columns: tuple[str, ...]
    trainings: Callable[[Experiment], Iterable[Trainings]]

    def file(self, run: Experiment) -> Path:
        """Where the results of a domain are kept, committed."""
        return run.paths.study.with_name(f"{run.paths.domain}{self.suffix}.csv")

    def command(self, run: Experiment) -> str:
        """What trains the study."""
        return f"make study DOMAIN={run.paths.domain} PART={self.name}"

    def keys(self, run: Experiment) -> dict[str, list[str]]:
        """What identifies each training of the present settings, by part of the study."""
        found: dict[str, list[str]] = {}
        for some in self.trainings(run):
            found.setdefault(some.part, []).extend(some.keys.values())
        return found

    def results(
        self, run: Experiment, names: Mapping[str, list[str]] | None = None
    ) -> pd.DataFrame:
        """What is known, see :func:`mtrec.studies.ledger.known`.

        Args:
            run: the settings.
            names: keys by part, if not those of the settings.

        Raises:
            FileNotFoundError: nothing is known of the domain.
        """
        names = self.keys(run) if names is None else names
        return ledger.known(self.file(run), names, self.columns, self.command(run))

    def missing(self, run: Experiment) -> pd.DataFrame:
        """Trainings planned and done, see :func:`mtrec.studies.ledger.missing`."""
        names = self.keys(run)
        return ledger.missing(self.results(run, names), names)


def learnt_from(run: Experiment, without: Mapping[str, Any] = ELSEWHERE) -> list[Any]:
    """The settings that a training depends on, as JSON values.

    Values at their defaults are left out, so that an option which comes later makes nothing new.
    Whoever changes a default, or code, so that results change raises the study's ``VERSION``.

    Args:
        run: the settings.
        without: what does not count, by part.
    """
    parts = {"domain": NOT_LEARNT, "model_building": None, "training": None,
             "task_embedding": None} | {**without}  # fmt: skip
    return [run.name, run.seed] + [
        getattr(run, part).model_dump(mode="json", exclude_defaults=True, exclude=gone)
        for part, gone in parts.items()
    ]


def plain(run: Experiment) -> Experiment:
    """The experiment as methods are compared on it, alike in all domains.

    Model and training have the common settings without a penalty on weights, averaged weights and
    teachers, and heads start at a constant, whatever a domain sets.
    """
    common = read_params(run.paths.root / "params.yaml")
    tasks = {n: task.model_copy(update={"offset": None}) for n, task in run.domain.tasks.items()}
    domain = run.domain.model_copy(update={"tasks": tasks})
    training = common.training.model_copy(update=PLAIN)
    return replace(run, domain=domain, model_building=common.model_building, training=training)
