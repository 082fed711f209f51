import pandas as pd
import pytest

from mtrec.data import texts
from mtrec.data.dataset import fit_types, make_dataset
from mtrec.llm.settings import EmbedSettings
from tests.conftest import TASKS


def test_task_with_a_condition_counts_only_where_that_is_one(assembly, world):
    tasks = {"like": TASKS["like"], "rating": TASKS["rating"].model_copy(update={"when": "like"})}
    types = {name: assembly.types[name] for name in tasks}
    data = make_dataset(world, assembly.encoder, tasks, types)
    expected = world.examples["rating"].notna() & (world.examples["like"] == 1)
    assert data.masks["rating"].tolist() == expected.tolist()


def test_twin_gets_the_rows_of_its_task(data):
    twin = data.only("kind")
    assert list(twin.labels) == ["kind"]
    assert len(twin) == data.masks["kind"].sum()


def test_missing_label_column_and_empty_training_labels_are_named(world):
    wrong = {"love": TASKS["like"].model_copy(update={"label": "love"})}
    with pytest.raises(KeyError, match="task 'love': the examples have no column 'love'"):
        fit_types(world.examples, wrong, ())
    empty = world.examples.assign(like=float("nan"))
    with pytest.raises(ValueError, match="task 'like': column 'like' is empty"):
        fit_types(empty, {"like": TASKS["like"]}, ())


def test_texts_of_tables_become_vectors_in_the_tables_order(world, raw_data, tmp_path):
    settings = EmbedSettings(layer=1, precision="float32", components=4)
    found = texts.embed_tables(world, TASKS, settings, raw_data, tmp_path)
    assert found["items"].shape == (len(world.items), 4)
    assert found["tasks"].shape == (len(TASKS), 576)
    assert pd.isna(found["users"]).all()  # users of the tiny world have no text
    texts.save(found, tmp_path / "vectors")
    again = texts.load(tmp_path / "vectors")
    assert set(again) == {"users", "items", "tasks", "labels_genres", "labels_kind"}
    assert found["labels_genres"].shape == (3, 576)
    with pytest.raises(FileNotFoundError, match="run notebook 02"):
        texts.load(tmp_path / "none")
