import pandas as pd
import pytest

from mtrec.report import cold_start


def row(system, value, low, high, task="like", metric="auc", seed=0):
    return {"split": "cold_items", "seed": seed, "task": task, "type": "binary", "metric": metric,
            "rows": 100, "entities": 20, "system": system, "value": value, "low": low,
            "high": high, "key": f"k{seed}"}  # fmt: skip


@pytest.fixture
def results():
    rows = [
        row("ids", 0.5, 0.4, 0.6), row("both", 0.7, 0.6, 0.8), row("means", 0.6, 0.5, 0.7),
        row("ids", 0.6, 0.5, 0.7, seed=1), row("both", 0.6, 0.5, 0.7, seed=1),
        row("both - means", 0.1, 0.05, 0.2), row("both - means", 0.2, 0.1, 0.3, seed=1),
        row("both - tables", 0.1, 0.05, 0.2), row("both - tables", 0.1, -0.1, 0.3, seed=1),
        row("tables - means", 0.1, 0.05, 0.2),
        row("ids", 1.0, 0.9, 1.1, "rating", "rmse"), row("both", 0.9, 0.8, 1.0, "rating", "rmse"),
        row("both - means", -0.1, -0.2, -0.05, "rating", "rmse"),
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_claim_needs_every_trainings_interval_to_exclude_zero(results):
    found = cold_start.differences(results, "cold_items").set_index(["system", "task"])["verdict"]
    assert found["both - means", "like"] == "better"
    assert found["both - means", "rating"] == "worse"
    assert found["both - tables", "like"] == "undecided"
    assert ("tables - means", "like") not in found  # with text, both is the whole model


def test_best_system_is_marked_by_the_metrics_direction(results):
    found = cold_start.scores(results, "cold_items").set_index("task")
    assert found.loc["like", "both"] == "0.650 [0.500, 0.800] *"
    assert found.loc["like", "ids"] == "0.550 [0.400, 0.700]"
    assert found.loc["rating", "both"] == "0.900 [0.800, 1.000] *"
    assert found.loc["rating", "means"] == "–"


def test_sentences_say_what_intervals_allow(results):
    lines = cold_start.conclusions(results, "cold_items")
    assert lines == [
        "cold_items, text added to tables: undecided in like.",
        "cold_items, the whole model against means and popularity: better in like; "
        "worse in rating.",
    ]


def test_sizes_are_those_of_the_rows_that_were_tested(results):
    found = cold_start.test_sizes(results)
    assert found["test rows"].tolist() == [100, 100]
    assert found["trainings"].tolist() == [2, 1]


def test_figures_have_a_panel_per_task_and_per_question(results):
    assert len(cold_start.systems_figure(results, "cold_items", "t").axes) == 2
    found = cold_start.differences(results, "cold_items")
    assert len(cold_start.differences_figure(found, cold_start.questions(results), "t").axes) == 2


def test_a_split_without_results_yet_says_so_instead_of_a_figure(results):
    only = results[results["split"] == "cold_items"]
    assert "no result is known yet" in repr(cold_start.systems_figure(only, "cold_users", "t"))
    nothing = cold_start.differences(only, "cold_users")
    assert "no result is known yet" in repr(
        cold_start.differences_figure(nothing, cold_start.questions(only), "t")
    )


def test_a_ranking_that_told_no_candidates_apart_before_lots_says_nothing():
    zero, some = (0.0, 0.0, 0.0), (0.2, 0.1, 0.3)
    rows = [
        row(system, *values, "next", "ndcg@10", seed)
        for seed in (0, 1)
        for system, values in {"ids": zero, "both": some, "means": some, "tables": some}.items()
    ]
    rows += [row(name, *some, "next", "ndcg@10") for name in ("both - means", "tables - ids")]
    rows += [row("ids", *some, "rating", "rmse")]
    rows += [row("means", *zero, "rating", "rmse")]  # a perfect one, which is not a tie
    ranked = pd.DataFrame(rows)
    ranked["type"] = ranked["task"].map({"next": "ranking", "rating": "regression"})
    found = cold_start.scores(ranked, "cold_items").set_index("task")
    assert found.loc["next", "ids"] == "–"
    assert found.loc["rating", "means"].startswith("0.000")
    assert list(cold_start.differences(ranked, "cold_items")["system"]) == ["both - means"]
    ranked.loc[ranked["system"].eq("ids") & ranked["seed"].eq(1), "value"] = 0.01
    assert "tables - ids" in set(cold_start.differences(ranked, "cold_items")["system"])
