"""Cross-stitch: a network per task, and learned exchange between them after every level."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from mtrec.models.shared.base import SharedLayer, project, project_slots
from mtrec.settings import Shared

OWN, OTHERS = 0.9, 0.1  # what a task first takes of its own network, and of all others


@keras.saving.register_keras_serializable("mtrec")
class CrossStitch(SharedLayer):
    r"""Networks per task whose activations are mixed linearly after each level.

    .. math:: x_t^{l} = \sum_s \alpha_{ts}^{l}\, \mathrm{relu}(x_s^{l-1} A_s^{l} + b_s^{l})

    :math:`\alpha` starts with 0.9 for a task's own network, and the rest shared equally by the
    others. Every network runs on every group's input, so that a task meets the others' networks
    on what it may see.

    Args:
        groups: visibility group of each task, one index per task.
        units: width of each network.
        levels: layers of each network.

    Source: Misra et al. 2016, "Cross-Stitch Networks for Multi-task Learning",
    https://doi.org/10.1109/CVPR.2016.433 (eq. 1, one scalar per pair of tasks).
    """

    def __init__(self, groups: list[int], units: int, levels: int = 2, **kwargs: Any):
        super().__init__(groups, units, **kwargs)
        self.levels = levels

    def build(self, input_shape) -> None:
        """Create networks and stitches for inputs ``(batch, groups, width)``."""
        width, tasks = input_shape[-1], len(self.groups)
        start = keras.initializers.Constant(stitches(tasks))
        self.kernels, self.biases, self.stitches = [], [], []
        for level in range(self.levels):
            kernel, bias = self.add_experts((tasks,), width, f"networks_{level}")
            self.kernels.append(kernel)
            self.biases.append(bias)
            self.stitches.append(
                self.add_weight(name=f"stitch_{level}", shape=(tasks, tasks), initializer=start)
            )
            width = self.units

    @property
    def private(self) -> list[keras.Variable]:
        """The last stitch; whatever lies below it reaches every task."""
        return [self.stitches[-1]]

    def call(self, inputs):
        """``(batch, groups, width)`` -> ``(batch, tasks, units)``."""
        states = None
        for kernel, bias, stitch in zip(self.kernels, self.biases, self.stitches, strict=True):
            if states is None:  # all networks read the same input
                hidden = project(inputs, kernel)
            else:
                hidden = project_slots(states, kernel[:, None])[:, :, :, 0]
            hidden = ops.relu(hidden + bias)
            states = ops.einsum("ts,bgsu->bgtu", stitch, hidden)
        return self.own(states)

    def get_config(self) -> dict[str, Any]:
        """Groups and sizes."""
        return {**super().get_config(), "levels": self.levels}


def stitches(tasks: int) -> np.ndarray:
    """First stitches ``(tasks, tasks)``, rows summing to 1.

    >>> stitches(3).tolist()
    [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]]
    """
    if tasks == 1:
        return np.ones((1, 1))
    return np.where(np.eye(tasks, dtype=bool), OWN, OTHERS / (tasks - 1))


def make(groups: list[int], sizes: Shared, text_width: int) -> CrossStitch:
    """The layer of these sizes."""
    return CrossStitch(groups, sizes.units, sizes.levels, name="shared")
