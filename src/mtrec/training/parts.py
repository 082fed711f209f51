"""A model in three parts: below, in and above the shared layer.

TensorFlow traces a gradient through all that a tape has recorded, whatever is asked for. With a
tape for each part, the gradient of a task is traced through its own tower and head, once, and from
there on through what it shares, once for each combination of tasks that a balancer wants to know.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import keras
import tensorflow as tf

from mtrec.models.encoders import EntityEncoder
from mtrec.models.model import MultiTaskModel
from mtrec.training.augmentation import Drawn, Mixing
from mtrec.training.tops import Known, Top, answers


class Part(keras.layers.Layer):
    """What lies between some tensors of a functional model.

    Not a ``keras.Model``, which would copy nodes into the layers that the whole model then finds.

    Args:
        inputs: symbolic tensors of the model.
        outputs: symbolic tensors that follow from them alone.
    """

    def __init__(self, inputs: dict | list, outputs: dict | list | keras.KerasTensor):
        super().__init__(autocast=False)
        self.function = keras.Function(inputs, outputs)
        operations = self.function.operations
        self.parts = [part for part in operations if isinstance(part, keras.layers.Layer)]

    def call(self, inputs, training=None, encode=None):
        """Outputs, in the structure that was given; ``encode`` is called in place of encoders."""

        def told(operation: keras.Operation) -> Callable:
            """The operation, which knows whether the whole is being trained."""
            if encode is not None and isinstance(operation, EntityEncoder):
                return partial(encode, operation)
            if "training" not in inspect.signature(operation.call).parameters:
                return operation
            return lambda *given, **more: operation(*given, **{**more, "training": training})

        return self.function._run_through_graph(inputs, told)


@dataclass(frozen=True)
class Parts:
    """The parts of a model, which together compute what it computes.

    Attributes:
        below: inputs -> the representation, which is the shared layer's input, the states of
            the catalogues that ranking heads read, and what tasks read in texts.
        shared: representation -> the tasks' states.
        above: what each task owns, with tower and head.
    """

    below: Part
    shared: Part
    above: dict[str, Top]

    def predict(
        self, inputs: Mapping[str, tf.Tensor], masks: Mapping[str, tf.Tensor]
    ) -> dict[str, tf.Tensor | Known]:
        """What each task's top gives outside training, see :func:`mtrec.training.tops.answers`."""
        representation, *catalogues = self.below(inputs, training=False)
        states = self.shared(representation, training=False)
        return answers(self.above, states, catalogues, inputs, masks, training=False)


def cut(model: MultiTaskModel) -> Parts:
    """Cut a model; its layers are the same objects."""
    above: dict[str, Top] = {}
    states: list[keras.KerasTensor] = []
    tables: list[keras.KerasTensor] = []
    for task, part in model.tasks.items():
        read = [part.state, *part.tables, *part.reads, *(model.input[name] for name in part.inputs)]
        known_only = getattr(part.head, "known_only", False)
        above[task] = Top(
            Part(read, part.logits), len(part.tables), len(part.reads), part.inputs, known_only
        )
        states.append(part.state)
        tables += [*part.tables, *part.reads]
    representation = model.representation
    return Parts(Part(model.input, [representation, *tables]), Part(representation, states), above)


@dataclass(frozen=True)
class Variables:
    """Trainable variables by the part of a model that they are in.

    Attributes:
        below: of what lies below the shared layer.
        middle: of the shared layer, without
        private: those of its variables each of whose rows serves one task.
        above: of the layers that one task owns: towers and heads.
    """

    below: list
    middle: list
    private: list
    above: list

    @property
    def shared(self) -> list:
        """What several tasks share."""
        return [*self.below, *self.middle]

    @property
    def owned(self) -> list:
        """What one task owns."""
        return [*self.private, *self.above]


def divide(model: MultiTaskModel) -> Variables:
    """Divide the variables of a model."""
    tops = [layer for owned in model.owned.values() for layer in owned]
    above = [variable for top in tops for variable in top.trainable_variables]
    private = [variable for variable in model.shared.private if variable.trainable]
    middle = _without(model.shared.trainable_variables, private)
    below = _without(model.trainable_variables, [*middle, *private, *above])
    return Variables(below, middle, private, above)


class Forward:
    """One pass through a model in training, and the ways back.

    Gradients at the seam are a list: one for each task's state and each catalogue, None where a
    task reads nothing there.

    Args:
        parts: of the model.
        variables: of the model.
        inputs: a batch.
        masks: where labels are known by task; None to leave no row out.
        drawn: what is changed at random, if anything is.
        mixing: rows that are mixed, if any are.

    Attributes:
        logits: by task, see :func:`mtrec.training.tops.answers`.
        above: the tape of towers and heads; losses are computed under it.
    """

    def __init__(
        self,
        parts: Parts,
        variables: Variables,
        inputs: Mapping[str, tf.Tensor],
        masks: Mapping[str, tf.Tensor] | None = None,
        drawn: Drawn | None = None,
        mixing: Mixing | None = None,
    ):
        self._variables = variables
        with tf.GradientTape(persistent=True) as self._below:
            if drawn is None:
                self._representation, *catalogues = parts.below(inputs, training=True)
            else:
                found, *catalogues = parts.below(inputs, training=True, encode=drawn.state)
                self._representation = drawn.representation(found, mixing)
        if mixing is not None:
            inputs = mixing.direct(inputs)
        with tf.GradientTape(persistent=True) as self._shared:
            self._shared.watch(self._representation)
            self._states = parts.shared(self._representation, training=True)
            self._extra = [*parts.shared.losses]  # such as the load balance of gates
        self._catalogues = catalogues
        with tf.GradientTape(persistent=True) as self.above:
            self.above.watch([*self._states, *catalogues])
            self.logits = answers(parts.above, self._states, catalogues, inputs, masks, True)

    def to_seam(self, loss: tf.Tensor) -> tuple[list, list]:
        """Gradients of a task's loss at the seam and on the variables above it."""
        seam = [*self._states, *self._catalogues]
        found = self.above.gradient(loss, [*seam, *self._variables.above])
        found = [None if part is None else tf.convert_to_tensor(part) for part in found]
        return found[: len(seam)], found[len(seam) :]

    def to_representation(self, at_seam: list) -> list:
        """Gradients at the seam carried on to the representation, one tensor."""
        return complete(self._through(at_seam, [self._representation]), [self._representation])

    def to_private(self, at_seam: list) -> list:
        """Gradients at the seam, and of the layer's own losses, on its private variables."""
        if not self._variables.private:
            return []
        found = self._through(at_seam, self._variables.private, self._extra)
        return complete(found, self._variables.private)

    def to_shared(self, at_seam: list, sparse: bool = False) -> list:
        """Gradients at the seam, and of the layer's own losses, on the shared variables.

        With ``sparse``, that of a table holds only the rows that were read
        (``tf.IndexedSlices``).
        """
        sources = [self._representation, *self._variables.middle]
        representation, *middle = self._through(at_seam, sources, self._extra)
        targets = [self._representation, *self._catalogues]
        gradients = [representation, *at_seam[len(self._states) :]]
        below = _back(self._below, targets, gradients, self._variables.below)
        return complete(below, self._variables.below, sparse) + complete(
            middle, self._variables.middle
        )

    def _through(self, at_seam: list, sources: list, extra: Sequence[tf.Tensor] = ()) -> list:
        """Gradients at the seam through the shared layer."""
        gradients = [*at_seam[: len(self._states)], *map(tf.ones_like, extra)]
        return _back(self._shared, [*self._states, *extra], gradients, sources)


def complete(gradients: list, sources: list, sparse: bool = False) -> list:
    """Zeros instead of None, and whole arrays instead of ``tf.IndexedSlices`` unless ``sparse``."""
    return [
        tf.zeros_like(source) if gradient is None
        else gradient if sparse else tf.convert_to_tensor(gradient)
        for gradient, source in zip(gradients, sources, strict=True)
    ]  # fmt: skip


def weighted(per_task: list[list], weights: Sequence[tf.Tensor]) -> list:
    """Weighted sum of the tasks' gradients, a list each; None where no task has one."""
    sums: list[tf.Tensor] = []
    for parts in zip(*per_task, strict=True):
        pairs = [pair for pair in zip(parts, weights, strict=True) if pair[0] is not None]
        terms = [tf.cast(weight, gradient.dtype) * gradient for gradient, weight in pairs]
        sums.append(sum(terms[1:], terms[0]) if terms else None)
    return sums


def _back(
    tape: tf.GradientTape,
    targets: Sequence[tf.Tensor],
    gradients: Sequence[tf.Tensor],
    sources: list,
) -> list:
    """Gradients on ``sources`` from those at ``targets``; None where none reaches one."""
    pairs = zip(targets, gradients, strict=True)
    known = [(target, gradient) for target, gradient in pairs if gradient is not None]
    if not known or not sources:
        return [None] * len(sources)
    at, outer = ([*part] for part in zip(*known, strict=True))
    return tape.gradient(at, sources, output_gradients=outer)


def _without(variables: list, others: list) -> list:
    """Those of ``variables`` that are not among ``others``."""
    names = {id(variable) for variable in others}
    return [variable for variable in variables if id(variable) not in names]
