from dataclasses import replace

import numpy as np
import pytest

from mtrec.studies import score as module
from mtrec.studies.score import score
from mtrec.studies.workbench import with_head
from mtrec.tasks.ordinal import Ordinal

STARS = {1: 0.0, 2: 1.0, 3: 4.0, 4: 5.0, 5: 20.0}  # far from evenly spaced


def perfect(kind, labels):
    """Logits that predict the encoded labels."""
    if kind.metrics == "regression":
        return ((labels - kind.mean) / kind.deviation)[:, None]
    if isinstance(kind, Ordinal):
        return np.where(labels[:, None] > np.arange(kind.outputs), 30.0, -30.0)
    if kind.metrics in ("multiclass", "ranking"):
        return 30.0 * np.eye(kind.outputs)[labels]
    return 20.0 * (labels.reshape(len(labels), -1) - 0.5)


def predicting(monkeypatch, bench, worse=None):
    """Let every model predict the labels, made worse by a function of name and logits."""

    def predict(model, inputs):
        test = np.flatnonzero((bench.tables.examples["split"] == "test").to_numpy())
        labels = bench.data.take(test).labels
        return {
            name: (worse or (lambda name, logits: logits))(name, perfect(kind, labels[name]))
            for name, kind in bench.assembly.types.items()
        }

    monkeypatch.setattr(module, "predict", predict)


def test_perfect_predictor_has_perfect_main_metrics(bench, monkeypatch):
    predicting(monkeypatch, bench)
    found = score(bench, None, tuple(bench.assembly.types))
    assert {name: metric for name, (metric, _) in found.items()} == {
        "rating": "rmse", "like": "auc", "genres": "map", "mood": "log_loss",
        "next_item": "ndcg@10", "kind": "map",
    }  # fmt: skip
    for name, best in (("rating", 0), ("like", 1), ("genres", 1), ("mood", 0), ("next_item", 1)):
        assert found[name][1] == pytest.approx(best, abs=1e-5)


def test_only_known_test_labels_count(bench, monkeypatch):
    test = (bench.tables.examples["split"] == "test").to_numpy()
    unknown = ~bench.data.masks["rating"][test]
    assert 0 < unknown.sum() < len(unknown)

    def spoil(name, logits):
        return np.where(unknown[:, None], 1e3, logits) if name == "rating" else logits

    predicting(monkeypatch, bench, spoil)
    assert score(bench, None, ("rating",))["rating"][1] == pytest.approx(0, abs=1e-5)


def test_number_is_scored_in_its_own_units(bench, monkeypatch):
    deviation = bench.assembly.types["rating"].deviation
    predicting(monkeypatch, bench, lambda name, logits: logits + (name == "rating") / deviation)
    metric, value = score(bench, None, ("rating",))["rating"]
    assert (metric, value) == ("rmse", pytest.approx(1.0, rel=1e-5))


def test_ordered_levels_are_scored_as_numbers_in_the_labels_units(bench, monkeypatch):
    examples = bench.tables.examples.assign(rating=lambda x: x["rating"].map(STARS))
    bench = replace(bench, tables=replace(bench.tables, examples=examples))
    bench = with_head(bench, "rating", {"type": "ordinal"})
    assert bench.assembly.types["rating"].levels == tuple(STARS.values())
    predicting(monkeypatch, bench)
    assert score(bench, None, ("rating",))["rating"] == ("rmse", pytest.approx(0.0, abs=1e-4))

    # Every threshold at even odds: half on the lowest level and half on the highest, 10 on average.
    predicting(monkeypatch, bench, lambda name, logits: 0.0 * logits)
    labels = examples["rating"][examples["split"] == "test"].dropna()
    expected = np.sqrt(np.mean((labels - 10.0) ** 2))
    assert score(bench, None, ("rating",))["rating"][1] == pytest.approx(expected, rel=1e-5)


def test_ranks_leave_out_what_the_user_had_seen(bench, monkeypatch):
    events, examples = bench.tables.events, bench.tables.examples
    test = examples[examples["split"] == "test"]
    ids = np.array(bench.assembly.encoder.item.ids)
    gains, logits = [], np.zeros((len(test), len(ids)))
    for number, row in enumerate(test.itertuples()):
        if row.next_item is None or row.next_item != row.next_item:
            continue
        past = events[(events["user_id"] == row.user_id) & (events["timestamp"] < row.timestamp)]
        seen = set(past["item_id"]) - {row.next_item}
        logits[number] = [1.0 if i == row.next_item else 2.0 if i in seen else 0.0 for i in ids]
        unseen = sorted(set(ids) - seen - {row.next_item})[:2]
        logits[number, np.isin(ids, unseen)] = 3.0  # two above it
        gains.append(1 / np.log2(1 + 1 + len(unseen)))
    assert len(gains) == 100
    monkeypatch.setattr(module, "predict", lambda model, inputs: {"next_item": logits})
    found = score(bench, None, ("next_item",))["next_item"]
    assert found == ("ndcg@10", pytest.approx(np.mean(gains), rel=1e-6))
