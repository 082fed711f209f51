import keras
import numpy as np
import pytest

from mtrec.features import ablation, assemble
from mtrec.features.visibility import visible
from mtrec.models import below, twins
from mtrec.models.encoders import EntityEncoder, specify
from mtrec.models.history import HISTORY_ENCODERS, HistoryEncoder
from mtrec.models.store import load_model, save_model
from mtrec.settings import Task
from tests.conftest import DOMAIN, SIZES, TASKS


def outputs(model, inputs):
    return {name: np.array(value) for name, value in model(inputs, training=False).items()}


def changed(model, data, **replace):
    """Tasks whose logits move when some inputs are replaced."""
    before = outputs(model, data.inputs)
    after = outputs(model, {**data.inputs, **replace})
    return {name for name in before if not np.allclose(before[name], after[name], atol=1e-6)}


@pytest.fixture
def moved(models):
    """The joint model with biases and embeddings away from their initial values."""
    model = keras.models.clone_model(models["joint"])
    rng = np.random.default_rng(5)
    for variable, source in zip(model.variables, models["joint"].variables, strict=True):
        variable.assign(source)
    for variable in model.trainable_variables:
        variable.assign(variable + rng.normal(scale=0.2, size=variable.shape))
    return model


def test_untrained_model_is_the_constant_prediction(models, assembly, data):
    logits = outputs(models["joint"], data.inputs)
    for name, base in assembly.base_logits.items():
        np.testing.assert_allclose(logits[name], np.broadcast_to(base, logits[name].shape))


def test_a_catalogue_encoded_whole_gives_histories_the_states_of_their_items(
    assembly, vectors, data, monkeypatch
):
    found = []
    for small in (16_384, 0):
        monkeypatch.setattr(below, "SMALL", small)
        model = twins.build_some(assembly, ("like",), vectors["tasks"], SIZES, seed=3)
        assert ("all_items" in {layer.name for layer in model.layers}) == (small > 0)
        rng = np.random.default_rng(5)
        for variable in model.trainable_variables:
            variable.assign(variable + rng.normal(scale=0.2, size=variable.shape))
        found.append(outputs(model, data.inputs)["like"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_user_view_heads_do_not_see_the_item(moved, data):
    other = np.roll(data.inputs["item"], 1)
    assert changed(moved, data, item=other) == {"rating", "like", "kind"}


def test_item_view_heads_do_not_see_the_user_or_the_history(moved, data):
    inputs = {
        name: np.roll(data.inputs[name], 7, axis=0)
        for name in ("user", "history_items", "history_events", "user_context")
    }
    assert "kind" not in changed(moved, data, **inputs)
    assert {"rating", "like", "genres", "mood", "next_item"} <= changed(moved, data, **inputs)


def test_head_limited_to_the_text_does_not_see_the_label_column(moved, data, assembly):
    encoder = moved.get_layer("item_encoder")
    at = [field.name for field in assembly.encoder.item.fields].index("genres")
    before = outputs(moved, data.inputs)
    encoder.tables[at].table.assign(1 - encoder.tables[at].table)
    after = outputs(moved, data.inputs)
    np.testing.assert_array_equal(before["kind"], after["kind"])
    assert not np.allclose(before["rating"], after["rating"])


def test_twin_has_one_task_and_the_joint_models_parts(models):
    assert list(models["rating"].output) == ["rating"]
    assert {"user_encoder", "item_encoder", "shared"} <= {x.name for x in models["rating"].layers}


def test_saved_model_predicts_the_same_and_has_the_same_bytes(models, data, tmp_path):
    save_model(models["joint"], tmp_path / "a.keras")
    again = load_model(tmp_path / "a.keras")
    save_model(again, tmp_path / "b.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    for name, value in outputs(models["joint"], data.inputs).items():
        np.testing.assert_array_equal(outputs(again, data.inputs)[name], value)


@pytest.mark.parametrize("gates", [0.0, 0.5])
def test_a_loaded_model_drops_the_same_units_as_the_built_one(assembly, vectors, data, tmp_path,
                                                              gates):  # fmt: skip
    shared = SIZES.shared.model_copy(update={"gate_dropout": gates})
    sizes = SIZES.model_copy(update={"dropout": 0.5, "shared": shared})
    model = twins.build_some(assembly, ("like", "rating"), vectors["tasks"], sizes, seed=3)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.1)
    save_model(model, tmp_path / "one.keras")
    keras.utils.set_random_seed(99)  # whatever the process drew before
    inputs = {name: values[:16] for name, values in data.inputs.items()}
    state = [np.asarray(variable) for variable in model.variables]
    built = [model(inputs, training=True) for _ in range(2)]
    again = load_model(tmp_path / "one.keras")
    for one, other in zip(state, again.variables, strict=True):  # or a checkpoint would not fit
        np.testing.assert_array_equal(one, other)
    loaded = [again(inputs, training=True) for _ in range(2)]
    for name in built[0]:
        assert not np.array_equal(built[0][name], built[1][name])
        for one, other in zip(built, loaded, strict=True):
            np.testing.assert_array_equal(one[name], other[name])


def test_same_seed_builds_the_same_bytes(assembly, vectors, tmp_path):
    for name in "ab":
        built = twins.build_models(assembly, vectors["tasks"], SIZES, seed=3)["like"]
        save_model(built, tmp_path / f"{name}.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


def test_damaged_or_missing_model_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="make repro"):
        load_model(tmp_path / "none.keras")
    (tmp_path / "bad.keras").write_bytes(b"PK not a zip")
    with pytest.raises(ValueError, match="damaged"):
        load_model(tmp_path / "bad.keras")


def test_assembly_survives_its_files(assembly, tmp_path):
    assemble.save(assembly, tmp_path)
    again = assemble.load(tmp_path)
    assert again.types == assembly.types
    assert again.seen == assembly.seen
    assert again.encoder.user.ids == assembly.encoder.user.ids
    for a, b in zip(again.encoder.item.fields, assembly.encoder.item.fields, strict=True):
        np.testing.assert_array_equal(a.table, b.table)


def test_features_must_exist_in_the_view(assembly):
    task = Task(type="binary", view="user", label="like", features=("genres",))
    with pytest.raises(ValueError, match="names 'genres', which a head with view user does not"):
        visible("like", task, assembly.encoder)


def test_entity_state_is_the_sum_of_the_visible_projections(assembly):
    fields = assembly.encoder.item.fields
    layer = EntityEncoder(specify(fields), 5)
    rows = np.array([[0, 3], [20, 1]], dtype="int32")
    layer(rows)
    layer.fill(fields)
    expected = np.zeros((2, 2, 5))
    for field, projection in zip(fields, layer.projections, strict=True):
        kernel, values = np.array(projection.weights[0]), field.table[rows]
        if field.kind == "categorical":
            expected += kernel[values]
        else:
            values = field.vectors[values] if field.kind == "text" else values
            expected += values @ kernel
    np.testing.assert_allclose(layer(rows), expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(layer(rows, visible=["year"]), expected)


@pytest.mark.parametrize("name", HISTORY_ENCODERS)
def test_history_ignores_padding_and_is_zero_without_events(name):
    layer = HistoryEncoder(name, units=8, width=6)
    rng = np.random.default_rng(0)
    events, known = rng.normal(size=(3, 5, 4)).astype("float32"), np.ones((3, 5), dtype=bool)
    known[:, :2], known[2] = False, False
    other = np.where(known[:, :, None], events, rng.normal(size=events.shape)).astype("float32")
    np.testing.assert_allclose(layer(events, known), layer(other, known), atol=1e-6)
    assert np.abs(np.array(layer(events, known))[2]).max() == 0


@pytest.mark.parametrize("kind", [keras.layers.LSTM, keras.layers.GRU])
def test_history_is_read_from_its_oldest_event_to_the_newest(kind):
    layer = HistoryEncoder(kind.__name__.lower(), units=8, width=6)
    events = np.random.default_rng(0).normal(size=(1, 5, 4)).astype("float32")
    known = np.array([[False, False, True, True, True]])
    found = np.array(layer(events, known))
    plain = kind(8)
    plain.build((1, 3, 4))
    plain.set_weights(layer.sequence.get_weights())
    state = np.array(plain(events[:, 2:]))
    np.testing.assert_allclose(found, state @ np.array(layer.out.kernel), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_history_comes_in_the_form_that_a_gpu_asks_for(name, monkeypatch):
    masks = []
    layer = HistoryEncoder(name, units=8, width=6)
    known = np.array([[False, False, True], [True, True, True], [False, False, False]])
    layer(np.zeros((3, 3, 4), "float32"), known)
    call = layer.sequence.call
    monkeypatch.setattr(
        layer.sequence, "call", lambda *a, mask, **k: masks.append(np.array(mask)) or call(*a, **k)
    )
    layer(np.zeros((3, 3, 4), "float32"), known)
    # cuDNN: no padding before an event, and no row without one
    np.testing.assert_array_equal(masks[0], [[1, 0, 0], [1, 1, 1], [1, 0, 0]])


@pytest.fixture(scope="module")
def named(world, vectors):
    """The world with a task whose labels are scored by their texts, and its models."""
    genres = TASKS["genres"].model_copy(update={"head": "label_embedding"})
    domain = DOMAIN.model_copy(update={"tasks": {"genres": genres, "like": TASKS["like"]}})
    texts = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    vectors = {**vectors, "tasks": vectors["tasks"][:2], "labels_genres": texts}
    found = assemble.assemble(world, vectors, domain, SIZES)
    return texts, found, twins.build_models(found, vectors["tasks"], SIZES, seed=3)


def test_label_head_holds_the_text_vectors_of_its_labels(named):
    texts, _, models = named
    for name in ("joint", "genres"):
        head = models[name].get_layer("genres_head")
        np.testing.assert_array_equal(head.text, texts)
        assert not any(v is head.text for v in models[name].trainable_variables)
    assert list(models["like"].output) == ["like"]


def test_label_head_without_text_knows_labels_apart_only(named):
    blind = ablation.ablated(named[1], ablation.WITHOUT_TEXT)
    head = twins.build_some(blind, ("genres",), None, SIZES, 3).get_layer("genres_head")
    np.testing.assert_array_equal(head.text, np.eye(3))


def test_model_with_a_label_head_starts_as_the_constant_and_survives_its_file(
    named, data, tmp_path
):
    _, found, models = named
    model = models["joint"]
    logits = outputs(model, data.inputs)["genres"]
    np.testing.assert_allclose(logits, np.broadcast_to(found.base_logits["genres"], logits.shape))
    head = model.get_layer("genres_head")
    try:
        head.query.assign(np.random.default_rng(1).normal(size=head.query.shape))
        save_model(model, tmp_path / "joint.keras")
        again = load_model(tmp_path / "joint.keras")
        expected = outputs(model, data.inputs)["genres"]
        assert not np.allclose(expected, logits)
        np.testing.assert_array_equal(outputs(again, data.inputs)["genres"], expected)
    finally:
        head.query.assign(np.zeros(head.query.shape))


def test_label_vectors_that_are_missing_or_too_few_are_named(world, vectors):
    genres = TASKS["genres"].model_copy(update={"head": "label_embedding"})
    domain = DOMAIN.model_copy(update={"tasks": {"genres": genres}})
    for more, count in (({}, 0), ({"labels_genres": np.zeros((2, 5), "float32")}, 2)):
        with pytest.raises(ValueError, match=rf"'genres': .* of its 3 labels .found: {count}.*02"):
            assemble.assemble(world, {**vectors, **more}, domain, SIZES)
