from dataclasses import replace

import numpy as np
import pytest

from benchmarks.models import retrained
from mtrec.tasks.base import smoothed_rate
from mtrec.training import workbench
from mtrec.training.distillation import teach
from mtrec.training.loop import Trainer
from tests.conftest import PAIR

SEEDS = (0, 1)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_each_joint_model_is_taught_by_the_twins_of_its_own_seed(pair_run, monkeypatch, share):
    made, twins = [], {}

    class Listener(Trainer):
        def __init__(self, model, types, *others):
            made.append((list(types), others[2].taught))
            super().__init__(model, types, *others)

    def listen(model, name, training):
        found = teach(model, name, training)
        twins.setdefault(name, []).append(found[name])
        return found

    monkeypatch.setattr(workbench, "Trainer", Listener)
    monkeypatch.setattr(retrained, "teach", listen)
    training = pair_run.training.model_copy(update={"epochs": 1, "distillation": share})
    monkeypatch.setattr(
        retrained, "experiment", lambda domain, root: replace(pair_run, training=training)
    )
    found = retrained.trained.__wrapped__("tiny", pair_run.paths.root, SEEDS)
    assert {name: len(runs) for name, runs in found.models.items()} == {
        name: len(SEEDS) for name in ("joint", *PAIR)
    }
    pupils = made[-len(SEEDS) :]
    assert all(not taught for _, taught in made[: -len(SEEDS)])
    for number, (names, taught) in enumerate(pupils):
        assert names == list(PAIR)
        assert set(taught) == set(twins) == (set(PAIR) if share else set())
        for name, logits in taught.items():
            np.testing.assert_array_equal(logits, twins[name][number])
    assert all(not np.array_equal(*by_seed) for by_seed in twins.values())


@pytest.mark.usefixtures("eagerly")
def test_probabilities_have_the_validation_rate_if_training_recalibrates(pair_run):
    training = pair_run.training.model_copy(update={"epochs": 1, "recalibrate": True})
    bench = workbench.whole(replace(pair_run, training=training))
    ((_, _, one),) = retrained._fit(retrained.Domain(bench, {}), ("like",), (0,))
    rows = retrained.Domain(bench, {}).rows("validation", "like")
    said = one.answers["validation"]["like"].mean()
    assert said == pytest.approx(smoothed_rate(bench.data.labels["like"][rows]), abs=1e-4)
