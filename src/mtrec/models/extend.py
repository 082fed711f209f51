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
from mtrec.models.shared.task_conditioned import TaskConditioned
from mtrec.registry import TASK_TYPES
from mtrec.tasks.base import TaskType

TEMPERATURE = 0.1  # of the donors' weights; a cosine higher by this much weighs e times as much
UNITS = {"mean", "deviation", "log_popularity"}  # fields of a type that change no logit's meaning


def add_task(
    model: keras.Model,
    assembly: Assembly,
    name: str,
    task: Any,
    text_vector: np.ndarray,
    sizes: Any,
    seed: int,
    labels: pd.Series | None = None,
) -> tuple[keras.Model, Assembly]:
    r"""Add an output to a trained model; nothing is trained, and no other output changes.

    Other outputs stay bit-identical; if the new task sees a set of features that no other task
    sees, the shared layer's input has another shape and they may differ by float32 rounding.

    The text vector :math:`v` gives the new task its gate and with it a representation
    :math:`f_v(x)`. Its logits are those that the towers and heads :math:`h_d` of its donors give
    for that representation, weighted by the likeness of the texts:

    .. math:: z(x) = \sum_d w_d\, h_d(f_v(x)), \qquad
        w = \mathrm{softmax}_d\big(\cos(v, v_d) / 0.1\big)

    Donors are the model's tasks of the same view whose logits mean the same: same type, head,
    loss, and classes, without an offset. Their functions are mixed, not their weights, as two
    towers trained apart have no units in common: the new tower holds all donors' units side by
    side. A task added earlier is a donor like any other.

    This is a heuristic. It knows nothing of the new label, not even how frequent it is: where
    texts mislead, so does the answer. Without a donor, zero-shot means the constant prediction
    from ``labels``, the same for every row.

    Args:
        model: trained joint model with shared layer ``task_conditioned``; left as it is.
        assembly: what the model was built with; left as it is.
        name: of the new task.
        task: :class:`mtrec.settings.Task`. Its features may form a view that no task had.
        text_vector: vector ``(components,)`` of its text, made as those of the other tasks were:
            embedded, their mean subtracted, of unit length.
        sizes: :class:`mtrec.settings.ModelBuilding` that the model was built with.
        seed: of the weights of a tower without donor.
        labels: known training labels of the new task. They fit its type (classes, mean), its
            constant prediction and its loss's scale; with donors, no logit depends on them. By
            default, type and scale are those of the donors, the most similar one first.

    Returns:
        The new model, with the new task as its last output, and its assembly.

    Raises:
        ValueError: another shared layer, a known name, an offset, a vector of another width, a
            feature that no trained task sees, a model that was built from other settings, or
            neither donor nor labels.

    Source: ours; gates from task descriptions make it possible, see :class:`TaskConditioned`.
    """
    table = _check(model, assembly, name, task, text_vector)
    seen = visible(name, task, assembly.encoder)
    _require_learnt(name, seen, assembly.seen)
    likeness = dict(zip(assembly.types, _cosines(table, text_vector), strict=True))
    alike = {
        n: cos
        for n, cos in likeness.items()
        if _sides(assembly.seen[n]) == _sides(seen) and n not in assembly.offsets
    }
    kind = _kind(assembly, name, task, alike, labels)
    weights = _softmax(
        {n: cos for n, cos in alike.items() if _meaning(assembly.types[n]) == _meaning(kind)}
    )
    base, scale = _constant(assembly, kind, weights, labels)
    extended = replace(
        assembly,
        types={**assembly.types, name: kind},
        seen={**assembly.seen, name: seen},
        base_logits={**assembly.base_logits, name: base},
        scales={**assembly.scales, name: scale},
        label_vectors=_label_vectors(model, assembly, name, kind, weights),
    )
    vectors = np.vstack([table, text_vector]).astype("float32")
    units = {n: model.get_layer(f"{n}_tower").units for n in assembly.types}
    units[name] = sum(units[donor] for donor in weights) or sizes.tower_units
    new = _build(extended, vectors, units, sizes, seed)
    _copy(model, new, name)
    if weights:
        _mix(model, new, name, weights)
    return new, extended


@contextmanager
def tuning(model: keras.Model, name: str) -> Iterator[keras.Model]:
    """The part of a model that answers task ``name``, with all but its tower and head frozen.

    For a few labels: train the part with :class:`mtrec.training.loop.Trainer` as a twin of the
    task. It shares its layers with ``model``, whose other tasks keep their predictions; what was
    trainable before is so again afterwards.

    Example:
        >>> with tuning(model, "loved") as part:  # doctest: +SKIP
        ...     Trainer(part, {"loved": kind}, assembly.scales, {"loved": 1.0}, *rows).run(seed)
    """
    before = [(layer, layer.trainable) for layer in model.layers]
    own = {f"{name}_tower", f"{name}_head"}
    try:
        for layer in model.layers:
            layer.trainable = layer.name in own
        yield keras.Model(model.input, {name: model.output[name]}, name=name)
    finally:
        for layer, trainable in before:
            layer.trainable = trainable


def _check(
    model: keras.Model, assembly: Assembly, name: str, task: Any, vector: np.ndarray
) -> np.ndarray:
    """The trained tasks' text vectors, ``(tasks, components)``."""
    shared = model.get_layer("shared")
    if not isinstance(shared, TaskConditioned):
        raise ValueError(
            f"task '{name}': the model's shared layer is {type(shared).__name__}, which does not "
            "know tasks by their texts: a gate or network per task is trained. Train a model with "
            "model_building.shared.layer: task_conditioned in params.yaml."
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
    if task.head == links.HEAD:
        raise ValueError(
            f"task '{name}': head {links.HEAD} reads links, which a task added by its text has "
            "not. Leave head: out."
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


def _sides(seen: Visible) -> tuple[bool, bool]:
    """Whether a head sees the user, and whether it sees the item: its view."""
    user = seen.user or seen.history or seen.user_context
    return bool(user), bool(seen.item or seen.item_context)


def _meaning(kind: TaskType) -> tuple[Any, dict[str, Any]]:
    """What the logits of a task type say, whatever the label's unit."""
    return type(kind), {key: v for key, v in kind.to_config().items() if key not in UNITS}


def _cosines(table: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Cosines ``(tasks,)`` of the vector and each row of the table."""
    lengths = np.linalg.norm(table, axis=1) * np.linalg.norm(vector)
    return table @ vector / np.maximum(lengths, 1e-12)


def _softmax(likeness: Mapping[str, float]) -> dict[str, float]:
    """Weights of the donors, with sum 1."""
    if not likeness:
        return {}
    logits = np.array([*likeness.values()], dtype="float64") / TEMPERATURE
    weights = np.exp(logits - logits.max())
    return dict(zip(likeness, (weights / weights.sum()).tolist(), strict=True))


def _kind(
    assembly: Assembly, name: str, task: Any, alike: Mapping[str, float], labels: pd.Series | None
) -> TaskType:
    """The type fitted on the labels, or that of the most similar task it would fit."""
    if labels is not None:
        return fit_type(labels, task, assembly.encoder.catalogues)
    fitting = {n: cos for n, cos in alike.items() if _fits(assembly.types[n], task)}
    if not fitting:
        raise ValueError(
            f"task '{name}': no task of the model has its type {task.type}, view {task.view}, head "
            "and loss, so that only a constant can be predicted without training. Give labels, "
            "from which it is taken."
        )
    return assembly.types[max(fitting, key=fitting.__getitem__)]


def _fits(kind: TaskType, task: Any) -> bool:
    """Whether a fitted type is what the settings of a task ask for."""
    loss = TASK_TYPES.choose_loss(task.type, task.loss, task.head)
    asked = TASK_TYPES[loss if loss in TASK_TYPES else task.type]  # lognormal is a type of its own
    same_loss = getattr(kind, "loss_name", loss) == loss
    same_candidates = getattr(kind, "candidates", task.candidates) == task.candidates
    same_head = kind.head == TASK_TYPES.choose_head(task.type, task.head)
    return type(kind) is asked and same_head and same_loss and same_candidates


def _constant(
    assembly: Assembly, kind: TaskType, weights: Mapping[str, float], labels: pd.Series | None
) -> tuple[np.ndarray, float]:
    """Logits and loss of the constant prediction, of the labels or in the donors' mean."""
    if labels is not None:
        values, mask = kind.encode(labels)
        return kind.base_logits(values[mask]), kind.scale(values[mask])
    base = sum(weight * assembly.base_logits[n] for n, weight in weights.items())
    scale = sum(weight * assembly.scales[n] for n, weight in weights.items())
    return np.asarray(base, dtype="float32"), float(scale)


def _label_vectors(
    model: keras.Model, assembly: Assembly, name: str, kind: TaskType, donors: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """Text vectors of labels as the model holds them; a new task's labels are its donors'."""
    held = {
        n: keras.ops.convert_to_numpy(model.get_layer(f"{n}_head").text)
        for n, trained in assembly.types.items()
        if trained.head == "label_embedding"
    }
    if kind.head == "label_embedding":
        if not donors:
            raise ValueError(
                f"task '{name}': no task of the model has head label_embedding and the same view, "
                "loss and labels, whose text vectors it could use. Choose head: dense."
            )
        held[name] = held[next(iter(donors))]
    return held


def _build(
    assembly: Assembly, vectors: np.ndarray, units: Mapping[str, int], sizes: Any, seed: int
) -> keras.Model:
    """The untrained model of all tasks of the assembly, towers as wide as ``units`` says."""
    model = build(
        assembly.encoder, assembly.types, assembly.seen, assembly.base_logits, vectors, sizes,
        seed, assembly.label_vectors, {n: assembly.types[n].outputs for n in assembly.offsets},
        links.linked(assembly.types),
    )  # fmt: skip
    for name, width in units.items():
        if width != sizes.tower_units:
            model = _with_tower(model, name, width)
    return model


def _with_tower(model: keras.Model, name: str, units: int) -> keras.Model:
    """The same model with a new tower of another width, and a new head, for task ``name``."""
    tower, head = model.get_layer(f"{name}_tower"), model.get_layer(f"{name}_head")
    wide = type(tower).from_config({**tower.get_config(), "units": units})(tower.input)
    others = head.input[1:] if isinstance(head.input, list) else []  # a catalogue head's states
    logits = type(head).from_config(head.get_config())(wide, *others)
    return keras.Model(model.input, {**model.output, name: logits}, name=model.name)


def _copy(old: keras.Model, new: keras.Model, name: str) -> None:
    """Give all layers that both models have the old one's weights, but the table of texts."""
    target, source = _variables(new), _variables(old)
    own = {key for key in target if key[0] in (f"{name}_tower", f"{name}_head")}
    table = ("shared", "shared/task_text")
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


def _variables(model: keras.Model) -> dict[tuple[str, str], keras.Variable]:
    """Variables by layer and path; the number of a seed generator depends on earlier models."""
    return {
        (layer.name, re.sub(r"seed_generator_\d+", "seed_generator", variable.path)): variable
        for layer in model.layers
        for variable in layer.variables
    }


def _mix(old: keras.Model, new: keras.Model, name: str, weights: Mapping[str, float]) -> None:
    """Make tower and head of task ``name`` the weighted sum of the donors' as functions."""
    towers = [old.get_layer(f"{donor}_tower") for donor in weights]
    for variable in new.get_layer(f"{name}_tower").variables:
        parts = [_value(tower, variable) for tower in towers]
        variable.assign(np.concatenate(parts, axis=-1))
    heads = [old.get_layer(f"{donor}_head") for donor in weights]
    for variable in new.get_layer(f"{name}_head").variables:
        parts = [_value(head, variable) for head in heads]
        scaled = [np.float32(w) * part for w, part in zip(weights.values(), parts, strict=True)]
        if variable.name == "text":  # of the labels, which all donors have in common
            variable.assign(parts[0])
        elif variable.name == "bias":
            variable.assign(sum(scaled))
        else:  # its rows are the units of the tower
            variable.assign(np.concatenate(scaled, axis=0))


def _value(layer: keras.layers.Layer, like: keras.Variable) -> np.ndarray:
    """The layer's variable of the same name."""
    found = next(v for v in layer.variables if v.name == like.name)
    return keras.ops.convert_to_numpy(found)
