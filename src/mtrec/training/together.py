"""Several trainings at the same time, in threads of one process.

TensorFlow computes outside Python's global lock, so threads keep all cores busy, share the data,
and need no second start of TensorFlow. Each training has its own model, optimiser and streams of
random numbers: what comes out does not depend on what runs beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mtrec import cores, progress

T = TypeVar("T")
Train = Callable[[str, Callable[[int], None]], T]
one_at_a_time = threading.Lock()  # around what Keras does with state of the whole process


def run(
    train: Train[T], names: Sequence[str], bar: progress.Task, workers: int | None = None
) -> dict[str, T]:
    """Call ``train(name, watch)`` for every name, several at a time.

    An error of one, or an interrupt, stops the others after their epoch: ``watch``, which a
    training calls with the number of each epoch, then raises.

    Args:
        train: trains one model.
        names: the models, in the order in which they begin.
        bar: advances with each model.
        workers: how many at a time; :func:`mtrec.cores.at_a_time` if None.

    Returns:
        What ``train`` returned, by name, in the order of ``names``.
    """
    stop = threading.Event()

    def one(name: str) -> T:
        def watch(epoch: int) -> None:
            bar.advance(0, note=f"{name}, epoch {epoch}")
            if stop.is_set():
                raise InterruptedError(f"{name}: stopped after epoch {epoch}")

        found = train(name, watch)
        bar.advance(note=name)
        return found

    with ThreadPoolExecutor(workers or cores.at_a_time()) as pool:
        futures = {name: pool.submit(one, name) for name in names}
        try:
            return {name: future.result() for name, future in futures.items()}
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
