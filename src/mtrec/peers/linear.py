r"""Linear models on what the head sees: least squares, or logistic regressions, with a penalty.

.. math:: \min_{W, b} \; \sum_r \ell(y_r,\; x_r W + b) + \frac{\lambda}{2} \lVert W \rVert^2

with the squared error for numbers, one logistic loss for yes or no and one per label for sets (one
against the rest), and the softmax for classes and levels. The penalty with the best main metric on
validation rows answers. Of very many training rows a sample is enough for so few weights.

Source: Hastie, Tibshirani and Friedman 2009, "The Elements of Statistical Learning", chapters 3, 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from threadpoolctl import threadpool_limits

from mtrec.peers.base import Array, PeerTask, Question, Specialist
from mtrec.peers.design import design, reads_means
from mtrec.registry import Form

FORMS = (Form.BIT, Form.CLASS, Form.LEVEL, Form.NUMBER, Form.SET)
PENALTIES = (300.0, 30.0, 3.0)  # from the strongest on: each starts where the last one ended
ROWS = 30_000  # of training, at most
STEPS = 60  # of L-BFGS, for each penalty
Loss = Callable[[Array, Array], tuple[float, Array]]  # of scores and targets, with its gradient


@dataclass(frozen=True)
class Linear(Specialist):
    """Weights ``(columns, outputs)``, their intercepts, and whether running means are columns.

    ``mean`` and ``scale`` turn scores back into numbers; 0 and 1 for other labels.
    """

    weights: Array
    intercepts: Array
    means: Array
    mean: Array
    scale: Array

    def answer(self, asked: Question) -> Array:
        """Predictions in the form of the task type's."""
        matrix, _ = design(asked, bool(self.means))
        scores = matrix @ self.weights + self.intercepts
        form = asked.kind.form
        if form is Form.NUMBER:
            return scores[:, 0] * self.scale + self.mean
        if form in (Form.CLASS, Form.LEVEL):
            return softmax(scores, axis=1)
        return expit(scores[:, 0] if form is Form.BIT else scores)


def linear(task: PeerTask) -> Linear:
    """Fit with each penalty.

    Raises:
        NoAnswer: the task is a ranking.
        ValueError: its head sees nothing.
    """
    task.require("linear", FORMS)
    means = reads_means(task)
    rows = task.rows("train")
    rows = np.sort(np.random.default_rng(task.seed).permutation(rows)[:ROWS])
    matrix, _ = design(task.question(rows), means)
    targets, loss, mean, scale = _targets(task, rows)
    held = task.question(task.rows("validation"))
    weights = np.zeros((matrix.shape[1] + 1, targets.shape[1]))
    best, most = None, -np.inf
    with threadpool_limits(1):
        for penalty in PENALTIES:
            weights = fit(matrix, targets, loss, penalty, weights)
            one = Linear(
                weights[:-1].astype("float32"), weights[-1], np.asarray(means),
                np.asarray(mean), np.asarray(scale),
            )  # fmt: skip
            value = task.judge(one.answer(held))
            if value > most or best is None:
                best, most = one, value
    return best  # type: ignore[return-value]


def fit(
    matrix: sparse.csr_matrix, targets: Array, loss: Loss, penalty: float, start: Array
) -> Array:
    """Weights with the intercepts as their last row, ``(columns + 1, outputs)``."""
    turned = matrix.T.tocsr()

    def goal(flat: Array) -> tuple[float, Array]:
        values = flat.reshape(start.shape)
        lost, slope = loss(matrix @ values[:-1] + values[-1], targets)
        gradient = np.vstack([turned @ slope + penalty * values[:-1], slope.sum(axis=0)])
        return lost + penalty / 2 * float((values[:-1] ** 2).sum()), gradient.ravel()

    found = minimize(goal, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    return found.x.reshape(start.shape)


def squared(scores: Array, targets: Array) -> tuple[float, Array]:
    """Half the sum of squared errors."""
    error = scores - targets
    return float((error**2).sum()) / 2, error


def logistic(scores: Array, targets: Array) -> tuple[float, Array]:
    """Sum of the log losses of each column."""
    return float((np.logaddexp(0, scores) - targets * scores).sum()), expit(scores) - targets


def cross_entropy(scores: Array, targets: Array) -> tuple[float, Array]:
    """Sum of the log losses of the softmax."""
    logs = log_softmax(scores, axis=1)
    return -float((targets * logs).sum()), np.exp(logs) - targets


def _targets(task: PeerTask, rows: Array) -> tuple[Array, Loss, float, float]:
    """What scores should be, their loss, and the mean and deviation of numbers."""
    labels = task.labels[rows]
    form = task.kind.form
    if form is Form.NUMBER:
        mean, scale = float(labels.mean()), float(labels.std()) or 1.0
        return ((labels - mean) / scale)[:, None].astype("float64"), squared, mean, scale
    if form in (Form.CLASS, Form.LEVEL):
        return np.eye(len(task.kind.class_names))[labels], cross_entropy, 0.0, 1.0
    return labels.reshape(len(labels), -1).astype("float64"), logistic, 0.0, 1.0
