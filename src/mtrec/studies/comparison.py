"""Train every setting of the comparison; what is done already is not done again.

TensorFlow is imported only by what trains, so that a page of results need not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from mtrec.studies import ledger
from mtrec.studies.comparison_plan import Setting, settings
from mtrec.studies.resume import resume
from mtrec.tables.labels import relevant

if TYPE_CHECKING:
    from mtrec.studies.workbench import Workbench

NOT_HERE: dict[str, float] = {  # what came after the first results
    "l2": 0.0, "ema_momentum": 0.0, "distillation": 0.0, "recalibrate": False,
}  # fmt: skip


def main(domain: str, minutes: float | None = None) -> bool:
    """Train what the results' file lacks, which is whole after each training.

    Args:
        domain: name of the domain.
        minutes: stop before a setting that would begin later than this.

    Returns:
        Whether nothing is missing any more.
    """
    from mtrec.config import experiment
    from mtrec.models.seeds import make_deterministic
    from mtrec.studies import workbench

    run = plain(without_graph(experiment(domain)))
    make_deterministic(run.seed, run.training.deterministic)
    bench = workbench.prepare(run, run.study)
    settings = (
        (f"{setting.part}, {setting.name}", _names(run, setting),
         partial(train_setting, bench, setting))
        for setting in plan(run, bench.tables.examples)
    )  # fmt: skip
    return resume(run.paths.study, domain, settings, minutes)


def plan(run: Any, examples: pd.DataFrame) -> list[Setting]:
    """Every setting of the study of a domain."""
    tasks, training = run.domain.tasks, examples["split"] == "train"
    labels = {n: relevant(examples, tasks, n) for n, t in tasks.items() if t.type == "regression"}
    levels = {name: column[training].nunique() for name, column in labels.items()}
    lowest = {name: column.min() for name, column in labels.items()}
    return settings(run.study, tasks, levels, lowest, run.seed)


def train_setting(
    bench: Workbench, setting: Setting, seeds: Sequence[int]
) -> Iterator[tuple[int, pd.DataFrame]]:
    """One training per seed: a row per task with validation loss and main test metric."""
    from mtrec.studies import workbench
    from mtrec.studies.score import score

    if setting.head:
        bench = workbench.with_head(bench, setting.tasks[0], dict(setting.head))
    bench = workbench.with_layer(bench, setting.layer, setting.balancing)
    weights = dict(zip(setting.tasks, setting.weights, strict=True)) if setting.weights else None
    for seed, model, outcome in workbench.fit(bench, setting.tasks, seeds, weights):
        losses = workbench.validation_loss(outcome)
        yield seed, pd.DataFrame(
            [
                {"part": setting.part, "setting": setting.name, "layer": setting.layer,
                 "balancing": setting.balancing, "seed": seed, "task": name, "metric": metric,
                 "value": round(value, 6), "val_loss": round(losses[name], 6),
                 "epochs": int(outcome.curve["epoch"].max()), "best_epoch": outcome.best_epoch}
                for name, (metric, value) in score(bench, model, setting.tasks).items()
            ]
        )  # fmt: skip


def keys(run: Any, examples: pd.DataFrame) -> dict[str, list[str]]:
    """What identifies each training of the present settings, by part of the study."""
    run = plain(without_graph(run))
    found: dict[str, list[str]] = {}
    for setting in plan(run, examples):
        found[setting.part] = found.get(setting.part, []) + [*_names(run, setting).values()]
    return found


def results(paths: Any, names: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """What is known, see :func:`mtrec.studies.ledger.known`.

    Args:
        paths: :class:`mtrec.paths.Paths` of the domain.
        names: see :func:`keys`.

    Raises:
        FileNotFoundError: nothing is known of the domain.
    """
    command = f"make study DOMAIN={paths.domain} PART=comparison"
    return ledger.known(paths.study, names, ["part", "setting", "task", "seed"], command)


def _names(run: Any, setting: Setting) -> dict[int, str]:
    """What identifies each training of a setting, by seed."""
    return {run.seed + n: fingerprint(run, setting, n) for n in range(setting.seeds)}


def fingerprint(run: Any, setting: Setting, seed: int) -> str:
    """What identifies a training: a change of any setting that it depends on makes it new.

    Layer and balancer are the setting's own, and length of histories, epochs and batch the
    study's, so that a new default of any leaves finished trainings valid; so do more seeds.
    """
    building, training = run.model_building.model_dump(), run.training.model_dump()
    building["shared"].pop("layer")
    building["history"].pop("length")
    for name in ("balancing", "epochs", "batch_size", *NOT_HERE):
        training.pop(name)
    study, own = run.study, {key: v for key, v in vars(setting).items() if key != "seeds"}
    return ledger.key(
        run.name, seed, run.seed, study.share, study.history, study.batch_size, study.epochs,
        building, training, learnt_from(run.domain), run.task_embedding.model_dump(), own,
    )  # fmt: skip


def learnt_from(domain: Any) -> dict[str, Any]:
    """The settings of a domain that a training depends on.

    Where the raw files lie and who is compared is none of its business; an option that came after
    the first results counts once it is used.
    """
    dumped = domain.model_dump(mode="json", exclude={"raw", "module", "model_building", "training"})
    for task in dumped["tasks"].values():
        task.pop("peers")
        task.pop("offset")  # see plain
        if task["candidates"] == "items":
            task.pop("candidates")
    features = {key: value for key, value in dumped["features"].items() if value is not None}
    for side in ("user", "item", "joint"):
        if not features[side]["graph"]:
            features[side].pop("graph")
    return {**dumped, "features": features}


def plain(run: Any) -> Any:
    """The experiment as studies train it, alike in all domains and as when they began.

    Model and training have the common settings without a penalty on weights, averaged weights and
    teachers, and heads start at a constant, whatever a domain sets.
    """
    from mtrec.config import read_params

    common = read_params(run.paths.root / "params.yaml")
    tasks = {n: task.model_copy(update={"offset": None}) for n, task in run.domain.tasks.items()}
    domain = run.domain.model_copy(update={"tasks": tasks})
    training = common.training.model_copy(update=NOT_HERE)
    return replace(run, domain=domain, model_building=common.model_building, training=training)


def without_graph(run: Any) -> Any:
    """The experiment without the knowledge graph, which came after the study's first results."""
    features = run.domain.features
    item = features.item.model_copy(update={"graph": ()})
    domain = run.domain.model_copy(update={"features": features.model_copy(update={"item": item})})
    return replace(run, domain=domain)
