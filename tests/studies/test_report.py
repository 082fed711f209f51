import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mtrec.report import comparison


def rows(part, layer, balancing, values, task="like", metric="auc", setting="", losses=None):
    return [
        {"part": part, "setting": setting, "layer": layer, "balancing": balancing, "seed": seed,
         "task": task, "metric": metric, "value": value,
         "val_loss": (losses or values)[seed], "key": f"{part}{layer}{balancing}{setting}{seed}"}
        for seed, value in enumerate(values)
    ]  # fmt: skip


@pytest.fixture
def results():
    return pd.DataFrame(
        rows("alone", "mmoe", "static", [0.5, 0.5])
        + rows("alone", "mmoe", "static", [2.0, 1.0], "rating", "rmse")
        + rows("joint", "mmoe", "static", [0.6, 0.55], losses=[0.9, 0.7])
        + rows("joint", "mmoe", "static", [1.0, 1.0], "rating", "rmse", losses=[0.9, 0.7])
        + rows("joint", "star", "static", [0.5, 0.5], losses=[0.5, 0.5])
        + rows("joint", "star", "static", [2.0, 1.0], "rating", "rmse", losses=[0.5, 0.5])
        + rows("joint", "mmoe", "pcgrad", [0.5, 0.5], losses=[0.6, 0.6])
        + rows("joint", "mmoe", "pcgrad", [2.0, 1.0], "rating", "rmse", losses=[0.6, 0.6])
        + rows("weightings", "mmoe", "static", [0.55], setting="1 : 1", losses=[0.8])
        + rows("weightings", "mmoe", "static", [0.65], setting="2 : 0", losses=[0.4])
        + rows("heads", "mmoe", "static", [0.55, 0.56], setting="focal")
    )


def test_gain_is_relative_to_the_tasks_own_model_of_the_same_seed_and_positive_if_better(results):
    found = comparison.with_gain(results)
    mine = found[(found["part"] == "joint") & (found["layer"] == "mmoe")]
    mine = mine[mine["balancing"] == "static"].set_index(["task", "seed"])["gain"]
    assert mine[("like", 0)] == pytest.approx(20.0)  # 0.5 -> 0.6, higher is better
    assert mine[("rating", 0)] == pytest.approx(50.0)  # 2 -> 1, lower is better
    assert mine[("rating", 1)] == pytest.approx(0.0)
    assert found.loc[found["part"] == "alone", "gain"].abs().max() == 0


def test_summary_has_means_over_tasks_and_intervals_over_seeds_best_validation_first(results):
    found = comparison.summary(results)
    assert list(zip(found["layer"], found["balancing"], strict=True)) == [
        ("star", "static"), ("mmoe", "pcgrad"), ("mmoe", "static"),
    ]  # fmt: skip
    own = found.iloc[2]
    gains = np.array([(20 + 50) / 2, (10 + 0) / 2])
    half = stats.t.ppf(0.975, 1) * gains.std(ddof=1) / np.sqrt(2)
    assert own["seeds"] == 2
    assert own["val_loss"] == pytest.approx(0.8)
    assert own["gain"] == pytest.approx(gains.mean())
    assert own["high"] == pytest.approx(gains.mean() + half)


def test_grid_leaves_out_balancers_that_met_one_layer(results):
    found = comparison.grid(comparison.summary(results), "gain", ["mmoe", "star"])
    assert list(found.columns) == ["static"]
    assert list(found.index) == ["mmoe", "star"]


def test_difference_is_paired_by_seed(results):
    mean, low, high = comparison.difference(results, ("mmoe", "static"), ("star", "static"))
    assert mean == pytest.approx(20.0)
    assert low < mean < high


def test_best_weighting_is_chosen_by_validation_and_balancers_get_one_run(results):
    found = comparison.weighting_race(results).set_index("method")
    best = found.loc["best of 2 static weightings (2 : 0)"]
    assert best["runs"] == 2
    assert best["gain"] == pytest.approx(30.0)
    assert found.loc["pcgrad", "runs"] == 1
    assert found.loc["static", "val_loss"] == pytest.approx(0.9)  # seed 0 alone


def test_heads_are_compared_with_the_default_of_their_task(results):
    found = comparison.heads(results).iloc[0]
    assert found["default"] == pytest.approx(0.5)
    assert found["gain [%]"].startswith("+11.0")
    assert found["verdict"] == "undecided"  # two seeds allow no more


def test_choice_is_the_lowest_validation_loss_over_domains_that_both_tried(results):
    a = comparison.summary(results)
    b = a[a["balancing"] == "static"].assign(val_loss=[0.9, 0.1])
    found = comparison.choose({"a": a, "b": b})
    assert len(found) == 2
    assert tuple(found.iloc[0][["layer", "balancing"]]) == ("mmoe", "static")
    assert found.iloc[0]["mean"] == pytest.approx((0.8 + 0.1) / 2)


def test_conclusions_claim_no_more_than_their_intervals(results):
    text = "\n".join(comparison.conclusions(results, "mmoe", "pcgrad"))
    assert "star + static (0.5000)" in text
    assert "undecided" in text
    assert "better" not in text


def test_missing_times_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="make study"):
        comparison.read_cost(tmp_path / "none.csv")
