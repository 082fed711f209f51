"""Events prepared from disk to disk are those of the domain's tables, row for row."""

import numpy as np
import pandas as pd
import pytest

from mtrec.config import experiment
from mtrec.domains import video
from mtrec.features.events import training_events
from mtrec.features.fields import Scaler, make_side
from mtrec.scale.events import Columns, prepare
from mtrec.settings import Columns as Sides
from tests.conftest import ROOT

pytest.importorskip("duckdb", reason="DuckDB is not installed; `make scale` adds it")
COLUMNS = Columns("user_id:token", "item_id:token", "timestamp:float", "rating:float")


def test_tables_split_and_running_counts_are_those_of_the_domain(raw_data, tmp_path):
    run = experiment("video", ROOT)
    settings = run.domain.data
    assert settings.split == "temporal"
    tables = video.make_tables(video.load_raw(run.raw), settings, run.seed)
    source = run.raw / "ml-100k.inter"
    shares = settings.validation_share, settings.test_share
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "events.duckdb").write_text("left by a command that was killed")
    rows = prepare(source, tmp_path, COLUMNS, shares, once=True, memory="100MB", threads=2)
    events, examples = (pd.read_parquet(tmp_path / f"{n}.parquet") for n in ("events", "examples"))
    wanted = tables.events.reset_index(drop=True)
    assert rows == len(wanted) == len(events)
    keys = ["user_id", "item_id", "timestamp"]
    pd.testing.assert_frame_equal(events[keys], wanted[keys], check_dtype=False)
    wanted = tables.examples[tables.examples["user_id"].notna()].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        examples[[*keys, "split"]], wanted[[*keys, "split"]], check_dtype=False
    )
    assert (examples["value"] == wanted["rating"]).all()
    for side in ("user", "item"):
        assert (np.log1p(examples[f"{side}_count"]) == wanted[f"{side}_count"]).all()
        np.testing.assert_array_equal(examples[f"{side}_mean"], wanted[f"{side}_mean_rating"])
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["events.parquet", "examples.parquet"]


def test_an_encoder_s_vocabularies_and_statistics_are_those_of_the_tables(raw_data, tmp_path):
    run = experiment("video", ROOT)
    tables = video.make_tables(video.load_raw(run.raw), run.domain.data, run.seed)
    shares = run.domain.data.validation_share, run.domain.data.test_share
    source = run.raw / "ml-100k.inter"
    prepare(source, tmp_path, COLUMNS, shares, once=True, memory="100MB", min_count=5)
    ids, found = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("ids", "statistics"))
    training, _ = training_events(tables.events, tables.examples)
    for side, table in (("user", tables.users), ("item", tables.items)):
        key = f"{side}_id"
        counts = training[key].value_counts()
        own = ids[ids["side"] == side].set_index("id")
        assert own["events"].to_dict() == counts.to_dict()
        field = make_side(table, key, Sides(categorical=(key,)), counts, 5).field(key)
        codes = own["code"].reindex(table[key]).fillna(0)
        np.testing.assert_array_equal(codes, field.table[1:])
    rows = tables.examples[
        (tables.examples["split"] == "train") & tables.examples["user_id"].notna()
    ]
    names = {"user_count": "user_count", "user_mean": "user_mean_rating",
             "item_count": "item_count", "item_mean": "item_mean_rating"}  # fmt: skip
    wanted = Scaler.fit(rows[[*names.values()]])
    found = found.set_index("name").loc[[*names]]
    np.testing.assert_allclose(found["mean"], wanted.mean, rtol=1e-12)
    np.testing.assert_allclose(found["deviation"], wanted.deviation, rtol=1e-9)


def test_bad_input_is_one_sentence(tmp_path):
    with pytest.raises(OSError, match="nothing.csv: .*No files found"):
        prepare(tmp_path / "nothing.csv", tmp_path)
    file = tmp_path / "a.csv"
    file.write_text("user_id,item_id,timestamp\na,b,1\n")
    with pytest.raises(ValueError, match='a.csv: .*"rating" not found'):
        prepare(file, tmp_path)
    file.write_text("user_id,item_id,timestamp,rating\na,b,yesterday,1\n")
    with pytest.raises(ValueError, match="a.csv: .*Could not convert string 'yesterday'"):
        prepare(file, tmp_path)
