"""The report of a search says what the trials say."""

import json
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mtrec.report import search as report
from mtrec.report.plots import NotDrawn
from mtrec.settings import Search

SPACE = {
    "model_building.width": {"kind": "choice", "values": [4, 8]},
    "training.learning_rate": {"kind": "log", "low": 0.001, "high": 0.1},
}


@pytest.fixture
def searched(run):
    return replace(run, search=Search(space=SPACE))


def trial(sampler, number, score, width=8, rate=0.01, state="complete"):
    settings = {"model_building.width": width, "training.learning_rate": rate}
    if sampler == "grid":
        settings.pop("training.learning_rate")
    return {
        "sampler": sampler, "trial": number, "state": state, "score": score, "epochs": 3,
        "seconds": 60, "settings": json.dumps(settings),
        "values": json.dumps({"rating": ["rmse", 1 - (0 if np.isnan(score) else score)]}),
    }  # fmt: skip


@pytest.fixture
def trials():
    """Width 4 is what gains; the rate is of no account."""
    rng = np.random.default_rng(0)
    rates = [0.01, *np.round(10 ** rng.uniform(-3, -1, 11), 4)]
    widths = [8, *rng.choice([4, 8], 11)]
    rows = [
        trial("tpe", n, 0.1 * (width == 4), int(width), float(rate))
        for n, (width, rate) in enumerate(zip(widths, rates, strict=True))
    ]
    rows[5] |= {"state": "pruned", "score": float("nan"), "values": "{}"}
    grid = [trial("grid", 0, 0.0), trial("grid", 1, 0.12, 4)]
    return pd.DataFrame([*rows, *grid])


def test_samplers_are_counted_with_their_best_gain(trials):
    found = report.by_sampler(trials).set_index("sampler")
    columns = ["trials", "ended early", "best gain [%]", "epochs in all"]
    assert found.loc["tpe", columns].tolist() == [12, 1, 10.0, 36]
    assert found.loc["grid", "found in trial"] == 1


def test_the_best_so_far_never_falls_and_bridges_what_ended_early(trials):
    found = report.best_so_far(trials)
    tpe = found.loc[found["sampler"] == "tpe", "best"]
    assert (tpe.diff().dropna() >= 0).all()
    assert tpe.notna().all()
    assert tpe.iloc[0] == 0
    assert tpe.iloc[-1] == pytest.approx(0.1)


def test_the_setting_that_makes_the_gain_is_the_important_one(searched, trials):
    found = report.importances(searched, trials).set_index("setting")["importance"]
    assert found.index[0] == "model_building.width"
    assert found["model_building.width"] > 0.8
    assert found.sum() == pytest.approx(1)
    again = report.importances(searched, trials)["importance"]
    np.testing.assert_array_equal(again, found)


def test_few_trials_say_nothing_of_importance(searched, trials):
    found = report.importances(searched, trials.head(3))
    assert found.empty
    assert isinstance(report.importance_figure(found, "none"), NotDrawn)
    assert isinstance(report.parallel(searched, trials.head(1), "none"), NotDrawn)


def test_a_line_of_the_parallel_coordinates_runs_through_the_settings(searched, trials):
    figure = report.parallel(searched, trials, "settings and gain")
    lines = [line for line in figure.axes[0].lines if len(line.get_ydata()) == 2]
    done = trials[trials["state"] == "complete"]
    assert len(lines) >= len(done)
    best = next(line for line in lines if line.get_linewidth() == 3)
    np.testing.assert_allclose(best.get_ydata(), [0.0, 0.5])  # width 4, the grid's usual rate
    plt.close(figure)


def test_what_the_best_trial_changed_is_shown(trials):
    found = report.changes(trials)
    assert found.to_dict("records") == [
        {"setting": "model_building.width", "before": "8", "after": "4"}
    ]
    assert report.by_task(trials).iloc[0].tolist() == ["rating", "rmse ↓", 1.0, 0.88]


def test_without_a_look_at_test_rows_the_report_says_so(searched, trials):
    found = report.compared_rows(searched)
    assert found.empty
    assert report.comparison_table(found).empty
    said = report.sentences(searched, trials, found)
    assert said[0] == (
        "14 trials, of which 1 ended early. The best one, of grid, gains 12.0% on validation rows."
    )
    assert said[1].startswith("Test rows were not looked at yet: `make study DOMAIN=tiny PART=")


def test_test_rows_are_judged_by_intervals(searched, trials):
    rows = [
        {"seed": seed, "task": "rating", "metric": "rmse", "system": system, "value": value,
         "low": value - 0.01, "high": value + 0.01}
        for seed in (0, 1, 2)
        for system, value in (("before", 1.0), ("after", 0.9), ("difference", -0.1))
    ]  # fmt: skip
    found = report.controls.combined(pd.DataFrame(rows))
    assert report.sentences(searched, trials, found)[1] == (
        "The search helps 1 of 1 task (rating) and hurts none."
    )
    shown = report.comparison_table(found).iloc[0]
    assert shown["before"] == "1.000 [0.990, 1.010]"


def test_curves_have_a_line_for_each_sampler(trials):
    figure = report.curves(trials, "best so far")
    assert [text.get_text() for text in figure.axes[0].get_legend().texts] == ["tpe", "grid"]
    plt.close(figure)


def test_the_space_is_shown_with_what_the_domain_has(searched):
    found = report.space_table(searched).set_index("setting")
    assert found.loc["model_building.width", "tried"] == "4, 8"
    rate = found.loc["training.learning_rate"]
    assert rate["tried"] == "0.001 to 0.1, logarithmic"
    assert rate["present"] == str(searched.training.learning_rate)


def test_titles_say_who_found_most_and_what_matters(searched, trials):
    assert report.best_gains(trials) == "the best trial of grid gains 12.0 %, of tpe 10.0 %"
    found = report.importances(searched, trials)
    assert report.most_important(found).startswith("width explains ")
    few = report.importances(searched, trials.head(3))
    assert report.most_important(few) == "too few trials to say which setting matters"
