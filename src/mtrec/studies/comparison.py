"""Train every setting of the comparison; what is done already is not done again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd

from mtrec.config import Experiment
from mtrec.studies import cost, runner, workbench
from mtrec.studies.comparison_plan import PLAN, Setting
from mtrec.studies.plan import plain
from mtrec.studies.score import score
from mtrec.studies.workbench import Workbench


def study(run: Experiment, minutes: float | None = None) -> bool:
    """Train every setting, then time steps; see :func:`mtrec.studies.runner.main`."""
    run = plain(run)
    bench = workbench.prepare(run, run.study)
    done = runner.resume(PLAN, run, partial(train_setting, bench), minutes)
    if done:
        cost.measure(run, bench)
    return done


def train_setting(
    bench: Workbench, setting: Setting, seeds: Sequence[int]
) -> Iterator[tuple[int, pd.DataFrame]]:
    """One training per seed: a row per task with validation loss and main test metric."""
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
