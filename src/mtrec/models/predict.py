"""What a model says of many rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
import numpy as np
from keras import ops

from mtrec.backend import compile_function

Forward = Callable[[dict[str, keras.KerasTensor]], dict[str, keras.KerasTensor]]


def compile_forward(model: keras.Model) -> Forward:
    """Compiled function from the model's inputs to logits by task."""
    return compile_function(lambda part: model(part, training=False), model)


def predict(
    model: keras.Model,
    inputs: Mapping[str, np.ndarray],
    batch: int = 4096,
    forward: Forward | None = None,
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
        forward({k: ops.convert_to_tensor(values[i : i + batch]) for k, values in inputs.items()})
        for i in range(0, rows, batch)
    ]
    return {
        name: np.concatenate([ops.convert_to_numpy(part[name]) for part in parts])
        for name in parts[0]
    }
