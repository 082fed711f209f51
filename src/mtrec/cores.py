"""What there is to compute on: cores to share, and an accelerator."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import TypeVar

P = TypeVar("P")
R = TypeVar("R")


def available() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def granted() -> int:
    """Cores that this process should keep busy: ``MTREC_WORKERS`` or all that it may use.

    ``make repro`` sets the variable where several domains share the machine.
    """
    given = os.environ.get("MTREC_WORKERS", "")
    return max(1, int(given)) if given.isdigit() else available()


def device() -> str:
    """The accelerator that Keras computes on, or ``CPU``."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        found = jax.devices()[0]
        return "CPU" if found.platform == "cpu" else found.device_kind
    import tensorflow

    gpus = tensorflow.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    return tensorflow.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")


def at_a_time() -> int:
    """Trainings at a time: one on a GPU or a single core, else one more than there are cores.

    One more, because trainings differ in length and the last one should not leave a core idle."""
    return granted() + 1 if granted() > 1 and device() == "CPU" else 1


def side_by_side(make: Callable[[P], R], pieces: Sequence[P]) -> Iterator[R]:
    """What is made of each piece, in order: a piece per core at a time, in threads.

    After an error of one, or an interrupt, pieces under way end by themselves and no other begins.

    Args:
        make: computes outside Python's lock, and depends on nothing but its piece.
        pieces: any number.
    """
    pool = ThreadPoolExecutor(granted() if device() == "CPU" else 1)
    errors: list[BaseException] = []

    def one(piece: P) -> R:
        if errors:
            raise CancelledError
        try:
            return make(piece)
        except BaseException as error:
            errors.append(error)
            raise

    try:
        for future in [pool.submit(one, piece) for piece in pieces]:
            yield future.result()
    except CancelledError:  # a piece before the one that failed had not begun
        raise errors[0] from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def one_thread_per_operation() -> None:
    """Let TensorFlow compute an operation in one thread, and give the same on every machine.

    Sums follow the number of threads in their last bits, and a training carries that to the third
    digit. Cores are kept busy by several trainings or texts at a time instead.

    Raises:
        RuntimeError: TensorFlow has computed something already, in more than one thread.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(1)


def keep_to_one_core() -> None:
    """Let TensorFlow and linear algebra take one core: a request is too small for threads to pay.

    Raises:
        RuntimeError: as :func:`one_thread_per_operation`.
    """
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    one_thread_per_operation()
