"""Draws of the Bayesian factor model, each from one conditional distribution.

Sources: as of :mod:`benchmarks.models.rating_bayes`, which puts them together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.special import ndtr, ndtri

Array = np.ndarray
PRIOR = 10.0  # rows that the prior of a user's consistency weighs
EDGE = 1e-12  # probabilities stay this far from 0 and 1
CUT_STEP, CUT_MOVES = 0.008, 3  # random walk of the cut points


@dataclass(frozen=True)
class Grouped:
    """Rows in the order of their entity.

    Attributes:
        order: row numbers, ``(n,)``.
        ends: where each entity's rows begin in ``order``, ``(size + 1,)``.
    """

    order: Array
    ends: Array

    @classmethod
    def of(cls, entity: Array, size: int) -> Grouped:
        """Group rows by the entity of each, ``(n,)``."""
        counts = np.bincount(entity, minlength=size)
        return cls(np.argsort(entity, kind="stable"), np.concatenate([[0], np.cumsum(counts)]))

    def products(self, left: Array, right: Array, weight: Array) -> Array:
        """Weighted sum of outer products of each entity's rows, ``(size, left, right)``."""
        first = (left * weight[:, None])[self.order]
        second = right[self.order]
        found = np.empty((len(self.ends) - 1, left.shape[1], right.shape[1]))
        for at, (start, stop) in enumerate(zip(self.ends, self.ends[1:], strict=False)):
            np.matmul(first[start:stop].T, second[start:stop], out=found[at])
        return found


def probabilities(mean: Array, cuts: Array, root: Array) -> Array:
    """Probabilities of the levels ``(m, levels)`` for scores ``(m,)`` of precision ``root ** 2``.

    Example:
        >>> probabilities(np.array([0.0]), np.array([0.0]), np.array([2.0]))
        array([[0.5, 0.5]])
    """
    below = ndtr((cuts - mean[:, None]) * root[:, None])
    return np.diff(below, axis=1, prepend=0.0, append=1.0)


def start_cuts(labels: Array, levels: int) -> Array:
    """Cut points that give the levels their shares, ``(levels - 1,)``."""
    shares = np.bincount(labels, minlength=levels) / len(labels)
    return ndtri(np.cumsum(shares)[:-1])


def draw_consistency(error: Array, user: Array, size: int, rng: np.random.Generator) -> Array:
    """Precision of each user's noise around 1, ``(size,)``; the prior weighs ``PRIOR`` rows."""
    squares = np.bincount(user, error**2, size)
    count = np.bincount(user, minlength=size)
    return rng.gamma((PRIOR + count) / 2, 2 / (PRIOR + squares))


def draw_center(target: Array, weight: Array, rng: np.random.Generator) -> float:
    """Constant of all rows."""
    total = weight.sum()
    return float((weight * target).sum() / total + rng.normal() / total**0.5)


def draw_latent(
    labels: Array, mean: Array, root: Array, cuts: Array, rng: np.random.Generator
) -> Array:
    """Scores from the normal around ``mean`` within the level's cut points, ``(n,)``."""
    edges = np.concatenate([[-np.inf], cuts, [np.inf]])
    low, high = ndtr((edges[labels] - mean) * root), ndtr((edges[labels + 1] - mean) * root)
    share = np.clip(low + rng.random(len(mean)) * (high - low), EDGE, 1 - EDGE)
    return mean + ndtri(share) / root


def draw_cuts(
    labels: Array, mean: Array, root: Array, cuts: Array, rng: np.random.Generator
) -> Array:
    """A few Metropolis moves of all cut points, with the latent scores integrated out.

    Source: Cowles 1996, https://doi.org/10.1007/BF00162520.
    """
    present = _log_likelihood(labels, mean, root, cuts)
    for _ in range(CUT_MOVES):
        moved = cuts + CUT_STEP * rng.normal(size=len(cuts))
        if (np.diff(moved) <= 0).any():
            continue
        proposed = _log_likelihood(labels, mean, root, moved)
        if np.log(rng.random()) < proposed - present:
            cuts, present = moved, proposed
    return cuts


def _log_likelihood(labels: Array, mean: Array, root: Array, cuts: Array) -> float:
    edges = np.concatenate([[-np.inf], cuts, [np.inf]])
    share = ndtr((edges[labels + 1] - mean) * root) - ndtr((edges[labels] - mean) * root)
    return float(np.log(np.maximum(share, EDGE)).sum())


def draw_effect(
    effect: Array, group: Array, target: Array, weight: Array, rng: np.random.Generator
) -> Array:
    """Scalar effects ``(groups + 1,)``, of which the last stays zero, given what is left for them.

    Args:
        effect: present ones.
        group: of each row, ``(n,)``.
        target: what is left, ``(n,)``.
        weight: precision of each row's noise, ``(n,)``.
        rng: of the draws.
    """
    values = effect[:-1]
    precision = rng.gamma(1 + len(values) / 2, 1 / (1 + (values**2).sum() / 2))
    total = np.bincount(group, weight * target, minlength=len(values))
    scale = 1 / (np.bincount(group, weight, minlength=len(values)) + precision)
    drawn = total * scale + rng.normal(size=len(values)) * scale**0.5
    return np.append(drawn, 0.0)


def draw_rows(
    rows: Grouped, design: Array, target: Array, weight: Array, prior: Array,
    precision: Array, rng: np.random.Generator,
) -> Array:  # fmt: skip
    """Rows of a Bayesian linear regression per entity with known noise, ``(entities, width)``."""
    width = design.shape[1]
    sums = rows.products(design, np.hstack([design, target[:, None]]), weight)
    total = sums[:, :, :width] + precision
    pulled = sums[:, :, width] + prior @ precision
    root = np.linalg.cholesky(total)
    noise = rng.normal(size=prior.shape)[..., None]
    half = np.linalg.solve(root, pulled[..., None])
    return np.linalg.solve(root.transpose(0, 2, 1), half + noise)[..., 0]


def draw_coefficients(
    features: Array, kernel: Array, strengths: Array, target: Array, root: Array,
    rng: np.random.Generator,
) -> Array:  # fmt: skip
    r"""Coefficients of many regressions with one design and noise that is alike, by perturbation.

    With :math:`D` the diagonal of ``strengths`` and noise :math:`E` of the rows and :math:`E_0` of
    the prior, :math:`B = (X^T X + D)^{-1} (X^T (Y + E) + D^{1/2} E_0)`.

    Args:
        features: :math:`X`, ``(n, columns)``.
        kernel: :math:`X^T X`.
        strengths: prior precisions, ``(columns,)``.
        target: :math:`Y`, ``(n, width)``.
        root: of the covariance of the noise, ``(width, width)`` lower.
        rng: of the draws.
    """
    noisy = target + rng.normal(size=target.shape) @ root.T
    prior = rng.normal(size=(len(strengths), target.shape[1])) @ root.T
    system = kernel.copy()
    system[np.diag_indices(len(strengths))] += strengths
    return solve(system, features.T @ noisy + strengths[:, None] ** 0.5 * prior)


def solve(system: Array, wanted: Array) -> Array:
    """Solution for a positive definite system, which is overwritten."""
    factor = linalg.cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
    return linalg.cho_solve(factor, wanted, check_finite=False)
