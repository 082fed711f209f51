import pandas as pd
import pytest

from mtrec.report import sparse_data


def rows(part, method, values, task="like", metric="auc", level=0.1):
    return [
        {"level": level, "part": part, "method": method, "seed": seed, "task": task,
         "metric": metric, "value": value, "val_loss": 0.5, "rows": 50, "events": 80,
         "key": f"{level}{method}{seed}"}
        for seed, value in enumerate(values)
    ]  # fmt: skip


@pytest.fixture
def results():
    return pd.DataFrame(
        rows("none", "none", [0.5, 0.5, 0.4])
        + rows("none", "none", [2.0, 2.0, 2.0], "rating", "rmse")
        + rows("factors", "svd", [0.6, 0.601, 0.48])
        + rows("factors", "svd", [1.8, 1.8, 1.8], "rating", "rmse")
        + rows("imputation", "knn", [0.4, 0.6, 0.4])
        + rows("none", "none", [0.5, 0.5, 0.5], level=1.0)
        + rows("factors", "svd", [0.4, 0.401, 0.4], level=1.0)
    )


def test_gain_is_paired_with_no_step_of_the_same_level_task_and_seed(results):
    found = sparse_data.with_gain(results)
    chosen = found[(found["method"] == "svd") & (found["level"] == 0.1)]
    assert chosen["gain"].tolist() == pytest.approx([20, 20.2, 20, 10, 10, 10])


def test_mean_gain_is_over_tasks_and_its_interval_over_seeds(results):
    found = sparse_data.gains(results).set_index(["level", "method"])
    row = found.loc[(0.1, "svd")]
    assert row["gain"] == pytest.approx((15 + 15.1 + 15) / 3)
    assert row["low"] < row["gain"] < row["high"]
    assert row["verdict"] == "better"
    assert found.loc[(1.0, "svd"), "verdict"] == "worse"
    assert found.loc[(0.1, "knn"), "verdict"] == "undecided"


def test_table_has_a_line_per_method_and_a_column_per_level(results):
    found = sparse_data.gain_table(sparse_data.gains(results), "factors")
    assert list(found.columns) == ["method", "100%", "10%"]
    assert found["method"].tolist() == ["svd"]
    assert found.loc[0, "10%"].startswith("+15.0 [+14.")


def test_thinning_alone_is_shown_without_a_step(results):
    found = sparse_data.plain(results).set_index("task")
    assert found.loc["like", "10%"] == "0.467"
    assert found.loc["like", "100%"] == "0.500"
    assert sparse_data.sizes(results)["level"].tolist() == ["100%", "10%"]


def test_sentences_say_where_the_intervals_exclude_zero(results):
    assert sparse_data.conclusions(results) == [
        "factors by svd: mean gain over tasks from -19.9 % to +15.0 %; clearly better at 10%; "
        "clearly worse at 100%.",
        "imputation by knn: mean gain over tasks from +0.0 % to +0.0 %; at no level a clear "
        "difference.",
    ]


def test_a_title_counts_verdicts_by_step(results):
    found = sparse_data.message(sparse_data.gains(results))
    assert found == "factors: 1 better and 1 worse of 2; imputation: nothing clear"


def test_figure_has_a_panel_per_step(results):
    assert len(sparse_data.gains_figure(sparse_data.gains(results), "t").axes) == 2
