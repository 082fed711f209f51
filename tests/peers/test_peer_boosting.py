import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from mtrec.features.encoder import fit_encoder
from mtrec.peers import boosting
from mtrec.peers.base import PeerTask, Question, answers
from mtrec.peers.boosting import features
from mtrec.registry import PEERS, TASK_TYPES
from mtrec.settings import Columns, Features, Task
from mtrec.tables.schema import Tables
from tests.conftest import SIZES, make_world

FEATURES = Features(
    user=Columns(categorical=("user_id",), numeric=("age",), context=("user_count",)),
    item=Columns(categorical=("item_id", "colour"), multi=("genres",), numeric=("year",)),
    joint=Columns(context=("clue",)),
    event=("rating",),
)


@pytest.fixture(scope="module")
def world() -> Tables:
    tables = make_world()
    examples = tables.examples
    clue = examples["rating"] + np.random.default_rng(0).normal(0, 0.01, len(examples))
    return replace(tables, examples=examples.assign(clue=clue, stars=examples["rating"]))


def ask(tables, task, seed=0, vectors=None):
    encoder = fit_encoder(tables, FEATURES, SIZES, vectors or {})
    training = tables.examples[tables.examples["split"] == "train"]
    kind = TASK_TYPES[task.type].fit(training[task.label].dropna(), ())
    labels, mask = kind.encode(tables.examples[task.label])
    return PeerTask("task", task, kind, tables, encoder, labels, mask, seed)


def whole(asked):
    return answers(PEERS["boosting"](asked), asked, np.arange(len(asked.labels)))


def test_it_equals_scikit_learn_called_directly(world):
    task = Task(type="regression", view="joint", label="rating",
                features=("age", "user_count", "year", "genres"))  # fmt: skip
    asked = ask(world, task)
    rows = world.examples
    age = rows["user_id"].map(world.users.set_index("user_id")["age"])
    year = rows["item_id"].map(world.items.set_index("item_id")["year"])
    genres = rows["item_id"].map(world.items.set_index("item_id")["genres"])
    columns = [rows["user_count"], age, *(
        genres.map(lambda found, g=g: float(g in found), na_action="ignore").fillna(0.0)
        for g in ("action", "comedy", "drama")
    ), year]  # fmt: skip
    table = np.column_stack(columns).astype("float64")
    train, validation = asked.rows("train"), asked.rows("validation")
    labels, errors, models = rows["rating"].to_numpy(), [], []
    for leaves, smallest in ((31, 20), (31, 200), (7, 20), (7, 200)):
        model = HistGradientBoostingRegressor(
            max_iter=1000, early_stopping=True, random_state=0, max_leaf_nodes=leaves,
            min_samples_leaf=smallest,
        )  # fmt: skip
        model.fit(table[train], labels[train], X_val=table[validation], y_val=labels[validation])
        models.append(model)
        errors.append(((model.predict(table[validation]) - labels[validation]) ** 2).mean())
    best = models[int(np.argmin(errors))]
    assert whole(asked) == pytest.approx(best.predict(table), abs=1e-5)


def test_running_means_are_a_column_where_the_models_start_from_them(world):
    asked = ask(world, Task(type="regression", view="joint", label="rating", features=("age",)))
    means = np.arange(len(world.examples), dtype="float64")
    table = features(replace(asked, running_mean=means))
    assert list(table) == ["user age", "running mean 0"]
    np.testing.assert_array_equal(table["running mean 0"], means)


def test_a_mean_that_lacks_the_rows_own_label_alone_is_no_column(world, monkeypatch):
    asked = ask(world, Task(type="regression", view="joint", label="rating", features=("age",)))
    asked = replace(asked, running_mean=np.zeros(len(world.examples)))
    module = sys.modules["mtrec.peers.boosting"]
    monkeypatch.setattr(module, "training_events", lambda events, examples: (events, False))
    assert list(features(asked)) == ["user age"]


def test_a_determining_column_outside_features_is_not_used(world):
    test = world.examples["split"] == "test"
    error = {}
    for name, seen in (("clue", ("clue",)), ("age", ("age",))):
        asked = ask(world, Task(type="regression", view="joint", label="rating", features=seen))
        rows = asked.rows("test")
        found = whole(asked)
        error[name] = np.abs(found[rows] - asked.labels[rows]).mean()
    assert test.any() and error["clue"] < 0.15 < 0.6 < error["age"]
    asked = ask(world, Task(type="regression", view="user", label="rating"))
    names = set(features(asked))
    assert "clue" not in names and not any(name.startswith("item ") for name in names)
    assert {"user_count", "user age", "history length", "last rating"} <= names


@pytest.mark.parametrize(
    ("kind", "label", "shape"),
    [("binary", "like", ()), ("multiclass", "mood", (3,)), ("ordinal", "stars", (5,)),
     ("regression", "rating", ())],
)  # fmt: skip
def test_every_type_predicts_all_examples_in_its_own_form(world, kind, label, shape):
    asked = ask(world, Task(type=kind, view="joint", label=label))
    found = whole(asked)
    assert found.shape == (len(world.examples), *shape)
    if shape:
        assert found.sum(axis=1) == pytest.approx(1)
    np.testing.assert_array_equal(whole(asked), found)


def test_predictions_do_not_depend_on_test_labels(world):
    task = Task(type="binary", view="joint", label="like")
    before = whole(ask(world, task))
    changed = world.examples.copy()
    test = (changed["split"] == "test") & changed["like"].notna()
    changed.loc[test, "like"] = 1 - changed.loc[test, "like"]
    np.testing.assert_array_equal(whole(ask(replace(world, examples=changed), task)),
                                  before)  # fmt: skip


def test_a_history_becomes_its_length_and_its_last_event(world):
    found = features(ask(world, Task(type="binary", view="user", label="like")))
    for row in world.examples[world.examples["user_id"].notna()].sample(30, random_state=1).index:
        now = world.examples.loc[row]
        past = world.events[(world.events["user_id"] == now["user_id"])
                            & (world.events["timestamp"] < now["timestamp"])]  # fmt: skip
        assert found.loc[row, "history length"] == min(len(past), SIZES.history.length)
        assert np.isnan(found.loc[row, "last rating"]) == past.empty


def test_many_categories_become_cross_fitted_mean_labels(monkeypatch, world):
    monkeypatch.setattr(sys.modules[features.__module__], "CATEGORIES", 3)
    task = Task(type="regression", view="joint", label="rating", features=("item_id", "colour"))
    asked = ask(world, task)
    found = features(asked)
    assert isinstance(found["item colour"].dtype, pd.CategoricalDtype)
    training = asked.rows("train")
    items = world.examples["item_id"]
    test = asked.rows("test")
    own = pd.Series(asked.labels[training]).groupby(items.iloc[training].to_numpy()).mean()
    shrunk = found["item item_id 0"].iloc[test]
    assert np.corrcoef(shrunk, items.iloc[test].map(own))[0, 1] > 0.9
    assert found["item item_id 0"].iloc[training].groupby(items.iloc[training]).nunique().max() > 1


def test_another_type_or_nothing_to_read_is_refused(world):
    with pytest.raises(ValueError, match="peer boosting predicts binary, multiclass, ordinal"):
        whole(ask(world, Task(type="multilabel", view="user", label="genres")))


def test_classes_are_those_of_scikit_learn(world, monkeypatch):
    module = sys.modules["mtrec.peers.boosting"]
    monkeypatch.setattr(module, "LEAVES", (31,))
    monkeypatch.setattr(module, "SMALLEST", (20,))
    asked = ask(world, Task(type="multiclass", view="joint", label="mood", features=("age",)))
    age = world.examples["user_id"].map(world.users.set_index("user_id")["age"])
    train, validation = asked.rows("train"), asked.rows("validation")
    model = HistGradientBoostingClassifier(max_iter=1000, early_stopping=True, random_state=0)
    table, mood = age.to_numpy()[:, None], world.examples["mood"].to_numpy()
    model.fit(table[train], mood[train], X_val=table[validation], y_val=mood[validation])
    order = [list(model.classes_).index(name) for name in asked.kind.classes]
    expected = model.predict_proba(table)[:, order]
    assert whole(asked) == pytest.approx(expected, abs=1e-5)


def test_leading_components_of_texts_are_columns_and_missing_where_there_is_no_text(world):
    items = world.items
    vectors = np.random.default_rng(0).normal(size=(len(items), 20)).astype("float32")
    vectors[(items["item_id"] == "i3").to_numpy()] = np.nan  # no text
    asked = ask(world, Task(type="regression", view="joint", label="rating", features=("text",)),
                vectors={"items": vectors})  # fmt: skip
    table = features(asked)
    assert list(table) == [f"item text {k}" for k in range(16)]
    items_of = world.examples["item_id"].to_numpy()
    assert table[items_of == "i3"].isna().all(axis=None)
    at = items.index[items["item_id"] == "i5"][0]
    scale = table[items_of == "i5"].to_numpy()[0] / vectors[at, :16]
    np.testing.assert_allclose(scale, scale[0], rtol=1e-5)
    whole = features(ask(world, Task(type="regression", view="joint", label="rating"),
                         vectors={"items": vectors}))  # fmt: skip
    assert "item text 0" in whole and not any("last item text" in name for name in whole)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_saved_trees_answer_requests_as_before(world, monkeypatch, tmp_path, kind):
    monkeypatch.setattr(sys.modules[features.__module__], "CATEGORIES", 25)  # users are more
    label = {"binary": "like", "multiclass": "mood", "regression": "rating"}[kind]
    asked = ask(world, Task(type=kind, view="joint", label=label))
    fitted = PEERS["boosting"](asked)
    np.savez(tmp_path / "one.npz", **fitted.state())
    with np.load(tmp_path / "one.npz") as state:
        again = type(fitted).restored(dict(state))
    rows = asked.rows("test")
    examples = world.examples.iloc[rows].drop(columns=["rating", "like", "mood"])
    request = Question(examples, asked.encoder, asked.events, asked.kind, asked.seen)
    np.testing.assert_array_equal(again.answer(request), whole(asked)[rows])


def test_a_category_that_no_labelled_row_shows_moves_no_other(world, monkeypatch):
    rows, train = world.examples, world.examples["split"] == "train"
    first = world.items.sort_values("colour")["colour"].dropna().iloc[0]
    hidden = rows["item_id"].isin(world.items.loc[world.items["colour"] == first, "item_id"])
    labels = rows["rating"].mask(train & hidden)
    tables = replace(world, examples=rows.assign(rating=labels))
    fitted, models = boosting._fitted, []
    monkeypatch.setattr(boosting, "_fitted", lambda *found: models.append(found) or fitted(*found))
    task = Task(type="regression", view="joint", label="rating", features=("colour", "item_id"))
    asked = ask(tables, task)
    found = whole(asked)
    ((model, table, *_),) = models
    known = np.flatnonzero(asked.mask)
    np.testing.assert_allclose(found[known], model.predict(table)[known])


def test_a_column_that_training_rows_have_no_value_of_is_left_out(world):
    train = world.examples["split"] == "train"
    gone = replace(world, examples=world.examples.assign(clue=world.examples["clue"].mask(train)))
    task = Task(type="regression", view="joint", label="rating", features=("user_count",))
    more = task.model_copy(update={"features": ("user_count", "clue")})
    np.testing.assert_array_equal(whole(ask(gone, more)), whole(ask(gone, task)))
    with pytest.raises(ValueError, match="finds no feature that the head may see"):
        features(ask(gone, task.model_copy(update={"features": ("clue",)})))
