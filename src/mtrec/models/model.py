"""The multi-task model and its parts, which are found in its graph, whatever layers are called.

::

    inputs -> encoders -> representation -> shared layer -+-> state -> tower -> head -> logits
       |          |                                       +-> state -> tower -> head -> logits
       |          +-- states of a catalogue ------------------------------------^  |
       +-- text readers -- what a task reads in a row's text --------^---------^   |
       +-- what a task reads itself: an offset, its row's link --------------------+

A file holds the graph alone, as any functional model: every model that was ever saved has parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import keras

from mtrec.models.encoders import ContextEncoder, EntityEncoder
from mtrec.models.reader import TextReader
from mtrec.models.shared.base import SharedLayer


@dataclass(frozen=True)
class TaskPart:
    """What one task has of a model: all that lies between the shared layer and its logits.

    Attributes:
        state: what the shared layer gives the task, ``(batch, units)``.
        tables: what it reads of the encoders past the shared layer, such as the states of the
            catalogue that it ranks, ``(rows, width)`` each.
        reads: what readers of texts give it, ``(batch, width)`` each.
        inputs: names of the model's inputs that it reads itself.
        owned: layers that serve it alone, in the order of computation.
        tower: the one before its head.
        head: the one that gives logits.
        hidden: what the head reads first, ``(batch, units)``: what the tower gives, and reads.
        logits: ``(batch, outputs)``; those of the head, with an offset added if there is one.
    """

    state: keras.KerasTensor
    tables: tuple[keras.KerasTensor, ...]
    reads: tuple[keras.KerasTensor, ...]
    inputs: tuple[str, ...]
    owned: tuple[keras.layers.Layer, ...]
    tower: keras.layers.Layer
    head: keras.layers.Layer
    hidden: keras.KerasTensor
    logits: keras.KerasTensor


class MultiTaskModel(keras.Model):
    """A functional model from a dict of index batches to a dict of logits by task.

    Made as any functional model, ``MultiTaskModel(inputs, outputs, name=...)``, of a graph with one
    :class:`SharedLayer` whose output is unstacked into a state per task.
    """

    @cached_property
    def shared(self) -> SharedLayer:
        """The layer that all tasks share.

        Raises:
            ValueError: there is none, or more than one.
        """
        found = [layer for layer in self.layers if isinstance(layer, SharedLayer)]
        if len(found) != 1:
            raise ValueError(
                f"model '{self.name}' has {len(found)} shared layers, and needs one to have parts. "
                "Put one mtrec.models.shared layer between its encoders and towers."
            )
        return found[0]

    @property
    def representation(self) -> keras.KerasTensor:
        """What the shared layer reads, ``(batch, groups, width)``."""
        (tensor,) = _read_first(self.shared)
        return tensor

    @cached_property
    def encoders(self) -> dict[str, keras.layers.Layer]:
        """Encoders of users, items and their context, by the input that each reads."""
        return {
            name: layer
            for layer in self.layers
            if isinstance(layer, EntityEncoder | ContextEncoder)
            for name, tensor in self.input.items()
            if any(tensor is read for node in layer._inbound_nodes for read in node.input_tensors)
        }

    @cached_property
    def readers(self) -> dict[str, TextReader]:
        """Readers of texts, by the input that each reads."""
        return {
            name: layer
            for layer in self.layers
            if isinstance(layer, TextReader)
            for name, tensor in self.input.items()
            if tensor is _read_first(layer)[0]
        }

    @cached_property
    def tasks(self) -> dict[str, TaskPart]:
        """The part of each task, in the order of the model's outputs."""
        below = [_maker(tensor) for tensor in _ancestors(self.representation)]
        common = {id(layer) for layer in below if _is_layer(layer) and not _is_input(layer)}
        return {
            task: _Walk(self.shared, common, [*self.readers.values()], self.input, logits).part
            for task, logits in self.output.items()
        }

    @property
    def towers(self) -> dict[str, keras.layers.Layer]:
        """Tower by task."""
        return {task: part.tower for task, part in self.tasks.items()}

    @property
    def heads(self) -> dict[str, keras.layers.Layer]:
        """Head by task."""
        return {task: part.head for task, part in self.tasks.items()}

    @property
    def owned(self) -> dict[str, tuple[keras.layers.Layer, ...]]:
        """Layers that serve one task alone, by task."""
        return {task: part.owned for task, part in self.tasks.items()}

    def only(self, *tasks: str) -> MultiTaskModel:
        """The part that answers some tasks; its layers are the same objects."""
        name = tasks[0] if len(tasks) == 1 else self.name
        return MultiTaskModel(self.input, {task: self.output[task] for task in tasks}, name=name)


class _Walk:
    """From a task's logits backwards, as far as what is not the task's own.

    Args:
        shared: layer that all tasks share.
        common: ids of the layers below it.
        readers: of texts, which tasks share.
        inputs: of the model.
        logits: of the task.
    """

    def __init__(
        self,
        shared: SharedLayer,
        common: set[int],
        readers: Sequence[TextReader],
        inputs: Mapping[str, keras.KerasTensor],
        logits: keras.KerasTensor,
    ):
        self.shared, self.common = shared, common
        self.readers = {id(reader) for reader in readers}
        self.names = {id(tensor): name for name, tensor in inputs.items()}
        self.seen: dict[int, keras.KerasTensor] = {}
        self.states: list[keras.KerasTensor] = []
        self.tables: list[keras.KerasTensor] = []
        self.reads: list[keras.KerasTensor] = []
        self.owned: dict[int, keras.layers.Layer] = {}
        self.to(logits)
        if len(self.states) != 1:
            raise ValueError(
                f"logits '{logits.name}' follow from {len(self.states)} states of the shared "
                "layer. Unstack its output, and give each task one of the states."
            )
        self.logits = logits

    @property
    def part(self) -> TaskPart:
        """What was found."""
        owned = tuple(self.owned.values())
        hidden = _read_first(owned[-1])[0]
        return TaskPart(
            self.states[0],
            tuple(self.tables),
            tuple(self.reads),
            tuple(name for tensor, name in self.names.items() if tensor in self.seen),
            owned,
            owned[-2],
            owned[-1],
            hidden,
            self.logits,
        )

    def to(self, tensor: keras.KerasTensor) -> None:
        """Go on to a tensor and, if it is the task's own, to all that it follows from."""
        if id(tensor) in self.seen:
            return
        self.seen[id(tensor)] = tensor
        if id(tensor) in self.names:
            return
        if self._is_state(tensor):
            self.states.append(tensor)
        elif self._is_read(tensor):
            self.reads.append(tensor)
        elif self._is_below(tensor):
            self.tables.append(tensor)
        else:
            for earlier in _read(tensor):
                self.to(earlier)
            if _is_layer(_maker(tensor)):
                self.owned[id(_maker(tensor))] = _maker(tensor)

    def _is_state(self, tensor: keras.KerasTensor) -> bool:
        """Whether an operation cut it out of the shared layer's output, perhaps after dropout."""
        if _is_layer(_maker(tensor)):
            return False
        while len(_read(tensor)) == 1:
            (tensor,) = _read(tensor)
            if _maker(tensor) is self.shared:
                return True
            if not _is_layer(_maker(tensor)):
                return False
        return False

    def _is_read(self, tensor: keras.KerasTensor) -> bool:
        """Whether it is one task's part of what a reader gives."""
        return any(id(_maker(earlier)) in self.readers for earlier in _read(tensor))

    def _is_below(self, tensor: keras.KerasTensor) -> bool:
        """Whether encoders made it, and the shared layer had no part in it."""
        makers = [_maker(earlier) for earlier in _ancestors(tensor)]
        return self.shared not in makers and any(id(maker) in self.common for maker in makers)


def _ancestors(tensor: keras.KerasTensor) -> list[keras.KerasTensor]:
    """A tensor and all that it follows from."""
    seen, left = {}, [tensor]
    while left:
        one = left.pop()
        if id(one) not in seen:
            seen[id(one)] = one
            left += _read(one)
    return [*seen.values()]


def _is_layer(operation: keras.Operation) -> bool:
    return isinstance(operation, keras.layers.Layer)


def _is_input(operation: keras.Operation) -> bool:
    return isinstance(operation, keras.layers.InputLayer)


def _maker(tensor: keras.KerasTensor) -> keras.Operation:
    """The operation whose output it is."""
    return tensor._keras_history.operation


def _read(tensor: keras.KerasTensor) -> list[keras.KerasTensor]:
    """What the call that made it read; nothing for an input."""
    return _maker(tensor)._inbound_nodes[tensor._keras_history.node_index].input_tensors


def _read_first(layer: keras.layers.Layer) -> list[keras.KerasTensor]:
    """What a layer read when it was first called: in the model."""
    return layer._inbound_nodes[0].input_tensors
