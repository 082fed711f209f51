from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from mtrec.analysis import transfer
from mtrec.analysis.transfer import gains, mean_interval, pair_matrix, small_sets, train_sets
from mtrec.training.loop import Outcome

RESULTS = pd.DataFrame(
    [
        ("a", 0, "a", 1.0), ("b", 0, "b", 0.5), ("a", 1, "a", 0.8), ("b", 1, "b", 0.4),
        ("a+b", 0, "a", 0.9), ("a+b", 0, "b", 0.6), ("a+b", 1, "a", 0.76), ("a+b", 1, "b", 0.4),
        ("a+b+c", 0, "a", 1.1), ("a+b+c", 1, "a", 0.88),
    ],
    columns=["tasks", "seed", "task", "val_loss"],
)  # fmt: skip


def outcome(names, seed):
    """Losses that tell set, task and seed apart; the best of two epochs is the first."""
    losses = [len(names) + number / 10 + seed / 100 for number, _ in enumerate(names)]
    rows = [(1, name, 0.0, loss) for name, loss in zip(names, losses, strict=True)]
    rows += [(2, name, 0.0, 9.0) for name in names]
    return Outcome(pd.DataFrame(rows, columns=["epoch", "task", "loss", "val_loss"]), 1, 0.0)


@pytest.fixture
def trained(monkeypatch):
    """The trainings that were done; the keyboard interrupts the one with number ``stop``."""
    done = {"stop": None, "runs": []}

    def fit(bench, names, seeds):
        for seed in seeds:
            if len(done["runs"]) == done["stop"]:
                raise KeyboardInterrupt
            done["runs"].append((tuple(names), seed))
            yield seed, None, outcome(names, seed)

    monkeypatch.setattr(transfer.workbench, "fit", fit)
    return done


def test_small_sets_are_singles_pairs_and_all():
    singles, pairs = [(task,) for task in "abcd"], list(combinations("abcd", 2))
    assert small_sets("abcd") == [*singles, *pairs, ("a", "b", "c", "d")]
    assert small_sets(["a"]) == [("a",)]


def test_gain_is_the_loss_saved_in_percent_of_the_loss_alone_paired_by_seed():
    found = gains(RESULTS).set_index(["tasks", "task"])
    assert found.index.tolist() == [("a+b", "a"), ("a+b", "b"), ("a+b+c", "a")]
    # a: 10 % and 5 %; Student's t with one degree of freedom is 12.706, the standard error 2.5
    row = found.loc[("a+b", "a")]
    np.testing.assert_allclose(row, [7.5, 7.5 - 12.7062 * 2.5, 7.5 + 12.7062 * 2.5], rtol=1e-4)
    np.testing.assert_allclose(found.loc[("a+b", "b"), "value"], (-20 + 0) / 2)
    np.testing.assert_allclose(found.loc[("a+b+c", "a")], [-10, -10, -10])


def test_interval_needs_two_finite_values():
    assert mean_interval(np.array([2.0, np.nan]))[0] == 2.0
    assert np.isnan(mean_interval(np.array([2.0, np.nan]))[1:]).all()
    assert np.isnan(mean_interval(np.array([np.nan]))).all()


def test_pair_matrix_has_the_giver_in_the_row_and_the_taker_in_the_column():
    found = pair_matrix(gains(RESULTS), ["b", "a", "c"])
    assert found.loc["b", "a"] == pytest.approx(7.5)  # what b does for a
    assert found.loc["a", "b"] == pytest.approx(-10)
    assert found.drop(columns=["a", "b"]).isna().all(axis=None)
    assert found.isna().sum(axis=None) == 7


def test_sets_are_trained_once_per_seed_and_their_best_losses_kept(trained, tmp_path):
    sets = [("a",), ("a", "b")]
    found = train_sets(None, sets, [3, 4], tmp_path / "sets.csv", {"domain": "x"})
    assert trained["runs"] == [(("a",), 3), (("a",), 4), (("a", "b"), 3), (("a", "b"), 4)]
    expected = [
        ("a", 3, "a", 1.03), ("a+b", 3, "a", 2.03), ("a+b", 3, "b", 2.13),
        ("a", 4, "a", 1.04), ("a+b", 4, "a", 2.04), ("a+b", 4, "b", 2.14),
    ]  # fmt: skip
    assert list(found[["tasks", "seed", "task", "val_loss"]].itertuples(index=False)) == expected


def test_finished_trainings_are_not_repeated(trained, tmp_path, monkeypatch):
    file, sets = tmp_path / "sets.csv", small_sets("ab")
    first = train_sets(None, sets, [0, 1], file, "x")

    def fail(bench, names, seeds):
        assert not list(seeds)
        return iter(())

    monkeypatch.setattr(transfer.workbench, "fit", fail)
    pd.testing.assert_frame_equal(train_sets(None, sets, [0, 1], file, "x"), first)


def test_interrupted_trainings_go_on_where_they_stopped(trained, tmp_path):
    file, sets = tmp_path / "sets.csv", small_sets("ab")
    trained["stop"] = 3
    with pytest.raises(KeyboardInterrupt):
        train_sets(None, sets, [0, 1], file, "x")
    trained["stop"] = None
    found = train_sets(None, sets, [0, 1], file, "x")
    assert len(trained["runs"]) == len(set(trained["runs"])) == 6
    assert len(found) == 8


def test_other_settings_and_more_seeds_train_only_what_they_need(trained, tmp_path):
    file = tmp_path / "sets.csv"
    train_sets(None, [("a",)], [0], file, "x")
    assert len(train_sets(None, [("a",)], [0, 1], file, "x")) == 2
    assert len(train_sets(None, [("a",)], [0], file, "other")) == 1  # without those of "x"
    assert trained["runs"] == [(("a",), 0), (("a",), 1), (("a",), 0)]
