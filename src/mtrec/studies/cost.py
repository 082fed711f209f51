"""Seconds per step of every layer and balancer, timed side by side."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf

from mtrec.config import Experiment
from mtrec.files import write_text
from mtrec.models.twins import build_some
from mtrec.studies import workbench
from mtrec.studies.workbench import Workbench
from mtrec.training.loop import Trainer

STEPS = 30


def measure(run: Experiment, bench: Workbench) -> Path:
    """Time every layer with static weights and every balancer with the default layer.

    The settings take turns, so that whatever else the machine does falls on all of them.

    Args:
        run: the settings.
        bench: rows, features and sizes of all settings.

    Returns:
        The file written: ``layer``, ``balancing``, ``milliseconds`` (median per step),
        ``parameters``; shared bottom with static weights first.
    """
    layer, study = run.study.layer, run.study
    pairs = [(other, study.balancers[0]) for other in study.layers]
    pairs += [(layer, other) for other in (*study.balancers[1:], *study.more_balancers)]
    trainers = [_trainer(workbench.with_layer(bench, *pair)) for pair in pairs]
    rows = np.random.default_rng(run.seed).integers(
        0, trainers[0].rows, (STEPS + 1, trainers[0].batch)
    )
    seconds = np.array([[_time(t, part) for t in trainers] for part in rows.astype("int32")])[1:]
    frame = pd.DataFrame(pairs, columns=["layer", "balancing"]).assign(
        milliseconds=np.round(1000 * np.median(seconds, axis=0), 2),
        parameters=[sum(int(np.prod(v.shape)) for v in t.model.trainable_variables)
                    for t in trainers],
    )  # fmt: skip
    write_text(run.paths.cost, frame.to_csv(index=False))
    return run.paths.cost


def _trainer(bench: Workbench) -> Trainer:
    names = tuple(bench.assembly.types)
    model = build_some(bench.assembly, names, bench.vectors["tasks"], bench.sizes, seed=0)
    return workbench.trainer_of(bench, model, names)


def _time(trainer: Trainer, rows: np.ndarray) -> float:
    start = time.perf_counter()
    trainer.step(tf.constant(rows))
    return time.perf_counter() - start
