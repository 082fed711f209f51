"""Progressive layered extraction."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from mtrec.models.shared.base import gated
from mtrec.models.shared.task_experts import TaskExperts
from mtrec.settings import Shared


@keras.saving.register_keras_serializable("mtrec")
class PLE(TaskExperts):
    r"""Progressive layered extraction: private and shared experts, separated level by level.

    .. math:: x_t^{l} = \sum_{e \in E_t \cup E_s} g_t^{l}(x_t^{l-1})_e\, h_e^{l}, \quad
              x_s^{l} = \sum_{e \in \bigcup_t E_t \cup E_s} g_s^{l}(x_s^{l-1})_e\, h_e^{l}, \quad
              g_t^{l}(x) = \mathrm{softmax}(x W_t^{l} + v_t U^{l})

    A task's experts :math:`E_t` read its own state, the shared ones :math:`E_s` the shared state.
    A task sees its own and the shared experts; the shared gate sees all. One level is customised
    gate control (CGC); one level without private experts is MMoE.

    Source: Tang et al. 2020, "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning
    (MTL) Model for Personalized Recommendations", https://doi.org/10.1145/3383313.3412236;
    the term :math:`v_t U` is ours.
    """

    @property
    def reach(self) -> int:
        """A task's gate weighs its own experts and the shared ones."""
        return self.private_experts + self.experts

    @property
    def private(self) -> list[keras.Variable]:
        """Experts that no shared gate mixes, and the gates of which only they can tell."""
        variables = []
        for level in range(self.levels):
            if self.private_experts and not self.feeds_shared(level):
                variables += [self.private_kernels[level], self.private_biases[level]]
            if not (self.private_experts and self.feeds_shared(level + 1)):
                variables.append(self.gates[level])
        return variables

    def mix_level(self, level, states, training):
        """Gates of a level: ``(..., slots, width)`` -> ``(..., slots, all experts)``."""
        place = self.place()
        logits = self.task_logits(level, states)
        logits = spread(logits, place)
        allowed = place.max(axis=1) > 0
        if self.feeds_shared(level):
            logits = ops.concatenate([logits, self.shared_logits(level, states)], axis=-2)
            allowed = np.vstack([allowed, np.ones(self.all_experts, bool)])
        return self.mix(logits, training, allowed)


def spread(logits, place: np.ndarray):
    """Put each task's logits in the columns of its experts, as one small matrix product.

    Args:
        logits: ``(..., tasks, reach)``.
        place: ``(tasks, reach, all experts)`` of 0 and 1.

    Returns:
        ``(..., tasks, all experts)``, 0 elsewhere.
    """
    tasks, reach, experts = place.shape
    blocks = np.zeros((tasks, reach, tasks, experts), place.dtype)
    blocks[range(tasks), :, range(tasks)] = place
    flat = ops.reshape(logits, (-1, *logits.shape[1:-2], tasks * reach))
    kernel = ops.cast(blocks.reshape(tasks * reach, tasks * experts), logits.dtype)
    return ops.reshape(ops.matmul(flat, kernel), (-1, *logits.shape[1:-1], experts))


def make(groups: list[int], sizes: Shared, text_width: int) -> PLE:
    """The layer of these sizes."""
    own: dict[str, Any] = {"private_experts": sizes.private_experts, "levels": sizes.levels}
    return PLE(**own, **gated(groups, sizes, text_width))


def make_cgc(groups: list[int], sizes: Shared, text_width: int) -> PLE:
    """Customised gate control: one level of :class:`PLE`."""
    return PLE(private_experts=sizes.private_experts, levels=1, **gated(groups, sizes, text_width))
