import numpy as np
import pytest

from benchmarks.models import topk
from benchmarks.protocols.ranked_rows import OURS, RESAMPLES, SEED, Ranked, rows


@pytest.fixture
def found():
    rng = np.random.default_rng(0)
    peer = [{"ndcg@10": rng.random(50), "recall@10": rng.random(50)}]
    ours = [{name: values + rng.random(50) / 5 for name, values in peer[0].items()} for _ in "abc"]
    return (
        Ranked("peer", "1", peer, 2.345, 10.0, "best of two"),
        Ranked(OURS, "2", ours, 20.0, 30.0, "three seeds"),
    )


def test_a_systems_row_is_the_mean_over_its_trainings_with_the_interval_of_that_mean(found):
    row = next(r for r in rows("p", "h", found) if (r.system, r.metric) == (OURS, "recall@10"))
    mean = np.mean([run["recall@10"] for run in found[1].runs], axis=0)
    assert (row.value, row.low, row.high) == topk.interval(mean, RESAMPLES, SEED)
    assert row.value == pytest.approx(np.mean([run["recall@10"].mean() for run in found[1].runs]))
    assert (row.seeds, row.seconds, row.peak_mb, row.note) == (3, 20.0, 30.0, "three seeds")


def test_the_difference_is_paired_by_user_and_positive_where_ours_is_better(found):
    by = {(r.system, r.metric): r for r in rows("p", "h", found)}
    gain = by[f"{OURS} - peer", "ndcg@10"]
    ours, peer = by[OURS, "ndcg@10"], by["peer", "ndcg@10"]
    assert gain.value == pytest.approx(ours.value - peer.value) and gain.value > 0
    assert gain.high - gain.low < 0.5 * (peer.high - peer.low)
    assert np.isnan(gain.seconds) and gain.seeds == 3
    assert len(by) == 6
