"""What the study of distillation says: gains, what is kept of the teacher's, and a figure."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from mtrec.report import distillation as report
from mtrec.report import plots
from tests.report.test_legible import faults

VALUES = {  # task, metric, teacher -> joint, distilled, fused
    ("stars", "rmse", "fused"): (1.0, 0.95, 0.9),
    ("good", "auc", "boosting"): (0.8, 0.8, 0.801),
    ("next", "ndcg@10", "the twin"): (0.3, 0.2, None),
}


@pytest.fixture
def results():
    rows = []
    for seed in (0, 1, 2):
        for (task, metric, who), (joint, distilled, fused) in VALUES.items():
            values = {"joint": joint, "distilled": distilled, "difference": distilled - joint}
            if fused is not None:
                values |= {"fused": fused, "teacher_difference": fused - joint,
                           "kept_difference": distilled - fused}  # fmt: skip
            rows += [
                {"seed": seed, "task": task, "metric": metric, "who": who, "system": system,
                 "value": value, "low": value - 0.02, "high": value + 0.02}
                for system, value in values.items()
            ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_share_is_given_where_the_teacher_gains(results):
    found = report.table(report.combined(results)).set_index("task")
    assert list(found["of its gain [%]"]) == ["50", "–", "–"]
    assert list(found["minus the fused answer"])[1:] == ["-0.001 [-0.021, +0.019]", ""]
    assert list(found["verdict"]) == ["better", "undecided", "worse"]
    assert found.loc["stars", "gain"] == "+0.050 [+0.030, +0.070]"
    assert found.loc["next", "fused answer"] == ""


def test_a_task_whose_teacher_is_the_twin_is_not_counted(results):
    first, second = report.sentences(report.combined(results))
    assert "helps 1 of 2 tasks (stars) and hurts none; 1 is undecided (good)" in first
    assert "helps 1 of 2 tasks (stars)" in second


def test_the_figure_has_a_line_for_each_pupil_and_teacher(results):
    with plt.rc_context():
        plots.style()
        drawn = report.figure(report.combined(results), "title")
        names = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
        assert not faults(drawn)
    assert names == ["stars: one model", "stars: fused answer", "good: one model",
                     "good: fused answer", "next: one model"]  # fmt: skip
    nothing = report.combined(results).iloc[:0]
    assert "Not drawn" in repr(report.figure(nothing, "title"))
