from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from mtrec.models.assemble import build_some
from mtrec.settings import ModelBuilding
from mtrec.tasks import Ordinal, Regression
from mtrec.training import workbench
from mtrec.training.loop import Outcome
from mtrec.training.workbench import fit, sample_rows, validation_loss, with_head, with_layer
from tests.conftest import SHORT

NAMES = ("rating", "like")


def weights(model):
    return [np.array(variable) for variable in model.variables]


def test_sample_keeps_the_share_of_each_combination_of_known_labels():
    rng = np.random.default_rng(0)
    masks = {"often": rng.random(3000) < 0.8, "seldom": rng.random(3000) < 0.1}
    rows = rng.permutation(3000)[:2000]
    rows.sort()
    found = sample_rows(masks, rows, 0.3, seed=5)
    assert set(found) <= set(rows)
    assert (np.diff(found) > 0).all()
    pattern = masks["often"] * 2 + masks["seldom"]
    for code in range(4):
        expected = 0.3 * (pattern[rows] == code).sum()
        assert abs((pattern[found] == code).sum() - expected) <= 0.5


def test_sample_follows_its_seed_and_may_be_everything():
    masks, rows = {"a": np.arange(100) % 3 > 0}, np.arange(10, 90)
    one = sample_rows(masks, rows, 0.5, seed=1)
    np.testing.assert_array_equal(one, sample_rows(masks, rows, 0.5, seed=1))
    assert not np.array_equal(one, sample_rows(masks, rows, 0.5, seed=2))
    np.testing.assert_array_equal(sample_rows(masks, rows, 1.0, seed=1), rows)


def test_bench_samples_training_rows_and_shortens_histories(run):
    short = SHORT.model_copy(update={"share": 0.5, "history": 2, "epochs": 7, "batch_size": 32})
    training = run.training.model_copy(update={"ema_momentum": 0.9})
    bench = workbench.prepare(replace(run, training=training), short)
    assert bench.settings.ema_momentum == 0
    split = bench.tables.examples["split"].to_numpy()
    assert set(split[bench.training_rows]) == {"train"}
    assert abs(len(bench.training) - 0.5 * (split == "train").sum()) <= 2
    np.testing.assert_array_equal(bench.validation_rows, np.flatnonzero(split == "validation"))
    assert bench.training.inputs["history_items"].shape[1] == 2
    assert (bench.settings.epochs, bench.settings.batch_size) == (7, 32)
    assert bench.settings.learning_rate == run.training.learning_rate
    assert run.model_building.history.length == 4  # the pipeline's own are as they were
    known = bench.tables.examples["rating"].notna().to_numpy()
    np.testing.assert_array_equal(bench.training.masks["rating"], known[bench.training_rows])


def test_validation_rows_are_sampled_from_too_many(run, monkeypatch):
    monkeypatch.setattr(workbench, "VALIDATION_ROWS", 40)
    bench = workbench.prepare(run, SHORT)
    assert abs(len(bench.validation) - 40) <= 2
    assert set(bench.tables.examples["split"].iloc[bench.validation_rows]) == {"validation"}


def test_trainings_in_a_row_are_those_that_each_seed_gives_by_itself(few_bench):
    bench = with_layer(few_bench, "mmoe", "pcgrad")  # dropout and the balancer draw from the seed
    bench = replace(bench, settings=bench.settings.model_copy(update={"epochs": 2}))
    together = [(weights(model), outcome) for _, model, outcome in fit(bench, NAMES, [3, 4])]
    for seed, (expected, whole) in zip([3, 4], together, strict=True):
        ((found_seed, model, outcome),) = fit(bench, NAMES, [seed])
        assert found_seed == seed
        assert outcome.curve.equals(whole.curve)
        for a, b in zip(weights(model), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert not all(
        np.array_equal(a, b) for a, b in zip(together[0][0], together[1][0], strict=True)
    )


class Recorder:
    """A trainer that keeps what it was made of."""

    made = []

    def __init__(self, *arguments):
        Recorder.made.append(arguments)

    def run(self, seed, watch=None):
        if watch:
            watch(1)
        return seed


def test_training_gets_the_rows_the_weights_and_the_parents_of_its_tasks(bench, monkeypatch):
    monkeypatch.setattr(workbench, "Trainer", Recorder)
    Recorder.made = []
    seen = []
    list(fit(bench, ("kind",), [0]))
    list(fit(bench, NAMES, [0, 1], {"rating": 0.5, "like": 1.5}, watch=lambda *a: seen.append(a)))
    kind, both = Recorder.made
    assert list(kind[1]) == ["kind"]
    assert kind[3] == {"kind": 1.0}
    assert len(kind[4]) == bench.training.masks["kind"].sum()
    assert both[3] == {"rating": 0.5, "like": 1.5}
    assert len(both[4]) == bench.training.masks["rating"].sum()
    assert kind[7] == both[7] == len(bench.training) // 64  # steps of every model
    assert [epoch for _, epoch in seen] == [1, 1]
    assert all(isinstance(model, keras.Model) for model, _ in seen)


def test_validation_loss_is_that_of_the_best_epoch():
    rows = [(1, "a", 0.0, 5.0), (2, "a", 0.0, 1.0), (2, "b", 0.0, 2.0), (3, "a", 0.0, 9.0)]
    curve = pd.DataFrame(rows, columns=["epoch", "task", "loss", "val_loss"])
    assert validation_loss(Outcome(curve, 2, 0.0)) == {"a": 1.0, "b": 2.0}


def test_layer_and_balancer_change_and_the_bench_they_come_from_does_not(bench):
    other = with_layer(bench, "star", "dwa")
    assert (other.sizes.shared.layer, other.settings.balancing) == ("star", "dwa")
    assert (bench.sizes.shared.layer, bench.settings.balancing) == ("mmoe", "static")
    assert other.assembly is bench.assembly
    plain = ModelBuilding.model_validate(other.sizes.model_dump())
    assert plain.shared.units == bench.sizes.shared.units
    model = build_some(other.assembly, NAMES, other.vectors["tasks"], other.sizes, 0)
    assert type(model.get_layer("shared")).__name__ == "Star"


def test_type_of_one_task_changes_with_its_labels_and_scale_and_nothing_else(bench):
    other = with_head(bench, "rating", {"type": "ordinal"})
    kind = other.assembly.types["rating"]
    assert isinstance(kind, Ordinal)
    stars = bench.tables.examples["rating"].to_numpy()[bench.training_rows]
    known = other.training.masks["rating"]
    np.testing.assert_array_equal(known, ~np.isnan(stars))
    np.testing.assert_array_equal(
        np.array(kind.levels)[other.training.labels["rating"][known]], stars[known]
    )
    assert other.assembly.scales["rating"] != bench.assembly.scales["rating"]
    assert isinstance(bench.assembly.types["rating"], Regression)
    for name in set(bench.assembly.types) - {"rating"}:
        assert other.assembly.types[name] == bench.assembly.types[name]
        assert other.assembly.scales[name] == bench.assembly.scales[name]
        np.testing.assert_array_equal(other.training.labels[name], bench.training.labels[name])
    np.testing.assert_array_equal(other.training.inputs["item"], bench.training.inputs["item"])


@pytest.mark.parametrize("change", [{"type": "ordinal"}, {"loss": "lognormal"}])
def test_head_of_before_is_dropped_where_the_change_does_not_go_with_it(bench, change):
    relu = with_head(bench, "rating", {"head": "relu"})
    assert relu.assembly.types["rating"].head == "relu"
    expected = with_head(bench, "rating", change).assembly.types["rating"]
    assert with_head(relu, "rating", change).assembly.types["rating"] == expected


def test_head_that_needs_label_vectors_says_so(bench):
    with pytest.raises(ValueError, match="needs a text vector for each of its 3 labels .found: 0"):
        with_head(bench, "genres", {"head": "label_embedding"})
