import re

import pytest

from mtrec.paths import find_root
from mtrec.registry import PEERS
from mtrec.report import tables

INTERVAL = {"value": 0.8, "low": 0.7, "high": 0.9}
TASK = {
    "type": "binary", "peers": ["svdpp"], **{s: {"auc": INTERVAL} for s in ("joint", "svdpp")},
    "difference": {"auc": INTERVAL}, "svdpp_difference": {"auc": {**INTERVAL, "low": -0.1}},
}  # fmt: skip


def test_unknown_peer_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"there is no peer 'oracle' .*svdpp"):
        PEERS["oracle"]


def test_peers_have_a_column_in_the_results_only_where_there_are_any():
    alone = {**TASK, "peers": []}
    found = tables.results_table({"tasks": {"like": TASK, "love": alone}})
    assert found["peer"].tolist() == ["svdpp 0.800 [0.700, 0.900]", ""]
    assert "peer" not in tables.results_table({"tasks": {"love": alone}})


def test_difference_from_a_peer_is_named_after_it():
    found = tables.peer_table({"tasks": {"like": TASK}})
    assert found[["task", "low"]].to_numpy().tolist() == [["like vs svdpp", -0.1]]
    assert tables.peer_table({"tasks": {}}).empty


def test_a_peer_that_calls_a_threaded_library_keeps_it_to_one_thread():
    """With two threads sums are of another order, and figures depend on how many domains run."""
    threaded = re.compile(r"^from (sklearn|scipy import linalg|implicit|myfm)", re.MULTILINE)
    for file in (find_root() / "src" / "mtrec" / "peers").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        if threaded.search(text):
            assert "with threadpool_limits(1)" in text, file.name
