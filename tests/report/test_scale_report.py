"""Notebook 18: powers, rates and the plan, against arithmetic by hand."""

import math

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from mtrec.paths import find_root
from mtrec.report import scale

EVENTS = pd.DataFrame(
    {"events": [10**5, 10**6, 10**7], "processor_seconds": [1.0, 10.0, 200.0],
     "memory_megabytes": [100, 200, 900], "written_megabytes": [3, 30, 400], "limit": "8GB"}
)  # fmt: skip
SEARCH = pd.DataFrame(
    {"items": [10, 100, 1000], "exact_ms": [1.0, 10.0, 100.0], "index_ms": [0.5, 1.0, None],
     "recall": [1.0, 0.99, None], "index_megabytes": [1.0, 2.0, None]}
)  # fmt: skip
SCORING = pd.DataFrame(
    {"way": ["loop", "1 processes", "2 processes"], "users": 100,
     "processor_seconds": [30.0, 30.0, 40.0]}
)  # fmt: skip


def test_powers_are_slopes_between_sizes_and_over_all():
    found = scale.exponents(EVENTS)
    assert found["power"].tolist() == pytest.approx([1, 1 + math.log10(2), math.log10(200) / 2])
    assert found["from"].tolist() == ["10⁵", "10⁶", "10⁵"]


def test_a_second_process_tells_what_starting_costs():
    assert scale.per_user(SCORING) == (10.0, 0.2)


def test_another_hash_of_any_way_is_seen():
    ways = pd.DataFrame(
        {"way": ["loop", "1 processes", "2 processes"], "seconds": 1.0, "processor_seconds": 1.0,
         "sha256": ["", "a", "b"]}
    )  # fmt: skip
    assert not scale.speedups({"texts": ways})["equal results"].item()
    with pytest.raises(ValueError, match="texts: '2 processes' was not measured; .*scale.texts"):
        scale.speedups({"texts": ways[:2]})
    beside_loop = scale.speedups({"texts": ways[ways["way"] != "1 processes"]}).iloc[0]
    assert beside_loop["times as fast"] == 1 and pd.isna(beside_loop["engine beside a loop [%]"])


def test_the_plan_multiplies():
    rates = scale.rates(EVENTS, SEARCH, SCORING, tokens=10, rows=1000)
    assert rates["written"] == 40 and rates["item_bytes"] == 20_000 and rates["list"] == 0.2
    size = scale.Size(events=10**8, users=3600, items=1000, tokens=36, epochs=3, width=10, cores=2)
    table = scale.plan(size, rates)
    found = table.set_index("step")
    hours = found["core hours"]
    assert hours["events: sorted, split, counted"] == pytest.approx(
        200 * 10 ** rates["power"] / 3600
    )
    assert hours["texts of items"] == 1
    query = 0.001 * 10 ** math.log10(2)  # an index that takes twice as long for ten times the items
    assert hours["lists of all users"] == pytest.approx(0.2 + query)
    assert hours["training, 3 epochs"] == pytest.approx(3 * 10**8 / 1000 / 3600)
    assert found.loc["texts of items", "hours, 2 cores"] == 0.5
    assert found.loc["training, 3 epochs", "GB"] == pytest.approx(3600 * 10 * 4 * 3 / 1e9)
    assert scale.largest(table).startswith("Of 86 core hours: training, 3 epochs 97 %; ")
    assert found.loc["index of items", "GB"] == pytest.approx(1000 * 20_000 / 1e9)


def test_what_is_committed_is_drawn_and_what_is_not_there_is_named(tmp_path):
    root = find_root()
    for figure in (
        scale.events_figure(scale.measured(root, "events"), "t"),
        scale.search_figure(scale.measured(root, "retrieval"), "t"),
    ):
        assert figure.axes
        plt.close(figure)
    start, each = scale.per_user(scale.measured(root, "scoring"))
    assert start > 0 and each > 0
    divided = scale.speedups({what: scale.measured(root, what) for what in scale.DIVIDED})
    assert divided["equal results"].all()
    assert (divided["engine beside a loop [%]"].dropna() < 15).all()
    with pytest.raises(FileNotFoundError, match="benchmarks.scale.events"):
        scale.measured(tmp_path, "events")
