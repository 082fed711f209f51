from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit

from mtrec.models.twins import build_some
from mtrec.settings import Task
from mtrec.studies import workbench
from mtrec.studies.gradients import GradientWatch
from mtrec.studies.task_analysis_plan import matrix
from tests.conftest import DOMAIN, SHORT, TASKS, make_run

NAMES = ("like", "again", "never", "rating", "kind")
RATE = 0.01


@pytest.fixture(scope="module")
def bench(world, vectors, tmp_path_factory):
    """A world with a task that is `like` once more, one that is its negation, and two others."""
    again, never = (Task(type="binary", view="joint", label=name) for name in ("again", "never"))
    tasks = {"like": TASKS["like"], "again": again, "never": never, "rating": TASKS["rating"],
             "kind": TASKS["kind"]}  # fmt: skip
    examples = world.examples.assign(again=lambda x: x["like"], never=lambda x: 1 - x["like"])
    run = make_run(
        tmp_path_factory.mktemp("twins"), replace(world, examples=examples),
        {**vectors, "tasks": vectors["tasks"][:5]}, DOMAIN.model_copy(update={"tasks": tasks}),
    )  # fmt: skip
    return workbench.with_layer(workbench.prepare(run, SHORT), "shared_bottom", "static")


@pytest.fixture(scope="module")
def watched(bench):
    """A model whose heads of `like`, `again` and `never` are equal, and what was seen of it."""
    model = build_some(bench.assembly, NAMES, bench.vectors["tasks"], bench.sizes, seed=0)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:  # heads of zeros have no gradient below them
        variable.assign(variable + rng.normal(size=variable.shape) * 0.1)
    model.get_layer("like_head").bias.assign([0.0])  # about even: labels alone make the gradient
    for name in ("again", "never"):
        for part in ("tower", "head"):
            source = model.get_layer(f"like_{part}")
            model.get_layer(f"{name}_{part}").set_weights(source.get_weights())
    watch = GradientWatch(bench, NAMES, probes=2, seed=7)
    before = [np.array(variable) for variable in model.variables]
    watch(model, 1)
    after = [np.array(variable) for variable in model.variables]
    return model, watch, before, after


def losses(bench, model, rows):
    """Mean normalised losses ``(tasks,)`` of a batch, in NumPy."""
    part = bench.training.take(rows)
    logits = {name: np.array(v) for name, v in model(part.inputs, training=False).items()}
    found = []
    for name in NAMES:
        known = part.masks[name]
        labels, z = part.labels[name][known].astype("float64"), logits[name][known]
        if name == "rating":
            kind = bench.assembly.types["rating"]
            values = ((labels - kind.mean) / kind.deviation - z[:, 0]) ** 2
        else:
            p = np.clip(expit(z.astype("float64")), 1e-12, 1 - 1e-12)
            labels = labels.reshape(p.shape)
            values = -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean(axis=1)
        found.append(values.mean() / bench.assembly.scales[name])
    return np.array(found)


def shared_variables(model):
    own = [f"{name}_{part}" for name in NAMES for part in ("tower", "head")]
    owned = {id(v) for layer in own for v in model.get_layer(layer).trainable_variables}
    return [v for v in model.trainable_variables if id(v) not in owned]


def gradients(bench, model, rows):
    """Gradient of each task's loss on the shared weights, a list of arrays each, by one tape."""
    part, found = bench.training.take(rows), []
    for name in NAMES:
        known = tf.constant(np.flatnonzero(part.masks[name]))
        with tf.GradientTape() as tape:
            z = tf.gather(model(part.inputs, training=False)[name], known)
            labels = tf.gather(part.labels[name], known)
            if name == "rating":
                kind = bench.assembly.types["rating"]
                loss = tf.reduce_mean(((labels - kind.mean) / kind.deviation - z[:, 0]) ** 2)
            else:
                labels = tf.reshape(tf.cast(labels, tf.float32), tf.shape(z))
                loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, z))
            loss = loss / bench.assembly.scales[name]
        variables = shared_variables(model)
        values = tape.gradient(loss, variables)
        found.append(
            [np.zeros(v.shape) if g is None else np.array(tf.convert_to_tensor(g))
             for g, v in zip(values, variables, strict=True)]
        )  # fmt: skip
    return found


def test_weights_are_bit_identical_after_watching(watched):
    _, _, before, after = watched
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_cosines_are_those_of_explicit_flattened_gradients(bench, watched):
    model, watch, *_ = watched
    for probe, rows in enumerate(watch.batches):
        flat = np.stack([np.concatenate([g.ravel() for g in own])
                         for own in gradients(bench, model, rows)])  # fmt: skip
        norm = np.linalg.norm(flat, axis=1)
        expected = flat @ flat.T / np.outer(norm, norm)
        table = watch.table()[watch.table()["probe"] == probe]
        found = table["cosine"].to_numpy().reshape(5, 5)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_affinity_is_that_of_an_explicit_step_on_a_copy_of_the_weights(bench, watched):
    model, watch, *_ = watched
    assert bench.settings.learning_rate == RATE
    rows, variables = watch.batches[1], shared_variables(model)
    before, start = losses(bench, model, rows), [np.array(v) for v in variables]
    expected = []
    try:
        for own in gradients(bench, model, rows):
            for variable, value, gradient in zip(variables, start, own, strict=True):
                variable.assign(value - RATE * gradient)
            expected.append(1 - losses(bench, model, rows) / before)
    finally:
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)
    found = watch.table().query("probe == 1")["affinity"].to_numpy().reshape(5, 5)
    assert np.abs(found).max() > 1e-4
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_task_agrees_with_its_copy_and_disagrees_with_its_negation(watched):
    cosine, affinity = (
        matrix(watched[1].table(), "cosine", NAMES),
        matrix(watched[1].table(), "affinity", NAMES),
    )
    assert cosine.loc["like", "again"] == pytest.approx(1.0, abs=1e-5)
    assert affinity.loc["like", "again"] == pytest.approx(affinity.loc["like", "like"])
    assert affinity.loc["like", "again"] > 0
    assert cosine.loc["like", "never"] < -0.5
    assert affinity.loc["never", "like"] < 0


def test_rows_are_the_tasks_that_step_and_columns_those_that_are_measured(watched):
    table = watched[1].table()
    found = table[(table["task"] == "rating") & (table["other"] == "like")]["affinity"].mean()
    assert matrix(watched[1].table(), "affinity", NAMES).loc["rating", "like"] == pytest.approx(
        found
    )
    assert list(matrix(watched[1].table(), "affinity", NAMES).index) == list(NAMES)
    assert len(table) == 2 * 25


def test_negation_with_a_negated_head_is_the_same_task(bench, watched):
    model, _, before, _ = watched
    head = model.get_layer("never_head")
    try:
        head.set_weights([-value for value in model.get_layer("like_head").get_weights()])
        watch = watched[1]
        rows = len(watch.rows)
        watch(model, 2)
        cosine = {(r[2], r[3]): r[4] for r in watch.rows[rows:]}
        assert cosine["like", "never"] == pytest.approx(1.0, abs=1e-5)
    finally:
        del watch.rows[rows:]
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)


def test_task_without_a_label_in_the_batch_is_left_out(bench, watched):
    model, watch, *_ = watched
    rows, batches = len(watch.rows), watch.batches
    try:
        watch.batches = [np.flatnonzero(~bench.training.masks["kind"])[: len(batches[0])]]
        watch(model, 2)
        last = watch.table().iloc[rows:].pivot(index="task", columns="other", values="affinity")
        assert last["kind"].isna().all()
        assert last.loc["kind"].isna().all()
        assert last.drop(index="kind", columns="kind").notna().all(axis=None)
    finally:
        watch.batches = batches
        del watch.rows[rows:]
