"""What a model says of many rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def compile_forward(model: keras.Model) -> Any:
    """Compiled function from the model's inputs to logits by task."""
    return tf.function(
        lambda part: model(part, training=False), reduce_retracing=True, autograph=False
    )


def predict(
    model: keras.Model, inputs: Mapping[str, np.ndarray], batch: int = 4096, forward: Any = None
) -> dict[str, np.ndarray]:
    """Logits by task for all rows, ``(n, outputs)`` each.

    Args:
        model: of a domain.
        inputs: the model's inputs by name, ``n`` rows each.
        batch: rows at a time.
        forward: the model compiled by :func:`compile_forward`; compiled anew if None.
    """
    forward = forward or compile_forward(model)
    rows = len(inputs["user"])
    parts = [
        forward({name: tf.constant(values[i : i + batch]) for name, values in inputs.items()})
        for i in range(0, rows, batch)
    ]
    return {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}
