"""Ours: the MMoE of the speed benchmark under mtrec's trainer, or its step in an epoch's graph."""

from __future__ import annotations

import os
import time

import exchange
import numpy as np


def main() -> None:
    """Answer."""
    arrays, options = exchange.given()
    # Read when TensorFlow loads: experts and tables are independent, so an operation per core.
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
    os.environ["TF_NUM_INTEROP_THREADS"] = str(options["threads"])
    from mtrec.bench.models.stacked import trainer

    run = trainer(arrays["fields"], arrays["labels"], options)
    train = {"trainer": by_trainer, "epoch graph": by_epoch_graph}[options["how"]]
    seconds, losses = train(run, options)
    exchange.answer(
        "mtrec", time.monotonic() - seconds,
        rows_per_second=np.float64(len(arrays["fields"]) / seconds), losses=losses,
        parameters=np.int64(run.model.count_params()),
    )  # fmt: skip


def by_trainer(run, options: dict) -> tuple[float, np.ndarray]:
    """Seconds and mean losses of one epoch of ``Trainer.run``, which times its own steps."""
    for _ in range(options["warm_up"] // options["batch"]):
        run.step(np.arange(run.batch, dtype="int32"))
    outcome = run.run(options["seed"])
    return run.steps * run.batch / outcome.rows_per_second, outcome.curve["loss"].to_numpy()


def by_epoch_graph(run, options: dict) -> tuple[float, np.ndarray]:
    """Seconds and mean losses of one epoch in one graph."""
    from mtrec.bench.models.stacked import epoch_graph

    epoch = epoch_graph(run)
    draw = np.random.default_rng(options["seed"])
    few = np.resize(np.arange(run.rows), (options["warm_up"] // options["batch"], run.batch))
    epoch(few.astype("int32"))
    started = time.monotonic()
    order = np.resize(draw.permutation(run.rows), (run.steps, run.batch)).astype("int32")
    losses = np.asarray(epoch(order))
    return time.monotonic() - started, losses


if __name__ == "__main__":
    main()
