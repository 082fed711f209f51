"""A head that answers only where its label is known: the losses and gradients of all rows."""

import numpy as np
import pytest
import tensorflow as tf

from mtrec.data import links
from mtrec.models import assemble
from mtrec.training.objective import training_losses, validation_losses
from mtrec.training.parts import Forward, complete, cut, divide
from mtrec.training.step import compile_evaluation
from mtrec.training.tops import Known, labelled
from tests.conftest import SIZES
from tests.models.test_user_candidates import SOCIAL, SOCIAL_DOMAIN, TRUST, make_social

ROWS = 64


class World:
    """A joint model with a linked head, every weight of it random, and the rows of a batch."""

    def __init__(self, loss):
        rng = np.random.default_rng(0)
        vectors = {"tasks": rng.normal(size=(len(SOCIAL), 6)).astype("float32")}
        trust = TRUST.model_copy(update={"head": links.HEAD, "loss": loss})
        tasks, social = {**SOCIAL, "trust": trust}, make_social(links=400)
        domain = SOCIAL_DOMAIN.model_copy(update={"tasks": tasks})
        self.assembly = assemble.assemble(social, vectors, domain, SIZES)
        self.data = assemble.dataset(self.assembly, social, tasks)
        names = tuple(self.assembly.types)
        self.model = assemble.build_some(self.assembly, names, vectors["tasks"], SIZES, seed=3)
        for variable in self.model.trainable_variables:
            variable.assign(variable + rng.normal(size=variable.shape) * 0.1)
        known = np.flatnonzero(self.data.masks["trust"])[:20]
        others = np.flatnonzero(~self.data.masks["trust"])[: ROWS - 20]
        self.mixed, self.without = rng.permutation([*known, *others]), others

    def batch(self, rows):
        part, rng = self.data.take(rows), np.random.default_rng(1)
        logits = rng.normal(size=(len(rows), self.assembly.types["trust"].outputs))
        return {
            "inputs": {name: tf.constant(values) for name, values in part.inputs.items()},
            "labels": part.labels,
            "masks": {name: mask.astype("float32") for name, mask in part.masks.items()},
            "taught": {"trust": logits.astype("float16")},
        }

    def found(self, rows, masked, share=0.5):
        """Losses, counts, and each task's gradients at the seam and on all it reads."""
        batch, types, variables = self.batch(rows), self.assembly.types, divide(self.model)
        taught = {"trust": np.zeros((len(self.data), types["trust"].outputs), "float16")}
        training = self.data.__class__(self.data.inputs, self.data.labels, self.data.masks, taught)
        ones = dict.fromkeys(types, 1.0)
        losses = training_losses(types, self.assembly.scales, ones, {}, training, share)
        state = [np.asarray(variable) for variable in self.model.variables]
        masks = batch["masks"] if masked else None
        run = Forward(cut(self.model), variables, batch["inputs"], masks)
        for variable, value in zip(self.model.variables, state, strict=True):
            variable.assign(value)  # the streams of dropout
        with run.above:
            means, counts = losses(batch, run.logits)
        gradients = []
        for mean in means:
            at_seam, above = run.to_seam(mean)
            gradients += [*run.to_shared(at_seam), *complete(above, variables.above)]
        return run.logits, means, counts, gradients


@pytest.fixture(scope="module", params=["softmax", "sampled_softmax"])
def world(request):
    return World(request.param)


def test_losses_and_gradients_are_those_of_all_rows(world):
    logits, means, counts, gradients = world.found(world.mixed, masked=True)
    dense, *expected = world.found(world.mixed, masked=False)
    assert isinstance(logits["trust"], Known)
    assert dense["trust"].shape[0] == ROWS
    for found, other in zip([means, counts, gradients], expected, strict=True):
        for ours, theirs in zip(found, other, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert any(np.abs(gradient).max() > 1e-3 for gradient in gradients)


def test_only_rows_with_a_label_are_answered(world):
    logits, *_ = world.found(world.mixed, masked=True)
    known = np.flatnonzero(world.data.masks["trust"][world.mixed])
    np.testing.assert_array_equal(logits["trust"].rows, known)
    assert logits["trust"].logits.shape[0] == len(known) == 20
    assert logits["rating"].shape[0] == ROWS


def test_a_batch_without_a_label_answers_for_one_row():
    assert labelled(tf.constant([0.0, 1.0, 0.0, 1.0])).numpy().tolist() == [1, 3]
    assert labelled(tf.zeros(3)).numpy().tolist() == [0]


def test_a_batch_without_a_label_has_no_loss_and_no_gradient(world):
    _, means, counts, gradients = world.found(world.without, masked=True)
    at = list(world.assembly.types).index("trust")
    assert (float(means[at]), float(counts[at])) == (0.0, 0.0)
    size = len(gradients) // len(means)
    assert not any(np.any(part) for part in gradients[at * size : (at + 1) * size])


def test_validation_loss_is_that_of_the_whole_model(world):
    data, types = world.batch(np.arange(len(world.data))), world.assembly.types
    losses = validation_losses(types, world.assembly.scales)
    found = compile_evaluation(world.model, losses)(data, tf.constant(world.mixed, tf.int32))
    batch = world.batch(world.mixed)
    expected = losses(batch, world.model(batch["inputs"], training=False))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
