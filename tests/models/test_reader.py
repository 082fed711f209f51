"""What tasks read in texts, against an independent computation."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import erf, softmax

from mtrec.features.ablation import WITHOUT_TEXT, ablated
from mtrec.models.model import MultiTaskModel
from mtrec.models.reader import CLIP, LONG, TextReader
from mtrec.models.store import load_model, save_model
from mtrec.models.twins import build_some
from mtrec.settings import Reader
from mtrec.text.states import Shard, States, Texts
from mtrec.training.loop import Trainer
from mtrec.training.reading import Library, Shelf, write_table
from tests.conftest import SIZES, TRAINING

WIDTH = 6  # of a state, and of a task's vector in the tiny world
READING = SIZES.model_copy(update={"reader": Reader(units=8, heads=2, width=6, dropout=0.2)})


def gelu(x):
    return x * (1 + erf(x / 2**0.5)) / 2


@pytest.fixture
def states():
    rng = np.random.default_rng(0)
    lengths = np.array([3, 1, 7, 200, 2])
    values = rng.normal(2.0, 3.0, (lengths.sum(), WIDTH)).astype("float16")
    values[4] = 900.0  # as the states of a few tokens are
    return States([Shard(values, np.cumsum([0, *lengths]))])


@pytest.fixture
def reader():
    keras.utils.set_random_seed(1)
    layer = TextReader(rows=4, tasks=3, state_width=WIDTH, units=8, heads=2, width=6)
    layer.build((None,))
    rng = np.random.default_rng(2)
    for variable in (layer.text, layer.bias, layer.query, layer.mean):
        variable.assign(rng.normal(size=variable.shape))
    layer.scale.assign(rng.uniform(1, 3, WIDTH))
    return layer


def by_hand(layer, tokens, task):
    """What a task reads in one text, in NumPy."""
    w = {v.name: v.numpy().astype("float64") for v in layer.variables if v.dtype == "float32"}
    kernel, bias = (v.numpy() for v in layer.project.variables)
    x = np.clip((tokens.astype("float64") - w["mean"]) / w["scale"], -CLIP, CLIP)
    hidden = gelu(x @ kernel + bias)
    query = layer.query.numpy()[task] + (layer.text.numpy()[task] @ w["from_text"]).reshape(2, 4)
    attended = [
        softmax(hidden[:, 4 * head : 4 * head + 4] @ query[head] / 2.0)
        @ hidden[:, 4 * head : 4 * head + 4]
        for head in range(2)
    ]
    n = len(tokens)
    sizes = [np.log1p(n) / 5, n / LONG, 0.0]
    features = np.concatenate([*attended, hidden.max(0), hidden.mean(0), sizes])
    found = features @ layer.kernel.numpy()[task] + layer.bias.numpy()[task]
    return np.concatenate([gelu(found[:4]), found[4:]])


def test_a_task_reads_what_a_computation_by_hand_reads(reader, states):
    shelf = Shelf(Texts(np.arange(5, dtype="int32"), states))
    found = reader.read(*shelf.take(tf.range(5))).numpy()
    for text in range(5):
        tokens = states.tokens(np.array([text]))
        for task in range(3):
            np.testing.assert_allclose(
                found[text, task], by_hand(reader, tokens, task), rtol=2e-4, atol=2e-5
            )


def test_a_row_without_text_is_read_as_an_empty_one_and_is_finite(reader, states):
    shelf = Shelf(Texts(np.array([5, 0, 5, 1], dtype="int32"), states))
    reader.attach(shelf)
    found = reader(tf.constant([0, 1, 2, 3])).numpy()
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[3])
    assert not np.allclose(found[0], found[2])


def test_a_text_is_read_once_per_step_however_many_rows_name_it(reader, states):
    read = []
    reader.attach(Shelf(Texts(np.array([0, 1, 1, 2], dtype="int32"), states)))
    own = reader.read
    reader.read = lambda *given: read.append(given[2].numpy()) or own(*given)
    found = reader(tf.constant([2, 3, 3, 2, 1])).numpy()
    assert [len(lengths) for lengths in read] == [2]
    np.testing.assert_array_equal(found[0], found[2])


def test_order_and_number_of_other_texts_do_not_matter(reader, states):
    shelf = Shelf(Texts(np.arange(5, dtype="int32"), states))
    together = reader.read(*shelf.take(tf.constant([4, 2, 0]))).numpy()
    alone = reader.read(*shelf.take(tf.constant([2]))).numpy()
    np.testing.assert_allclose(together[1], alone[0], rtol=1e-5, atol=1e-6)


def test_the_table_answers_as_reading_does(reader, states):
    shelf = Shelf(Texts(np.array([3, 5, 0, 3], dtype="int32"), states))
    reader.attach(shelf)
    read = reader(tf.range(5)).numpy()
    write_table(reader, shelf)
    np.testing.assert_allclose(reader(tf.range(5)).numpy(), read, rtol=1e-5, atol=1e-6)


def test_tasks_with_the_same_text_and_query_read_the_same_and_others_do_not(reader, states):
    for variable in (reader.text, reader.query, reader.kernel, reader.bias):
        values = variable.numpy()
        values[1] = values[0]
        variable.assign(values)
    shelf = Shelf(Texts(np.arange(5, dtype="int32"), states))
    found = reader.read(*shelf.take(tf.range(5))).numpy()
    np.testing.assert_allclose(found[:, 0], found[:, 1], rtol=1e-6)
    reader.text.assign(reader.text.numpy() + [[0.0], [1.0], [0.0]])
    assert not np.allclose(found[:, 1], reader.read(*shelf.take(tf.range(5))).numpy()[:, 1])


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(3)
    lengths = rng.integers(1, 9, 15)
    values = rng.normal(size=(lengths.sum(), WIDTH)).astype("float16")
    number = np.concatenate([np.arange(15), [15, 15, 0, 1, 2]]).astype("int32")
    return {"item": Texts(number, States([Shard(values, np.cumsum([0, *lengths]))]))}


def joint(few, *names):
    names = names or tuple(few.assembly.types)
    return build_some(few.assembly, names, few.vectors["tasks"], READING, seed=3)


def sees_text(few):
    return [task for task, seen in few.assembly.seen.items() if "text" in seen.item]


def test_only_tasks_that_see_the_text_read_it(few):
    model = joint(few)
    assert isinstance(model, MultiTaskModel)
    assert model.readers["item"].tasks == len(sees_text(few)) > 0
    for task, part in model.tasks.items():
        assert len(part.reads) == (task in sees_text(few))


def test_without_text_a_model_has_no_reader(few):
    blind = ablated(few.assembly, WITHOUT_TEXT)
    assert not build_some(blind, tuple(blind.types), None, READING, seed=3).readers


def test_parts_find_towers_and_heads_of_tasks_that_read(few):
    model = joint(few)
    for task in few.assembly.types:
        assert model.towers[task].name == f"{task}_tower"
        assert model.heads[task].name == f"{task}_head"
        assert model.readers["item"] not in model.owned[task]


def trained(few, texts, model):
    library = Library(texts, few.training.inputs, seed=0)
    names = list(model.output)
    trainer = Trainer(
        model, {n: few.assembly.types[n] for n in names}, few.assembly.scales,
        dict.fromkeys(names, 1.0), few.training.only(*names), few.validation.only(*names),
        TRAINING.model_copy(update={"balancing": "nashmtl", "epochs": 2}), 4, library=library,
    )  # fmt: skip
    return trainer.run(seed=1)


def test_the_reader_is_trained_with_everything_else_and_saved_with_its_answers(
    few, texts, tmp_path
):
    model = joint(few)
    reader = model.readers["item"]
    before = {v.path: v.numpy() for v in reader.trainable_variables}
    trained(few, texts, model)
    for variable in reader.trainable_variables:
        assert not np.array_equal(variable.numpy(), before[variable.path]), variable.path
    assert np.isfinite(reader.table.numpy()).all()
    assert np.abs(reader.table.numpy()).sum() > 0
    save_model(model, tmp_path / "joint.keras")
    again = load_model(tmp_path / "joint.keras")
    rows = {name: values[:50] for name, values in few.validation.inputs.items()}
    for task, logits in model(rows, training=False).items():
        np.testing.assert_array_equal(logits, again(rows, training=False)[task])


def test_two_trainings_end_with_the_same_weights(few, texts):
    found = []
    for _ in range(2):
        model = joint(few, *sees_text(few))
        trained(few, texts, model)
        found.append([v.numpy() for v in model.variables])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_mean_and_deviation_of_states_come_from_training_texts_alone(few, texts):
    own = texts["item"]
    rows = np.array([1, 2, 2, 19])  # of the items of texts 0, 1, 1 and 1
    known = own.states.tokens(np.array([0, 1]))
    later = np.full((own.states.lengths[2:].sum(), WIDTH), 50.0, "float16")  # validation and test
    changed = Shard(np.concatenate([known, later]), np.cumsum([0, *own.states.lengths]))
    planted = {"item": Texts(own.number, States([changed]))}
    found = []
    for given in (texts, planted):
        model = joint(few)
        Library(given, {"item": rows}, seed=0).open(model)
        found.append([model.readers["item"].mean.numpy(), model.readers["item"].scale.numpy()])
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[0][0], known.astype("float64").mean(0), rtol=1e-5)


def test_units_that_heads_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="units: 10 is no multiple of heads: 4"):
        Reader(units=10)
