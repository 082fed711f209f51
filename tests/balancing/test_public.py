"""Balancers against a public implementation.

``torchjd.json`` holds gradients drawn with NumPy and the directions that torchjd 0.8.1 (torch
2.14.1) gave for them, in float64 but for Nash-MTL, which it solves in float32: ``MGDAWeighting``
with ``epsilon=1e-12, max_iters=100000``, ``CAGrad(c=0.4, norm_eps=1e-12)``, ``NashMTL`` with
``max_norm=0, optim_niter=100``, ``IMTLG``, ``AlignedMTL`` and, of two tasks alone, because it
draws orders of its own, ``PCGrad``.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mtrec.balancing import make_balancer

CASES = json.loads(Path(__file__).with_name("torchjd.json").read_text(encoding="utf-8"))
PAIRS = [(len(case["gradients"]), name) for case in CASES for name in case["directions"]]
# Of the direction's length: how far torchjd's own iterations end from the optimum.
LOOSE = {"mgda": 5e-4, "cagrad": 5e-4, "nashmtl": 5e-5}


@pytest.mark.parametrize(("tasks", "name"), PAIRS)
def test_directions_are_those_of_torchjd(tasks, name):
    case = next(case for case in CASES if len(case["gradients"]) == tasks)
    gradients, theirs = np.array(case["gradients"]), np.array(case["directions"][name])
    gram, here = tf.constant(gradients @ gradients.T, tf.float32), tf.ones(tasks, tf.bool)
    weights = make_balancer(name, tasks).weigh(tf.ones(tasks), gram, here).numpy()
    ours = weights.astype(float) @ gradients
    if name == "aligned":  # its preferences sum to 1, ours are 1 each
        theirs = theirs * tasks
    if name == "imtlg":  # its weights sum to 1, ours in absolute terms
        theirs = theirs * np.linalg.norm(ours) / np.linalg.norm(theirs)
    distance = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
    assert distance < LOOSE.get(name, 5e-5)
