"""What lies below the shared layer: fields, text and history -> states of users and items."""

from __future__ import annotations

from collections.abc import Iterable

import keras
from keras import ops

from mtrec.features.encoder import Encoder
from mtrec.features.visibility import Visible
from mtrec.models.encoders import ContextEncoder, EntityEncoder, specify
from mtrec.models.heads import RowNumbers
from mtrec.models.history import HistoryEncoder
from mtrec.settings import ModelBuilding
from mtrec.tasks.base import TaskType

SMALL = 16_384  # items of a table that is encoded whole: about what a batch's histories name
Tensors = dict[str, keras.KerasTensor]
Layers = dict[str, keras.layers.Layer]


def make_inputs(encoder: Encoder) -> Tensors:
    """The model's inputs of :meth:`mtrec.features.encoder.Encoder.inputs`, by name."""
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


class Below:
    """Encoders of a model, and the states that they make of its inputs.

    Args:
        encoder: fitted features.
        types: task types; the tables of those that rank are encoded whole.
        inputs: of the model.
        sizes: of the model.

    Attributes:
        catalogues: states of whole tables by what competes there, ``(rows, width)``, without the
            unknown row.
    """

    def __init__(
        self, encoder: Encoder, types: Iterable[TaskType], inputs: Tensors, sizes: ModelBuilding
    ):
        self.inputs, self.layers = inputs, _encoders(encoder, sizes)
        self._tables = _tables(encoder, types, inputs, self.layers)
        self._history = _history(inputs, self.layers, self._tables, sizes)

    def catalogue(self, candidates: str) -> keras.KerasTensor:
        """States of all ``items`` or ``users``, ``(rows, width)``."""
        return self._tables[candidates][1:, :]

    def state(self, part: Visible) -> keras.KerasTensor:
        """User state, item state and product, ``(batch, 3 width)``; zero where not visible."""
        user = self.layers["user"](self.inputs["user"], visible=list(part.user))
        item = self.layers["item"](self.inputs["item"], visible=list(part.item))
        if part.history:
            user = user + self._history
        product = user * item if part.joint else ops.zeros_like(user)
        if part.user_context:
            user = user + self._context("user", part.user_context)
        if part.item_context:
            item = item + self._context("item", part.item_context)
        if part.joint_context:
            product = product + self._context("joint", part.joint_context)
        return ops.concatenate([user, item, product], axis=-1)

    def fill(self, encoder: Encoder) -> None:
        """Copy the features' tables into the encoders."""
        self.layers["user"].fill(encoder.user.fields)
        self.layers["item"].fill(encoder.item.fields)

    def _context(self, side: str, columns: tuple[str, ...]) -> keras.KerasTensor:
        name = f"{side}_context"
        return self.layers[name](self.inputs[name], visible=list(columns))


def _encoders(encoder: Encoder, sizes: ModelBuilding) -> Layers:
    layers: Layers = {
        "user": EntityEncoder(specify(encoder.user.fields), sizes.width, name="user_encoder"),
        "item": EntityEncoder(specify(encoder.item.fields), sizes.width, name="item_encoder"),
    }
    for side, scaler in encoder.contexts.items():
        name = f"{side}_context"
        layers[name] = ContextEncoder(scaler.columns, sizes.width, name=f"{name}_encoder")
    return layers


def _tables(
    encoder: Encoder, types: Iterable[TaskType], inputs: Tensors, layers: Layers
) -> Tensors:
    """States of whole tables, ``(rows + 1, width)``, of those that are ranked or small."""
    ranked = {kind.candidates for kind in types}
    found = {}
    for name, side in (("items", encoder.item), ("users", encoder.user)):
        small = name == "items" and len(side.ids) <= SMALL
        if name in ranked or small:
            rows = RowNumbers(len(side.ids), name=f"all_{name}")(inputs["user"])
            found[name] = layers[name.removesuffix("s")](rows)
    return found


def _history(
    inputs: Tensors, layers: Layers, tables: Tensors, sizes: ModelBuilding
) -> keras.KerasTensor:
    """State of the user's past events, ``(batch, width)``."""
    if "items" in tables:  # an item that many histories name is encoded once
        items = ops.take(tables["items"], inputs["history_items"], axis=0)
    else:
        items = layers["item"](inputs["history_items"])
    events = ops.concatenate([items, ops.cast(inputs["history_events"], items.dtype)], axis=-1)
    encoder = HistoryEncoder(
        sizes.history.encoder, sizes.history.units, sizes.width, name="history_encoder"
    )
    return encoder(events, inputs["history_items"] > 0)
