"""The multi-task model: fields, text and history -> states -> shared layer -> towers -> heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from mtrec.data import links as user_links
from mtrec.data.encoder import Encoder
from mtrec.data.offsets import input_name
from mtrec.models.encoders import ContextEncoder, EntityEncoder, specify
from mtrec.models.heads import LabelEmbeddingHead, RowNumbers, make_head
from mtrec.models.history import HistoryEncoder
from mtrec.models.seeds import draw
from mtrec.models.shared import make_shared
from mtrec.models.visibility import Visible, group
from mtrec.tasks import Ranking, TaskType

SMALL = 16_384  # items of a table that is encoded whole: about what a batch's histories name


def build(
    encoder: Encoder,
    tasks: Mapping[str, TaskType],
    seen: Mapping[str, Visible],
    base_logits: Mapping[str, np.ndarray],
    task_vectors: np.ndarray | None,
    sizes: Any,
    seed: int,
    label_vectors: Mapping[str, np.ndarray] | None = None,
    offsets: Mapping[str, int] | None = None,
    linked: Sequence[str] = (),
    links: Mapping[str, np.ndarray] | None = None,
) -> keras.Model:
    """Build the model of ``tasks``; a single-task twin is the same call with one task.

    The heads' kernels start at zero and their biases at ``base_logits``: the untrained model *is*
    the best constant prediction, or the running means where a task has an offset.

    Args:
        encoder: fitted features.
        tasks: fitted task types by name.
        seen: what each head may see.
        base_logits: logits ``(outputs,)`` of the constant prediction per task.
        task_vectors: the language model's vectors of the tasks' texts ``(tasks, components)``, in
            the order of ``tasks``, or None for gates without text.
        sizes: :class:`mtrec.settings.ModelBuilding`.
        seed: seed of the initial weights and of dropout.
        label_vectors: the language model's vectors ``(labels, components)`` of the labels of tasks
            with head ``label_embedding``.
        offsets: logits per row of the tasks that start from an offset, whether in this model or
            not: all of a domain's models have the same inputs.
        linked: tasks whose head reads links among users, whether in this model or not.
        links: those of training by task (:func:`mtrec.data.links.adjacency`); none for a model
            that is to know no links.

    Returns:
        A functional model from a dict of index batches (:meth:`Encoder.inputs`) to a dict of
        logits ``(batch, outputs)`` by task.
    """
    keras.utils.clear_session(free_memory=False)  # the same names whatever was built before
    keras.utils.set_random_seed(seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(sizes.precision)
    try:
        model = _connect(
            encoder, tasks, seen, task_vectors, sizes, label_vectors or {}, offsets or {}, linked
        )
    finally:
        keras.config.set_dtype_policy(before)
    _fill(model, encoder, base_logits, task_vectors, label_vectors or {}, links or {})
    return model


def _dropout(rate: float, name: str) -> keras.layers.Layer:
    """Dropout of units, the same ones in a model that was saved and loaded."""
    return keras.layers.Dropout(rate, seed=draw() if rate else None, name=name)


def _connect(
    encoder: Encoder,
    tasks: Mapping[str, TaskType],
    seen: Mapping[str, Visible],
    task_vectors: np.ndarray | None,
    sizes: Any,
    label_vectors: Mapping[str, np.ndarray],
    offsets: Mapping[str, int],
    linked: Sequence[str],
) -> keras.Model:
    inputs = _inputs(encoder)
    for name in linked:
        key = user_links.input_name(name)
        inputs[key] = keras.Input((), dtype="int32", name=key)
    for name, width in offsets.items():
        key = input_name(name)
        inputs[key] = keras.Input((width,), dtype="float32", name=key)
    layers = _encoders(encoder, sizes)
    catalogues = _catalogues(encoder, tasks, inputs, layers)
    history = _history(inputs, layers, catalogues, sizes)
    groups, index = group(seen)
    states = [_state(part, inputs, layers, history, sizes) for part in groups]
    hidden = ops.stack(states, axis=1)
    hidden = keras.layers.LayerNormalization(name="normalise")(hidden)
    hidden = _dropout(sizes.dropout, "dropout")(hidden)
    width = 0 if task_vectors is None else task_vectors.shape[1]
    shared = make_shared(sizes.shared, index, width)
    mixed = _dropout(sizes.dropout, "shared_dropout")(shared(hidden))
    outputs, mixed = {}, ops.unstack(mixed, axis=1)
    for (name, kind), state in zip(tasks.items(), mixed, strict=True):
        tower = keras.layers.Dense(sizes.tower_units, activation="relu", name=f"{name}_tower")
        components = label_vectors[name].shape[1] if name in label_vectors else 0
        head = make_head(name, kind, components)
        outputs[name] = _head(name, head, kind, tower(state), catalogues, inputs)
        if name in offsets:
            outputs[name] = outputs[name] + inputs[input_name(name)]
    return keras.Model(inputs, outputs, name="joint" if len(tasks) > 1 else next(iter(tasks)))


def _inputs(encoder: Encoder) -> dict[str, keras.KerasTensor]:
    length, events = encoder.history_length, len(encoder.event.columns) + 1
    inputs = {
        "user": keras.Input((), dtype="int32", name="user"),
        "item": keras.Input((), dtype="int32", name="item"),
        "history_items": keras.Input((length,), dtype="int32", name="history_items"),
        "history_events": keras.Input((length, events), dtype="float32", name="history_events"),
    }
    for side, scaler in encoder.contexts.items():
        name = f"{side}_context"
        inputs[name] = keras.Input((len(scaler.columns), 2), dtype="float32", name=name)
    return inputs


def _encoders(encoder: Encoder, sizes: Any) -> dict[str, keras.layers.Layer]:
    layers: dict[str, keras.layers.Layer] = {
        "user": EntityEncoder(specify(encoder.user.fields), sizes.width, name="user_encoder"),
        "item": EntityEncoder(specify(encoder.item.fields), sizes.width, name="item_encoder"),
    }
    for side, scaler in encoder.contexts.items():
        name = f"{side}_context"
        layers[name] = ContextEncoder(scaler.columns, sizes.width, name=f"{name}_encoder")
    return layers


def _catalogues(
    encoder: Encoder, tasks: Mapping[str, TaskType], inputs: dict, layers: dict
) -> dict:
    """States of whole tables, ``(rows + 1, width)``, of those that are ranked or small."""
    ranked = {kind.candidates for kind in tasks.values() if isinstance(kind, Ranking)}
    found = {}
    for name, side in (("items", encoder.item), ("users", encoder.user)):
        small = name == "items" and len(side.ids) <= SMALL
        if name in ranked or small:
            rows = RowNumbers(len(side.ids), name=f"all_{name}")(inputs["user"])
            found[name] = layers[name.removesuffix("s")](rows)
    return found


def _history(inputs: dict, layers: dict, catalogues: dict, sizes: Any) -> keras.KerasTensor:
    if "items" in catalogues:  # an item that many histories name is encoded once
        items = ops.take(catalogues["items"], inputs["history_items"], axis=0)
    else:
        items = layers["item"](inputs["history_items"])
    events = ops.concatenate([items, ops.cast(inputs["history_events"], items.dtype)], axis=-1)
    encoder = HistoryEncoder(
        sizes.history.encoder, sizes.history.units, sizes.width, name="history_encoder"
    )
    return encoder(events, inputs["history_items"] > 0)


def _state(part: Visible, inputs: dict, layers: dict, history: Any, sizes: Any) -> Any:
    """User state, item state and their product, ``(batch, 3 width)``; zero where not visible."""
    user = layers["user"](inputs["user"], visible=list(part.user))
    item = layers["item"](inputs["item"], visible=list(part.item))
    if part.history:
        user = user + history
    product = user * item if part.joint else ops.zeros_like(user)
    if part.user_context:
        user = user + _context("user", part.user_context, inputs, layers)
    if part.item_context:
        item = item + _context("item", part.item_context, inputs, layers)
    if part.joint_context:
        product = product + _context("joint", part.joint_context, inputs, layers)
    return ops.concatenate([user, item, product], axis=-1)


def _context(side: str, columns: tuple[str, ...], inputs: dict, layers: dict) -> Any:
    name = f"{side}_context"
    return layers[name](inputs[name], visible=list(columns))


def _head(name: str, head: Any, kind: TaskType, tower: Any, catalogues: dict, inputs: dict) -> Any:
    if not isinstance(kind, Ranking):
        return head(tower)
    states = catalogues[kind.candidates][1:, :]
    if kind.head == user_links.HEAD:
        return head(tower, states, inputs["user"], inputs[user_links.input_name(name)])
    return head(tower, states)


def _fill(
    model: keras.Model,
    encoder: Encoder,
    base_logits: Mapping[str, np.ndarray],
    task_vectors: np.ndarray | None,
    label_vectors: Mapping[str, np.ndarray],
    links: Mapping[str, np.ndarray],
) -> None:
    model.get_layer("user_encoder").fill(encoder.user.fields)
    model.get_layer("item_encoder").fill(encoder.item.fields)
    for name, logits in base_logits.items():
        head = model.get_layer(f"{name}_head")
        head.bias.assign(logits)
        if isinstance(head, LabelEmbeddingHead):
            head.text.assign(label_vectors[name])
        if name in links:
            head.fill(links[name])
    shared = model.get_layer("shared")
    if task_vectors is not None and hasattr(shared, "text"):
        shared.text.assign(task_vectors)
