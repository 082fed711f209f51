"""Whether measures of faithfulness tell true explanations from others."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import stats

from mtrec.explain import faithful
from mtrec.explain.path import Paths, integrate
from mtrec.explain.trunk import Trunk
from tests.conftest import DOMAIN, SIZES, TASKS, make_world

PLANTED = "colour"
SEES = ("user_id", "age", PLANTED, "year", "genres")
CAUSE = {"like": TASKS["like"].model_copy(update={"features": SEES})}


class Additive:
    """Values that are sums of what each coefficient is worth, in place of a model."""

    def __init__(self, worth):
        self.worth = np.array(worth, float)
        self.players = type("Players", (), {"count": len(worth)})

    def values(self, rows, at, task, there):
        return there @ self.worth


@pytest.fixture
def toy():
    return Additive([4.0, -1.0, 2.0])


PARTS = [(0,), (1,), (2,)]
ONE = np.zeros(1, int)


def test_a_curve_turns_one_part_after_the_other(toy):
    order = np.array([[2, 0, 1]])
    gone = faithful.curve(toy, None, ONE, ONE, PARTS, order, faithful.DELETION)
    assert gone.tolist() == [[5.0, 3.0, -1.0, 0.0]]
    come = faithful.curve(toy, None, ONE, ONE, PARTS, order, faithful.INSERTION)
    assert come.tolist() == [[0.0, 2.0, 6.0, 5.0]]


def test_parts_of_several_coefficients_turn_together_and_others_stay(toy):
    come = faithful.curve(toy, None, ONE, ONE, [(0, 1)], np.array([[0]]), faithful.INSERTION)
    assert come.tolist() == [[2.0, 5.0]]


def test_the_true_order_gains_most_of_all_orders(toy):
    from itertools import permutations

    every = np.array(list(permutations(range(3))))
    many = np.zeros(len(every), int)
    for kind in (faithful.DELETION, faithful.INSERTION):
        values = faithful.curve(toy, None, many, many, PARTS, every, kind)
        gains = faithful.gain(values, kind, np.ones(len(every)))
        assert every[gains.argmax()].tolist() == [0, 2, 1]
        found = faithful.orders(toy.worth[None], toy.worth[None], np.ones((1, 3)), np.ones(1), 0)
        assert found["integrated gradients"][0].tolist() == [[0, 2, 1]]
        assert found["occlusion"][0].tolist() == [[0, 2, 1]]


def test_rows_that_lower_the_logit_are_taken_apart_from_the_other_end():
    found = faithful.orders(
        np.array([[1.0, -3.0]]), np.array([[1.0, -3.0]]), np.array([[5.0, 1.0]]), -np.ones(1), 0
    )
    assert found["integrated gradients"][0].tolist() == [[1, 0]]
    assert found["popularity"][0].tolist() == [[0, 1]]


def test_an_interval_is_over_users_and_says_nothing_of_one():
    values, users = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 1, 2, 3])
    found = faithful.paired(values, users, 200, 0)
    assert found["low"] < found["value"] == 2.5 < found["high"]
    assert np.isnan(faithful.paired(values, np.ones(4), 200, 0)["low"])
    assert np.isnan(faithful.paired(values[:0], users[:0], 200, 0)["value"])


def test_likeness_is_spearmans_over_what_either_sees():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(3, 6)), rng.normal(size=(3, 6))
    one[:, 5] = other[:, 5] = 0.0
    pairs = list(zip(one[:, :5], other[:, :5], strict=True))
    signed = [stats.spearmanr(a, b).statistic for a, b in pairs]
    sizes = [stats.spearmanr(abs(a), abs(b)).statistic for a, b in pairs]
    np.testing.assert_allclose(faithful.alike(one, other), signed)
    np.testing.assert_allclose(faithful.alike(one, other, signed=False), sizes)
    assert faithful.alike(one, -one).tolist() == pytest.approx([-1, -1, -1])
    alone = np.zeros((1, 6))
    alone[0, 2] = 1.0
    assert np.isnan(faithful.alike(alone, 2 * alone)).all()


def test_completeness_is_in_logits():
    paths = Paths(np.array([[1.0, 1.0]]), np.array([2.5]), np.array([0.0]), np.array([33]))
    found = faithful.completeness(paths, np.array([10.0]))
    assert found == {"largest": 0.05, "median": 0.05, "steps": 33.0}


# -- a planted cause -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted(vectors):
    """A trained model of a world where an item's colour alone decides whether it is liked."""
    from dataclasses import replace

    from mtrec.features.assemble import assemble, dataset
    from mtrec.features.encoder import usable_events
    from mtrec.models.twins import build_some

    world = make_world(users=60, items=80, events=3000)
    red = (world.items.set_index("item_id")["colour"] == "red").astype(float)
    known = world.examples["like"].notna()
    examples = world.examples.assign(like=world.examples["item_id"].map(red).where(known))
    world = replace(world, examples=examples)
    domain = DOMAIN.model_copy(update={"tasks": CAUSE})
    assembly = assemble(world, {}, domain, SIZES)
    data = dataset(assembly, world, CAUSE)
    model = build_some(assembly, ("like",), vectors["tasks"][:1], SIZES, seed=3)
    rows = np.flatnonzero(data.masks["like"] & (world.examples["split"] == "train").to_numpy())
    inputs = {name: tf.constant(data.inputs[name][rows]) for name in model.input}
    labels = tf.constant(data.labels["like"][rows])
    kind, optimizer = assembly.types["like"], keras.optimizers.AdamW(0.02, weight_decay=0.05)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(kind.loss(labels, model(inputs, training=True)["like"]))
        variables = model.trainable_variables
        pairs = zip(tape.gradient(loss, variables), variables, strict=True)
        optimizer.apply_gradients([pair for pair in pairs if pair[0] is not None])
        return loss

    for _ in range(100):
        loss = step()
    assert float(loss) < 0.1
    events = usable_events(world, assembly.encoder)
    test = np.flatnonzero(data.masks["like"] & (world.examples["split"] == "test").to_numpy())
    return model, assembly, events, {name: data.inputs[name][test] for name in model.input}


def explained(planted):
    model, assembly, events, inputs = planted
    trunk = Trunk(model, assembly, events)
    rows = trunk.embed(inputs, {})
    many = np.arange(len(inputs["user"]))
    paths = integrate(trunk, rows, many, np.zeros(len(many), int))
    return trunk, rows, trunk.players.by_group(paths.players)


def test_a_planted_cause_is_found_first_and_explanations_change_with_the_weights(planted):
    trunk, rows, shares = explained(planted)
    names = [group.name for group in trunk.players.groups]
    first = np.abs(shares).argmax(axis=1)
    assert len(first) >= 90
    assert np.mean(first == names.index(PLANTED)) >= 0.95

    many, none = np.arange(len(shares)), np.zeros(len(shares), int)
    whole = trunk.values(rows, many, none, np.ones((len(many), trunk.players.count)))
    lost = np.zeros_like(shares)
    for number, group in enumerate(trunk.players.groups):
        there = np.ones((len(many), trunk.players.count))
        there[:, list(group.columns)] = 0.0
        lost[:, number] = whole - trunk.values(rows, many, none, there)
    assert np.mean(np.abs(lost).argmax(axis=1) == names.index(PLANTED)) >= 0.95

    model = planted[0]
    kept = [(variable, variable.numpy()) for variable in model.trainable_variables]
    faithful.randomise(model.layers, seed=1)
    try:
        for variable, values in kept:
            assert sorted(variable.numpy().ravel()) == sorted(values.ravel())
        _, _, other = explained(planted)
    finally:
        for variable, values in kept:
            variable.assign(values)
    assert faithful.alike(shares, shares).mean() == pytest.approx(1)
    assert faithful.alike(shares, other).mean() < 0.5
    assert np.mean(np.abs(other).argmax(axis=1) == names.index(PLANTED)) < 0.95


# -- a whole domain ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(every, assembly, data, world):
    from mtrec.explain import domain
    from mtrec.features.encoder import usable_events
    from tests.explain.conftest import drawn

    events = usable_events(world, assembly.encoder)
    split = world.examples["split"].to_numpy()
    asked = domain.sample(every.trunk, data, split, seed=0, rows=5)

    def again():
        return drawn(assembly, assembly.types, np.ones((6, 6), "float32"))

    tf.config.run_functions_eagerly(True)  # quicker than to compile two models for five rows
    yield domain.measure(every.trunk, asked, again, events, seed=0)
    tf.config.run_functions_eagerly(False)


def test_a_domain_is_measured_by_task_and_written_whole(measured, tmp_path):
    from mtrec.explain import domain

    file = tmp_path / "reports" / "explanations.json"
    found = domain.report("tiny", 0, measured, 50, file)
    assert file.is_file() and list(found["tasks"]) == list(TASKS)
    for name, task in found["tasks"].items():
        assert task["answers"] == (3 if name == "kind" else 5)  # three test films have kinds
        assert task["completeness"]["largest"] <= 1e-3
    assert sum(found["importance"]["like"].values()) == pytest.approx(1, abs=1e-4)
    assert {n for n, share in found["importance"]["kind"].items() if share} == {"item text"}
    assert sum(found["experts"]["like"].values()) == pytest.approx(1, abs=1e-4)


def test_rows_of_the_sample_are_test_rows_with_a_label(measured, data, world):
    asked = measured.asked
    test = (world.examples["split"] == "test").to_numpy()
    for place, name in enumerate(measured.trunk.tasks):
        rows = asked.number[asked.at[asked.task == place]]
        assert (test & data.masks[name])[rows].all()


def test_tables_and_figures_of_the_notebook_are_drawn(measured, world, tmp_path):
    from matplotlib.figure import Figure

    from mtrec.explain import domain
    from mtrec.explain.reasons import Explainer
    from mtrec.report import explanations as report
    from mtrec.report import faithfulness, plots

    results = domain.report("tiny", 0, measured, 50, tmp_path / "x.json")
    found = Explainer(measured.trunk).explain(
        domain.row_of(measured.asked, domain.example(measured))
    )
    for figure in (
        report.importance_figure(domain.importance(measured), "title"),
        faithfulness.curves_figure(measured, results, "title"),
        report.experts_figure(domain.use_of_experts(measured), "title"),
        report.example_figure(found, "rating", measured.trunk.assembly.types["rating"], "title"),
    ):
        assert isinstance(figure, Figure)
        plots.save(figure, tmp_path / "figure.png")
    assert isinstance(report.experts_figure(None, "title"), plots.NotDrawn)
    for table in (faithfulness.completeness_table(results), faithfulness.likeness_table(results)):
        assert list(table["task"]) == list(TASKS)
    for what in (domain.FEATURES, domain.PAST):
        measured_ones = [name for name, task in results["tasks"].items()
                         if task["curves"][what]["answers"]]  # fmt: skip
        assert list(faithfulness.gains_table(results, what)["task"]) == measured_ones != []
    lines = report.specialities(measured, world.users, world.items)
    assert list(lines["expert"]) == [1, 2, 3]
    assert isinstance(report.similar_table(found, "items"), pd.DataFrame)
    said = faithfulness.verdict(results, "occlusion")
    assert said.startswith("occlusion: of ") and "undecided in" in said
    assert said in faithfulness.findings(results)
    assert "after the weights were shuffled" in faithfulness.still_alike(results)
