r"""SVD++: biases, latent factors, and what a user rated at all.

.. math:: z_{ui} = \mu + b_u + b_i + q_i^\top \Big(p_u + |N(u)|^{-1/2} \sum_{j \in N(u)} y_j\Big)

with :math:`N(u)` the items of the user's training rows. A rating is :math:`z` itself, trained by
squared error; a yes or no is :math:`\sigma(z)`, trained by log loss, with :math:`\mu` the logit of
the training share. The gradient in :math:`z` is :math:`\hat y - y` for both (half the square), so
that the update is one and the same.

Source: Koren 2008, "Factorization Meets the Neighborhood", eq. 15,
https://doi.org/10.1145/1401890.1401944.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import expit, logit
from threadpoolctl import threadpool_limits

from mtrec.peers.base import Array, PeerTask
from mtrec.registry import Form

FORMS = (Form.BIT, Form.NUMBER)
BATCH = 256
SPREAD = 0.1  # standard deviation of the initial factors
FACTORS, PENALTIES = (10, 40), (0.02, 0.06, 0.15)
RATE, BINARY_RATE = 0.007, 0.028  # the log loss is a quarter as curved as half the squared error
EPOCHS, PATIENCE = 60, 3
LEAST = 0.01  # of a probability to start from


@dataclass(frozen=True)
class Ratings:
    r"""Rows of users (``user``), items (``item``) and labels (``value``), ``(n,)`` each.

    Users and items are row numbers of the encoder; 0 is the unknown one. ``start`` is what
    :math:`z` begins at instead of :math:`\mu`, ``(n,)``, if not at that.
    """

    user: Array
    item: Array
    value: Array
    start: Array | None = None

    def take(self, rows: Array) -> Ratings:
        """The given rows."""
        start = None if self.start is None else self.start[rows]
        return Ratings(self.user[rows], self.item[rows], self.value[rows], start)


@dataclass(frozen=True)
class Factors:
    """What SVD++ learns.

    Attributes:
        mean: of the training labels, on the scale of :math:`z`; 0 where rows have a start.
        user_bias: ``(users,)``.
        item_bias: ``(items,)``.
        user: :math:`p`, ``(users, factors)``.
        item: :math:`q`, ``(items, factors)``.
        rated: :math:`y`, ``(items, factors)``.
    """

    mean: float
    user_bias: Array
    item_bias: Array
    user: Array
    item: Array
    rated: Array


def svdpp(asked: PeerTask) -> Array:
    """Predictions ``(n,)`` of all examples: values, or probabilities for a binary task.

    Number of factors, penalty and epochs are those with the least validation loss. Where the
    models' heads add to the running means of the label, so does this: a user or item that
    training rows lack is then known by what came before the moment of prediction.

    Raises:
        ValueError: the task is neither a regression nor binary.
    """
    asked.require("svdpp", FORMS)
    examples, encoder = asked.tables.examples, asked.encoder
    binary = asked.kind.form is Form.BIT
    start = asked.running_mean
    if start is not None and binary:
        start = logit(np.clip(start, LEAST, 1 - LEAST))
    rows = Ratings(
        encoder.user.rows(examples["user_id"]),
        encoder.item.rows(examples["item_id"]),
        asked.labels.astype("float64"),
        start,
    )
    training, validation = rows.take(asked.rows("train")), rows.take(asked.rows("validation"))
    sizes = (len(encoder.user.ids) + 1, len(encoder.item.ids) + 1)
    best, least = np.zeros(len(examples)), np.inf
    with threadpool_limits(1):  # products this small are slower on several cores
        for factors, penalty in product(FACTORS, PENALTIES):
            model, seen, loss = fit(
                training, validation, sizes, factors, penalty, EPOCHS, asked.seed, binary
            )
            if loss < least:
                best, least = predict(model, seen, rows, binary, training.value), loss
    return best


def fit(
    training: Ratings,
    validation: Ratings | None,
    sizes: tuple[int, int],
    factors: int,
    penalty: float,
    epochs: int,
    seed: int,
    binary: bool = False,
) -> tuple[Factors, csr_matrix, float]:
    """Train by gradient descent over shuffled batches.

    Args:
        training: rows to learn from.
        validation: rows that choose the epoch; None for the last one.
        sizes: number of users and items, the unknown ones included.
        factors: width of the factors.
        penalty: of squared parameters.
        epochs: at most.
        seed: of initial factors and batches.
        binary: whether labels are 0 or 1.

    Returns:
        Parameters, :math:`N` as of :func:`rated_items`, and the validation loss (NaN without).
    """
    rng, rate = np.random.default_rng(seed), BINARY_RATE if binary else RATE
    seen = rated_items(training, sizes).astype("float32")
    model = _start(training, seen, factors, rng, binary)
    best, least, waited = model, np.inf, 0
    for _ in range(epochs):
        order = rng.permutation(len(training.value))
        for start in range(0, len(order), BATCH):
            batch = training.take(order[start : start + BATCH])
            model = step(model, seen, batch, rate, penalty, binary)
        if validation is None:
            best, least = model, np.nan
            continue
        loss = _loss(predict(model, seen, validation, binary, training.value), validation, binary)
        best, least, waited = (
            (model, loss, 0) if loss < least else (best, least, waited + 1)
        )  # fmt: skip
        if waited == PATIENCE:
            break
    return best, seen, float(least)


def rated_items(rows: Ratings, sizes: tuple[int, int]) -> csr_matrix:
    r"""Rows :math:`|N(u)|^{-1/2}` at the items of :math:`N(u)`, ``(users, items)`` sparse."""
    pairs = np.unique(np.stack([rows.user, rows.item]), axis=1)
    counts = np.bincount(pairs[0], minlength=sizes[0])
    return csr_matrix((counts[pairs[0]] ** -0.5, (pairs[0], pairs[1])), shape=sizes)


def _start(
    training: Ratings, seen: csr_matrix, factors: int, rng: np.random.Generator, binary: bool
) -> Factors:
    """Random factors; zero for users and items without a training row, of whom nothing is known."""
    users, items = seen.shape
    drawn = [rng.normal(0, SPREAD, (size, factors)) for size in (users, items, items)]
    known = [np.bincount(training.user, minlength=users) > 0]
    known += [np.bincount(training.item, minlength=items) > 0] * 2
    user, item, rated = (part * flag[:, None] for part, flag in zip(drawn, known, strict=True))
    mean = float(training.value.mean())
    mean = float(logit(mean)) if binary else mean
    return Factors(
        mean if training.start is None else 0.0,
        *(part.astype("float32") for part in (np.zeros(users), np.zeros(items), user, item, rated)),
    )


def step(
    model: Factors, seen: csr_matrix, batch: Ratings, rate: float, penalty: float, binary: bool
) -> Factors:
    """One step along the summed gradients of the batch's rows, each row with its own penalty."""
    users, at = np.unique(batch.user, return_inverse=True)
    items, where = np.unique(batch.item, return_inverse=True)
    of_user, of_item = _membership(at, len(users)), _membership(where, len(items))
    rows_of_user, rows_of_item = of_user.sum(axis=1), of_item.sum(axis=1)
    own = seen[users]  # (batch's users, items)
    sums = own @ _with_column(model.rated, np.ones(len(model.rated)))
    profile = (model.user[users] + sums[:, :-1])[at]
    item = model.item[batch.item]
    score = model.mean + model.user_bias[batch.user] + model.item_bias[batch.item]
    score = score + (item * profile).sum(axis=1) + (0.0 if batch.start is None else batch.start)
    error = (batch.value - (expit(score) if binary else score)).astype(item.dtype)
    pulled = of_user @ (error[:, None] * item)
    back = own.T @ _with_column(pulled, rows_of_user * sums[:, -1])  # the last sum is |N|^(1/2)
    change: dict[str, Any] = {
        "user_bias": (users, of_user @ error, rows_of_user),
        "item_bias": (items, of_item @ error, rows_of_item),
        "user": (users, pulled, rows_of_user[:, None]),
        "item": (items, of_item @ (error[:, None] * profile), rows_of_item[:, None]),
        "rated": (slice(None), back[:, :-1], back[:, -1:]),
    }
    moved = {}
    for name, (index, gradient, count) in change.items():
        values = getattr(model, name).copy()
        values[index] += rate * (gradient - penalty * count * values[index])
        moved[name] = values
    return replace(model, **moved)


def _membership(of: Array, size: int) -> Array:
    """1 where a row of the batch is of a user, or of an item: ``(size, rows)`` float32."""
    return (np.arange(size)[:, None] == of).astype("float32")


def _with_column(values: Array, column: Array) -> Array:
    return np.column_stack([values, column.astype(values.dtype)])


def predict(model: Factors, seen: csr_matrix, rows: Ratings, binary: bool, labels: Array) -> Array:
    """Values within the range of the training ``labels``, or probabilities; ``(n,)``."""
    profile = model.user + seen @ model.rated
    score = model.mean + model.user_bias[rows.user] + model.item_bias[rows.item]
    score = score + (model.item[rows.item] * profile[rows.user]).sum(axis=1)
    score = score + (0.0 if rows.start is None else rows.start)
    return expit(score) if binary else np.clip(score, labels.min(), labels.max())


def _loss(found: Array, rows: Ratings, binary: bool) -> float:
    if not binary:
        return float(((found - rows.value) ** 2).mean())
    found = np.clip(found, 1e-7, 1 - 1e-7)
    return float(-(rows.value * np.log(found) + (1 - rows.value) * np.log(1 - found)).mean())
