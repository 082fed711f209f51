"""Which splits notebook 08 needs, and what is known of them; nothing here needs TensorFlow."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from mtrec.config import Experiment, read_params
from mtrec.features import links
from mtrec.registry import PEERS, TASK_TYPES, Form
from mtrec.settings import Task
from mtrec.studies import ledger
from mtrec.studies.plan import ELSEWHERE, Plan, Trainings, learnt_from

VERSION = 1
SIDES = {"cold_items": "item", "cold_users": "user"}  # of whom is held out, by split
DROPOUT = 0.5  # of every model here


def trainings(
    run: Experiment, asked: Sequence[tuple[str, ...]] | None = None
) -> Iterator[Trainings]:
    """Every split of a domain, with its keys.

    Args:
        run: the settings.
        asked: sets of peers; the first whose results are there counts, or else the first. If
            None, all peers come first, then all but one, and so on.
    """
    if asked is None:
        sizes = range(len(PEERS.cold), -1, -1)
        asked = [some for size in sizes for some in combinations(PEERS.cold, size)]
    run, done = adapted(run), set(ledger.read(PLAN.file(run))["key"])
    for split in planned(run):
        seeds = [run.seed + n for n in range(run.cold_start.seeds)]
        yield Trainings(split, split, {n: _name(run, split, n, asked, done) for n in seeds}, split)


PLAN = Plan("cold_start", "_cold", ("split", "seed", "task", "system"), trainings)


def adapted(run: Experiment) -> Experiment:
    """The experiment as it is trained here: as the domain's own, without teachers.

    Rows are fewer, so more is dropped. A task that sees both sides starts from the means of the
    known one, if it has an offset; a task that sees one side starts from a constant. Nobody held
    out has a link, so no head reads links. Texts are their pooled vectors: a domain with a reader
    leaves it out here, and with it the training that was chosen for it.
    """
    tasks = {
        name: task.model_copy(
            update=({} if task.view == "joint" else {"offset": None})
            | ({"head": None} if task.head == links.HEAD else {})
        )
        for name, task in run.domain.tasks.items()
    }
    reads = run.model_building.reader is not None
    return replace(
        run,
        domain=run.domain.model_copy(update={"tasks": tasks}),
        model_building=run.model_building.model_copy(update={"dropout": DROPOUT, "reader": None}),
        training=read_params(run.paths.root / "params.yaml").training if reads else run.training,
    )


def planned(run: Experiment) -> list[str]:
    """Splits of a domain; one that no task sees is left out."""
    return [split for split, side in SIDES.items() if cold_tasks(run.domain.tasks, side)]


def cold_tasks(tasks: Mapping[str, Task], side: str) -> dict[str, Task]:
    """Tasks that see the cold side, or in which its entities are the candidates."""
    kept = {
        name: task
        for name, task in tasks.items()
        if task.view in (side, "joint") or ranks_side(task, side)
    }
    return {name: task for name, task in kept.items() if task.when is None or task.when in kept}


def ranks_side(task: Task, side: str) -> bool:
    """Whether the entities of a side are the candidates of a task."""
    return TASK_TYPES.forms[task.type] is Form.RANK and task.candidates == f"{side}s"


def fingerprint(
    run: Experiment, split: str, seed: int, peers: tuple[str, ...] | None = None
) -> str:
    """What identifies the results of a split and seed: a change of any setting makes them new."""
    training = ELSEWHERE["training"] | {"distillation": True, "recalibrate": True}
    settings = learnt_from(run, ELSEWHERE | {"training": training})
    short = run.cold_start.model_dump(exclude={"seeds"})
    return ledger.key(
        "cold_start",
        VERSION,
        split,
        seed,
        *settings,
        short,
        run.evaluation.resamples,
        PEERS.cold if peers is None else peers,
    )


def _name(
    run: Experiment, split: str, seed: int, asked: Sequence[tuple[str, ...]], done: Collection[str]
) -> str:
    names = [fingerprint(run, split, seed, peers) for peers in asked]
    return next((name for name in names if name in done), names[0])
