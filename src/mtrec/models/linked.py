"""A head that ranks users and knows the links among them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from mtrec.features.links import KINDS, MOST, input_name, tables
from mtrec.models.encoders import Lookup


@keras.saving.register_keras_serializable("mtrec")
class LinkedCatalogueHead(keras.layers.Layer):
    r"""Score every user by state and links:
    :math:`z_c = \langle q W, s_c\rangle / \sqrt{d} + b_c + \sum_k w_k(q) \log(1 + n_{kc})`.

    :math:`n_{kc}` counts the links of kind :math:`k` between the row's user and candidate c, see
    :mod:`mtrec.features.links`, without the row's own link; how much a kind counts is linear in the
    tower's output. Called with the tower's output ``(batch, units)``, the users' states
    ``(users, d)``, and rows of users ``(batch,)``: the row's own and the one of its own link, 0
    for none. Gives ``(batch, users)``.
    """

    known_only = True  # in training: evidence of a row is dear, and few rows have a label
    SPEED = 10.0  # of the weights of links, which have to become large for so few rows

    def __init__(self, users: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.users = users
        self.tables = {
            name: Lookup((users + 1, users), "uint8", name=name) for name in ("chose", *KINDS[:-1])
        }

    def build(self, tower_shape, items_shape, user_shape, own_shape) -> None:
        """Create projection, biases and the weights of the kinds of links."""
        self.query = self.add_weight(
            name="query", shape=(tower_shape[-1], items_shape[-1]), initializer="zeros"
        )
        self.bias = self.add_weight(name="bias", shape=(items_shape[0],), initializer="zeros")
        self.kinds = self.add_weight(
            name="kinds", shape=(tower_shape[-1] + 1, len(KINDS)), initializer="zeros"
        )

    def reads(self, task: str) -> tuple[str, str]:
        """Inputs of the model that it is called with after tower and states."""
        return "user", input_name(task)

    def fill(self, chose: np.ndarray) -> None:
        """Copy the links of training, from :func:`mtrec.features.links.adjacency`."""
        for name, values in {"chose": chose, **tables(chose)}.items():
            self.tables[name].table.assign(values)

    def evidence(self, user, own):
        """Counts between rows' users and all, own links left out, ``(n, users)`` for each kind.

        Without the link of a to b, a has one link less in common with those whom b chose
        (``out_out``) and with those who chose b (``out_in``).
        """
        found = {name: ops.cast(self.tables[name](user), "float32") for name in self.tables}
        for kind, one_less in (("out_out", "chose"), ("out_in", "returned")):
            less = ops.cast(self.tables[one_less](own), "float32")
            exact = ops.cast(found[kind] < MOST, "float32")
            found[kind] = ops.maximum(found[kind] - exact * less, 0.0)
        chosen = found.pop("chose") + ops.one_hot(user - 1, self.users, dtype="float32")
        found["chosen"] = ops.maximum(chosen - ops.one_hot(own - 1, self.users), 0.0)
        return [found[kind] for kind in KINDS]

    def call(self, tower, items, user, own):
        """Logits ``(batch, users)``."""
        query = ops.matmul(tower, self.query) / items.shape[-1] ** 0.5
        weights = ops.matmul(tower, self.kinds[:-1]) + self.kinds[-1]
        scores = ops.matmul(query, ops.transpose(items)) + self.bias
        counts = self.evidence(user, own)
        for weight, seen in zip(ops.unstack(weights, axis=1), counts, strict=True):
            scores += self.SPEED * weight[:, None] * ops.log1p(seen)
        return scores

    def compute_output_shape(self, tower_shape, items_shape, user_shape, own_shape):
        """``(batch, users)``."""
        return (tower_shape[0], self.users)

    def get_config(self) -> dict[str, Any]:
        """Number of users."""
        return {**super().get_config(), "users": self.users}


def linked_catalogue(outputs: int, width: int, **kwargs: Any) -> keras.layers.Layer:
    """A :class:`LinkedCatalogueHead`."""
    return LinkedCatalogueHead(outputs, **kwargs)
