"""SASRec: its network against Keras' layers, its training against sequences with a known answer."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers, ops

from mtrec.features.encoder import fit_encoder
from mtrec.peers import attention, past, sasrec, sasrec_training
from mtrec.peers.base import NoAnswer, PeerTask, Question
from mtrec.settings import Columns, Features, Task
from mtrec.tables.schema import Tables
from mtrec.tasks.binary import Binary
from mtrec.tasks.ranking import Ranking
from tests.conftest import SIZES

FEATURES = Features(
    user=Columns(categorical=("user_id",)), item=Columns(categorical=("item_id",)),
    event=("rating",),
)  # fmt: skip
TASK = Task(type="ranking", view="user", label="next_item")
ITEMS, LENGTH, WIDTH, BLOCKS = 9, 50, 12, 2


def ask(sequences, items, validation=1, test=1, seed=0):
    """A task of users who met these items one minute apart; the last of each are held out."""
    rows = pd.DataFrame(
        [
            (f"u{user}", f"i{item}", 1 + place, place - len(sequence))
            for user, sequence in enumerate(sequences)
            for place, item in enumerate(sequence)
        ],
        columns=["user_id", "item_id", "minute", "end"],
    )
    time = pd.to_datetime(rows.pop("minute") * 60, unit="s").astype("datetime64[ms]")
    end = rows.pop("end")
    split = np.select([end >= -test, end >= -test - validation], ["test", "validation"], "train")
    events = rows.assign(timestamp=time, rating=3.0)
    examples = events.assign(next_item=rows["item_id"], split=split)
    tables = Tables(
        pd.DataFrame({"user_id": [f"u{user}" for user in range(len(sequences))]}),
        pd.DataFrame({"item_id": [f"i{item}" for item in range(items)], "text": "x"}),
        events, examples, pd.DataFrame(),
    )  # fmt: skip
    encoder = fit_encoder(tables, FEATURES, SIZES, {})
    kind = Ranking(encoder.item.ids)
    labels, mask = kind.encode(examples["next_item"])
    return PeerTask("next_item", TASK, kind, tables, encoder, labels, mask, seed)


def cycle(users=60, items=20, length=16, seed=0):
    """Item k is followed by item k + 1, and after the last comes the first."""
    first = np.random.default_rng(seed).integers(0, items, users)
    return ask([(one + np.arange(length)) % items for one in first], items)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(sasrec, "EPOCHS", 2)
    monkeypatch.setattr(sasrec_training, "STEPS", (5, 5))
    monkeypatch.setattr(sasrec, "DROPOUTS", (0.2,))


@pytest.fixture(scope="module")
def weights():
    """Weights of which none is where it began."""
    rng = np.random.default_rng(3)
    found = attention.begin(ITEMS, LENGTH, WIDTH, BLOCKS, 0)
    return {name: values + 0.1 * rng.normal(size=values.shape).astype("float32")
            for name, values in found.items()}  # fmt: skip


def model(weights):
    """The network of Keras' own layers, from rows of items to scores at each position."""
    items = keras.Input((LENGTH,), dtype="int32")
    table = layers.Embedding(ITEMS + 1, WIDTH, weights=[weights["table"]])
    place = layers.Embedding(LENGTH, WIDTH, weights=[weights["positions"]])
    state = table(items) * WIDTH**0.5 + place(ops.arange(LENGTH))

    def norm(number):
        one = layers.LayerNormalization(epsilon=attention.EPSILON)
        one.build((None, None, WIDTH))
        one.set_weights(list(weights["norms"][number]))
        return one

    for block in range(BLOCKS):
        attend = layers.MultiHeadAttention(1, WIDTH, use_bias=False)
        normed = norm(2 * block)(state)
        state = state + attend(normed, normed, use_causal_mask=True)
        query, key, value = weights["attention"][block]
        parts = [query[:, None], key[:, None], value[:, None], np.eye(WIDTH)[None]]
        attend.set_weights(parts)
        hidden = norm(2 * block + 1)(state)
        for part, activation in enumerate(("relu", None)):
            dense = layers.Dense(WIDTH, activation=activation)
            hidden = dense(hidden)
            dense.set_weights([weights["feed"][block, part], weights["shifts"][block, part]])
        state = state + hidden
    state = norm(-1)(state)
    return keras.Model(items, state @ weights["table"][1:].T + weights["bias"])


def question(asked, histories):
    """Rows whose users met these rows of items."""

    class Met(Question):
        @property
        def met(self):
            row = np.repeat(np.arange(len(histories)), [len(one) for one in histories])
            ago = [np.arange(len(one) - 1, -1, -1.0) for one in histories]
            return row, np.concatenate([*histories, []]).astype(int), np.concatenate([*ago, []])

    rows = pd.DataFrame({"user_id": ["u0"] * len(histories)})
    return Met(rows, asked.encoder, asked.events, asked.kind, asked.seen)


def test_answers_are_those_of_kerass_layers_at_the_last_item(weights, monkeypatch):
    monkeypatch.setattr(sasrec, "BLOCK", 7)
    rng, network = np.random.default_rng(0), model(weights)
    histories = [rng.integers(1, ITEMS + 1, size) for size in range(61)]
    found = sasrec.SasRec(**weights).answer(question(cycle(3, ITEMS), histories))
    assert found.dtype == np.float32
    for history, scores in zip(histories, found, strict=True):
        given = np.append(0, history)[-LENGTH:]
        padded = np.append(given, rng.integers(0, ITEMS + 1, LENGTH - len(given)))
        expected = ops.convert_to_numpy(network(padded[None].astype("int32")))[0, len(given) - 1]
        np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_tensors_and_arrays_have_the_same_states(weights):
    items = np.random.default_rng(0).integers(0, ITEMS + 1, (4, LENGTH)).astype("int32")
    tensors = attention.states(ops, {k: keras.Variable(v) for k, v in weights.items()}, items)
    np.testing.assert_allclose(tensors, attention.states(np, weights, items), atol=1e-5)


def test_later_items_and_what_fills_a_row_change_no_earlier_state(weights):
    items = np.random.default_rng(0).integers(1, ITEMS + 1, (3, 20))
    whole = attention.states(np, weights, items)
    for size in (1, 7, 19):
        other = items.copy()
        other[:, size:] = 0
        for given in (items[:, :size], other):
            found = attention.states(np, weights, given)[:, :size]
            np.testing.assert_allclose(found, whole[:, :size], atol=1e-5)


def test_the_loss_and_its_gradient_are_those_of_tensorflows_cross_entropy():
    rng = np.random.default_rng(0)
    given = [tf.constant(rng.normal(size=size), tf.float32) for size in ((6, 4), (9, 4), (9,))]
    given[0] *= 30.0  # powers that no float32 holds
    wanted = tf.constant(rng.integers(0, 9, 6))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(given)
        state, table, bias = given
        scores = tf.matmul(state, table, transpose_b=True) + bias
        ours = sasrec_training.log_sum(*given) - tf.gather(scores, wanted, batch_dims=1)
        theirs = tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, scores)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    both = [tape.gradient(loss, given) for loss in (ours, theirs)]
    for one, other in zip(*both, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_windows_hold_each_event_once_with_what_came_before_it(seed):
    user = np.repeat([1, 2, 3, 4], [1, 5, 6, 23])
    item = np.arange(1, 36)
    rng = np.random.default_rng(seed)
    pairs = []
    for given, wanted in sasrec_training.batches(user, item, 5, 12, rng):
        assert given.shape == wanted.shape and given.shape[1] <= 5
        assert wanted[:, -1].any() and wanted[:, 0].all()
        for before, after in zip(given, wanted, strict=True):
            size = np.count_nonzero(after)
            assert not before[size:].any() and not after[size:].any()
            np.testing.assert_array_equal(before[1:size], after[: size - 1])
            pairs += zip(before[:size], after[:size], strict=True)
    begins = {1, 2, 7, 13}
    assert sorted(pairs, key=lambda pair: pair[1]) == [
        (0 if one in begins else one - 1, one) for one in item
    ]


def test_a_planted_cycle_is_learnt_where_popularity_cannot(monkeypatch):
    monkeypatch.setattr(sasrec, "DROPOUTS", (0.2,))
    asked = cycle()
    rows = asked.rows("test")
    found = sasrec.sasrec(asked).answer(asked.question(rows))
    right = found.argmax(axis=1) == asked.labels[rows]
    assert right.mean() > 0.9
    counts = np.bincount(past.training(asked).item[1:], minlength=21)[1:]
    assert (counts.argmax() == asked.labels[rows]).mean() < 0.2


def test_the_same_seed_gives_the_same_bits_and_another_gives_others(quick):
    asked = cycle()
    first, again = (sasrec.sasrec(asked).state() for _ in range(2))
    other = sasrec.sasrec(replace(asked, seed=1)).state()
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name], name)
    assert not np.array_equal(first["table"], other["table"])


def test_a_saved_one_is_plain_arrays_and_answers_the_same(quick, tmp_path):
    asked = cycle()
    fitted, rows = sasrec.sasrec(asked), asked.question(asked.rows("test"))
    np.savez(tmp_path / "one.npz", **fitted.state())
    with np.load(tmp_path / "one.npz", allow_pickle=False) as state:
        again = sasrec.SasRec.restored(dict(state))
    np.testing.assert_array_equal(again.answer(rows), fitted.answer(rows))


def test_test_labels_and_later_events_change_no_answer(quick):
    asked = cycle()
    rows = asked.rows("test")
    before = sasrec.sasrec(asked).answer(asked.question(rows))
    examples, events = asked.tables.examples.copy(), asked.tables.events.copy()
    examples.loc[examples.index[rows], "next_item"] = "i0"
    late = events["timestamp"] >= examples["timestamp"].iloc[rows].min()
    events.loc[late, "item_id"] = "i0"
    examples.loc[late.to_numpy(), "item_id"] = "i0"
    tables = replace(asked.tables, examples=examples, events=events)
    labels, _ = asked.kind.encode(examples["next_item"])
    other = replace(asked, tables=tables, labels=labels)
    np.testing.assert_array_equal(sasrec.sasrec(other).answer(other.question(rows)), before)


def test_somebody_new_is_offered_what_users_begin_with(monkeypatch):
    monkeypatch.setattr(sasrec, "DROPOUTS", (0.2,))
    asked = ask([[3, *np.random.default_rng(user).permutation(8)] for user in range(60)], 8)
    found = sasrec.sasrec(asked).answer(question(asked, [[]]))
    assert found[0].argmax() == 3


@pytest.mark.parametrize(
    "sequences, items",
    [
        ([[0, 0, 0, 0], [0, 0, 0]], 1),  # one item
        ([[0, 1, 2, 0, 1, 2]], 3),  # one user
        ([[0, 1, 2], [1, 2, 0], [2, 1, 0]], 3),  # one training event each
        ([[0, 1], [1, 0]], 2),  # none
    ],
)
def test_few_of_anything_still_gives_scores(sequences, items, quick):
    asked = ask(sequences, items)
    fitted = sasrec.sasrec(asked)
    for one in (asked.question(asked.rows("test")), question(asked, [[], [1] * 70])):
        found = fitted.answer(one)
        assert found.shape == (len(one), items) and np.isfinite(found).all()
    assert fitted.answer(asked.question(np.zeros(0, int))).shape == (0, items)


def test_items_that_nobody_knows_count_nothing(quick):
    asked = cycle()
    events = asked.tables.events
    strange = events.groupby("user_id").head(1).assign(item_id="unheard of")
    more = replace(asked.tables, events=pd.concat([events, strange]))
    other = replace(asked, tables=more)
    rows = asked.rows("test")
    fitted = sasrec.sasrec(asked)
    expected = fitted.answer(asked.question(rows))
    np.testing.assert_allclose(fitted.answer(other.question(rows)), expected, atol=1e-6)
    assert np.isfinite(sasrec.sasrec(other).answer(other.question(rows))).all()


def test_what_does_not_rank_items_or_ranks_too_many_is_refused(monkeypatch):
    asked = cycle()
    with pytest.raises(NoAnswer, match=r"sasrec predicts ranking tasks of items \(found: binary"):
        sasrec.sasrec(replace(asked, kind=Binary()))
    people = replace(asked, kind=Ranking(asked.encoder.user.ids, candidates="users"))
    with pytest.raises(NoAnswer, match="sasrec predicts ranking tasks of items"):
        sasrec.sasrec(people)
    monkeypatch.setattr(past, "LARGEST", 19)
    with pytest.raises(NoAnswer, match=r"sasrec holds .* takes at most 19 .*found: 20"):
        sasrec.sasrec(asked)


def test_epochs_after_a_training_has_diverged_do_not_count(quick, monkeypatch):
    asked, real = cycle(users=20), sasrec_training.epochs

    def diverges(*given):
        for number, weights in enumerate(real(*given)):
            yield weights if number < 2 else {**weights, "table": weights["table"] * np.nan}

    monkeypatch.setattr(sasrec_training, "epochs", diverges)
    found = sasrec.sasrec(asked)
    assert all(np.isfinite(values).all() for values in found.state().values())
