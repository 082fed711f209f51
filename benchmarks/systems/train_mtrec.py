"""Ours: the MMoE of the speed benchmark under mtrec's trainer."""

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
    from benchmarks.models.stacked import trainer

    run = trainer(arrays["fields"], arrays["labels"], options)
    few = np.resize(np.arange(run.rows), (options["warm_up"] // options["batch"], run.batch))
    run.take(few.astype("int32"))
    outcome = run.run(options["seed"])  # which times its own steps
    seconds = run.steps * run.batch / outcome.rows_per_second
    exchange.answer(
        "mtrec", time.monotonic() - seconds,
        rows_per_second=np.float64(len(arrays["fields"]) / seconds),
        losses=outcome.curve["loss"].to_numpy(),
        parameters=np.int64(run.model.count_params()),
    )  # fmt: skip


if __name__ == "__main__":
    main()
