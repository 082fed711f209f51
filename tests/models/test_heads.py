import keras
import numpy as np
import pandas as pd
import pytest

from mtrec.models.heads import CatalogueHead, LabelEmbeddingHead, make_head
from mtrec.registry import HEADS, TASK_TYPES
from tests.tasks.test_types import CATALOGUE, LABELS

RNG = np.random.default_rng(0)
VARIANTS = [(kind, head) for kind in LABELS for head in TASK_TYPES.heads[kind] if kind != "ranking"]


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def fitted(kind, head=None):
    return TASK_TYPES[kind].fit(LABELS[kind].dropna(), CATALOGUE, head)


def built(kind, head, units=6, dtype="float32"):
    task = fitted(kind, head)
    layer = make_head("t", task, width=5)
    layer(np.zeros((1, units), dtype=dtype))
    values, known = task.encode(LABELS[kind])
    base = task.base_logits(values[known])
    layer.bias.assign(base)
    return task, layer, base


def test_every_head_that_settings_know_has_a_layer():
    assert set(HEADS) == {name for names in TASK_TYPES.heads.values() for name in names}
    assert isinstance(make_head("t", fitted("ranking")), CatalogueHead)


@pytest.mark.parametrize(("kind", "head"), VARIANTS)
def test_untrained_head_is_the_constant_prediction(kind, head):
    task, layer, base = built(kind, head)
    assert layer.name == "t_head"
    np.testing.assert_array_equal(layer(normal(7, 6)), np.broadcast_to(base, (7, task.outputs)))


@pytest.mark.parametrize(("kind", "head"), VARIANTS)
def test_head_learns_away_from_the_constant_prediction(kind, head):
    import tensorflow as tf

    task, layer, _ = built(kind, head)
    if head == "label_embedding":
        layer.text.assign(normal(*layer.text.shape))
    values, _ = task.encode(LABELS[kind])
    with tf.GradientTape() as tape:
        loss = keras.ops.sum(task.loss(values, layer(normal(len(values), 6))))
    for gradient in tape.gradient(loss, layer.trainable_variables):
        assert np.abs(gradient).max() > 0


@pytest.mark.parametrize(("kind", "head"), VARIANTS)
def test_logits_are_float32_under_mixed_precision(kind, head):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        _, layer, _ = built(kind, head, dtype="bfloat16")
        assert layer(keras.ops.zeros((2, 6), "bfloat16")).dtype == "float32"
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(("kind", "head"), VARIANTS)
def test_saved_head_gives_the_same_logits(kind, head, tmp_path):
    inputs = keras.Input((6,))
    layer = make_head("t", fitted(kind, head), width=5)
    model = keras.Model(inputs, layer(inputs))
    for variable in layer.variables:
        variable.assign(normal(*variable.shape))
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    x = normal(4, 6)
    np.testing.assert_array_equal(again(x), model(x))


def test_coral_head_moves_all_thresholds_alike():
    _, layer, base = built("ordinal", None)
    layer.kernel.assign(normal(6, 1))
    moved = np.array(layer(normal(9, 6))) - base
    np.testing.assert_allclose(moved, moved[:, :1] * np.ones(len(base)), atol=1e-6)


def test_labels_with_equal_texts_and_biases_have_equal_logits():
    layer = LabelEmbeddingHead(3, 5)
    layer(normal(1, 6))
    text = normal(3, 5)
    text[2] = text[0]
    layer.text.assign(text)
    layer.query.assign(normal(6, 5))
    x = normal(9, 6)
    found = np.array(layer(x))
    np.testing.assert_array_equal(found[:, 0], found[:, 2])
    assert not np.allclose(found[:, 0], found[:, 1])
    np.testing.assert_allclose(found, x @ np.array(layer.query) @ text.T / 5**0.5, atol=1e-5)


def test_text_vectors_are_not_trained():
    layer = LabelEmbeddingHead(3, 5)
    layer(normal(1, 6))
    assert [v.name for v in layer.trainable_variables] == ["query", "bias"]


def test_label_embedding_without_text_vectors_is_refused_with_a_sentence():
    kind = TASK_TYPES["multilabel"].fit(pd.Series([["a"]]), (), "label_embedding")
    with pytest.raises(ValueError, match="'genres_head'.* needs the text vectors"):
        make_head("genres", kind)
