from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit

from mtrec.features.dataset import Dataset
from mtrec.models.twins import build_some
from mtrec.settings import Task
from mtrec.studies import workbench
from mtrec.tasks.binary import Binary
from mtrec.tasks.regression import Regression
from mtrec.training.loop import Trainer
from mtrec.training.objective import dependent, training_losses, validation_losses
from tests.conftest import DOMAIN, SHORT, TASKS, make_run

# Rows: click known and 0 (three), click known and 1 (three), click unknown (two).
CLICK = np.array([0, 0, 0, 1, 1, 1, 0, 0], dtype="float32")
CLICK_KNOWN = np.array([1, 1, 1, 1, 1, 1, 0, 0], dtype=bool)
BUY = np.array([0, 0, 0, 1, 0, 0, 0, 0], dtype="float32")
BUY_KNOWN = np.array([0, 0, 0, 1, 1, 0, 0, 0], dtype=bool)  # one bought-or-not is unknown
COUNTED = [0, 1, 2, 3, 4]  # rows that tell whether a click and a purchase happened
TYPES = {"click": Binary(), "buy": Binary()}
ONES = dict.fromkeys(TYPES, 1.0)


def by_hand(labels=None, known=None):
    labels = {"click": CLICK, "buy": BUY} if labels is None else labels
    known = {"click": CLICK_KNOWN, "buy": BUY_KNOWN} if known is None else known
    return Dataset({"user": np.arange(len(CLICK))}, labels, known)


def batch_of(data):
    return {"labels": data.labels, "masks": {n: m.astype("float32") for n, m in data.masks.items()}}


def random_logits(names=TYPES, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(len(CLICK), 1)).astype("float32") for name in names}


def log_loss(happened, probability):
    return -np.mean(np.where(happened == 1, np.log(probability), np.log(1 - probability)))


def entropy(happened):
    rate = (np.sum(happened) + 1) / (len(happened) + 2)
    return -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))


def expected_buy(logits, factor=1.0):
    p = expit(logits["click"][:, 0].astype("float64")) * expit(logits["buy"][:, 0])
    happened = (CLICK * BUY)[COUNTED]
    return factor * log_loss(happened, p[COUNTED]) / entropy(happened)


def measure(data, logits, weights=ONES, parents=(("buy", "click"),), types=TYPES):
    scales = dict.fromkeys(types, 0.5)
    losses = training_losses(types, scales, weights, dict(parents), data)
    means, counts = losses(batch_of(data), logits)
    return dict(zip(types, map(float, means), strict=True)), [float(c) for c in counts]


def test_purchase_is_the_log_loss_of_click_and_purchase_on_all_rows_that_tell():
    logits = random_logits()
    means, counts = measure(by_hand(), logits)
    assert counts == [6, 5]
    assert means["buy"] == pytest.approx(expected_buy(logits), rel=1e-5)
    p = expit(logits["click"][CLICK_KNOWN, 0])
    assert means["click"] == pytest.approx(log_loss(CLICK[CLICK_KNOWN], p) / 0.5, rel=1e-5)


def test_without_a_parent_in_the_model_only_clicked_rows_count():
    logits = random_logits()
    means, counts = measure(by_hand(), logits, parents=())
    assert counts == [6, 2]
    expected = log_loss(BUY[BUY_KNOWN], expit(logits["buy"][BUY_KNOWN, 0])) / 0.5
    assert means["buy"] == pytest.approx(expected, rel=1e-5)


def test_labels_and_logits_of_rows_that_do_not_count_have_no_influence():
    logits = random_logits()
    expected, _ = measure(by_hand(), logits)
    click = np.where(CLICK_KNOWN, CLICK, 1.0).astype("float32")
    buy = np.where(BUY_KNOWN, BUY, 1.0).astype("float32")  # the answer, planted
    leaked = by_hand({"click": click, "buy": buy})
    assert measure(leaked, logits)[0] == expected
    logits["buy"][5:] = 30.0
    logits["click"][6:] = -30.0
    assert measure(leaked, logits)[0]["buy"] == expected["buy"]


def test_static_weights_multiply():
    logits = random_logits()
    plain, _ = measure(by_hand(), logits)
    weighted, _ = measure(by_hand(), logits, {"click": 0.25, "buy": 3.0})
    assert weighted["click"] == pytest.approx(0.25 * plain["click"])
    assert weighted["buy"] == pytest.approx(3.0 * plain["buy"])


def test_gradient_of_a_purchase_reaches_the_click_head_on_rows_without_a_click():
    losses = training_losses(TYPES, ONES, ONES, {"buy": "click"}, by_hand())
    logits = {name: tf.Variable(values) for name, values in random_logits().items()}
    with tf.GradientTape() as tape:
        buy = losses(batch_of(by_hand()), logits)[0][1]
    found = {n: np.array(g)[:, 0] != 0 for n, g in tape.gradient(buy, logits).items()}
    counted = np.isin(np.arange(8), COUNTED)
    np.testing.assert_array_equal(found["buy"], counted)
    np.testing.assert_array_equal(found["click"], counted)


def test_batch_without_any_label_has_losses_of_zero_and_no_count():
    nothing = by_hand(known=dict.fromkeys(TYPES, np.zeros(8, dtype=bool)))
    means, counts = measure(nothing, random_logits())
    assert list(means.values()) == counts == [0.0, 0.0]


def test_chain_of_conditions_is_learnt_where_its_second_link_is_known():
    # saw -> click -> buy: a click is known only where saw is 1, and so is what follows
    tasks = {
        "saw": Task(type="binary", view="joint", label="saw"),
        "click": Task(type="binary", view="joint", label="click", when="saw"),
        "buy": Task(type="binary", view="joint", label="buy", when="click"),
    }
    types = {name: Binary() for name in tasks}
    assert dependent(types, tasks) == {"click": "saw", "buy": "click"}
    saw = np.array([0, 1, 1, 1, 1, 1, 0, 0], dtype="float32")
    click = np.array([0, 0, 1, 1, 1, 0, 0, 0], dtype="float32")
    buy = np.array([0, 0, 1, 0, 1, 0, 0, 0], dtype="float32")
    known = {"saw": np.arange(8) < 7, "click": saw == 1, "buy": click == 1}
    data = by_hand({"saw": saw, "click": click, "buy": buy}, known)
    logits = random_logits(tasks, seed=1)
    means, counts = measure(
        data, logits, dict.fromkeys(tasks, 1.0), dependent(types, tasks).items(), types
    )
    assert counts == [7, 7, 5]
    p = {name: expit(values[:, 0].astype("float64")) for name, values in logits.items()}
    first, second = slice(0, 7), slice(1, 6)
    expected = log_loss(click[first], (p["saw"] * p["click"])[first]) / entropy(click[first])
    assert means["click"] == pytest.approx(expected, rel=1e-5)
    expected = log_loss(buy[second], (p["click"] * p["buy"])[second]) / entropy(buy[second])
    assert means["buy"] == pytest.approx(expected, rel=1e-5)


def test_validation_is_of_the_task_itself_where_its_label_counts():
    logits = random_logits()
    sums, counts = validation_losses(TYPES, {"click": 0.5, "buy": 0.25})(
        batch_of(by_hand()), logits
    )
    assert [float(c) for c in counts] == [6, 2]
    mean = log_loss(BUY[BUY_KNOWN], expit(logits["buy"][BUY_KNOWN, 0]))
    assert float(sums[1]) == pytest.approx(2 * mean / 0.25, rel=1e-5)


def test_only_binary_children_whose_parent_is_in_the_model_are_dependent():
    tasks = {
        "click": Task(type="binary", view="joint", label="click"),
        "buy": Task(type="binary", view="joint", label="buy", when="click"),
        "spend": Task(type="regression", view="joint", label="spend", when="buy"),
    }
    types = {"click": Binary(), "buy": Binary(), "spend": Regression(0.0, 1.0)}
    assert dependent(types, tasks) == {"buy": "click"}
    assert dependent({name: types[name] for name in ("buy", "spend")}, tasks) == {}


@pytest.fixture(scope="module")
def shop(world, vectors, tmp_path_factory):
    """A world of clicks and purchases; some clicks and some purchases are unknown."""
    rng = np.random.default_rng(0)
    examples = world.examples
    watched = examples["rating"].notna()
    click = (
        (examples["rating"] >= 3).astype(float).where(watched & (rng.random(len(watched)) < 0.8))
    )
    buy = (examples["rating"] >= 4).astype(float).where(rng.random(len(watched)) < 0.9)
    tasks = {
        "click": Task(type="binary", view="joint", label="click"),
        "buy": Task(type="binary", view="joint", label="buy", when="click"),
        "rating": TASKS["rating"],
    }
    run = make_run(
        tmp_path_factory.mktemp("shop"),
        replace(world, examples=examples.assign(click=click, buy=buy)),
        {**vectors, "tasks": vectors["tasks"][:3]},
        DOMAIN.model_copy(update={"tasks": tasks}),
    )
    return workbench.prepare(run, SHORT)


def trainer_of(shop, training, parents, steps=1):
    names = tuple(shop.assembly.types)
    model = build_some(shop.assembly, names, shop.vectors["tasks"], shop.sizes, seed=0)
    return Trainer(
        model, shop.assembly.types, shop.assembly.scales, dict.fromkeys(names, 1.0), training,
        shop.validation, shop.settings, steps, parents,
    )  # fmt: skip


def counted_rows(shop):
    """Whether each training row tells if a click and a purchase happened, and whether they did."""
    examples = shop.tables.examples.iloc[shop.training_rows]
    click, buy = examples["click"].to_numpy(), examples["buy"].to_numpy()
    return (click == 0) | ((click == 1) & ~np.isnan(buy)), (click == 1) & (buy == 1)


@pytest.mark.usefixtures("eagerly")
def test_untrained_model_has_the_loss_of_its_constants_in_the_trainer(shop):
    parents = dependent(shop.assembly.types, shop.domain.tasks)
    curve = trainer_of(shop, shop.training, parents).run(0).curve.set_index("task")
    counted, both = counted_rows(shop)
    assert 0 < counted.sum() < len(counted)
    p = expit(shop.assembly.base_logits["click"][0]) * expit(shop.assembly.base_logits["buy"][0])
    happened = both[counted]
    expected = log_loss(happened, np.full(len(happened), p, dtype="float64")) / entropy(happened)
    assert curve.loc["buy", "loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.usefixtures("eagerly")
def test_planted_labels_of_masked_rows_do_not_move_a_weight(shop):
    parents = dependent(shop.assembly.types, shop.domain.tasks)
    part, ends = shop.training, []
    leak = {
        name: np.where(part.masks[name], values, 1.0).astype("float32")
        for name, values in part.labels.items()
    }
    assert (leak["buy"] != part.labels["buy"]).any()
    for training in (part, replace(part, labels=leak)):
        trainer = trainer_of(shop, training, parents, steps=4)
        trainer.run(0)
        ends.append([np.array(v) for v in trainer.model.variables])
    for a, b in zip(*ends, strict=True):
        np.testing.assert_array_equal(a, b)
