"""Multi-gate mixture of experts."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mtrec.models.shared.base import GatedLayer, gated, project, require_experts
from mtrec.models.shared.gates import fuse
from mtrec.settings import Shared


@keras.saving.register_keras_serializable("mtrec")
class MMoE(GatedLayer):
    r"""Multi-gate mixture of experts: every task mixes shared experts with its own gate.

    .. math:: f_t(x) = \sum_e g_t(x)_e\, h_e(x), \quad
              g_t(x) = \mathrm{softmax}(x_t W_t + v_t U), \quad
              h_e(x) = \mathrm{relu}(x_t A_e + b_e)

    :math:`x_t` is the input of the task's visibility group and :math:`v_t` the language model's
    vector of the task's description, so that tasks of similar meaning start with similar gates.

    Args:
        groups: visibility group of each task, one index per task.
        experts: number of experts.
        units: width of an expert.
        kwargs: further arguments of :class:`GatedLayer`.

    Raises:
        ValueError: there is no expert.

    Source: Ma et al. 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts", https://doi.org/10.1145/3219819.3220007 (eq. 6-7); the term
    :math:`v_t U` is ours.
    """

    def __init__(self, groups: list[int], experts: int, units: int, **kwargs: Any):
        super().__init__(groups, experts, units, **kwargs)
        require_experts("mmoe", experts=experts)

    def build(self, input_shape) -> None:
        """Create experts and gates for inputs ``(batch, groups, width)``."""
        width = input_shape[-1]
        self.kernel, self.bias = self.add_experts((self.experts,), width, "experts")
        self.gates = self.add_gates(len(self.groups), width, self.experts, "gates")
        if self.text_width:
            self.add_text()
            self.text_gate = self.add_weight(
                name="text_gate", shape=(self.text_width, self.experts)
            )

    @property
    def private(self) -> list[keras.Variable]:
        """The gates."""
        return [self.gates]

    def gate(self, inputs, training=None):
        """Weights of the experts per task, ``(batch, tasks, experts)``, summing to 1."""
        states, kernels = ops.unstack(inputs, axis=1), ops.convert_to_tensor(self.gates)
        pairs = zip(self.groups, ops.unstack(kernels, axis=0), strict=True)
        logits = ops.stack([ops.matmul(states[group], kernel) for group, kernel in pairs], axis=1)
        if self.text_width:
            logits = logits + ops.matmul(self.text, self.text_gate)
        return self.mix(logits, training)

    def call(self, inputs, training=None):
        """``(batch, groups, width)`` -> ``(batch, tasks, units)``.

        Group by group, so that the gradient of one task passes through its own group alone.
        """
        states = ops.unstack(inputs, axis=1)
        hidden = [ops.relu(project(state, self.kernel) + self.bias) for state in states]
        gates = ops.unstack(self.gate(inputs, training), axis=1)
        pairs = zip(gates, self.groups, strict=True)
        return ops.stack([fuse(gate, hidden[group]) for gate, group in pairs], axis=1)


def make(groups: list[int], sizes: Shared, text_width: int) -> MMoE:
    """The layer of these sizes."""
    return MMoE(**gated(groups, sizes, text_width))
