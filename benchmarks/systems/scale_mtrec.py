"""Ours: seconds to prepare synthetic data and to train on them, of a given size."""

from __future__ import annotations

import os
import time

import exchange
import numpy as np


def main() -> None:
    """Answer."""
    _, options = exchange.given()
    for kind in ("INTRAOP", "INTEROP"):  # read when TensorFlow loads
        os.environ[f"TF_NUM_{kind}_THREADS"] = str(options["threads"])
    from benchmarks.models import synthetic
    from mtrec.settings import Training
    from mtrec.training.loop import make_deterministic

    make_deterministic(options["seed"], enabled=False)
    made = synthetic.tables(
        options["events"], options["users"], options["items"], options["tasks"], options["seed"]
    )
    started = time.monotonic()
    assembly, data = synthetic.prepare(made, synthetic.domain(options["tasks"], options["ranking"]))
    prepared = time.monotonic() - started
    settings = Training(
        batch_size=options["batch"], epochs=1, patience=1, optimizer=options["optimizer"]
    )
    trainer = synthetic.trainer(assembly, data, made, settings, options["seed"])
    draw = np.random.default_rng(options["seed"])
    shape = (options["steps"] or trainer.steps, trainer.batch)
    rows = draw.integers(0, trainer.rows, shape).astype("int32")
    trainer.step(rows[0])
    seconds = []
    for part in rows:
        at = time.perf_counter()
        trainer.step(part)
        seconds.append(time.perf_counter() - at)
    exchange.answer(
        "mtrec", started, prepare=np.float64(prepared), steps=np.array(seconds),
        batch=np.int64(trainer.batch), per_epoch=np.int64(trainer.steps),
    )  # fmt: skip


if __name__ == "__main__":
    main()
