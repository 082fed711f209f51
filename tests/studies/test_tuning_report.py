"""What the study of tuning says: both systems, paired gains, costs, a panel per task."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from mtrec.report import plots
from mtrec.report import tuning as report
from tests.report.test_legible import faults

VALUES = {  # task, metric -> frozen, with adapters
    ("stars", "mae"): (0.5, 0.4), ("good", "auc"): (0.9, 0.9), ("tags", "map"): (0.5, 0.4),
}  # fmt: skip


@pytest.fixture
def results():
    rows = []
    for count in (100, 400):
        for seed in (0, 1):
            for (task, metric), (frozen, lora) in VALUES.items():
                change = lora - frozen
                for system, value, minutes in (
                    ("frozen", frozen, 1.0), ("lora", lora, 8.0 + seed),
                    ("difference", change, float("nan")),
                ):  # fmt: skip
                    rows.append(
                        {"rows": count, "seed": seed, "system": system, "task": task,
                         "metric": metric, "value": value, "low": value - 0.02,
                         "high": value + 0.02, "minutes": minutes, "state_minutes": count / 100}
                    )  # fmt: skip
    return pd.DataFrame(rows)


def test_less_error_is_a_gain_and_an_interval_with_zero_says_nothing(results):
    found = report.table(report.combined(results))
    assert list(found["training texts"]) == [100, 400] * 3
    verdicts = dict(zip(found["task"], found["verdict"], strict=True))
    assert verdicts == {"stars": "better", "good": "undecided", "tags": "worse"}
    stars = found[found["task"] == "stars"].iloc[0]
    assert stars["gain"] == "+0.100 [+0.080, +0.120]"
    assert stars["frozen language model"] == "0.500 [0.480, 0.520]"


def test_costs_are_means_over_seeds_and_states_stand_apart(results):
    found = report.costs(results).set_index("training texts")
    assert found.loc[400].to_dict() == {
        "states below, once [min]": 4.0, "frozen language model [min]": 1.0,
        "with adapters [min]": 8.5, "ratio": 8.5,
    }  # fmt: skip


def test_the_figure_has_a_line_per_task_and_number_of_texts(results):
    found = report.combined(results)
    with plt.rc_context():
        plots.style()
        drawn = report.figure(found, "title")
        names = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
        at = {  # in percent of the frozen model's value
            y: x for line in drawn.axes[0].lines if line.get_marker() == "o"
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
        }  # fmt: skip
        assert not faults(drawn)
    assert names[:2] == ["stars (mae), 100 texts", "good (auc), 100 texts"] and len(names) == 6
    assert at[5] == pytest.approx(20.0) and at[4] == pytest.approx(0.0)
    assert "Not drawn" in repr(report.figure(found.iloc[:0], "title"))
