"""What PLE and AdaTT share: levels of experts, private to a task or shared by all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import keras
import numpy as np
from keras import ops

from mtrec.models.shared.base import GatedLayer, pick, project, project_slots, require_experts
from mtrec.models.shared.gates import fuse


class TaskExperts(GatedLayer, ABC):
    """Base of layers that stack levels of private and shared experts.

    Between levels there is a state per group and *slot*: one slot per task and, if there are
    shared experts, a last one that feeds them. Below the last level, all slots of all groups are
    computed, since the shared slot mixes every task's experts; the last level ends with each task
    on its own group. Experts are numbered task by task, the shared ones last.

    Args:
        groups: visibility group of each task, one index per task.
        experts: number of shared experts per level; may be 0.
        units: width of an expert.
        private_experts: number of experts of each task per level; may be 0.
        levels: number of levels.
        kwargs: further arguments of :class:`GatedLayer`.

    Raises:
        ValueError: there is no expert.
    """

    def __init__(
        self,
        groups: list[int],
        experts: int,
        units: int,
        private_experts: int = 1,
        levels: int = 2,
        **kwargs: Any,
    ):
        super().__init__(groups, experts, units, **kwargs)
        name = type(self).__name__.lower()
        require_experts(name, experts=experts, private_experts=private_experts)
        self.private_experts, self.levels = private_experts, levels

    @property
    def all_experts(self) -> int:
        """Experts of a level, those of all tasks and the shared ones."""
        return len(self.groups) * self.private_experts + self.experts

    @property
    def slots(self) -> int:
        """States between levels: one per task, and one for the shared experts."""
        return len(self.groups) + bool(self.experts)

    @property
    @abstractmethod
    def reach(self) -> int:
        """Number of experts that a task's gate weighs."""

    @abstractmethod
    def mix_level(
        self, level: int, states: keras.KerasTensor, training: bool | None
    ) -> keras.KerasTensor:
        """Gates of a level: ``(..., slots, width)`` -> ``(..., slots, all experts)``."""

    def weigh(
        self, level: int, states: keras.KerasTensor, training: bool | None
    ) -> keras.KerasTensor:
        """Weights with which the states of the next level mix the experts; shaped as gates."""
        return self.mix_level(level, states, training)

    def build(self, input_shape) -> None:
        """Create experts and gates for inputs ``(batch, groups, width)``."""
        width, tasks = input_shape[-1], len(self.groups)
        self.private_kernels, self.private_biases = [], []
        self.shared_kernels, self.shared_biases = [], []
        self.gates, self.shared_gates, self.text_gates = [], [], []
        if self.text_width:
            self.add_text()
        for level in range(self.levels):
            if self.private_experts:
                lead = (tasks, self.private_experts)
                kernel, bias = self.add_experts(lead, width, f"private_{level}")
                self.private_kernels.append(kernel)
                self.private_biases.append(bias)
            if self.experts:
                kernel, bias = self.add_experts((self.experts,), width, f"experts_{level}")
                self.shared_kernels.append(kernel)
                self.shared_biases.append(bias)
            self.gates.append(self.add_gates(tasks, width, self.reach, f"gates_{level}"))
            if self.text_width:
                self.text_gates.append(
                    self.add_weight(name=f"text_gate_{level}", shape=(self.text_width, self.reach))
                )
            if self.feeds_shared(level):
                self.shared_gates.append(
                    self.add_gates(1, width, self.all_experts, f"shared_gate_{level}")
                )
            width = self.units

    def feeds_shared(self, level: int) -> bool:
        """Whether shared experts of the next level need a state from this one."""
        return bool(self.experts) and level < self.levels - 1

    def task_logits(self, level: int, states: keras.KerasTensor) -> keras.KerasTensor:
        """``(..., slots, width)`` -> ``(..., tasks, reach)``."""
        gates = self.gates[level]
        if len(states.shape) == 3:  # each task on its own group
            logits = ops.einsum("btd,tde->bte", states, gates)
        elif level == 0:
            logits = project(states[:, :, 0], gates)
        else:
            logits = project_slots(states[:, :, : len(self.groups)], gates[:, None])[:, :, :, 0]
        if self.text_width:
            logits = logits + ops.matmul(self.text, self.text_gates[level])
        return logits

    def shared_logits(self, level: int, states: keras.KerasTensor) -> keras.KerasTensor:
        """``(batch, groups, slots, width)`` -> ``(batch, groups, 1, all experts)``."""
        return project(states[:, :, -1], self.shared_gates[level])

    def hidden(self, level: int, states: keras.KerasTensor) -> keras.KerasTensor:
        """Every expert on every group: -> ``(batch, groups, all experts, units)``."""
        tasks, parts = len(self.groups), []
        if self.private_experts:
            kernel = self.private_kernels[level]
            if level == 0:
                private = project(states[:, :, 0], kernel)
            else:
                private = project_slots(states[:, :, :tasks], kernel)
            private = ops.relu(private + self.private_biases[level])
            shape = (-1, states.shape[1], tasks * self.private_experts, self.units)
            parts.append(ops.reshape(private, shape))
        if self.experts:
            shared = project(states[:, :, -1], self.shared_kernels[level])
            parts.append(ops.relu(shared + self.shared_biases[level]))
        return ops.concatenate(parts, axis=2)

    def before_last(self, inputs: keras.KerasTensor, training: bool | None) -> keras.KerasTensor:
        """States that enter the last level, ``(batch, groups, slots, width)``.

        Those that enter the first are alike in all slots, and are one slot.
        """
        states = inputs[:, :, None]
        for level in range(self.levels - 1):
            hidden = self.hidden(level, states)
            weights = self.weigh(level, states, training)
            states = ops.matmul(ops.cast(weights, hidden.dtype), hidden)
        return states

    def gate(self, inputs):
        """Gates of the last level, ``(batch, tasks, all experts)``, summing to 1."""
        states = self.before_last(inputs, training=False)
        return self.mix_level(self.levels - 1, self.own(states), training=False)

    def call(self, inputs, training=None):
        """``(batch, groups, width)`` -> ``(batch, tasks, units)``."""
        last = self.levels - 1
        states = self.before_last(inputs, training)
        hidden = pick(self.hidden(last, states), self.groups)
        return fuse(self.weigh(last, self.own(states), training), hidden)

    def place(self) -> np.ndarray:
        """Which expert a task's n-th own or shared one is: ``(tasks, private + shared, all)``."""
        tasks, private = len(self.groups), self.private_experts
        place = np.zeros((tasks, private + self.experts, self.all_experts), "float32")
        for task in range(tasks):
            own = range(task * private, (task + 1) * private)
            shared = range(tasks * private, self.all_experts)
            place[task, range(private + self.experts), [*own, *shared]] = 1
        return place

    def get_config(self) -> dict[str, Any]:
        """Groups and sizes."""
        return {
            **super().get_config(),
            "private_experts": self.private_experts,
            "levels": self.levels,
        }
