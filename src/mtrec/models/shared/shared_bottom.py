"""Shared bottom: one network for all tasks."""

from __future__ import annotations

from typing import Any

import keras

from mtrec.models.shared.base import SharedLayer, pick
from mtrec.settings import Shared


@keras.saving.register_keras_serializable("mtrec")
class SharedBottom(SharedLayer):
    r"""One hidden layer for all tasks: :math:`f_t(x) = \mathrm{relu}(x_t A + b)`.

    Args:
        groups: visibility group of each task, one index per task.
        units: width of the layer.

    Source: Caruana 1997, "Multitask Learning", https://doi.org/10.1023/A:1007379606734.
    """

    def __init__(self, groups: list[int], units: int, **kwargs: Any):
        super().__init__(groups, units, **kwargs)
        self.bottom = keras.layers.Dense(
            units, activation="relu", name="bottom", dtype=self.dtype_policy
        )

    def build(self, input_shape) -> None:
        """Create the layer for inputs ``(batch, groups, width)``."""
        self.bottom.build(input_shape)
        self.built = True

    def call(self, inputs):
        """``(batch, groups, width)`` -> ``(batch, tasks, units)``."""
        return pick(self.bottom(inputs), self.groups)


def make(groups: list[int], sizes: Shared, text_width: int) -> SharedBottom:
    """The layer of these sizes."""
    return SharedBottom(groups, sizes.units, name="shared")
