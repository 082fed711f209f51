r"""A crossed random-effects model, as lme4 fits it: students, lecturers and departments at once.

.. math:: y = X\beta + \sum_g Z_g b_g + \varepsilon, \qquad b_g \sim N(0, \theta_g^2\sigma^2 I),
    \quad \varepsilon \sim N(0, \sigma^2 I)

Maximum likelihood: for given :math:`\theta` Henderson's mixed-model equations give the best linear
unbiased predictions of :math:`b`, and :math:`\beta` and :math:`\sigma` drop out of the deviance.
The largest group's block is diagonal and is eliminated first, so that what is left is small.

Source: Bates et al. 2015, "Fitting Linear Mixed-Effects Models Using lme4", section 3.4,
https://doi.org/10.18637/jss.v067.i01; Henderson 1975, https://doi.org/10.2307/2529430.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg, sparse
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.special import ndtr
from threadpoolctl import threadpool_limits

from mtrec.peers.base import Array, PeerTask
from mtrec.registry import Form

FORMS = (Form.LEVEL, Form.NUMBER)
NOWHERE = -1  # code of a row that has no level of a group


@dataclass(frozen=True)
class MixedModel:
    """A fitted model.

    Attributes:
        fixed: coefficients of the fixed columns, ``(columns,)``.
        effects: predicted effect of each level, ``(levels,)`` per group.
        deviations: standard deviation of the effects per group.
        residual: standard deviation of the residuals.
        deviance: minus twice the log-likelihood.
    """

    fixed: Array
    effects: tuple[Array, ...]
    deviations: tuple[float, ...]
    residual: float
    deviance: float

    def predict(self, fixed: Array, groups: Sequence[Array]) -> Array:
        """Conditional means ``(n,)``; a level that was never seen has effect 0."""
        found = fixed @ self.fixed
        for codes, effects in zip(groups, self.effects, strict=True):
            found = found + np.append(effects, 0.0)[codes]  # -1 is the last
        return found


def fit(y: Array, fixed: Array, groups: Sequence[Array], sizes: Sequence[int]) -> MixedModel:
    """Fit by maximum likelihood.

    Args:
        y: responses, ``(n,)``.
        fixed: columns of the fixed effects, with the intercept, ``(n, columns)``.
        groups: at least two grouping factors, the one with most levels first: level of each row,
            ``(n,)`` int, -1 for none.
        sizes: number of levels per group.
    """
    equations = _Equations.of(y, fixed, groups, sizes)
    with threadpool_limits(1):  # the matrices are small: more threads would mostly wait
        found = minimize(
            lambda theta: equations.solve(theta).deviance, np.full(len(sizes), 0.5),
            method="Nelder-Mead", bounds=[(0.0, None)] * len(sizes),
            options={"xatol": 1e-5, "fatol": 1e-5, "maxiter": 200 * len(sizes)},
        )  # fmt: skip
    return equations.solve(found.x)


@dataclass(frozen=True)
class _Equations:
    """Cross products of the first group's indicators (a), the others' (b) and ``[X, y]`` (f)."""

    n: int
    sizes: tuple[int, ...]
    aa: Array
    ab: sparse.csr_array
    bb: Array
    af: Array
    bf: Array
    ff: Array

    @classmethod
    def of(
        cls, y: Array, fixed: Array, groups: Sequence[Array], sizes: Sequence[int]
    ) -> _Equations:
        first, *others = (_indicators(c, size) for c, size in zip(groups, sizes, strict=True))
        rest, known = sparse.hstack(others).tocsr(), np.column_stack([fixed, y])
        return cls(
            len(y), tuple(sizes), np.asarray(first.sum(axis=0)).ravel(), (first.T @ rest).tocsr(),
            (rest.T @ rest).toarray(), first.T @ known, rest.T @ known, known.T @ known,
        )  # fmt: skip

    def solve(self, theta: Array) -> MixedModel:
        """The model whose effects have ``theta`` times the residuals' deviation."""
        a, b = theta[0], np.repeat(theta[1:], self.sizes[1:])
        pivot = a**2 * self.aa + 1.0
        weight = a**2 / pivot
        weighted = self.ab.T @ (sparse.diags_array(weight) @ self.ab)
        schur = b[:, None] * (self.bb - weighted.toarray()) * b + np.eye(len(b))
        lower = linalg.cholesky(schur, lower=True)
        reduced = b[:, None] * (self.bf - self.ab.T @ (weight[:, None] * self.af))
        half = linalg.solve_triangular(lower, reduced, lower=True)
        normal = self.ff - self.af.T @ (weight[:, None] * self.af) - half.T @ half
        coefficients = linalg.solve(normal[:-1, :-1], normal[:-1, -1], assume_a="pos")
        squares = float(normal[-1, -1] - normal[:-1, -1] @ coefficients)
        variance = squares / self.n
        contrast = np.append(-coefficients, 1.0)
        second = b * linalg.solve_triangular(lower.T, half @ contrast, lower=False)
        primary = weight * (self.af @ contrast - self.ab @ second)
        cuts = np.cumsum(self.sizes[1:])[:-1]
        return MixedModel(
            coefficients,
            (primary, *np.split(second, cuts)),
            tuple(float(t) * variance**0.5 for t in theta),
            variance**0.5,
            float(
                np.log(pivot).sum()
                + 2 * np.log(np.diag(lower)).sum()
                + self.n * (1 + np.log(2 * np.pi * variance))
            ),
        )


def _indicators(codes: Array, size: int) -> sparse.csr_array:
    rows = np.flatnonzero(codes != NOWHERE)
    values = (np.ones(len(rows)), (rows, codes[rows]))
    return sparse.coo_array(values, shape=(len(codes), size)).tocsr()


def random_effects(task: PeerTask) -> Array:
    """Predict a joint regression or ordinal task by a crossed random-effects model.

    Fixed effects are an intercept and the joint context that the head sees; random ones are its
    user, its item, and every other category of either. An ordinal level is a normal variable cut
    at thresholds that give the training rows' shares of levels; its deviation is chosen on the
    validation rows.

    Returns:
        Level probabilities ``(n, levels)`` of an ordinal task, values ``(n,)`` of a regression.

    Raises:
        ValueError: the task has another type, or its head does not see user and item.
    """
    seen = task.seen
    task.require("random_effects", FORMS, bool(seen.user and seen.item), "that see user and item")
    fixed, (groups, sizes) = _fixed(task, seen.joint_context), _groups(task, seen)
    training = task.rows("train")
    labels = task.labels.astype("float64")
    model = fit(labels[training], fixed[training], [codes[training] for codes in groups], sizes)
    mean = model.predict(fixed, groups)
    if task.kind.form is Form.NUMBER:
        return mean
    return _levels(task, mean, model.residual)


def _fixed(task: PeerTask, columns: tuple[str, ...]) -> Array:
    """Intercept and standardised joint context, missing values at the mean."""
    intercept = np.ones((len(task.labels), 1))
    if not columns:
        return intercept
    scaler = task.encoder.contexts["joint"]
    chosen = [scaler.columns.index(column) for column in columns]
    return np.hstack([intercept, scaler(task.tables.examples)[:, chosen, 0].astype("float64")])


def _groups(task: PeerTask, seen: Any) -> tuple[list[Array], list[int]]:
    """Level of each example in each group, and the number of levels; most levels first."""
    examples, found = task.tables.examples, []
    for side, key, names in (
        (task.encoder.user, "user_id", seen.user),
        (task.encoder.item, "item_id", seen.item),
    ):
        rows = side.rows(examples[key])
        for field in side.fields:
            if field.name == key and key in names:  # also ids too rare for an embedding
                found.append((len(side.ids), rows - 1))
            elif field.kind == "categorical" and field.name in names:
                found.append((field.size - 1, field.table[rows] - 1))
    found.sort(key=lambda group: -group[0])
    return [codes for _, codes in found], [size for size, _ in found]


def _levels(task: PeerTask, mean: Array, residual: float) -> Array:
    """Probability of each level, ``(n, levels)``, of normal variables around ``mean``."""
    training, validation = task.rows("train"), task.rows("validation")
    shares = np.bincount(task.labels[training], minlength=task.kind.outputs + 1).cumsum()[:-1]
    shares = shares / len(training)

    def probabilities(deviation: float, of: Array) -> Array:
        cuts = [_cut(mean[training], deviation, share) for share in shares]
        below = ndtr((np.array(cuts) - of[:, None]) / deviation)
        return np.diff(np.pad(below, ((0, 0), (1, 1)), constant_values=(0.0, 1.0)))

    def loss(scale: float) -> float:
        found = probabilities(scale * residual, mean[validation])
        own = found[np.arange(len(validation)), task.labels[validation]]
        return float(-np.log(np.maximum(own, 1e-12)).mean())

    scale = minimize_scalar(loss, bounds=(0.5, 2.0), method="bounded", options={"xatol": 1e-3}).x
    return probabilities(scale * residual, mean)


def _cut(mean: Array, deviation: float, share: float) -> float:
    """The value below which ``share`` of the normal variables around ``mean`` lie."""
    reach = 10 * deviation
    return brentq(
        lambda cut: ndtr((cut - mean) / deviation).mean() - share,
        mean.min() - reach,
        mean.max() + reach,
        xtol=1e-6,
    )
