r"""Bayesian ordinal factor model of user, item and day, with side information, by Gibbs sampling.

.. math::
   z_n = b_u + b_i + b_t + p_u^\top q_i + p_u^\top s_t + q_i^\top s_t + \sum_g \delta_{g(n)}
   + \varepsilon_n, \qquad y_n = k \iff c_{k-1} < z_n \le c_k

with :math:`\varepsilon_n \sim N(0, 1 / \alpha_u)`: users differ in how consistent they are. The row
:math:`\theta_e = (b_e, p_e)` of an entity has the prior :math:`N(\mu + x_e^\top B, \Lambda^{-1})`,
where :math:`x_e` holds its side information and whom it met in training (implicit feedback).
:math:`\delta` are scalar effects of groups of rows, such as a user's session. Everything of one
mode is drawn at once given the rest: an entity's whole row from its exact conditional, :math:`B`
by one linear solve with noise, which mixes better than one coordinate at a time.

Sources: Albert and Chib 1993, https://doi.org/10.1080/01621459.1993.10476321 (ordinal probit);
Salakhutdinov and Mnih 2008, https://doi.org/10.1145/1390156.1390267 (Normal-Wishart factors);
Simm et al. 2017, https://arxiv.org/abs/1509.04610 (side information);
Rendle et al. 2019, https://arxiv.org/abs/1905.01395 (implicit feedback and days).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.models.rating_draws import (
    Grouped,
    draw_center,
    draw_coefficients,
    draw_consistency,
    draw_cuts,
    draw_effect,
    draw_latent,
    draw_rows,
    probabilities,
    start_cuts,
)

Array = np.ndarray
THIN = 3  # every so many draws answer the asked rows
SPREAD = 0.1  # standard deviation of the initial factors


@dataclass(frozen=True)
class Mode:
    """One of the three sides of a rating.

    Attributes:
        known: entity of each training row, ``(n,)``.
        asked: entity of each asked row, ``(m,)``.
        size: number of entities.
        features: groups of side information, each ``(size, columns)``.
    """

    known: Array
    asked: Array
    size: int
    features: Sequence[Array] = ()


@dataclass(frozen=True)
class Group:
    """A scalar effect: group of each known and asked row; -1 where a row's was never seen."""

    known: Array
    asked: Array
    size: int


@dataclass
class _Side:
    """State of a mode while sampling."""

    mode: Mode
    theta: Array  # (size, 1 + factors): bias, factors
    prior: Array  # (size, 1 + factors): mean of theta
    center: Array  # (1 + factors,): part of it that all rows share
    precision: Array  # (1 + factors, 1 + factors)
    rows: Grouped
    features: Array  # (size, columns), all groups
    kernel: Array  # (columns, columns)
    strengths: Array  # (groups,): precision of each group's coefficients


def sample(
    labels: Array,
    modes: Sequence[Mode],
    groups: Sequence[Group],
    factors: int,
    iterations: int,
    burn: int,
    seed: int,
) -> Array:
    """Posterior mean probabilities of the levels for the asked rows, ``(m, levels)``.

    Args:
        labels: levels from 0 of the training rows, ``(n,)``.
        modes: three sides.
        groups: scalar effects.
        factors: width.
        iterations: of the sampler.
        burn: first iterations that are thrown away.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    levels = int(labels.max()) + 1
    cuts = start_cuts(labels, levels)
    sides = [_start(mode, factors, rng) for mode in modes]
    effects = [np.zeros(group.size + 1) for group in groups]
    found = np.zeros((len(modes[0].asked), levels))
    center, consistency = 0.0, np.ones(modes[0].size)
    user = modes[0].known
    mean = score(sides, effects, groups, "known") + center
    for iteration in range(iterations):
        root = consistency[user] ** 0.5
        cuts = draw_cuts(labels, mean, root, cuts, rng)
        latent = draw_latent(labels, mean, root, cuts, rng)
        consistency = draw_consistency(latent - mean, user, modes[0].size, rng)
        weight = consistency[user]
        center = draw_center(latent - mean + center, weight, rng)
        mean = score(sides, effects, groups, "known") + center
        for position in range(len(sides)):
            mean += draw_side(sides, position, latent - mean, weight, rng)
        for effect, group in zip(effects, groups, strict=True):
            fresh = draw_effect(
                effect, group.known, latent - mean + effect[group.known], weight, rng
            )
            mean += (fresh - effect)[group.known]
            effect[:] = fresh
        if iteration >= burn and iteration % THIN == 0:
            asked = score(sides, effects, groups, "asked") + center
            found += probabilities(asked, cuts, consistency[modes[0].asked] ** 0.5)
    return found / found.sum(axis=1, keepdims=True)


def score(
    sides: Sequence[_Side], effects: Sequence[Array], groups: Sequence[Group], part: str
) -> Array:
    """Mean of the latent score without the center, for the ``known`` or ``asked`` rows."""
    first, second, third = (side.theta[getattr(side.mode, part)] for side in sides)
    total = first[:, 0] + second[:, 0] + third[:, 0]
    total += np.einsum("nk,nk->n", first[:, 1:] + third[:, 1:], second[:, 1:])
    total += np.einsum("nk,nk->n", first[:, 1:], third[:, 1:])
    for effect, group in zip(effects, groups, strict=True):
        total += effect[getattr(group, part)]  # the last entry, of group -1, is zero
    return total


def draw_side(
    sides: Sequence[_Side], position: int, rest: Array, weight: Array, rng: np.random.Generator
) -> Array:
    """Draw every row of a mode, then its prior.

    Args:
        sides: state; that of ``position`` changes.
        position: of the mode.
        rest: latent scores less their present mean, ``(n,)``.
        weight: precision of each row's noise, ``(n,)``.

    Returns:
        What the training rows' means change by, ``(n,)``.
    """
    side, others = sides[position], [s for at, s in enumerate(sides) if at != position]
    design = sum(other.theta[other.mode.known] for other in others)
    design[:, 0] = 1.0
    before = np.einsum("nk,nk->n", side.theta[side.mode.known], design)
    side.theta = draw_rows(
        side.rows, design, rest + before, weight, side.prior, side.precision, rng
    )
    draw_prior(side, rng)
    return np.einsum("nk,nk->n", side.theta[side.mode.known], design) - before


def draw_prior(side: _Side, rng: np.random.Generator) -> None:
    """Draw the mean, the effects of the features and the precision of a mode's rows."""
    size, width = side.theta.shape
    covariance = np.linalg.inv(side.precision)
    mean_root = np.linalg.cholesky(covariance / (size + 1))
    features = np.zeros((size, width))
    if side.mode.features:
        features, side.strengths, spread = draw_features(side, covariance, rng)
    else:
        spread = np.zeros((width, width))
    left = side.theta - features
    side.center = left.sum(axis=0) / (size + 1) + mean_root @ rng.normal(size=width)
    side.prior = side.center + features
    apart = side.theta - side.prior
    scatter = np.eye(width) * width * SPREAD**2 + apart.T @ apart + spread
    scatter += np.outer(side.center, side.center)
    freedom = width + size + 1 + sum(part.shape[1] for part in side.mode.features)
    inverse = np.linalg.inv(scatter)
    side.precision = stats.wishart.rvs(freedom, (inverse + inverse.T) / 2, random_state=rng)


def draw_features(
    side: _Side, covariance: Array, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    r"""Draw :math:`B` given the rows, then the precision :math:`\lambda_g` of each group g.

    Returns:
        :math:`X B` ``(size, width)``, the groups' precisions, :math:`\sum_g \lambda_g B_g^T B_g`.
    """
    parts = side.mode.features
    columns = [part.shape[1] for part in parts]
    root = np.linalg.cholesky(covariance)
    drawn = draw_coefficients(
        side.features, side.kernel, np.repeat(side.strengths, columns),
        side.theta - side.center, root, rng,
    )  # fmt: skip
    split = np.split(drawn, np.cumsum(columns)[:-1])
    inner = [np.einsum("fk,kl,fl->", b, side.precision, b) for b in split]
    strengths = np.array(
        [
            rng.gamma(1 + b.size / 2, 1 / (1 + amount / 2))
            for b, amount in zip(split, inner, strict=True)
        ]
    )
    spread = drawn.T @ (np.repeat(strengths, columns)[:, None] * drawn)
    return side.features @ drawn, strengths, spread


def _start(mode: Mode, factors: int, rng: np.random.Generator) -> _Side:
    width = 1 + factors
    theta = SPREAD * rng.normal(size=(mode.size, width))
    theta[:, 0] = 0.0
    features = np.hstack([np.zeros((mode.size, 0)), *mode.features])
    return _Side(
        mode, theta, np.zeros((mode.size, width)), np.zeros(width), np.eye(width) * 10,
        Grouped.of(mode.known, mode.size), features, features.T @ features,
        np.full(len(mode.features), 10.0),
    )  # fmt: skip
