"""A world of its own for what is built, to which nothing matters that was made before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import keras
from keras.src.backend.common import global_state

NAMES = "object_name_uids"  # Keras' count of each name that it gave; it has no public reader


@contextmanager
def apart(seed: int, precision: str) -> Iterator[None]:
    """Names count from nothing, weights are drawn from ``seed``, layers have ``precision``.

    Keras takes all three from the process: it numbers the operations that have no name, and draws
    the seed of each initial weight from Python's stream. Both go into a model's file, whose bytes
    are to depend on the model alone. Afterwards the process has the names, the stream and the
    dtype policy that it had before.

    Python's stream is one for all threads: build in one thread at a time.
    """
    stream, names = random.getstate(), global_state.get_global_attribute(NAMES)
    policy = keras.config.dtype_policy()
    random.seed(seed)
    global_state.set_global_attribute(NAMES, None)
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        global_state.set_global_attribute(NAMES, names)
        random.setstate(stream)
