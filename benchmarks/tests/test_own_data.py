"""The files of the million-event benchmark."""

import pandas as pd
import yaml

from benchmarks.protocols import own_data
from mtrec.paths import find_root


def test_files_are_the_same_for_a_seed_and_every_event_has_its_product():
    first, second = own_data.draw(500, seed=3), own_data.draw(500, seed=3)
    for name, frame in first.items():
        pd.testing.assert_frame_equal(frame, second[name])
    events, items = first["events"], first["items"]
    assert len(events) == 500
    assert events["product_id"].isin(items["product_id"]).all()
    assert events["stars"].between(1, 5).all()
    assert pd.to_datetime(events["created_at"]).is_monotonic_increasing


def test_only_the_epochs_of_training_change():
    text = (find_root() / "params.yaml").read_text()
    before, after = yaml.safe_load(text), yaml.safe_load(own_data.shorter(text))
    assert after["training"].pop("epochs") == own_data.EPOCHS != before["training"].pop("epochs")
    assert after == before
