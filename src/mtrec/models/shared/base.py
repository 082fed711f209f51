"""What shared layers have in common: groups, sizes, experts, and gates where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from mtrec.models.seeds import draw
from mtrec.models.shared.gates import imbalance, mixture
from mtrec.settings import Shared


class SharedLayer(keras.layers.Layer):
    """Base of all shared layers: ``(batch, groups, width)`` -> ``(batch, tasks, units)``.

    A task may depend on the input of its own visibility group only. What a layer mixes for a task
    is therefore computed on that group's input, the other tasks' networks included.

    Args:
        groups: visibility group of each task, one index per task.
        units: width of an output.
    """

    def __init__(self, groups: list[int], units: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.groups, self.units = list(groups), units

    @property
    def private(self) -> list[keras.Variable]:
        """Trained variables of a built layer each of whose rows serves one task only."""
        return []

    def fill(self, task_vectors: np.ndarray) -> None:
        """Copy the language model's vectors of the tasks' texts, where a layer reads them."""

    def add_experts(
        self, lead: tuple[int, ...], width: int, name: str
    ) -> tuple[keras.Variable, keras.Variable]:
        """Kernels ``(*lead, width, units)``, Glorot-uniform per expert, and zero biases."""
        limit = (6.0 / (width + self.units)) ** 0.5
        kernel = self.add_weight(
            name=name,
            shape=(*lead, width, self.units),
            initializer=keras.initializers.RandomUniform(-limit, limit),
        )
        bias = self.add_weight(name=f"{name}_bias", shape=(*lead, self.units), initializer="zeros")
        return kernel, bias

    def own(self, states: keras.KerasTensor) -> keras.KerasTensor:
        """State of each task on its own group's input, ``(batch, tasks, width)``.

        Args:
            states: ``(batch, groups, slots, width)``, whose first slots are the tasks; one slot
                if they are all alike.
        """
        _, groups, slots, width = states.shape
        tasks = enumerate(self.groups)
        index = [group * slots + (task if slots > 1 else 0) for task, group in tasks]
        return pick(ops.reshape(states, (-1, groups * slots, width)), index)

    def compute_output_shape(self, input_shape):
        """``(batch, tasks, units)``."""
        return (input_shape[0], len(self.groups), self.units)

    def get_config(self) -> dict[str, Any]:
        """Groups and width."""
        return {**super().get_config(), "groups": list(self.groups), "units": self.units}


class GatedLayer(SharedLayer):
    """Base of shared layers whose tasks mix experts with gates.

    Args:
        groups: visibility group of each task, one index per task.
        experts: number of experts that all tasks share.
        units: width of an expert.
        text_width: width of the task vectors; 0 for gates without text.
        gate_dropout: probability that a gate leaves out an expert in training.
        load_balance: weight of the loss that keeps all experts in use.
        gate_seed: of the gates' dropout; drawn if it is None.
    """

    def __init__(
        self,
        groups: list[int],
        experts: int,
        units: int,
        text_width: int = 0,
        gate_dropout: float = 0.0,
        load_balance: float = 0.0,
        gate_seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(groups, units, **kwargs)
        self.experts, self.text_width = experts, text_width
        self.gate_dropout, self.load_balance = gate_dropout, load_balance
        # Only where it is used: a seed that is drawn moves every weight made after it.
        self.gate_seed = gate_seed or draw() if gate_dropout else None
        self.generator = keras.random.SeedGenerator(self.gate_seed) if gate_dropout else None

    def add_gates(self, tasks: int, width: int, experts: int, name: str) -> keras.Variable:
        """Kernels of gates ``(tasks, width, experts)``, Glorot-uniform per task."""
        limit = (6.0 / (width + experts)) ** 0.5
        uniform = keras.initializers.RandomUniform(-limit, limit)
        return self.add_weight(name=name, shape=(tasks, width, experts), initializer=uniform)

    def add_text(self, initializer: str = "zeros") -> None:
        """Create the table of task vectors ``(tasks, text_width)``, which is not trained."""
        self.text = self.add_weight(
            name="task_text",
            shape=(len(self.groups), self.text_width),
            initializer=initializer,
            trainable=False,
        )

    def fill(self, task_vectors: np.ndarray) -> None:
        """Copy the language model's vectors of the tasks' texts, ``(tasks, text_width)``."""
        self.text.assign(task_vectors)

    def mix(
        self, logits: keras.KerasTensor, training: bool | None, allowed: np.ndarray | None = None
    ) -> keras.KerasTensor:
        """Gates of ``logits``; in training with dropout, and the load-balancing loss added.

        Args:
            logits: ``(..., tasks, experts)``.
            training: whether the layer is being trained.
            allowed: which experts a task may use, ``(tasks, experts)`` bool; None for all.
        """
        if not training:
            return mixture(logits, allowed)
        gates = mixture(logits, allowed, self.gate_dropout, self.generator)
        if self.load_balance:
            self.add_loss(self.load_balance * imbalance(gates, allowed))
        return gates

    def get_config(self) -> dict[str, Any]:
        """Groups, sizes and what guards the gates."""
        return {
            **super().get_config(),
            "experts": self.experts,
            "text_width": self.text_width,
            "gate_dropout": self.gate_dropout,
            "load_balance": self.load_balance,
            "gate_seed": self.gate_seed,
        }


def pick(states: keras.KerasTensor, index: Sequence[int]) -> keras.KerasTensor:
    """States ``(batch, len(index), ...)`` of the groups or slots named by ``index``.

    Not ``ops.take``: the gradient of a gather is a scatter, which took a tenth of a training step.

    Args:
        states: ``(batch, groups, ...)``.
        index: a group per position.
    """
    if list(index) == list(range(states.shape[1])):
        return states
    parts = ops.unstack(states, axis=1)
    return ops.stack([parts[group] for group in index], axis=1)


def project(inputs: keras.KerasTensor, kernel: keras.Variable) -> keras.KerasTensor:
    """Inputs through every kernel: ``(..., width)`` -> ``(..., *lead, units)``.

    One matrix product: Keras' einsum would broadcast the inputs over the experts instead, which
    takes ten times as long on a CPU.

    Args:
        inputs: ``(..., width)``.
        kernel: ``(*lead, width, units)``.
    """
    *lead, width, units = kernel.shape
    flat = ops.reshape(ops.moveaxis(ops.convert_to_tensor(kernel), -2, 0), (width, -1))
    found = ops.matmul(ops.reshape(inputs, (-1, width)), flat)
    return ops.reshape(found, (-1, *inputs.shape[1:-1], *lead, units))


def project_slots(states: keras.KerasTensor, kernel: keras.Variable) -> keras.KerasTensor:
    """Each slot through its own kernels: -> ``(batch, groups, slots, experts, units)``.

    Args:
        states: ``(batch, groups, slots, width)``.
        kernel: ``(slots, experts, width, units)``.
    """
    _, groups, slots, width = states.shape
    _, experts, _, units = kernel.shape
    kernel = ops.transpose(ops.convert_to_tensor(kernel), (0, 2, 1, 3))
    flat = ops.reshape(kernel, (slots, width, -1))
    found = ops.matmul(ops.reshape(ops.transpose(states, (2, 0, 1, 3)), (slots, -1, width)), flat)
    found = ops.reshape(found, (slots, -1, groups, experts, units))
    return ops.transpose(found, (1, 2, 0, 3, 4))


def require_experts(layer: str, **counts: int) -> None:
    """Raise a ValueError if a layer would have no expert at all."""
    if sum(counts.values()) == 0:
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ValueError(
            f"shared layer {layer}: there is no expert to mix (found: {found}). Set "
            f"model_building.shared.{next(iter(counts))} in params.yaml to 1 or more."
        )


def gated(groups: list[int], sizes: Shared, text_width: int) -> dict[str, Any]:
    """What layers with experts and gates take from the settings."""
    return {
        "groups": groups,
        "experts": sizes.experts,
        "units": sizes.units,
        "text_width": text_width,
        "gate_dropout": sizes.gate_dropout,
        "load_balance": sizes.load_balance,
        "name": "shared",
    }
