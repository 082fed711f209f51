"""Tables of results: one sign for a gain, units, percent, and groups of cold rows."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mtrec.evaluation import domain as evaluation
from mtrec.evaluation.held_out import Predictions
from mtrec.report import fusion, tables

ERROR = {"value": 0.003, "low": 0.001, "high": 0.005}
SYSTEM = {"value": 0.5, "low": 0.4, "high": 0.6}
SYSTEMS = ("baseline", "single", "joint", "difference")


def task(metric="rmse", family="regression", **others):
    found = {name: {metric: SYSTEM} for name in SYSTEMS[:3]}
    return {"type": family, **found, "difference": {metric: ERROR}, **others}


def cold(task_name, group, n, values, metric="ndcg@10"):
    """Rows of one group, with an interval of the value alone."""
    return pd.DataFrame(
        [{"task": task_name, "metric": metric, "rows": group, "n": n, "system": system,
          "value": value, "low": value, "high": value}
         for system, value in zip(SYSTEMS, values, strict=True)]
    )  # fmt: skip


def test_a_gain_has_the_same_sign_in_every_table():
    found = {"tasks": {"spend": task()}}
    assert tables.difference_table(found)["value"].tolist() == [-0.003]
    assert tables.metric_table(task())[tables.GAIN].tolist() == ["-0.003 [-0.005, -0.001]"]
    higher = tables.metric_table(task("auc", "binary"))
    assert higher[tables.GAIN].tolist() == ["+0.003 [+0.001, +0.005]"]
    shown = tables.cold_table(cold("spend", "warm", 40, (0.5, 0.4, 0.403, 0.003), "rmse"))
    assert shown[tables.GAIN].tolist() == ["-0.003 [-0.003, -0.003]"]


def test_a_gain_that_is_undefined_stays_so_and_zero_has_no_sign():
    nothing = dict.fromkeys(("value", "low", "high"))
    assert np.isnan(list(tables.better(nothing, "rmse").values())).all()
    zero = tables.better(dict.fromkeys(("value", "low", "high"), 0.0), "rmse")
    assert tables.show_interval(zero, signed=True) == "+0.000 [+0.000, +0.000]"


def test_percent_are_of_what_the_other_system_has():
    found = {"tasks": {"spend": task()}}
    row = tables.percent_table(found).iloc[0]
    assert row[["value", "low", "high"]].tolist() == pytest.approx([-0.6, -1.0, -0.2])
    other = {
        "tasks": {"spend": task(peer={"rmse": {"value": 0.3}}, peer_difference={"rmse": ERROR})}
    }
    assert tables.percent_table(other, "peer_difference")["value"].tolist() == pytest.approx([-1])
    assert tables.percent_table(found, "peer_difference").empty


@pytest.mark.parametrize("base", [0.0, None])
def test_percent_of_nothing_are_undefined_and_drawn_as_no_gain(base):
    nothing = task(single={"rmse": {"value": base, "low": None, "high": None}})
    found = {"tasks": {"spend": {**nothing, "chosen": "joint", "joint_difference": {"rmse": ERROR},
                                 "joint": nothing["single"]}}}  # fmt: skip
    assert tables.percent_table(found).isna().sum(axis=None) == 3
    shown = fusion.figure(found, "gain").axes[1].get_title()
    assert "ahead in 0 of 1, behind in 0" in shown


def test_units_are_shown_where_the_error_is_in_them():
    tasks = {name: SimpleNamespace(label=name) for name in ("spend", "purchase")}
    units = tables.label_units("ecommerce", tasks)
    found = {"tasks": {"spend": task(), "purchase": task("auc", "binary")}}
    assert tables.results_table(found, units)["unit"].tolist() == ["log(1 + dollars)", ""]
    assert "unit" not in tables.results_table(found)
    assert "unit" not in tables.results_table(found, tables.label_units("shop", tasks))
    assert "unit" not in tables.results_table(
        {"tasks": {"rating": task("auc", "binary")}}, {"rating": "stars"}
    )


def test_lists_that_never_have_the_item_are_counted():
    groups = [("warm", 90, (0.1, 0.2, 0.3, 0.1)), ("cold item", 1228, (0.0, 0.0, 0.0, 0.0)),
              ("cold user", 40, (0.0, 0.1, 0.0, -0.1))]  # fmt: skip
    found = pd.concat([cold("next", *group) for group in groups])
    shown = tables.cold_table(found).set_index("rows")
    assert shown.loc["cold item", "joint"] == "0 of 1,228 in the top 10"
    assert shown.loc["cold item", tables.GAIN] == tables.UNDEFINED
    assert shown.loc["cold user", "baseline"] == "0 of 40 in the top 10"
    assert shown.loc["cold user", tables.GAIN].startswith("-0.100")
    assert shown.loc["warm", "joint"] == "0.300 [0.300, 0.300]"


def test_an_error_of_zero_is_no_empty_list():
    found = cold("spend", "warm", 40, (0.5, 0.0, 0.0, 0.0), "rmse")
    shown = tables.cold_table(found).iloc[0]
    assert shown["joint"] == "0.000 [0.000, 0.000]" and shown[tables.GAIN][0] == "+"


@pytest.mark.parametrize(
    ("groups", "said"),
    [(["warm"], "every test row is warm."),
     (["cold user"], "every test row is of a cold user."),
     (["cold user and item"], "every test row is of a cold user and a cold item."),
     ([], "each has fewer than 30 test rows."), (["warm", "cold item"], "")],
)  # fmt: skip
def test_a_single_group_is_said_and_not_shown(groups, said):
    empty = cold("like", "warm", 0, (0.0,) * 4)[:0]
    found = pd.concat([empty, *(cold("like", group, 90, (0.1,) * 4) for group in groups)])
    assert tables.no_groups(found, {"like": 90}).removeprefix("No groups to compare: ") == said
    assert len(tables.cold_tables(found)) == (len(groups) > 1)


def test_small_groups_beside_the_only_one_are_not_denied():
    found = cold("like", "warm", 90, (0.1,) * 4)
    said = "No groups to compare: any but 'warm' has fewer than 30 test rows."
    assert tables.no_groups(found, {"like": 95}) == said


def test_rows_of_predictions_are_counted_by_task():
    rows = np.arange(7)
    found = Predictions("binary", rows, rows % 2, {}, rows.astype(str))
    assert evaluation.row_counts({"like": found}) == {"like": 7}
    assert evaluation.row_counts({}) == {}
