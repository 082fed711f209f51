from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtrec.tables import schema
from tests.conftest import TASKS

LABELS = {task.label: task.type for task in TASKS.values()}


def broken(world, table, **columns):
    return replace(world, **{table: getattr(world, table).assign(**columns)})


def test_good_tables_pass(world):
    assert schema.validate(world, LABELS) is world


@pytest.mark.parametrize(
    ("table", "columns", "message"),
    [
        ("users", {"user_id": "same"}, "users: column 'user_id'"),
        ("events", {"item_id": "nowhere"}, "events: column 'item_id'"),
        ("events", {"timestamp": "yesterday"}, "events: column 'timestamp'"),
        ("examples", {"split": "exam"}, "examples: column 'split'"),
        ("examples", {"like": 2.0}, "examples: column 'like'.* found 2.0"),
        ("examples", {"rating": np.inf}, "examples: column 'rating'"),
        ("examples", {"genres": "drama"}, "examples: column 'genres'"),
        ("examples", {"split": "train"}, "the validation split is empty"),
    ],
)
def test_broken_table_is_refused_with_table_and_column(world, table, columns, message):
    with pytest.raises(schema.SchemaError, match=message):
        schema.validate(broken(world, table, **columns), LABELS)


def test_tables_survive_their_files_and_have_the_same_bytes(world, tmp_path):
    for name in "ab":
        schema.write(world, tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
    again = schema.read(tmp_path / "a")
    pd.testing.assert_frame_equal(again.items, world.items)
    schema.validate(again, LABELS)


def test_missing_table_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="users.parquet: no such file"):
        schema.read(tmp_path)
