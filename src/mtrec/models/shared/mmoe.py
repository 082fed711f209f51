"""Multi-gate mixture of experts."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("mtrec")
class MMoE(keras.layers.Layer):
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
        text_width: width of the task vectors; 0 for gates without text.

    Source: Ma et al. 2018, "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts", https://doi.org/10.1145/3219819.3220007 (eq. 6-7); the term
    :math:`v_t U` is ours.
    """

    def __init__(
        self, groups: list[int], experts: int, units: int, text_width: int = 0, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.groups, self.experts, self.units = list(groups), experts, units
        self.text_width = text_width

    def build(self, input_shape) -> None:
        """Create experts and gates for inputs ``(batch, groups, width)``."""
        width, tasks = input_shape[-1], len(self.groups)
        limit = (6.0 / (width + self.units)) ** 0.5
        uniform = keras.initializers.RandomUniform(-limit, limit)
        self.kernel = self.add_weight(
            name="experts", shape=(self.experts, width, self.units), initializer=uniform
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.experts, self.units), initializer="zeros"
        )
        limit = (6.0 / (width + self.experts)) ** 0.5
        self.gates = self.add_weight(
            name="gates",
            shape=(tasks, width, self.experts),
            initializer=keras.initializers.RandomUniform(-limit, limit),
        )
        if self.text_width:
            self.text = self.add_weight(
                name="task_text",
                shape=(tasks, self.text_width),
                initializer="zeros",
                trainable=False,
            )
            self.text_gate = self.add_weight(
                name="text_gate", shape=(self.text_width, self.experts)
            )

    def gate(self, inputs):
        """Weights of the experts per task, ``(batch, tasks, experts)``, summing to 1."""
        per_task = ops.take(inputs, self.groups, axis=1)
        logits = ops.einsum("btd,tde->bte", per_task, self.gates)
        if self.text_width:
            logits = logits + ops.matmul(self.text, self.text_gate)
        return ops.softmax(logits)

    def call(self, inputs):
        """``(batch, groups, width)`` -> ``(batch, tasks, units)``."""
        hidden = ops.relu(ops.einsum("bgd,edu->bgeu", inputs, self.kernel) + self.bias)
        per_task = ops.take(hidden, self.groups, axis=1)
        return ops.einsum("bte,bteu->btu", self.gate(inputs), per_task)

    def compute_output_shape(self, input_shape):
        """``(batch, tasks, units)``."""
        return (input_shape[0], len(self.groups), self.units)

    def get_config(self) -> dict[str, Any]:
        """Groups and sizes."""
        return {
            **super().get_config(),
            "groups": self.groups,
            "experts": self.experts,
            "units": self.units,
            "text_width": self.text_width,
        }
