"""Every balancer against its paper, worked out in NumPy and SciPy on whole gradients."""

from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import approx_fprime, minimize, root
from scipy.special import softmax

from mtrec.balancing import BALANCERS, make_balancer
from mtrec.balancing.dbmtl import DBMTL

STEPS, WIDTH = 4, 12


class Adam:
    """Kingma & Ba, on float64 vectors."""

    def __init__(self, rate):
        self.rate, self.m, self.v, self.k = rate, 0.0, 0.0, 0

    def __call__(self, x, gradient):
        self.k += 1
        self.m = 0.9 * self.m + 0.1 * gradient
        self.v = 0.999 * self.v + 0.001 * gradient**2
        m, v = self.m / (1 - 0.9**self.k), self.v / (1 - 0.999**self.k)
        return x - self.rate * m / (np.sqrt(v) + 1e-8)


class Reference:
    """State of one method's reference; ``step`` returns the update's direction."""

    def __init__(self, tasks, seed):
        self.tasks, self.seed = tasks, seed
        self.random = tf.random.Generator.from_seed(seed)
        self.start()

    def start(self):
        pass

    def orders(self):
        keys = self.random.uniform([self.tasks, self.tasks]).numpy() + 2 * np.eye(self.tasks)
        return [[j for j in np.argsort(row) if j != i] for i, row in enumerate(keys)]


class Static(Reference):
    def step(self, g, before, after):
        return g.sum(axis=0)


class Uncertainty(Reference):
    def start(self):
        self.s, self.adam = np.zeros(self.tasks), Adam(0.01)

    def step(self, g, before, after):
        direction = np.exp(-self.s) @ g
        slope = approx_fprime(self.s, lambda s: (np.exp(-s) * before + s).sum(), 1e-7)
        self.s = self.adam(self.s, slope)
        return direction


class Dwa(Reference):
    def start(self):
        self.epochs = []

    def step(self, g, before, after):
        past, self.epochs = self.epochs[-2:], [*self.epochs, before]
        weights = np.ones(self.tasks)
        if len(past) == 2:
            weights = self.tasks * softmax(past[1] / past[0] / 2.0)
        return weights @ g


class GradNorm(Reference):
    def start(self):
        self.w, self.first, self.adam = np.ones(self.tasks), None, Adam(0.025)

    def step(self, g, before, after):
        self.first = before if self.first is None else self.first
        direction = self.w @ g
        rate = before / self.first
        lengths = np.linalg.norm(self.w[:, None] * g, axis=1)
        target = lengths.mean() * (rate / rate.mean()) ** 1.5

        def objective(w):
            return np.abs(np.linalg.norm(w[:, None] * g, axis=1) - target).sum()

        moved = self.adam(self.w, approx_fprime(self.w, objective, 1e-7))
        self.w = moved * self.tasks / moved.sum()
        return direction


class PCGrad(Reference):
    def step(self, g, before, after):
        parts = []
        for i, order in enumerate(self.orders()):
            part = g[i].copy()
            for j in order:
                if part @ g[j] < 0:
                    part -= part @ g[j] / (g[j] @ g[j]) * g[j]
            parts.append(part)
        return np.sum(parts, axis=0)


class GradVac(Reference):
    def start(self):
        self.targets = np.zeros((self.tasks, self.tasks))

    def step(self, g, before, after):
        total = 0.0
        for i, order in enumerate(self.orders()):
            part = g[i].copy()
            for j in order:
                size, other, goal = np.linalg.norm(part), np.linalg.norm(g[j]), self.targets[i, j]
                cosine = part @ g[j] / (size * other)
                if cosine < goal:
                    gain = goal * np.sqrt(1 - cosine**2) - cosine * np.sqrt(1 - goal**2)
                    part = part + size * gain / (other * np.sqrt(1 - goal**2)) * g[j]
                self.targets[i, j] = 0.99 * goal + 0.01 * cosine
            total = total + part
        return total


def on_simplex(function, tasks):
    found = minimize(
        function, np.ones(tasks) / tasks, method="SLSQP", bounds=[(0, 1)] * tasks,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 1000},
    )  # fmt: skip
    return found.x


class CAGrad(Reference):
    def step(self, g, before, after):
        mean = g.mean(axis=0)
        radius = 0.4 * np.linalg.norm(mean)
        w = on_simplex(lambda w: w @ g @ mean + radius * np.linalg.norm(w @ g), self.tasks)
        return mean + radius * w @ g / np.linalg.norm(w @ g)


class MGDA(Reference):
    def step(self, g, before, after):
        return on_simplex(lambda w: np.sum((w @ g) ** 2), self.tasks) @ g


class IMTLG(Reference):
    def step(self, g, before, after):
        unit = g / np.linalg.norm(g, axis=1, keepdims=True)
        d, u = g[0] - g[1:], unit[0] - unit[1:]
        rest = g[0] @ u.T @ np.linalg.inv(d @ u.T)
        alpha = np.concatenate([[1 - rest.sum()], rest])
        downhill = np.sign(alpha @ g @ unit[0])  # ours differs from the paper in sign and scale
        return downhill * alpha @ g / np.abs(alpha).sum()


class NashMTL(Reference):
    def step(self, g, before, after):
        def conditions(logs):
            alpha = np.exp(logs)
            return alpha * (g @ (alpha @ g)) - 1

        found = root(conditions, -np.log(np.linalg.norm(g, axis=1)), tol=1e-12)
        assert found.success
        return np.exp(found.x) @ g


class FAMO(Reference):
    def start(self):
        self.logits, self.adam = np.zeros(self.tasks), Adam(0.025)

    def step(self, g, before, after):
        z = softmax(self.logits)
        direction = self.tasks * (z / before) @ g / np.sum(z / before)
        gained = np.log(before) - np.log(after)
        slope = approx_fprime(self.logits, lambda x: softmax(x) @ gained, 1e-7)
        self.logits = self.adam(self.logits, slope + 1e-3 * self.logits)
        return direction


class DBMTLReference(Reference):
    def step(self, g, before, after):
        of_logs = g / before[:, None]
        lengths = np.linalg.norm(of_logs, axis=1)
        return lengths.max() * (of_logs / lengths[:, None]).sum(axis=0)


class Aligned(Reference):
    def step(self, g, before, after):
        left, values, right = np.linalg.svd(g, full_matrices=False)
        return (values.min() * left @ right).sum(axis=0)


REFERENCES = {
    "static": Static, "uncertainty": Uncertainty, "dwa": Dwa, "gradnorm": GradNorm,
    "pcgrad": PCGrad, "gradvac": GradVac, "cagrad": CAGrad, "mgda": MGDA, "imtlg": IMTLG,
    "nashmtl": NashMTL, "famo": FAMO, "dbmtl": DBMTLReference, "aligned": Aligned,
}  # fmt: skip


def test_every_balancer_has_a_reference():
    assert set(REFERENCES) == set(BALANCERS)


@cache
def compiled(name, tasks):
    """A balancer and its compiled weights, which :func:`fresh` makes as new."""
    balancer = make_balancer(name, tasks)
    return balancer, tf.function(balancer.weigh)


def fresh(name, tasks, seed):
    """The compiled balancer in the state of a new one; to compile it takes most of a test."""
    balancer, weigh = compiled(name, tasks)
    new = make_balancer(name, tasks, seed)
    for variable, value in zip(balancer.variables, new.variables, strict=True):
        variable.assign(value)
    return balancer, weigh


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tasks", [2, 3, 5])
@pytest.mark.parametrize("name", BALANCERS)
def test_updates_equal_those_of_the_paper(name, tasks, seed):
    rng = np.random.default_rng(seed)
    (balancer, weigh), reference = fresh(name, tasks, seed), REFERENCES[name](tasks, seed)
    present = tf.ones(tasks, tf.bool)
    for _ in range(STEPS):
        g = rng.normal(size=(tasks, WIDTH)) * np.exp(rng.normal(size=(tasks, 1)))
        before, after = np.exp(rng.normal(size=(2, tasks)))
        gram = tf.constant(g @ g.T, tf.float32)
        found = weigh(tf.constant(before, tf.float32), gram, present).numpy() @ g
        balancer.observe(tf.constant(after, tf.float32), present)
        balancer.end_epoch(tf.constant(before, tf.float32))
        expected = reference.step(g, before, after)
        np.testing.assert_allclose(found, expected, atol=1e-3 * np.linalg.norm(expected))


def test_dbmtl_with_a_memory_averages_squared_lengths():
    balancer = DBMTL(2, beta=0.9)
    present = tf.ones(2, tf.bool)
    balancer.weigh(tf.constant([1.0, 2.0]), tf.linalg.diag([4.0, 16.0]), present)
    found = balancer.weigh(tf.constant([1.0, 1.0]), tf.linalg.diag([9.0, 1.0]), present)
    lengths = np.sqrt([0.9 * 4 + 0.1 * 9, 0.9 * 4 + 0.1 * 1])
    np.testing.assert_allclose(found, lengths.max() / lengths, rtol=1e-5)
