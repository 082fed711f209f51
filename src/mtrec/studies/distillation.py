r"""Can one model learn to give the fused answer? A pupil of it, beside a pupil of the twins.

In the pipeline the joint model is taught by its twins. Here a second one, alike but for its
teachers, is taught by whoever :mod:`mtrec.fusion` lets answer the task: a specialist, or a stack of
specialists and networks. Where that is the joint model itself, where the task ranks, or where
logits cannot be had from predictions, the twin teaches both.

A specialist has often learnt the training rows by heart, and what it says of these is then their
label. So training rows are dealt into folds, and of each fold it says what it learnt from the
others. The networks of a stack are the pipeline's, which have learnt the rows that they teach, as
twins have, and its joint model has had teachers of its own. Weights are those of the validation
rows.

Teachers are trained once, pupils with several seeds. Source: Hinton et al. 2015, "Distilling the
Knowledge in a Neural Network", https://arxiv.org/abs/1503.02531, section 1, of an ensemble; Van der
Laan et al. 2007, "Super Learner", https://doi.org/10.2202/1544-6115.1309, for specialists that have
not seen the row.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from mtrec import progress
from mtrec.config import Experiment, experiment
from mtrec.evaluation.held_out import HeldOut
from mtrec.fusion.choice import FUSED, Choice
from mtrec.fusion.domain import NETWORKS, blend, fuse, uses
from mtrec.fusion.members import Bench, Member
from mtrec.metrics.families import MAIN_METRIC
from mtrec.metrics.intervals import evaluate
from mtrec.models.model import MultiTaskModel
from mtrec.models.store import load_model
from mtrec.models.twins import JOINT, build_some
from mtrec.peers.base import answers
from mtrec.registry import PEERS
from mtrec.studies import runner, workbench
from mtrec.studies.distillation_plan import FOLDS, PLAN
from mtrec.studies.workbench import Workbench
from mtrec.tasks.base import TaskType
from mtrec.training import together
from mtrec.training.distillation import teach
from mtrec.training.domain import Budget
from mtrec.training.recalibration import recalibrate

Array = np.ndarray
Lessons = dict[str, Array]  # logits on the training rows by task
PUPIL, TEACHER = "distilled", "fused"
DIFFERENCES = {
    "difference": (PUPIL, JOINT),
    "teacher_difference": (TEACHER, JOINT),
    "kept_difference": (PUPIL, TEACHER),
}


@dataclass(frozen=True)
class Teacher:
    """Who is served for a task.

    Attributes:
        choice: who, and with which weights.
        logits: what it says of the training rows, ``(n, outputs)``, 0 where the label is unknown.
        test: predictions of the labelled test rows.
    """

    choice: Choice
    logits: Array
    test: Array


def study(run: Experiment, minutes: float | None = None) -> bool:
    """Train both pupils with every seed; see :func:`mtrec.studies.runner.main`."""
    return runner.resume(PLAN, run, partial(_trainings, run), minutes)


def _trainings(
    run: Experiment, key: str, seeds: Sequence[int]
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Train the pupils of each seed; rows with ``who``, the teacher of the distilled one."""
    bench, held, teachers, twins = _given(run.name, run.paths.root)
    for seed in seeds:
        folder = run.paths.artifacts / "distillation" / key
        folder.mkdir(parents=True, exist_ok=True)
        lessons = {JOINT: twins, PUPIL: {**twins, **{n: t.logits for n, t in teachers.items()}}}
        said = pupils(bench, held, lessons, seed, folder)
        yield seed, _figures(run, held, said, teachers).assign(seed=seed)
        shutil.rmtree(folder)


@lru_cache(maxsize=1)  # teachers are the same for all seeds
def _given(domain: str, root: Path) -> tuple[Workbench, HeldOut, dict[str, Teacher], Lessons]:
    """Rows, and what teachers say of them."""
    run = experiment(domain, root)
    bench = workbench.whole(run)
    held = HeldOut(bench.assembly, bench.data, bench.tables, bench.domain.tasks)
    members_of = Bench(
        bench.assembly, bench.data, bench.tables, bench.domain.tasks, run.paths.trained, run.seed
    )
    with threadpool_limits(1):  # the same sums whatever the number of cores
        teachers = all_teachers(members_of, bench.training_rows, run.evaluation.resamples)
    twins: Lessons = {}
    for task in bench.assembly.types:
        twins |= teach(load_model(run.paths.trained / f"{task}.keras"), task, bench.training)
    return bench, held, teachers, twins


def all_teachers(bench: Bench, training: Array, resamples: int) -> dict[str, Teacher]:
    """The served answer of every task that it can teach.

    Args:
        bench: rows and trained models.
        training: positions of the training rows among the examples.
        resamples: of the bootstrap behind the choice's report.
    """
    found = {}
    with progress.task("teachers", len(bench.tasks), unit="task") as bar:
        for task in bench.tasks:
            bar.advance(1, task)
            kind = bench.assembly.types[task]
            if kind.candidates is not None:
                continue
            fused = fuse(bench, task, resamples)
            if uses(fused.served) <= {JOINT}:
                continue
            rows, choice = bench.rows(task, "train"), fused.served
            test = answer(kind, choice, _said(fused.fitted, choice, bench.rows(task, "test")))
            try:
                taught = logits(kind, crossfitted(bench, task, choice, rows), test.shape[1:])
            except Exception as error:  # whatever a package raises: the twin teaches
                print(f"{task}: taught by its twin: {error}", flush=True)
                continue
            whole = np.zeros((len(training), kind.outputs), dtype="float16")
            whole[np.searchsorted(training, rows)] = taught
            found[task] = Teacher(choice, whole, test)
    return found


def logits(kind: TaskType, predictions: Array, shape: tuple[int, ...]) -> Array:
    """Logits that predict the same.

    Args:
        kind: task type.
        predictions: in its form, ``(n, ...)``.
        shape: what each row's should have.

    Raises:
        ValueError: there are none, as where a fold lacks a class or predictions are not means.
    """
    if predictions.shape[1:] != shape or not np.isfinite(predictions).all():
        raise ValueError(
            f"predictions of shape {predictions.shape[1:]}, not {shape}, or not finite"
        )
    return kind.logits(predictions.reshape(len(predictions), -1).astype("float64"))


def answer(kind: TaskType, choice: Choice, found: Mapping[str, Array]) -> Array:
    """The served predictions from those of the members that it uses."""
    return blend(choice, kind.form, found, None) if choice.chosen == FUSED else found[choice.chosen]


def crossfitted(bench: Bench, task: str, choice: Choice, rows: Array) -> Array:
    """What is served for some training rows, by specialists that did not learn from these.

    Args:
        bench: rows and trained models.
        task: its name; not a ranking.
        choice: who answers.
        rows: positions of training rows.
    """
    fold = np.random.default_rng(bench.seed).permutation(len(rows)) % FOLDS
    used, asked = sorted(uses(choice)), bench.question(task)
    found = {name: _network(bench, name, task, rows) for name in used if name in NETWORKS}
    for name in (one for one in used if one not in NETWORKS):
        for number in range(FOLDS):
            own = fold == number
            unseen = asked.mask.copy()
            unseen[rows[own]] = False  # of the row: no label; all else stays, histories among it
            part = replace(asked, mask=unseen)
            said = answers(PEERS[name](part), part, rows[own])
            found.setdefault(name, np.empty((len(rows), *said.shape[1:])))[own] = said
    return answer(bench.assembly.types[task], choice, found)


def _network(bench: Bench, name: str, task: str, rows: Array) -> Array:
    return bench.network(JOINT if name == JOINT else task, task, rows)


def _said(fitted: Mapping[str, Member], choice: Choice, rows: Array) -> dict[str, Array]:
    return {name: fitted[name].answer(rows) for name in sorted(uses(choice))}


def pupils(
    bench: Workbench, held: HeldOut, lessons: Mapping[str, Lessons], seed: int, folder: Path
) -> dict[str, dict[str, Array]]:
    """Train a joint model for each set of lessons; answers on the test rows by task and system.

    Args:
        bench: rows, features and settings of the pipeline.
        held: the test rows.
        lessons: what teachers say, by system.
        seed: of weights, dropout, batches and balancer.
        folder: of checkpoints.
    """
    types = bench.assembly.types
    models = {
        name: build_some(bench.assembly, tuple(types), bench.vectors["tasks"], bench.sizes, seed)
        for name in lessons
    }
    found: dict[str, dict[str, Array]] = {task: {} for task in types}

    def train(name: str, watch: Callable[[int], None]) -> None:
        model: MultiTaskModel = models.pop(name)
        budget = Budget(
            bench.assembly, bench.domain.tasks, bench.settings, seed, bench.training,
            bench.validation, folder, bench.library,
        ).taught_by([lessons[name]])  # fmt: skip
        budget.fit(name, model, tuple(types), watch)
        if bench.settings.recalibrate:
            recalibrate(model, types, bench.validation)
        for task, said in held.answers(model, tuple(types)).items():
            found[task][name] = said

    with progress.task(f"seed {seed}", len(models), unit="model") as bar:
        together.run(train, list(models), bar)
    return found


def _figures(
    run: Experiment, held: HeldOut, said: Mapping[str, Mapping[str, Array]],
    teachers: Mapping[str, Teacher],
) -> pd.DataFrame:  # fmt: skip
    """The main metric of each task, of every system and difference, with its interval."""
    rows = []
    for task, found in said.items():
        systems = dict(found)
        if task in teachers:
            systems[TEACHER] = teachers[task].test
        asked = held.predictions(task, systems)
        pairs = {name: pair for name, pair in DIFFERENCES.items() if systems.keys() >= {*pair}}
        scores = evaluate(
            asked.type, asked.labels, systems, asked.clusters, run.evaluation.resamples, run.seed,
            pairs,
        )  # fmt: skip
        metric = MAIN_METRIC[asked.type]
        who = teachers[task].choice.chosen if task in teachers else "the twin"
        rows += [
            {"task": task, "metric": metric, "system": system, "who": who,
             **{name: round(value, 6) for name, value in scores[system][metric].items()}}
            for system in (*systems, *pairs)
        ]  # fmt: skip
    return pd.DataFrame(rows)
