r"""Joint training and its controls, each with several seeds on all of a domain.

The joint model learns from labels and from what single-task models, its twins, say of the training
rows; the twins learn from labels alone. Its lead over them may therefore come from sharing or from
being taught. A *self-taught twin* tells them apart: it is taught by its own twin exactly as the
joint model is (Furlanello et al. 2018, "Born-Again Neural Networks",
https://arxiv.org/abs/1805.04770). A model without texts or without its graph has teachers that
lack the same, so that nothing of what it must not see reaches it through them.

Settings, rows, steps and the first seed are the pipeline's.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from mtrec import progress
from mtrec.config import Experiment, experiment
from mtrec.evaluation.domain import score
from mtrec.evaluation.held_out import SELF_TAUGHT, SINGLE, HeldOut
from mtrec.features.ablation import WITHOUT_LANGUAGE_MODEL, ablated, ablations
from mtrec.features.assemble import Assembly
from mtrec.files import whole
from mtrec.lock import only_run
from mtrec.metrics.families import MAIN_METRIC
from mtrec.models.store import load_model, save_model
from mtrec.models.twins import JOINT, build_some
from mtrec.studies import ledger, runner, workbench
from mtrec.studies.controls_plan import PLAN
from mtrec.studies.workbench import Workbench
from mtrec.training import together
from mtrec.training.distillation import teach
from mtrec.training.domain import Budget, longest_first
from mtrec.training.recalibration import recalibrate

Array = np.ndarray


@dataclass(frozen=True)
class Training:
    """One model of a seed.

    Attributes:
        system: what tables call it; one of all tasks, or a system of a model per task.
        tasks: of the model.
        lacks: kind of feature that it does without, see :data:`mtrec.features.ablation.ABLATIONS`.
        teachers: the system whose models teach it, if any.
    """

    system: str
    tasks: tuple[str, ...]
    lacks: str | None = None
    teachers: str | None = None

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.system}.{self.tasks[0]}" if len(self.tasks) == 1 else self.system


def plan(tasks: Sequence[str], lacking: Sequence[str], taught: bool) -> list[list[Training]]:
    """The trainings of a seed in rounds: teachers, then those that they teach.

    Args:
        tasks: of the domain.
        lacking: kinds of feature to do without, each in turn.
        taught: whether joint models are taught at all.
    """
    twins = [Training(SINGLE, (task,)) for task in tasks]
    joint = Training(JOINT, tuple(tasks), None, SINGLE if taught else None)
    if not taught:
        return [twins, [joint, *(Training(name, tuple(tasks), name) for name in lacking)]]
    blind = [Training(f"{SINGLE}_{name}", (task,), name) for name in lacking for task in tasks]
    pupils = [Training(name, tuple(tasks), name, f"{SINGLE}_{name}") for name in lacking]
    selves = [Training(SELF_TAUGHT, (task,), None, SINGLE) for task in tasks]
    return [[*twins, *blind], [joint, *pupils, *selves]]


@dataclass(frozen=True)
class Seed:
    """What the trainings of one seed share.

    Attributes:
        bench: rows, features and settings of the pipeline.
        held: the test rows.
        seed: of weights, dropout, batches and balancer.
        folder: of what is trained already.
    """

    bench: Workbench
    held: HeldOut
    seed: int
    folder: Path

    @cached_property
    def assemblies(self) -> dict[str | None, Assembly]:
        """The domain as a whole (None), and without each kind of feature."""
        whole = self.bench.assembly
        return {None: whole} | {name: ablated(whole, name) for name in ablations(whole)}

    @property
    def rounds(self) -> list[list[Training]]:
        """See :func:`plan`."""
        whole, taught = self.bench.assembly, bool(self.bench.settings.distillation)
        order = longest_first(whole)
        return [
            sorted(some, key=lambda one: (-len(one.tasks), order.index(one.tasks[0])))
            for some in plan(tuple(whole.types), ablations(whole), taught)
        ]

    def train(self) -> dict[str, dict[str, Array]]:
        """Train what is not trained yet; answers on the test rows by task and system."""
        todo = [
            [one for one in some if not self._answers(one.name).is_file()] for some in self.rounds
        ]
        # Before any training: building empties the cache of compiled steps. A model's dropout
        # depends on its own seed alone, so what was trained before an interruption is the same.
        models = {one.name: self._build(one) for some in todo for one in some}
        with progress.task(f"seed {self.seed}", len(models), unit="model") as bar:
            for some in todo:
                named = {one.name: one for one in some}
                lessons = {by: self._lessons(by) for by in {one.teachers for one in some} if by}
                together.run(partial(self._train, named, models, lessons), list(named), bar)
        found: dict[str, dict[str, Array]] = {task: {} for task in self.bench.assembly.types}
        for one in (one for some in self.rounds for one in some):
            with np.load(self._answers(one.name)) as answers:
                for task in one.tasks:
                    found[task][one.system] = answers[task]
        return found

    def _build(self, one: Training) -> keras.Model:
        vectors = None if one.lacks in WITHOUT_LANGUAGE_MODEL else self.bench.vectors["tasks"]
        assembly = self.assemblies[one.lacks]
        return build_some(assembly, one.tasks, vectors, self.bench.sizes, self.seed)

    def _lessons(self, system: str) -> list[dict[str, Array]]:
        """What the twins of a system say of the training rows."""
        teachers = [one for one in self.rounds[0] if one.system == system]
        return [
            teach(load_model(self.folder / f"{one.name}.keras"), one.tasks[0], self.bench.training)
            for one in teachers
        ]

    def _train(
        self,
        named: Mapping[str, Training],
        models: dict[str, keras.Model],
        lessons: Mapping[str, Sequence[Mapping[str, Array]]],
        name: str,
        watch: Callable[[int], None],
    ) -> None:
        """Train one model, and write it before it is recalibrated, and its answers after."""
        one, model, bench = named[name], models.pop(name), self.bench
        types = {task: bench.assembly.types[task] for task in one.tasks}
        budget = Budget(
            self.assemblies[one.lacks], bench.domain.tasks, bench.settings, self.seed,
            bench.training, bench.validation, self.folder, bench.library,
        )  # fmt: skip
        if one.teachers:
            budget = budget.taught_by(lessons[one.teachers])
        budget.fit(name, model, one.tasks, watch)
        if one in self.rounds[0]:
            with together.one_at_a_time:
                save_model(model, self.folder / f"{name}.keras")
        if bench.settings.recalibrate:
            recalibrate(model, types, bench.validation)
        answers = self.held.answers(model, one.tasks)
        with whole(self._answers(name)) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **answers)
        (self.folder / f"{name}.npz").unlink(missing_ok=True)  # its checkpoint

    def _answers(self, name: str) -> Path:
        return self.folder / f"{name}.answers.npz"


def study(run: Experiment, minutes: float | None = None) -> bool:
    """Train every model of every seed; see :func:`mtrec.studies.runner.main`.

    What was trained of a seed before an interruption lies in ``artifacts/<domain>/controls``.

    Raises:
        BusyError: another process trains this domain's controls.
    """
    folder = run.paths.artifacts / "controls"
    with only_run(folder.with_suffix(".lock")):
        _clear(folder, PLAN.file(run))
        return runner.resume(PLAN, run, partial(_trainings, run), minutes)


def _clear(folder: Path, results: Path) -> None:
    """Delete what is left of seeds that are done, as after a kill while it was being deleted."""
    done = set(ledger.read(results)["key"])
    for one in folder.glob("*"):
        if one.name in done:
            shutil.rmtree(one)


def _trainings(
    run: Experiment, key: str, seeds: Sequence[int]
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Train all models of a seed; rows of the results."""
    bench, held = _rows_of(run.name, run.paths.root)
    for seed in seeds:
        folder = run.paths.artifacts / "controls" / key
        folder.mkdir(parents=True, exist_ok=True)
        answers = Seed(bench, held, seed, folder).train()
        others = _others(run.name, run.paths.root)
        systems = {task: answers[task] | others[task] for task in answers}
        yield seed, _figures(held, systems, seed, run)
        shutil.rmtree(folder)


@lru_cache(maxsize=1)  # one domain's are enough
def _rows_of(domain: str, root: Path) -> tuple[Workbench, HeldOut]:
    """All rows of a domain, and those of its test."""
    bench = workbench.whole(experiment(domain, root))
    return bench, HeldOut(bench.assembly, bench.data, bench.tables, bench.domain.tasks)


@lru_cache(maxsize=1)
def _others(domain: str, root: Path) -> dict[str, dict[str, Array]]:
    """What baseline and peers say by task, which no seed of ours moves."""
    bench, held = _rows_of(domain, root)
    seed = experiment(domain, root).seed
    return {task: held.others(task, seed) for task in bench.assembly.types}


def _figures(
    held: HeldOut, systems: Mapping[str, Mapping[str, Array]], seed: int, run: Experiment
) -> pd.DataFrame:
    """The main metric of each task, of every system and difference, with its interval."""
    given = {task: held.predictions(task, found) for task, found in systems.items()}
    scores = score(given, run.evaluation.resamples, run.seed)
    return pd.DataFrame(
        [
            {"seed": seed, "task": task, "metric": metric, "system": system,
             **{name: round(value, 6) for name, value in scores[task][system][metric].items()}}
            for task, asked in given.items()
            for metric in [MAIN_METRIC[asked.type]]
            for system in (*asked.systems, *asked.differences)
        ]
    )  # fmt: skip
