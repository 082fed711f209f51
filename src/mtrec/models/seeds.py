"""Seeds: of the process, and of what a model draws while it is trained."""

from __future__ import annotations

import random

import keras


def draw() -> int:
    """A seed from Python's stream, which :func:`mtrec.models.scope.apart` begins anew.

    Keras draws one in the same way for a layer that is given none, but does not write it to the
    model's file: a loaded model would drop other units, and which, would depend on what else the
    process had drawn.
    """
    return random.randint(1, 10**9)


def make_deterministic(seed: int, enabled: bool = True) -> None:
    """Seed Python, NumPy and Keras, and ask TensorFlow for deterministic operations."""
    keras.utils.set_random_seed(seed)
    if enabled and keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
