from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtrec.features.dataset import fit_types, make_dataset
from mtrec.settings import EmbedSettings, Task
from mtrec.tables.labels import relevant
from mtrec.tasks.binary import Binary
from mtrec.text import embeddings
from tests.conftest import TASKS
from tests.language_model import WIDTH

CHAIN = {
    "saw": Task(type="binary", view="joint", label="saw"),
    "click": Task(type="binary", view="joint", label="click", when="saw"),
    "buy": Task(type="binary", view="joint", label="buy", when="click"),
}


def test_task_with_a_condition_counts_only_where_that_is_one(assembly, world):
    tasks = {"like": TASKS["like"], "rating": TASKS["rating"].model_copy(update={"when": "like"})}
    types = {name: assembly.types[name] for name in tasks}
    data = make_dataset(world, assembly.encoder, tasks, types)
    expected = world.examples["rating"].notna() & (world.examples["like"] == 1)
    assert data.masks["rating"].tolist() == expected.tolist()


def test_condition_holds_along_a_chain_and_not_where_a_link_is_unknown(world, assembly):
    examples = world.examples.iloc[:6].assign(
        saw=[1, 1, 1, 0, np.nan, 1], click=[1, 0, np.nan, 1, 1, 1], buy=[1, 1, 1, 1, 1, np.nan]
    )
    assert relevant(examples, CHAIN, "saw").equals(examples["saw"])
    types = dict.fromkeys(CHAIN, Binary())
    masks = make_dataset(replace(world, examples=examples), assembly.encoder, CHAIN, types).masks
    assert masks["saw"].tolist() == [True, True, True, True, False, True]
    assert masks["click"].tolist() == [True, True, False, False, False, True]
    assert masks["buy"].tolist() == [True, False, False, False, False, False]


def test_types_learn_only_from_labels_whose_condition_holds(world):
    tasks = {"like": TASKS["like"], "rating": TASKS["rating"].model_copy(update={"when": "like"})}
    training = world.examples[world.examples["split"] == "train"]
    stars = training["rating"][training["like"] == 1]
    kind = fit_types(world.examples, tasks, {})["rating"]
    assert kind.mean == pytest.approx(stars.mean())
    assert kind.mean != pytest.approx(training["rating"].mean())
    never = world.examples.assign(like=0.0)
    with pytest.raises(ValueError, match="task 'rating': column 'rating' is empty in the training"):
        fit_types(never, {"rating": tasks["rating"], "like": tasks["like"]}, {})
    unjudged = world.examples.copy()
    unjudged.loc[unjudged["split"] == "validation", "rating"] = None
    with pytest.raises(ValueError, match="'rating' is empty in the validation split"):
        fit_types(unjudged, {"rating": TASKS["rating"]}, {})


def test_label_names_are_those_that_the_tasks_type_learns(world):
    examples = world.examples.copy()
    odd = np.flatnonzero((examples["split"] == "train") & (examples["like"] == 0))[0]
    late = np.flatnonzero(examples["split"] == "test")[0]
    examples.at[examples.index[odd], "genres"] = ["war"]  # never where `like` is 1
    examples.at[examples.index[late], "genres"] = ["noir"]  # never in training
    plain = {"genres": TASKS["genres"], "like": TASKS["like"]}
    tasks = {**plain, "genres": plain["genres"].model_copy(update={"when": "like"})}
    assert embeddings.label_names(examples, plain) == {
        "genres": ["action", "comedy", "drama", "war"]
    }
    assert embeddings.label_names(examples, tasks) == {"genres": ["action", "comedy", "drama"]}
    for some in (plain, tasks):
        classes = fit_types(examples, some, {})["genres"].classes
        assert embeddings.label_names(examples, some)["genres"] == list(classes)


def test_rows_of_several_tasks_are_those_that_carry_any_of_them(data):
    some = data.only("kind", "like")
    assert list(some.labels) == list(some.masks) == ["kind", "like"]
    assert len(some) == (data.masks["kind"] | data.masks["like"]).sum()
    assert some.masks["like"].sum() == data.masks["like"].sum()


def test_twin_gets_the_rows_of_its_task(data):
    twin = data.only("kind")
    assert list(twin.labels) == ["kind"]
    assert len(twin) == data.masks["kind"].sum()


def test_missing_label_column_and_empty_training_labels_are_named(world):
    wrong = {"love": TASKS["like"].model_copy(update={"label": "love"})}
    with pytest.raises(KeyError, match="task 'love': the examples have no column 'love'"):
        fit_types(world.examples, wrong, {})
    empty = world.examples.assign(like=float("nan"))
    with pytest.raises(ValueError, match="task 'like': column 'like' is empty"):
        fit_types(empty, {"like": TASKS["like"]}, {})


def test_texts_of_tables_become_vectors_in_the_tables_order(world, tiny_raw, tmp_path):
    settings = EmbedSettings(layer=1, precision="float32", components=4)
    found = embeddings.embed_tables(world, TASKS, settings, tiny_raw, tmp_path)
    assert found["items"].shape == (len(world.items), 4)
    assert found["tasks"].shape == (len(TASKS), WIDTH)
    assert pd.isna(found["users"]).all()  # users of the tiny world have no text
    embeddings.save(found, tmp_path / "vectors")
    again = embeddings.load(tmp_path / "vectors")
    names = {"users", "items", "tasks", "tasks_mean", "labels_genres", "labels_kind"}
    names |= {"items_mean", "items_axes"}  # for later items; users have no text to learn from
    assert set(again) == names
    new = embeddings.embed_task(TASKS["like"].text, again, settings, tiny_raw, tmp_path)
    np.testing.assert_allclose(new, again["tasks"][list(TASKS).index("like")], atol=1e-4)
    alone = embeddings.embed_tasks(TASKS, settings, tiny_raw, tmp_path)
    for name in ("tasks", "tasks_mean"):
        np.testing.assert_allclose(alone[name], found[name], atol=1e-4)
    assert found["labels_genres"].shape == (3, WIDTH)
    with pytest.raises(FileNotFoundError, match="run notebook 02"):
        embeddings.load(tmp_path / "none")
