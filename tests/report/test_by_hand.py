"""A model built by hand beside the pipeline's, and the notebook that builds it."""

import ast

import numpy as np
import pytest
import tensorflow as tf

from mtrec.balancing.nashmtl import NashMTL
from mtrec.report.by_hand import beside, verdicts
from tests.stage_inputs import ROOT, code_of

NOTEBOOK = ROOT / "notebooks" / "15_by_hand.ipynb"


class Held:
    """Test rows of one task that says yes or no."""

    class Asked:
        type = "binary"
        labels = np.array([0.0, 1.0, 0.0, 1.0])

    def predictions(self, task, systems):
        return self.Asked


def test_a_model_within_the_tolerance_is_the_same_and_another_is_named_with_both_figures():
    committed = {"like joint auc": 0.75}
    found = {"like": np.array([0.1, 0.4, 0.3, 0.2])}
    table = beside(Held(), found, committed)
    assert table["by hand"].tolist() == [0.75]
    assert verdicts(table) == ["like: auc within 0.015 of the pipeline's"]
    table = beside(Held(), {"like": np.array([0.1, 0.4, 0.3, 0.4])}, committed)
    assert verdicts(table) == ["like: auc differs, 1.0000 against 0.7500 (tolerance 0.015)"]


def test_a_task_without_a_committed_figure_is_named():
    with pytest.raises(KeyError, match="'like joint auc' is not among the committed figures"):
        beside(Held(), {"like": np.zeros(4)}, {})


def written_out(name):
    """A function that a cell of the notebook defines."""
    tree = ast.parse(code_of(NOTEBOOK))
    (found,) = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
    scope = {"tf": tf}
    exec(compile(ast.Module([found], []), name, "exec"), scope)
    return scope[name]


@pytest.mark.parametrize("seed", range(5))
def test_the_notebooks_balancer_gives_the_weights_of_the_packages(seed):
    gradients = np.random.default_rng(seed).normal(size=(5, 40)) * [[1], [30], [0.01], [2], [5]]
    gradients[1] += 20 * gradients[0]
    if seed == 4:
        gradients[3] = 0.0  # as at the first step, where a head's kernel is zero
    gram = tf.constant(gradients @ gradients.T, tf.float32)
    theirs = NashMTL(5).weigh(tf.ones(5), gram, tf.ones(5, bool))
    np.testing.assert_allclose(written_out("nash")(gram), theirs, rtol=1e-4)


def test_no_line_of_the_notebook_is_cut_off_on_a_page():
    assert max(map(len, code_of(NOTEBOOK).splitlines())) <= 115
