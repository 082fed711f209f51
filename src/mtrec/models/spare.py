"""A model with room for items that came after its training and have a text.

The graph is the same; the tables of items have rows more. A spare row is like that of the unknown
item until its text's vectors are put in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from mtrec.models.encoders import PLAIN, EntityEncoder
from mtrec.models.model import MultiTaskModel
from mtrec.models.reader import TextReader

Array = np.ndarray
ENCODER, READER = "item_encoder", "item_reader"


def with_spare_items(model: MultiTaskModel, spare: int) -> MultiTaskModel:
    """The model with ``spare`` more rows of items; rows that it had are answered as before.

    Args:
        model: a trained model; left as it is.
        spare: number of rows.
    """
    config = model.get_config()
    for layer in config["layers"]:
        own = layer["config"]
        if layer["name"] == ENCODER:
            own["fields"] = [_longer(field, spare) for field in own["fields"]]
        if layer["name"] == READER:
            own["rows"] += spare
    graph = keras.Model.from_config(config)
    new = MultiTaskModel(graph.input, graph.output, name=model.name)
    for weight, target in zip(model.weights, new.weights, strict=True):
        old, room = ops.convert_to_numpy(weight), np.zeros(target.shape, weight.dtype)
        room[: len(old)] = old
        if len(room) > len(old) and not _holds_vectors(weight.path):
            room[len(old) :] = old[0]
        target.assign(room)
    return new


def _longer(field: Mapping[str, Any], spare: int) -> dict[str, Any]:
    vectors = field["kind"] not in PLAIN
    return {**field, "rows": field["rows"] + spare, "size": field["size"] + spare * vectors}


def _holds_vectors(path: str) -> bool:
    return path.endswith("_vectors/table")


def put_item(
    model: MultiTaskModel, place: int, vectors: Mapping[str, Array], reading: Array | None
) -> Array:
    """Fill a spare row of items.

    Args:
        model: of :func:`with_spare_items`.
        place: of the spare rows, counted from the last one, 0.
        vectors: by feature, ``(components,)`` each; those of other features stay as they are.
        reading: what each task reads in the text, ``(tasks, width)``; None without a reader.

    Returns:
        The item's state ``(width,)``, as rankings of items compare it.
    """
    encoder = next(
        one for one in model.layers if isinstance(one, EntityEncoder) and one.name == ENCODER
    )
    row = 0
    for field, table in zip(encoder.fields, encoder.tables, strict=True):
        row = field["rows"] - 1 - place
        if field["name"] in vectors:
            at = field["size"] - 1 - place
            _put(encoder.vectors[field["name"]].table, at, vectors[field["name"]])
            _put(table.table, row, np.array(at))
    if reading is not None:
        reader = model.get_layer(READER)
        assert isinstance(reader, TextReader)
        _put(reader.table, reader.rows - place, reading)
    return ops.convert_to_numpy(encoder(ops.convert_to_tensor([row])))[0]


def _put(table: keras.Variable, at: int, values: Array) -> None:
    values = ops.cast(ops.convert_to_tensor(values)[None], table.dtype)
    table.assign(ops.slice_update(table.value, [at] + [0] * (len(table.shape) - 1), values))
