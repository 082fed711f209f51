"""Build the multi-task model: inputs -> states -> shared layer -> towers -> heads."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from mtrec.features.assemble import Assembly, task_inputs
from mtrec.features.offsets import input_name
from mtrec.features.visibility import group
from mtrec.models.below import Below, Tensors, make_inputs
from mtrec.models.heads import inputs_of, make_head
from mtrec.models.model import MultiTaskModel
from mtrec.models.readings import Readings
from mtrec.models.scope import apart
from mtrec.models.seeds import draw
from mtrec.models.shared import make_shared
from mtrec.settings import ModelBuilding


def build(
    assembly: Assembly,
    tasks: Sequence[str],
    task_vectors: np.ndarray | None,
    sizes: ModelBuilding,
    seed: int,
) -> MultiTaskModel:
    """Build the model of ``tasks``; a single-task twin is the same call with one task.

    The heads' kernels start at zero and their biases at the assembly's ``base_logits``: the
    untrained model *is* the best constant prediction, or the running means where a task has an
    offset. The process is left as it was, see :func:`mtrec.models.scope.apart`.

    Args:
        assembly: of the domain; all of its models have the same inputs.
        tasks: names of those that the model answers, in the order of its outputs.
        task_vectors: the language model's vectors of these tasks' texts ``(tasks, components)``,
            or None for gates without text.
        sizes: of the model.
        seed: of the initial weights and of dropout.

    Returns:
        A model from a dict of index batches (:func:`mtrec.features.assemble.dataset`) to a dict of
        logits ``(batch, outputs)`` by task.

    Raises:
        ValueError: a head needs what the assembly has not.
    """
    with apart(seed, sizes.precision):
        return _build(assembly, tasks, task_vectors, sizes)


def _build(
    assembly: Assembly,
    tasks: Sequence[str],
    task_vectors: np.ndarray | None,
    sizes: ModelBuilding,
) -> MultiTaskModel:
    inputs = make_inputs(assembly.encoder)
    for one in task_inputs(assembly):
        inputs[one.name] = keras.Input(one.shape, dtype=one.dtype, name=one.name)
    below = Below(assembly.encoder, [assembly.types[task] for task in tasks], inputs, sizes)
    groups, index = group({task: assembly.seen[task] for task in tasks})
    hidden = ops.stack([below.state(part) for part in groups], axis=1)
    hidden = keras.layers.LayerNormalization(name="normalise")(hidden)
    hidden = _dropout(sizes.dropout, "dropout")(hidden)
    shared = make_shared(sizes.shared, index, 0 if task_vectors is None else task_vectors.shape[1])
    mixed = _dropout(sizes.dropout, "shared_dropout")(shared(hidden))
    readings = Readings(assembly, tasks, task_vectors, inputs, sizes.reader)
    states = zip(tasks, ops.unstack(mixed, axis=1), strict=True)
    outputs = {
        task: _answer(task, state, assembly, below, readings, inputs, sizes)
        for task, state in states
    }
    below.fill(assembly.encoder)
    readings.fill()
    if task_vectors is not None:
        shared.fill(task_vectors)
    return MultiTaskModel(inputs, outputs, name="joint" if len(tasks) > 1 else tasks[0])


def _dropout(rate: float, name: str) -> keras.layers.Layer:
    """Dropout of units, the same ones in a model that was saved and loaded."""
    return keras.layers.Dropout(rate, seed=draw() if rate else None, name=name)


def _joined(state: keras.KerasTensor, read: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
    return ops.concatenate([state, *read], axis=-1) if read else state


def _answer(
    task: str,
    state: keras.KerasTensor,
    assembly: Assembly,
    below: Below,
    readings: Readings,
    inputs: Tensors,
    sizes: ModelBuilding,
) -> keras.KerasTensor:
    """Logits of a task, by a tower and a head of its own.

    Args:
        task: its name.
        state: what the shared layer gives it, ``(batch, units)``.
        assembly: types, constant predictions, and what heads know.
        below: has the states of catalogues.
        readings: has what the task reads in texts.
        inputs: of the model; those of :func:`mtrec.features.assemble.task_inputs` are read here.
        sizes: of the model.
    """
    kind, known = assembly.types[task], assembly.evidence.get(task)
    tower = keras.layers.Dense(sizes.tower_units, activation="relu", name=f"{task}_tower")
    head = make_head(task, kind, 0 if known is None else known.shape[-1])
    beside = [below.catalogue(kind.candidates)] if kind.candidates else []
    beside += [inputs[name] for name in inputs_of(head, task)]
    read = readings.of(task)
    logits = head(_joined(tower(_joined(state, read)), read), *beside)
    head.bias.assign(assembly.base_logits[task])
    if known is not None:
        head.fill(known)
    return logits + inputs[input_name(task)] if task in assembly.offsets else logits
