"""Star topology: a shared network that every scenario rescales."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mtrec.models.shared.base import SharedLayer, pick
from mtrec.settings import Shared


@keras.saving.register_keras_serializable("mtrec")
class Star(SharedLayer):
    r"""A shared network whose weights each domain multiplies with its own, elementwise.

    .. math:: x^{l} = \mathrm{relu}\left(x^{l-1} (A^{l} \odot A_d^{l}) + b^{l} + b_d^{l}\right)

    A domain :math:`d` is a scenario in which predictions are asked for. Unless told otherwise it
    is the visibility group: what a request knows is what sets one scenario apart from another.
    Domain kernels start at 1 and domain biases at 0, so that all domains begin alike.

    Args:
        groups: visibility group of each task, one index per task.
        units: width of the network.
        levels: layers of the network.
        domains: domain of each task, one index from 0 per task; None for the groups.

    Source: Sheng et al. 2021, "One Model to Serve All: Star Topology Adaptive Recommender for
    Multi-Domain CTR Prediction", https://doi.org/10.1145/3459637.3481941 (the fully connected
    network; the model's layer normalisation stands where the paper partitions its own).
    """

    def __init__(
        self,
        groups: list[int],
        units: int,
        levels: int = 2,
        domains: list[int] | None = None,
        **kwargs: Any,
    ):
        super().__init__(groups, units, **kwargs)
        self.levels, self.domains = levels, list(groups if domains is None else domains)
        if len(self.domains) != len(self.groups):
            raise ValueError(
                f"shared layer star: domains names {len(self.domains)} domains for "
                f"{len(self.groups)} tasks. Give each task one."
            )

    def build(self, input_shape) -> None:
        """Create shared and domain weights for inputs ``(batch, groups, width)``."""
        width, domains = input_shape[-1], max(self.domains) + 1
        self.kernels, self.biases = [], []
        self.domain_kernels, self.domain_biases = [], []
        for level in range(self.levels):
            kernel, bias = self.add_experts((), width, f"shared_{level}")
            self.kernels.append(kernel)
            self.biases.append(bias)
            self.domain_kernels.append(
                self.add_weight(
                    name=f"domain_{level}",
                    shape=(domains, width, self.units),
                    initializer="ones",
                )
            )
            self.domain_biases.append(
                self.add_weight(
                    name=f"domain_{level}_bias", shape=(domains, self.units), initializer="zeros"
                )
            )
            width = self.units

    @property
    def private(self) -> list[keras.Variable]:
        """Domain weights, if every domain has a single task; else no variable is one task's."""
        if len(set(self.domains)) < len(self.domains):
            return []
        return [*self.domain_kernels, *self.domain_biases]

    def call(self, inputs):
        """``(batch, groups, width)`` -> ``(batch, tasks, units)``."""
        tasks = list(zip(self.groups, self.domains, strict=True))
        distinct = list(dict.fromkeys(tasks))  # tasks of one group and domain share their state
        groups, domains = zip(*distinct, strict=True)
        states = pick(inputs, groups)
        for level in range(self.levels):
            kernel = self.kernels[level] * ops.take(self.domain_kernels[level], domains, axis=0)
            bias = self.biases[level] + ops.take(self.domain_biases[level], domains, axis=0)
            states = ops.relu(ops.einsum("bsd,sdu->bsu", states, kernel) + bias)
        return pick(states, [distinct.index(task) for task in tasks])

    def get_config(self) -> dict[str, Any]:
        """Groups, domains and sizes."""
        return {**super().get_config(), "levels": self.levels, "domains": list(self.domains)}


def make(groups: list[int], sizes: Shared, text_width: int) -> Star:
    """The layer of these sizes."""
    return Star(groups, sizes.units, sizes.levels, name="shared")
