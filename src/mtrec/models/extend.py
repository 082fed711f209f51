"""A task is added to a trained model by its text, and can then be tuned with a few labels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pandas as pd

from mtrec.features import links
from mtrec.features.assemble import Assembly
from mtrec.features.dataset import fit_type
from mtrec.features.visibility import Visible, visible
from mtrec.models.build import build
from mtrec.models.model import MultiTaskModel
from mtrec.models.shared.task_conditioned import TaskConditioned
from mtrec.registry import TASK_TYPES
from mtrec.settings import ModelBuilding, Task
from mtrec.tasks.base import TaskType

UNITS = {"mean", "deviation", "log_popularity"}  # fields of a type that change no logit's meaning
HEADS_OF_THEIR_OWN = {links.HEAD: "links", "label_embedding": "texts of labels"}


def add_task(
    model: MultiTaskModel,
    assembly: Assembly,
    name: str,
    task: Task,
    text_vector: np.ndarray,
    sizes: ModelBuilding,
    seed: int,
    labels: pd.Series | None = None,
) -> tuple[MultiTaskModel, Assembly]:
    r"""Add an output to a trained model; nothing is trained, and no other output changes.

    Other outputs stay what they were, but for float32 rounding: a product of another size is
    summed in another order on some processors (AVX2 alone; with AVX-512 bits stayed equal).

    The text vector :math:`v` gives the new task its gate and with it a representation
    :math:`f_v(x)`. Its logits are what tower and head :math:`h_d` of its donor give for that
    representation:

    .. math:: z(x) = h_d(f_v(x)), \qquad d = \arg\max_d \cos(v, v_d)

    Donors are the model's tasks of the same view whose logits mean the same: same type, head,
    loss, and classes, without an offset. A task added earlier is a donor like any other.

    This is a heuristic. It knows nothing of the new label, not even how frequent it is: where
    texts mislead, so does the answer. Without a donor, zero-shot means the constant prediction
    from ``labels``, the same for every row. Notebook 13 measures what it is worth.

    Args:
        model: trained joint model with shared layer ``task_conditioned``; left as it is.
        assembly: what the model was built with; left as it is.
        name: of the new task.
        task: its settings. Its features may form a view that no task had.
        text_vector: vector ``(components,)`` of its text, made as those of the other tasks were:
            see :func:`mtrec.text.embeddings.embed_task`.
        sizes: what the model was built with.
        seed: of the weights of a tower without donor.
        labels: known training labels of the new task. They fit its type (classes, mean), its
            constant prediction and its loss's scale; with a donor, no logit depends on them. By
            default, type and scale are the donor's.

    Returns:
        The new model, with the new task as its last output, and its assembly.

    Raises:
        ValueError: another shared layer, a reader of texts, a known name, an offset, a vector of
            another width, a feature that no trained task sees, a model that was built from other
            settings, or neither donor nor labels.

    Source: ours; gates from task descriptions make it possible, see :class:`TaskConditioned`.
    """
    table = _check(model, assembly, name, task, text_vector)
    seen = visible(name, task, assembly.encoder)
    _require_learnt(name, seen, assembly.seen)
    kind = None if labels is None else fit_type(labels, task, assembly.encoder.catalogues)
    nearest = np.argsort(-_cosines(table, text_vector), kind="stable")
    order = [list(assembly.types)[at] for at in nearest]
    donor = next((n for n in order if _gives(assembly, n, seen, task, kind)), None)
    extended = _extended(assembly, name, task, seen, kind, donor, labels)
    vectors = np.vstack([table, text_vector]).astype("float32")
    new = _build(model, extended, vectors, sizes, seed)
    _copy(model, new, name, donor)
    return new, extended


@contextmanager
def tuning(model: MultiTaskModel, name: str) -> Iterator[MultiTaskModel]:
    """The part of a model that answers task ``name``, with all but its tower and head frozen.

    For a few labels: train the part with :class:`mtrec.training.loop.Trainer` as a twin of the
    task. It shares its layers with ``model``, whose other tasks keep their predictions; what was
    trainable before is so again afterwards.

    Example:
        >>> with tuning(model, "loved") as part:  # doctest: +SKIP
        ...     Trainer(part, {"loved": kind}, assembly.scales, {"loved": 1.0}, *rows).run(seed)
    """
    before = [(layer, layer.trainable) for layer in model.layers]
    own = model.owned[name]
    try:
        for layer in model.layers:
            layer.trainable = any(layer is one for one in own)
        yield model.only(name)
    finally:
        for layer, trainable in before:
            layer.trainable = trainable


def _check(
    model: MultiTaskModel, assembly: Assembly, name: str, task: Task, vector: np.ndarray
) -> np.ndarray:
    """The trained tasks' text vectors, ``(tasks, components)``."""
    shared = model.shared
    if not isinstance(shared, TaskConditioned):
        raise ValueError(
            f"task '{name}': the model's shared layer is {type(shared).__name__}, which does not "
            "know tasks by their texts: a gate or network per task is trained. Train a model with "
            "model_building.shared.layer: task_conditioned in params.yaml."
        )
    if model.readers:
        raise ValueError(
            f"task '{name}': the model reads texts token by token, and what a new task would read "
            "has not been learnt. Train a model with model_building.reader: null in params.yaml."
        )
    if name in assembly.types:
        raise ValueError(
            f"task '{name}': the model has a task of this name already (tasks: "
            f"{', '.join(assembly.types)}). Give the new one another name."
        )
    if task.offset:
        raise ValueError(
            f"task '{name}': offset: {task.offset} needs running means, which a task added by its "
            "text has not. Leave offset: out."
        )
    if task.head in HEADS_OF_THEIR_OWN:
        raise ValueError(
            f"task '{name}': head {task.head} reads {HEADS_OF_THEIR_OWN[task.head]}, which a task "
            "added by its text has not. Leave head: out."
        )
    if np.shape(vector) != (shared.text_width,):
        raise ValueError(
            f"task '{name}': the text vector has shape {np.shape(vector)}, but those of the "
            f"model's tasks have ({shared.text_width},). Embed the text as notebook 02 does."
        )
    return keras.ops.convert_to_numpy(shared.text)


def _require_learnt(name: str, seen: Visible, trained: Mapping[str, Visible]) -> None:
    """Raise a ValueError if a feature would enter by a projection that was never trained."""
    unknown = sorted(_features(seen).difference(*map(_features, trained.values())))
    if unknown:
        raise ValueError(
            f"task '{name}': no task of the model sees '{unknown[0][1]}' of {unknown[0][0]}, whose "
            "meaning it has therefore not learnt. Leave it out with features: of the new task."
        )


def _features(seen: Visible) -> set[tuple[str, str]]:
    """Visible features with the part of the model they belong to."""
    parts = {**vars(seen), "history": ("events",) if seen.history else ()}
    return {(part, feature) for part, features in parts.items() for feature in features}


def _cosines(table: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Cosines ``(tasks,)`` of the vector and each row of the table."""
    lengths = np.linalg.norm(table, axis=1) * np.linalg.norm(vector)
    return table @ vector / np.maximum(lengths, 1e-12)


def _gives(
    assembly: Assembly, donor: str, seen: Visible, task: Task, kind: TaskType | None
) -> bool:
    """Whether a trained task's tower and head can answer the new one."""
    trained = assembly.types[donor]
    if donor in assembly.offsets or _sides(assembly.seen[donor]) != _sides(seen):
        return False
    return _fits(trained, task) if kind is None else _meaning(trained) == _meaning(kind)


def _sides(seen: Visible) -> tuple[bool, bool]:
    """Whether a head sees the user, and whether it sees the item: its view."""
    user = seen.user or seen.history or seen.user_context
    return bool(user), bool(seen.item or seen.item_context)


def _meaning(kind: TaskType) -> tuple[type[TaskType], dict[str, Any]]:
    """What the logits of a task type say, whatever the label's unit."""
    return type(kind), {key: v for key, v in kind.to_config().items() if key not in UNITS}


def _fits(kind: TaskType, task: Task) -> bool:
    """Whether a fitted type is what the settings of a task ask for."""
    loss = TASK_TYPES.choose_loss(task.type, task.loss, task.head)
    asked = TASK_TYPES[loss if loss in TASK_TYPES else task.type]  # lognormal is a type of its own
    same_loss = getattr(kind, "loss_name", loss) == loss
    same_candidates = kind.candidates in (None, task.candidates)
    same_head = kind.head == TASK_TYPES.choose_head(task.type, task.head)
    return type(kind) is asked and same_head and same_loss and same_candidates


def _extended(
    assembly: Assembly,
    name: str,
    task: Task,
    seen: Visible,
    kind: TaskType | None,
    donor: str | None,
    labels: pd.Series | None,
) -> Assembly:
    """The assembly with the new task: its type and constant are those of labels, or the donor's."""
    if kind is not None and labels is not None:
        values, mask = kind.encode(labels)
        base, scale = kind.base_logits(values[mask]), kind.scale(values[mask])
    elif donor is not None:
        kind = assembly.types[donor]
        base, scale = assembly.base_logits[donor], assembly.scales[donor]
    else:
        raise ValueError(
            f"task '{name}': no task of the model has its type {task.type}, view {task.view}, head "
            "and loss, so that only a constant can be predicted without training. Give labels, "
            "from which it is taken."
        )
    return replace(
        assembly,
        types={**assembly.types, name: kind},
        seen={**assembly.seen, name: seen},
        base_logits={**assembly.base_logits, name: base},
        scales={**assembly.scales, name: scale},
    )


def _build(
    old: MultiTaskModel, assembly: Assembly, vectors: np.ndarray, sizes: ModelBuilding, seed: int
) -> MultiTaskModel:
    """The untrained model of all tasks of the assembly; texts of labels are the old model's."""
    texts = {
        n: keras.ops.convert_to_numpy(old.heads[n].text)
        for n, kind in assembly.types.items()
        if kind.head == "label_embedding"
    }
    known = replace(assembly, label_vectors=texts, links={})
    return build(known, tuple(assembly.types), vectors, sizes, seed)


def _copy(old: MultiTaskModel, new: MultiTaskModel, name: str, donor: str | None) -> None:
    """Give all layers the old model's weights, but the table of texts; a new task its donor's."""
    target, source = _variables(new), _variables(old)
    own = {key for key in target if key[0] in {layer.name for layer in new.owned[name]}}
    table = (new.shared.name, new.shared.text.path)
    odd = sorted((target.keys() - own) ^ source.keys())
    odd += [k for k in source.keys() - {table, *odd} if source[k].shape != target[k].shape]
    if odd:
        raise ValueError(
            f"task '{name}': weight {odd[0][1]} of layer {odd[0][0]} is not the same in the model "
            "and in one that its assembly and sizes would build. Give those that the model was "
            "built with."
        )
    for key in source.keys() - {table}:
        target[key].assign(source[key])
    for mine, others in zip(new.owned[name], old.owned[donor] if donor else (), strict=False):
        mine.set_weights(others.get_weights())


def _variables(model: MultiTaskModel) -> dict[tuple[str, str], keras.Variable]:
    """Variables by layer and path; the number of a seed generator depends on earlier models."""
    return {
        (layer.name, re.sub(r"seed_generator_\d+", "seed_generator", variable.path)): variable
        for layer in model.layers
        for variable in layer.variables
    }
