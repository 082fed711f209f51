"""The files of the million-event benchmark."""

import pandas as pd
import yaml

from benchmarks.protocols import own_data
from mtrec.config import find_root


def test_files_are_the_same_for_a_seed_and_every_event_has_its_product(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        own_data.draw(tmp_path / name, 500, seed=3)
    for file in ("events.csv", "items.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    events, items = (pd.read_csv(tmp_path / "a" / f) for f in ("events.csv", "items.csv"))
    assert len(events) == 500
    assert events["product_id"].isin(items["product_id"]).all()
    assert events["stars"].between(1, 5).all()
    assert pd.to_datetime(events["created_at"]).is_monotonic_increasing


def test_only_the_epochs_of_training_change():
    text = (find_root() / "params.yaml").read_text()
    before, after = yaml.safe_load(text), yaml.safe_load(own_data.shorter(text))
    assert after["training"].pop("epochs") == own_data.EPOCHS != before["training"].pop("epochs")
    assert after == before
