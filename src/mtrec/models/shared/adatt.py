"""Adaptive task-to-task fusion."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from mtrec.models.shared.base import gated
from mtrec.models.shared.task_experts import TaskExperts
from mtrec.settings import Shared


@keras.saving.register_keras_serializable("mtrec")
class AdaTT(TaskExperts):
    r"""Adaptive task-to-task fusion: every task mixes all experts, and keeps its own besides.

    .. math:: x_t^{l} = \sum_{e} g_t^{l}(x_t^{l-1})_e\, h_e^{l} + \sum_{e \in E_t} r_e^{l} h_e^{l},
              \quad g_t^{l}(x) = \mathrm{softmax}(x W_t^{l} + v_t U^{l})

    The first sum runs over the experts of all tasks and the shared ones, the second, a residual
    that does not depend on the input, over the task's own. :math:`r` is learned, or 1 for a
    single expert. The shared slot below the last level is one more task whose own experts are
    the shared ones. One level without private experts is MMoE.

    Source: Li et al. 2023, "AdaTT: Adaptive Task-to-Task Fusion Network for Multitask Learning in
    Recommendations", https://doi.org/10.1145/3580305.3599769 (with shared experts), whose own
    initial values :math:`r \sim U(-1/\sqrt{m}, 1/\sqrt{m})` for :math:`m` experts are kept; the
    term :math:`v_t U` is ours.
    """

    @property
    def reach(self) -> int:
        """A task's gate weighs all experts."""
        return self.all_experts

    @property
    def private(self) -> list[keras.Variable]:
        """The last level's gates and residuals; whatever lies below them reaches every task."""
        if not self.private_experts:
            return [*self.gates]
        return [self.gates[-1], *self.residuals[-1:]]

    def build(self, input_shape) -> None:
        """Create experts, gates and residuals for inputs ``(batch, groups, width)``."""
        super().build(input_shape)
        self.residuals, self.shared_residuals = [], []
        for level in range(self.levels):
            if self.private_experts > 1:
                self.residuals.append(
                    self._add_residual(len(self.groups), self.private_experts, f"residual_{level}")
                )
            if self.experts > 1 and self.feeds_shared(level):
                self.shared_residuals.append(
                    self._add_residual(1, self.experts, f"shared_residual_{level}")
                )

    def _add_residual(self, slots: int, count: int, name: str) -> keras.Variable:
        limit = count**-0.5
        uniform = keras.initializers.RandomUniform(-limit, limit)
        return self.add_weight(name=name, shape=(slots, count), initializer=uniform)

    def residual(self, level: int):
        """Weights of own experts, ``(slots, all experts)``; 0 for those of others."""
        tasks, private = len(self.groups), self.private_experts
        place = self.place()[:, :private]
        own = self.residuals[level] if private > 1 else np.ones((tasks, private), "float32")
        rows = ops.einsum("tp,tpn->tn", own, place)
        if not self.feeds_shared(level):
            return rows
        shared = self.shared_residuals[level] if self.experts > 1 else np.ones((1, 1), "float32")
        shared = ops.pad(shared, [[0, 0], [tasks * private, 0]])
        return ops.concatenate([rows, shared], axis=0)

    def mix_level(self, level, states, training):
        """Gates of a level: ``(..., slots, width)`` -> ``(..., slots, all experts)``."""
        logits = self.task_logits(level, states)
        if self.feeds_shared(level):
            logits = ops.concatenate([logits, self.shared_logits(level, states)], axis=-2)
        return self.mix(logits, training)

    def weigh(self, level, states, training):
        """Gates and residuals in one: ``(..., slots, width)`` -> ``(..., slots, all experts)``."""
        gates = self.mix_level(level, states, training)
        return gates + ops.cast(self.residual(level), gates.dtype)


def make(groups: list[int], sizes: Shared, text_width: int) -> AdaTT:
    """The layer of these sizes."""
    own: dict[str, Any] = {"private_experts": sizes.private_experts, "levels": sizes.levels}
    return AdaTT(**own, **gated(groups, sizes, text_width))
