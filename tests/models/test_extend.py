from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from mtrec.features import assemble
from mtrec.models import twins
from mtrec.models.extend import add_task, tuning
from mtrec.models.predict import predict
from mtrec.models.store import load_model, save_model
from mtrec.settings import Reader, Shared, Task
from mtrec.tasks.binary import Binary
from mtrec.training.loop import Trainer
from mtrec.training.parts import divide
from tests.conftest import DOMAIN, SIZES, TASKS, TRAINING

pytestmark = pytest.mark.usefixtures("eagerly")  # a new model per test, asked once or twice
OLD = {
    **TASKS,
    "loved": Task(type="binary", view="joint", label="loved", text="Will the user love it?"),
    "age_liked": Task(
        type="binary", view="user", label="like", features=("age",), text="Does that age like it?"
    ),
}
SHARED = Shared(layer="task_conditioned", experts=3, units=8, gate_dropout=0.1)
CONDITIONED = SIZES.model_copy(update={"shared": SHARED})
HATED = Task(type="binary", view="joint", label="hated", text="Will the user hate it?")


def directions(seed, rows):
    found = np.random.default_rng(seed).normal(size=(rows, 6))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype("float32")


VECTORS = dict(zip(OLD, directions(2, len(OLD)), strict=True))
NEW_VECTOR = directions(9, 1)[0]


@pytest.fixture(scope="module")
def tables(world):
    rating = world.examples["rating"]
    extra = {"loved": (rating >= 5.0), "hated": (rating <= 2.0)}
    extra = {name: label.astype(float).where(rating.notna()) for name, label in extra.items()}
    return replace(world, examples=world.examples.assign(**extra))


@pytest.fixture(scope="module")
def old_assembly(tables, vectors):
    return assemble.assemble(tables, vectors, DOMAIN.model_copy(update={"tasks": OLD}), CONDITIONED)


@pytest.fixture(scope="module")
def rows(tables, old_assembly):
    data, split = assemble.dataset(old_assembly, tables, OLD), tables.examples["split"]
    return [data.take((split == part).to_numpy()) for part in ("train", "validation", "test")]


@pytest.fixture(scope="module")
def trained(old_assembly):
    """A joint model of weights that are not those it starts with; no test changes it."""
    table, rng = np.stack([*VECTORS.values()]), np.random.default_rng(4)
    model = twins.build_some(old_assembly, tuple(OLD), table, CONDITIONED, seed=3)
    for variable in model.trainable_variables:
        variable.assign(variable + rng.normal(size=variable.shape) * 0.3)
    return model


@pytest.fixture
def add(trained, old_assembly):
    def call(name="hated", task=HATED, vector=NEW_VECTOR, labels=None, **changes):
        given = {"model": trained, "assembly": old_assembly, "sizes": CONDITIONED, **changes}
        return add_task(
            given["model"], given["assembly"], name, task, vector, given["sizes"], 0, labels
        )

    return call


def representation(model, name, inputs):
    """What the tower of a task sees."""
    return keras.Model(model.input, model.get_layer(f"{name}_tower").input)(inputs)


def constant_in(values):
    return np.ptp(values, axis=0).max() == 0.0


def test_old_tasks_keep_their_predictions_to_the_last_digits(add, trained, rows):
    before = [np.array(v) for v in trained.variables]
    model, _ = add()
    found, expected = predict(model, rows[2].inputs), predict(trained, rows[2].inputs)
    assert list(found) == [*expected, "hated"]
    for name, logits in expected.items():
        assert not constant_in(logits)
        # bit by bit with AVX-512; with AVX2 a wider product is summed in another order
        np.testing.assert_allclose(found[name], logits, rtol=1e-6, atol=1e-6)
    for variable, value in zip(trained.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_old_tasks_keep_their_predictions_but_for_rounding_beside_a_new_view(add, trained, rows):
    features = ("age", "item_id", "year", "history")
    model, _ = add(task=HATED.model_copy(update={"features": features}))
    assert model.get_layer("shared").groups == [*trained.get_layer("shared").groups, 4]
    found, expected = predict(model, rows[2].inputs), predict(trained, rows[2].inputs)
    for name, logits in expected.items():
        np.testing.assert_allclose(found[name], logits, rtol=1e-5, atol=2e-6)
    assert not constant_in(found["hated"])


@pytest.mark.parametrize("like", ["rating", "genres", "mood", "next_item", "kind"])
def test_task_with_text_type_and_view_of_its_only_donor_repeats_it(add, rows, like):
    model, assembly = add("again", OLD[like].model_copy(update={"label": "x"}), VECTORS[like])
    logits = predict(model, rows[2].inputs)
    np.testing.assert_array_equal(logits["again"], logits[like])
    assert assembly.types["again"] == assembly.types[like]
    assert assembly.scales["again"] == pytest.approx(assembly.scales[like])


def test_of_several_donors_the_one_with_the_nearest_text_answers_for_the_new_gate(
    add, trained, rows
):
    model, _ = add(vector=NEW_VECTOR)
    state = np.array(representation(model, "hated", rows[2].inputs))
    # age_liked is binary too, but of another view
    donor = max(("like", "loved"), key=lambda name: NEW_VECTOR @ VECTORS[name])
    tower, bias = map(np.array, trained.get_layer(f"{donor}_tower").weights)
    head, head_bias = map(np.array, trained.get_layer(f"{donor}_head").weights)
    expected = np.maximum(state @ tower + bias, 0) @ head + head_bias
    found = predict(model, rows[2].inputs)["hated"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not constant_in(found)
    again, _ = add("again", OLD["like"], VECTORS["like"])
    logits = predict(again, rows[2].inputs)
    np.testing.assert_array_equal(logits["again"], logits["like"])


def test_another_text_gives_another_representation(add, rows):
    states = [
        np.array(representation(add(vector=vector)[0], "hated", rows[2].inputs))
        for vector in (NEW_VECTOR, -NEW_VECTOR)
    ]
    assert np.abs(states[0] - states[1]).max() > 1e-3


def test_zero_shot_never_reads_the_label(add, rows, tables):
    labels = tables.examples["hated"].dropna()
    unread, _ = add(task=HATED.model_copy(update={"label": "no such column"}))
    expected = predict(unread, rows[2].inputs)["hated"]
    for given in (labels, 1 - labels):
        model, assembly = add(labels=given)
        np.testing.assert_array_equal(predict(model, rows[2].inputs)["hated"], expected)
        rate = (given.sum() + 1) / (len(given) + 2)
        np.testing.assert_allclose(assembly.base_logits["hated"], np.log(rate / (1 - rate)), 1e-5)


def test_without_donor_the_answer_is_the_constant_prediction(add, rows):
    labels = pd.Series(["far", "near", "near", "near"])
    task = Task(type="multiclass", view="joint", label="x")
    model, assembly = add("distance", task, labels=labels)
    logits = predict(model, rows[2].inputs)["distance"]
    expected = np.log([2 / 6, 4 / 6])
    np.testing.assert_allclose(logits, np.broadcast_to(expected, logits.shape), rtol=1e-5)
    assert assembly.types["distance"].classes == ("far", "near")


def test_classes_of_the_same_number_but_other_names_are_no_donor(add, rows):
    labels = pd.Series(["far", "near", "here"])
    model, _ = add("distance", Task(type="multiclass", view="user", label="x"), labels=labels)
    assert constant_in(predict(model, rows[2].inputs)["distance"])


def test_saved_extended_model_answers_alike_and_can_be_extended_again(add, rows, tmp_path):
    model, assembly = add()
    save_model(model, tmp_path / "joint.keras")
    assemble.save(assembly, tmp_path)
    again, loaded = load_model(tmp_path / "joint.keras"), assemble.load(tmp_path)
    assert loaded.types["hated"] == Binary()
    expected = predict(model, rows[2].inputs)
    for name, logits in predict(again, rows[2].inputs).items():
        np.testing.assert_array_equal(logits, expected[name])
    more, last = add("hated_more", vector=VECTORS["like"], model=again, assembly=loaded)
    assert list(last.types) == [*OLD, "hated", "hated_more"] == list(more.output)
    found = predict(more, rows[2].inputs)
    for name, logits in expected.items():
        np.testing.assert_array_equal(found[name], logits)


def test_few_labels_change_only_the_new_task_and_lower_its_loss(add, rows, tables):
    labels = tables.examples.loc[tables.examples["split"] == "train", "hated"].dropna()
    model, assembly = add(labels=labels)
    tasks = {**OLD, "hated": HATED}
    data, split = assemble.dataset(assembly, tables, tasks), tables.examples["split"]
    few = data.take(np.flatnonzero(split == "train")[-60:]).only("hated")
    held = data.take((split == "validation").to_numpy()).only("hated")
    before, trainable = predict(model, rows[2].inputs), len(model.trainable_variables)
    weights = {v.path: np.array(v) for v in model.trainable_variables}
    kind, settings = assembly.types["hated"], TRAINING.model_copy(update={"learning_rate": 0.01})

    def loss():
        logits = predict(model, held.inputs)["hated"]
        return float(np.mean(kind.validation_loss(held.labels["hated"], logits)))

    start = loss()
    with tuning(model, "hated") as part:
        assert len(part.trainable_variables) == 4
        trainer = Trainer(
            part, {"hated": kind}, assembly.scales, {"hated": 1.0}, few, held, settings, steps=5
        )
        trainer.run(0)
    assert loss() < start
    after = predict(model, rows[2].inputs)
    assert not np.allclose(after.pop("hated"), before["hated"], atol=1e-3)
    for name, logits in after.items():
        np.testing.assert_array_equal(logits, before[name])
    moved = {path for v in model.trainable_variables if np.any(weights[path := v.path] != v)}
    assert {path.split("/")[0] for path in moved} == {"hated_tower", "hated_head"}
    assert len(model.trainable_variables) == trainable


@pytest.mark.parametrize("layer", ["mmoe", "ple", "adatt"])
def test_tuning_a_task_trains_its_tower_and_head_and_nobodys_gate(old_assembly, layer):
    sizes = SIZES.model_copy(update={"shared": Shared(layer=layer)})
    table = np.stack([*VECTORS.values()])
    model = twins.build_some(old_assembly, tuple(OLD), table, sizes, seed=3)
    assert model.get_layer("shared").private
    with tuning(model, "loved") as part:
        shared, owned = divide(part).shared, divide(part).owned
        own = [model.get_layer(f"loved_{kind}").trainable_variables for kind in ("tower", "head")]
    assert not shared
    assert [id(variable) for variable in owned] == [id(v) for group in own for v in group]


def test_a_model_that_scores_labels_by_their_texts_keeps_them_beside_a_new_task(
    tables, vectors, rows
):
    few = {name: OLD[name] for name in ("like", "genres")}
    few["genres"] = few["genres"].model_copy(update={"head": "label_embedding"})
    domain = DOMAIN.model_copy(update={"tasks": few})
    given = {**vectors, "labels_genres": directions(4, 3)}
    assembly = assemble.assemble(tables, given, domain, CONDITIONED)
    table = np.stack([VECTORS[name] for name in few])
    model = twins.build_some(assembly, tuple(few), table, CONDITIONED, seed=3)
    head = model.get_layer("genres_head")
    head.query.assign(np.random.default_rng(5).normal(size=head.query.shape))
    bare = replace(assembly, label_vectors={})  # as a loaded one
    new, _ = add_task(model, bare, "hated", HATED, NEW_VECTOR, CONDITIONED, seed=0)
    logits, before = predict(new, rows[2].inputs), predict(model, rows[2].inputs)
    assert not constant_in(logits["genres"])
    np.testing.assert_allclose(logits["genres"], before["genres"], rtol=1e-6, atol=1e-6)


def test_other_shared_layers_are_refused(add, models, assembly):
    with pytest.raises(ValueError, match="is MMoE, .*shared.layer: task_conditioned"):
        add(model=models["joint"], assembly=assembly)


def test_a_model_that_reads_texts_token_by_token_is_refused(add, old_assembly):
    sizes = CONDITIONED.model_copy(update={"reader": Reader(units=8, heads=2, width=6)})
    table = np.stack([VECTORS[name] for name in old_assembly.types])
    model = twins.build_some(old_assembly, tuple(old_assembly.types), table, sizes, seed=3)
    with pytest.raises(ValueError, match="'hated': the model reads texts token by token"):
        add(model=model, sizes=sizes)


LINKED = Task(
    type="ranking", view="user", label="x", candidates="users", head="linked_catalogue"
)  # fmt: skip
LABELLED = OLD["genres"].model_copy(update={"head": "label_embedding"})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"task": OLD["rating"].model_copy(update={"offset": "running_mean"})},
            "Leave offset: out",
        ),
        ({"task": LINKED}, "'hated': head linked_catalogue reads links"),
        ({"task": LABELLED}, "'hated': head label_embedding reads texts of labels"),
        ({"name": "like"}, "'like': the model has a task of this name already"),
        ({"vector": NEW_VECTOR[:5]}, r"'hated': the text vector has shape \(5,\), .* have \(6,\)"),
        ({"task": Task(type="ordinal", view="joint", label="x")}, "only a constant .* Give labels"),
        ({"task": HATED.model_copy(update={"loss": "focal"})}, "no task of the model has its type"),
        ({"sizes": SIZES}, "is not the same in the model and in one that its assembly and sizes"),
        ({"sizes": CONDITIONED.model_copy(update={"width": 9})}, "is not the same in the model"),
    ],
    ids=[
        "offset",
        "links",
        "texts of labels",
        "name",
        "width",
        "no donor",
        "loss",
        "layer of sizes",
        "width of sizes",
    ],
)
def test_what_cannot_be_added_is_refused_with_a_sentence(add, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        add(**change)


def test_feature_that_no_task_sees_is_refused(tables, vectors):
    few = {"rating": OLD["rating"].model_copy(update={"features": ("age", "item_id")})}
    domain = DOMAIN.model_copy(update={"tasks": few})
    assembly = assemble.assemble(tables, vectors, domain, CONDITIONED)
    model = twins.build_some(assembly, ("rating",), VECTORS["rating"][None], CONDITIONED, seed=3)
    with pytest.raises(ValueError, match="no task of the model sees 'events' of history"):
        add_task(model, assembly, "again", OLD["rating"], NEW_VECTOR, CONDITIONED, seed=0)
