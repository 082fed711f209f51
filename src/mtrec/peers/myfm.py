r"""A Bayesian factorisation machine on ids, features and context.

.. math:: z = w_0 + w^\top x + \sum_{i<j} \langle v_i, v_j \rangle x_i x_j

drawn by Gibbs sampling in the package ``myfm``; a prediction is the mean over the samples of
:math:`z`, of :math:`\Phi(z)` for yes or no, or of :math:`\Phi(c_k - z)` between the cut points
:math:`c_k` of ordered levels. Each block of columns has a prior of its own. Where the models' heads
start from running means of a number, so does this, and learns what they leave; of other labels the
means are columns. The number of factors with the best main metric on validation rows answers.

Source: Rendle 2012, "Factorization Machines with libFM", https://doi.org/10.1145/2168752.2168771;
Ohtsuki, ``myfm``, https://github.com/tohtsky/myFM.
"""

from __future__ import annotations

import warnings
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import ndtr
from threadpoolctl import threadpool_limits

from mtrec.peers.base import Array, PeerTask, Question, Specialist
from mtrec.peers.design import design, reads_means
from mtrec.registry import Form

FORMS = (Form.BIT, Form.LEVEL, Form.NUMBER)
RANKS = (2, 8)
SAMPLES, KEPT = 40, 20  # of which the last ones answer
COMPONENTS = 8  # leading ones of a text's or a graph's vector


@dataclass(frozen=True)
class Machine(Specialist):
    """Samples: ``w0`` (samples,), ``w`` (samples, columns), ``v`` (samples, columns, factors) and
    ``cuts`` (samples, levels - 1); whether running means are columns; limits, mean and scale of
    numbers."""

    w0: Array
    w: Array
    v: Array
    cuts: Array
    means: Array
    limits: Array

    def answer(self, asked: Question) -> Array:
        """Predictions in the form of the task type's."""
        return self.of(_columns(asked, bool(self.means))[0], asked.kind.form, _start(asked))

    def of(self, matrix: sparse.csr_matrix, form: Form, start: Array | float = 0.0) -> Array:
        """The same from the columns, and from what numbers start from."""
        low, high, mean, scale = self.limits
        total: Array | float = 0.0
        for sample in range(len(self.w0)):
            z = scores(matrix, self.w0[sample], self.w[sample], self.v[sample])
            if form is Form.NUMBER:
                total = total + z * scale + mean
            elif form is Form.BIT:
                total = total + ndtr(z)
            else:
                below = ndtr(self.cuts[sample] - z[:, None])
                total = total + np.diff(below, axis=1, prepend=0.0, append=1.0)
        found = np.asarray(total) / len(self.w0)
        return np.clip(start + found, low, high) if form is Form.NUMBER else found


def _columns(asked: Question, means: bool) -> tuple[sparse.csr_matrix, list[int]]:
    """What the machine reads; a history would be most of it, and made it slower and no better."""
    means = means and asked.kind.form is not Form.NUMBER
    return design(asked, means, COMPONENTS, history=False)


def _start(asked: Question) -> Array | float:
    """What numbers start from, ``(n,)`` or 0."""
    if asked.kind.form is not Form.NUMBER or asked.running_mean is None:
        return 0.0
    return asked.running_mean


def scores(matrix: sparse.csr_matrix, w0: float, w: Array, v: Array) -> Array:
    """:math:`z` of one sample, ``(n,)``."""
    crossed = (matrix @ v) ** 2 - matrix.multiply(matrix).tocsr() @ v**2
    return w0 + matrix @ w + 0.5 * crossed.sum(axis=1)


def myfm(task: PeerTask) -> Machine:
    """Sample with each number of factors.

    Raises:
        NoAnswer: the task is about classes, sets or a ranking.
        ValueError: its head sees nothing.
    """
    task.require("myfm", FORMS)
    means, form = reads_means(task), task.kind.form
    shown, asked = (task.question(task.rows(split)) for split in ("train", "validation"))
    labels = task.labels[task.rows("train")].astype("float64")
    (matrix, widths), (held, _) = _columns(shown, means), _columns(asked, means)
    limits = np.array([labels.min(), labels.max(), 0.0, 1.0])
    if form is Form.NUMBER:
        labels = labels - _start(shown)
        limits[2:] = labels.mean(), labels.std() or 1.0
    labels = (labels - limits[2]) / limits[3]
    best, most = None, -np.inf
    with threadpool_limits(1):
        for rank in RANKS:
            one = _machine(
                form, sample(form, matrix, labels, widths, rank, task.seed), means, limits
            )
            value = task.judge(one.of(held, form, _start(asked)))
            if value > most or best is None:
                best, most = one, value
    return best  # type: ignore[return-value]


def _machine(form: Form, samples: list[Any], means: bool, limits: Array) -> Machine:
    cuts = [np.asarray(one.cutpoints[0]) if form is Form.LEVEL else np.zeros(0) for one in samples]
    return Machine(
        np.array([one.w0 for one in samples]),
        np.array([one.w for one in samples], dtype="float32"),
        np.array([one.V for one in samples], dtype="float32"),
        np.array(cuts), np.asarray(means), limits,
    )  # fmt: skip


def sample(
    form: Form, matrix: sparse.csr_matrix, labels: Array, widths: list[int], rank: int, seed: int
) -> list[Any]:
    """The last samples of the package's Gibbs sampler."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "pkg_resources is deprecated")  # why setuptools is pinned
        from myfm import MyFMGibbsClassifier, MyFMGibbsRegressor, MyFMOrderedProbit

    kinds = {Form.NUMBER: MyFMGibbsRegressor, Form.BIT: MyFMGibbsClassifier}
    model = kinds.get(form, MyFMOrderedProbit)(rank=rank, random_seed=seed)
    if form is Form.LEVEL:
        labels = labels.astype(int)
    with redirect_stderr(StringIO()):  # its bar cannot be turned off
        model.fit(
            matrix.astype("float64"), labels, n_iter=SAMPLES, n_kept_samples=KEPT,
            group_shapes=widths,
        )  # fmt: skip
    return list(model.predictor_.samples)
