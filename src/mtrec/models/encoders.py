"""Users, items and their context -> one vector each.

Every feature has its own projection to the common width and the projections are added, so a task
that may not see a feature is served by leaving its term out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mtrec.features.fields import Field

PLAIN = ("categorical", "multi", "numeric")  # all other kinds' values are rows of vectors


@keras.saving.register_keras_serializable("mtrec")
class Lookup(keras.layers.Layer):
    """A fixed table inside the model: row indices ``(...)`` -> rows ``(..., width)``.

    The table is not trained, keeps its own type under mixed precision, and is saved with the
    model, so that a request needs only row numbers.

    Args:
        shape: shape of the table.
        table_dtype: ``int32`` or ``float32``.
    """

    def __init__(self, shape: Sequence[int], table_dtype: str = "float32", **kwargs: Any):
        super().__init__(**kwargs)
        self.shape, self.table_dtype = tuple(shape), table_dtype
        self.table = self.add_weight(
            name="table",
            shape=self.shape,
            dtype=table_dtype,
            initializer="zeros",
            trainable=False,
            autocast=False,
        )

    def call(self, rows):
        """Rows of the table."""
        return ops.take(self.table, rows, axis=0)

    def get_config(self) -> dict[str, Any]:
        """Shape and type; the values are weights."""
        return {**super().get_config(), "shape": self.shape, "table_dtype": self.table_dtype}


@keras.saving.register_keras_serializable("mtrec")
class EntityEncoder(keras.layers.Layer):
    r"""State of a user or item: :math:`\sum_f P_f(x_f)` over the visible features :math:`f`.

    :math:`P_f` is an embedding for categories and a linear map for multi-hot and numeric features
    and for vectors.

    Args:
        fields: ``{"name", "kind", "rows", "size", "width"}`` per feature, see :func:`specify`.
        width: width of the state.
    """

    def __init__(self, fields: Sequence[dict[str, Any]], width: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.fields, self.width = [dict(field) for field in fields], width
        self.tables, self.projections, self.vectors = [], [], {}
        own = {"dtype": self.dtype_policy}  # a loaded layer's, whatever the process has
        for field in self.fields:
            name = field["name"]
            indexed = field["kind"] not in ("multi", "numeric")
            shape = (field["rows"],) if indexed else (field["rows"], field["size"])
            self.tables.append(
                Lookup(shape, "int32" if indexed else "float32", name=f"{name}_rows", **own)
            )
            if field["kind"] == "categorical":
                projection = keras.layers.Embedding(
                    field["size"], width, embeddings_initializer="glorot_normal", name=name, **own
                )
            else:
                projection = keras.layers.Dense(width, use_bias=False, name=name, **own)
            self.projections.append(projection)
            if field["kind"] not in PLAIN:
                shape = (field["size"], field["width"])
                self.vectors[name] = Lookup(shape, name=f"{name}_vectors", **own)

    def build(self, input_shape) -> None:
        """Create the projections' weights."""
        for field, projection in zip(self.fields, self.projections, strict=True):
            if field["kind"] == "categorical":
                projection.build((None,))
            else:
                projection.build((None, field["width"]))
        self.built = True

    def call(self, rows, visible: Sequence[str] | None = None):
        """States ``(..., width)`` of ``rows`` ``(...)``, from the ``visible`` features (all)."""
        terms = []
        for field, table, projection in zip(
            self.fields, self.tables, self.projections, strict=True
        ):
            if visible is not None and field["name"] not in visible:
                continue
            values = table(rows)
            if field["kind"] not in PLAIN:
                values = self.vectors[field["name"]](values)
            terms.append(projection(values))
        if not terms:
            return ops.zeros((*ops.shape(rows), self.width), self.compute_dtype)
        return sum(terms[1:], terms[0])

    def compute_output_spec(self, rows, visible=None):
        """``(..., width)``."""
        return keras.KerasTensor((*rows.shape, self.width), dtype=self.compute_dtype)

    def fill(self, fields: Sequence[Field]) -> None:
        """Copy the features' tables into the layer."""
        for field, table in zip(fields, self.tables, strict=True):
            table.table.assign(field.table)
            if field.vectors is not None:
                self.vectors[field.name].table.assign(field.vectors)

    def get_config(self) -> dict[str, Any]:
        """Features and width."""
        return {**super().get_config(), "fields": self.fields, "width": self.width}


def specify(fields: Sequence[Field]) -> list[dict[str, Any]]:
    """Describe features for :class:`EntityEncoder`."""
    return [
        {
            "name": field.name,
            "kind": field.kind,
            "rows": len(field.table),
            "size": field.size,
            "width": field.size if field.vectors is None else field.vectors.shape[1],
        }
        for field in fields
    ]


@keras.saving.register_keras_serializable("mtrec")
class ContextEncoder(keras.layers.Layer):
    """What was known at that moment: ``(batch, columns, 2)`` -> ``(batch, width)``.

    Args:
        columns: names of the columns, in order.
        width: width of the result.
    """

    def __init__(self, columns: Sequence[str], width: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.columns, self.width = list(columns), width
        own = {"dtype": self.dtype_policy}
        self.hidden = keras.layers.Dense(width, activation="relu", name="hidden", **own)
        self.out = keras.layers.Dense(width, use_bias=False, name="out", **own)

    def build(self, input_shape) -> None:
        """Create the weights."""
        self.hidden.build((None, 2 * len(self.columns)))
        self.out.build((None, self.width))
        self.built = True

    def call(self, values, visible: Sequence[str] | None = None):
        """Encode the ``visible`` columns (all); the others count as zero."""
        seen = [float(visible is None or column in visible) for column in self.columns]
        values = values * ops.reshape(ops.convert_to_tensor(seen, values.dtype), (1, -1, 1))
        return self.out(self.hidden(ops.reshape(values, (-1, 2 * len(self.columns)))))

    def compute_output_spec(self, values, visible=None):
        """``(batch, width)``."""
        return keras.KerasTensor((values.shape[0], self.width), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Columns and width."""
        return {**super().get_config(), "columns": self.columns, "width": self.width}
