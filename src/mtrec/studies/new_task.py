r"""A task is added to a trained model by its text: what is it worth, with how many labels?

A joint model is trained without the task. It then gets the task by its text
(:func:`mtrec.models.extend.add_task`), as it is and after its tower and head were tuned on a few
labels. It is judged beside what needs no text (the donor's own answers, a constant), a single-task
model of the same few labels, and a joint model that had the task, with all labels, from the start.

Settings, rows and the first seed are the pipeline's, but for the shared layer, and nobody is
taught. Learning rate and epoch of every training on few labels are chosen on all validation rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from mtrec.config import Experiment, experiment
from mtrec.evaluation.held_out import BASELINE, HeldOut
from mtrec.features.assemble import Assembly
from mtrec.metrics.families import MAIN_METRIC
from mtrec.metrics.intervals import evaluate
from mtrec.models.extend import add_task, tuning
from mtrec.models.twins import build_some
from mtrec.studies import runner, workbench
from mtrec.studies.new_task_plan import FEW, LABELS, LAYER, PLAN, RATES, donors
from mtrec.studies.workbench import Workbench, trainer_of, validation_loss
from mtrec.text import embeddings

Array = np.ndarray
System = tuple[str, int]  # its name and the number of the new task's labels that it has seen
ZERO_SHOT, DONOR, RESCALED = "zero_shot", "donor", "rescaled"
TUNED, ALONE, START = "tuned", "alone", "start"


def differences(labels: Sequence[int], every: int) -> dict[System, tuple[System, System]]:
    """Paired differences to report: name and labels -> (system, other).

    Args:
        labels: numbers of labels.
        every: number of all labels.

    Example:
        >>> differences([10], 99)["alone_difference", 10]
        (('tuned', 10), ('alone', 10))
    """
    fixed: dict[System, tuple[System, System]] = {
        ("baseline_difference", 0): ((ZERO_SHOT, 0), (BASELINE, every)),
        ("donor_difference", 0): ((ZERO_SHOT, 0), (DONOR, 0)),
        ("start_difference", 0): ((ZERO_SHOT, 0), (START, every)),
    }
    for few in labels:
        fixed |= {
            ("rescaled_difference", few): ((TUNED, few), (RESCALED, few)),
            ("alone_difference", few): ((TUNED, few), (ALONE, few)),
            ("start_difference", few): ((TUNED, few), (START, every)),
        }
    return fixed


@dataclass(frozen=True)
class Case:
    """One task that is new to a model of the others.

    Attributes:
        task: its name.
        donor: the task whose answers stand for it where no text is read.
        bench: all tasks.
        others: all but the new one, with text vectors that know nothing of it.
        vector: of the new task's text, beside those of the others.
    """

    task: str
    donor: str
    bench: Workbench
    others: Workbench
    vector: Array

    def held(self, assembly: Assembly) -> HeldOut:
        """The test rows, for a model that answers the new task in the units of its own type."""
        tasks = self.bench.domain.tasks
        own = {**tasks, self.task: tasks[self.task].model_copy(update={"peers": ()})}
        return HeldOut(assembly, self.bench.data, self.bench.tables, own)

    def labelled(self) -> Array:
        """Numbers of the training rows that have a label of the new task."""
        rows = self.bench.training_rows
        return rows[self.bench.data.masks[self.task][rows]]

    def extended(
        self, joint: keras.Model, seed: int, labels: pd.Series | None = None
    ) -> tuple[keras.Model, Assembly]:
        """The joint model of the others with the new task, which it knows by its text."""
        return add_task(
            joint, self.others.assembly, self.task, self.bench.domain.tasks[self.task],
            self.vector, self.bench.sizes, seed, labels,
        )  # fmt: skip


def case(run: Experiment, task: str, bench: Workbench) -> Case:
    """Take a task out of a domain, and embed its text and those of the others anew.

    Args:
        run: settings.
        task: the new one.
        bench: all rows, all tasks.
    """
    tasks = {name: one for name, one in bench.domain.tasks.items() if name != task}
    given = (run.task_embedding, run.paths.raw, run.paths.cache)
    texts = embeddings.embed_tasks(tasks, *given)
    vector = embeddings.embed_task(bench.domain.tasks[task].text or task, texts, *given)
    others = narrowed(replace(bench, vectors={**bench.vectors, **texts}), list(tasks))
    return Case(task, donors(bench.domain)[task], bench, others, vector)


def narrowed(bench: Workbench, names: Sequence[str]) -> Workbench:
    """The bench of some tasks; the text vectors are taken to be theirs."""
    return workbench.with_tasks(bench, {name: bench.domain.tasks[name] for name in names})


def with_few(one: Case, rows: Array) -> Workbench:
    """The bench of the new task alone when only the given training rows have their label."""
    bench, task = one.bench, one.bench.domain.tasks[one.task]
    unknown = np.setdiff1d(bench.training_rows, rows)
    examples = bench.tables.examples.copy()
    at = examples.columns.get_loc(task.label)
    examples.iloc[unknown, at] = np.nan
    tables = replace(bench.tables, examples=examples)
    vectors = {**bench.vectors, "tasks": one.vector[None]}
    settings = bench.settings.model_copy(update=FEW)
    thin = replace(bench, tables=tables, vectors=vectors, training_rows=rows, settings=settings)
    return narrowed(thin, [one.task])


def draw(labelled: Array, seed: int) -> dict[int, Array]:
    """Rows whose label is known, by number of labels; fewer are among more of the same seed."""
    order = np.random.default_rng(seed).permutation(labelled)
    return {count: np.sort(order[:count]) for count in LABELS if count < len(labelled)}


def answers(one: Case, seed: int) -> dict[System, Array]:
    """Train all models of a seed; what each says of the new task's test rows."""
    bench, task, every = one.bench, one.task, len(one.labelled())
    start, joint = (_train(some, seed) for some in (bench, one.others))
    model, assembly = one.extended(joint, seed)
    repeated = keras.Model(joint.input, {task: joint.output[one.donor]})
    donated = replace(assembly, types={**assembly.types, task: assembly.types[one.donor]})
    found = {
        (BASELINE, every): one.held(bench.assembly).others(task, seed)[BASELINE],
        (START, every): _said(one, start, bench.assembly),
        (DONOR, 0): _said(one, repeated, donated),
        (ZERO_SHOT, 0): _said(one, model, assembly),
    }
    for count, rows in draw(one.labelled(), seed).items():
        few = with_few(one, rows)
        labels = few.tables.examples[bench.domain.tasks[task].label].iloc[rows]
        model, assembly = one.extended(joint, seed, labels)
        found[RESCALED, count] = _said(one, model, assembly)
        with tuning(model, task) as part:
            _fit_few(replace(few, assembly=assembly), part, task, seed)
        found[TUNED, count] = _said(one, model, assembly)
        alone = build_some(few.assembly, [task], few.vectors["tasks"], few.sizes, seed)
        _fit_few(few, alone, task, seed)
        found[ALONE, count] = _said(one, alone, few.assembly)
    return found


def _said(one: Case, model: keras.Model, assembly: Assembly) -> Array:
    return one.held(assembly).answers(model, (one.task,))[one.task]


def _train(bench: Workbench, seed: int) -> keras.Model:
    """The joint model of all tasks of a bench, trained."""
    names = tuple(bench.assembly.types)
    model = build_some(bench.assembly, names, bench.vectors["tasks"], bench.sizes, seed)
    trainer_of(bench, model, names).run(seed)
    return model


def _fit_few(bench: Workbench, model: keras.Model, task: str, seed: int) -> None:
    """Train a model of one task, in place, with the learning rate that validation rows prefer."""
    start, losses, best = _values(model), [], []
    for rate in RATES:
        _assign(model, start)
        settings = bench.settings.model_copy(update={"learning_rate": rate})
        outcome = trainer_of(replace(bench, settings=settings), model, (task,)).run(seed)
        losses.append(validation_loss(outcome)[task])
        best.append(_values(model))
    _assign(model, best[int(np.argmin(losses))])


def _values(model: keras.Model) -> list[Array]:
    return [np.array(variable) for variable in model.variables]


def _assign(model: keras.Model, values: Sequence[Array]) -> None:
    for variable, value in zip(model.variables, values, strict=True):
        variable.assign(value)


def figures(one: Case, found: Mapping[System, Array], seed: int, run: Experiment) -> pd.DataFrame:
    """The main metric of every system and difference, with its interval over users."""
    named = {_joined(system): said for system, said in found.items()}
    asked = one.held(one.bench.assembly).predictions(one.task, named)
    pairs = differences([n for name, n in found if name == TUNED], len(one.labelled()))
    scores = evaluate(
        asked.type, asked.labels, named, asked.clusters, run.evaluation.resamples, run.seed,
        {_joined(name): (_joined(a), _joined(b)) for name, (a, b) in pairs.items()},
    )  # fmt: skip
    metric = MAIN_METRIC[asked.type]
    return pd.DataFrame(
        [
            {"seed": seed, "task": one.task, "metric": metric, "system": name, "labels": count,
             **{k: round(v, 6) for k, v in scores[_joined((name, count))][metric].items()}}
            for name, count in (*found, *pairs)
        ]
    )  # fmt: skip


def _joined(system: System) -> str:
    return f"{system[0]} {system[1]}"


def study(run: Experiment, minutes: float | None = None) -> bool:
    """Add every task that can be added, with every seed; see :func:`mtrec.studies.runner.main`.

    Raises:
        ValueError: no task of the domain could have been added later.
    """
    if not donors(run.domain):
        raise ValueError(
            f"domain '{run.name}': no two tasks have the same type, view, head and loss, so that "
            "none can be added to a model of another by its text. Study another domain."
        )
    return runner.resume(PLAN, run, partial(_trainings, run), minutes)


def _trainings(
    run: Experiment, task: str, seeds: Sequence[int]
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Train all models of a seed; rows of the results."""
    one = _case(run.name, run.paths.root, task)
    for seed in seeds:
        yield seed, figures(one, answers(one, seed), seed, run)


@lru_cache(maxsize=1)  # one task's are enough
def _case(domain: str, root: Path, task: str) -> Case:
    """All rows of a domain, with the layer that knows tasks by their texts, and no teachers."""
    run = experiment(domain, root)
    bench = workbench.with_layer(workbench.whole(run), LAYER, run.training.balancing)
    untaught = bench.settings.model_copy(update={"distillation": 0.0})
    return case(run, task, replace(bench, settings=untaught))
