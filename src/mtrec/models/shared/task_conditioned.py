"""A mixture of experts whose gate knows a task by its description alone."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mtrec.models.shared.base import GatedLayer, gated, pick, project, require_experts
from mtrec.models.shared.gates import fuse
from mtrec.settings import Shared


@keras.saving.register_keras_serializable("mtrec")
class TaskConditioned(GatedLayer):
    r"""MMoE whose gates are one function of the input and of the task's text vector.

    .. math:: f_t(x) = \sum_e g(x_t, v_t)_e\, \mathrm{relu}(x_t A_e + b_e), \quad
              g(x, v) = \mathrm{softmax}\big(((x P) \odot (v Q))\, C + v U\big)

    No trained weight belongs to a task, and no shape but that of the table of task vectors
    depends on their number: a task is added to a trained layer by its text. Until vectors are
    assigned, the table holds one-hot rows, which tell tasks apart without saying what they mean.

    Args:
        groups: visibility group of each task, one index per task.
        experts: number of experts.
        units: width of an expert.
        text_width: width of the task vectors, at least 1.
        rank: rank of the gates' bilinear form.
        kwargs: further arguments of :class:`GatedLayer`.

    Raises:
        ValueError: there is no expert, or no task vector.

    Source: ours; the experts are those of Ma et al. 2018,
    https://doi.org/10.1145/3219819.3220007 (eq. 6).
    """

    def __init__(
        self,
        groups: list[int],
        experts: int,
        units: int,
        text_width: int,
        rank: int = 8,
        **kwargs: Any,
    ):
        super().__init__(groups, experts, units, text_width, **kwargs)
        self.rank = rank
        require_experts("task_conditioned", experts=experts)
        if not text_width:
            raise ValueError(
                "shared layer task_conditioned: the width of the task vectors is 0, but its gates "
                "know a task by its vector alone. Give each task a vector, or choose layer mmoe."
            )

    def build(self, input_shape) -> None:
        """Create experts and the gate for inputs ``(batch, groups, width)``."""
        width = input_shape[-1]
        self.kernel, self.bias = self.add_experts((self.experts,), width, "experts")
        self.input_factor = self.add_weight(name="input_factor", shape=(width, self.rank))
        self.text_factor = self.add_weight(name="text_factor", shape=(self.text_width, self.rank))
        self.rank_gate = self.add_weight(name="rank_gate", shape=(self.rank, self.experts))
        self.text_gate = self.add_weight(name="text_gate", shape=(self.text_width, self.experts))
        self.add_text("identity")

    def gate(self, inputs, training=None):
        """Weights of the experts per task, ``(batch, tasks, experts)``, summing to 1."""
        factors = pick(ops.matmul(inputs, self.input_factor), self.groups)
        # A matrix per task, so that how a task's product is rounded cannot depend on the others.
        kernel = ops.einsum("tv,vr->tr", self.text, self.text_factor)[..., None] * self.rank_gate
        logits = ops.einsum("btr,tre->bte", factors, kernel)
        return self.mix(logits + ops.matmul(self.text, self.text_gate), training)

    def call(self, inputs, training=None):
        """``(batch, groups, width)`` -> ``(batch, tasks, units)``."""
        hidden = ops.relu(project(inputs, self.kernel) + self.bias)
        return fuse(self.gate(inputs, training), pick(hidden, self.groups))

    def get_config(self) -> dict[str, Any]:
        """Groups and sizes."""
        return {**super().get_config(), "rank": self.rank}


def make(groups: list[int], sizes: Shared, text_width: int) -> TaskConditioned:
    """The layer of these sizes."""
    # without text vectors, the layer keeps its one-hot table: one column per task
    return TaskConditioned(**gated(groups, sizes, text_width or len(groups)))
