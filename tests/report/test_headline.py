"""The main result: gains in percent of what they are compared with, verdicts, and sentences."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from mtrec.report import headline
from mtrec.report.plots import VERDICTS


def interval(value, low, high):
    return {"value": value, "low": low, "high": high}


def task(kind, metric, single):
    return {"type": kind, "joint": {metric: interval(single, 0, 0)}}


def answer(kind, metric, value, low, high, reached):
    return {
        "type": kind, "peer": {metric: interval(reached, 0, 0)},
        "peer_difference": {metric: interval(value, low, high)},
    }  # fmt: skip


METRICS = {
    "shop": {
        "tasks": {
            "spend": task("regression", "rmse", 1.8),
            "like": task("binary", "auc", 0.6),
            "other": task("binary", "auc", 0.6),
        }
    }
}
FUSED = {
    "shop": {
        "tasks": {
            "spend": answer("regression", "rmse", -0.2, -0.3, -0.1, 2.0),
            "like": {
                **answer("binary", "auc", -0.2, -0.25, -0.15, 0.8),
                "chosen": "fused",
                "served": "joint",
            },
            "other": {"type": "binary"},
        }
    }
}


def trained(seeds=3):
    rows = [
        ("spend", "single", 2.0, 1.9, 2.1), ("spend", "difference", 0.1, -0.1, 0.3),
        ("like", "single", 0.5, 0.4, 0.6), ("like", "difference", 0.05, 0.04, 0.06),
        ("spend", "text_difference", 0.2, 0.1, 0.3),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["task", "system", "value", "low", "high"])
    return {"shop": frame.assign(seeds=seeds)}


def test_gains_are_percent_of_the_other_and_lower_errors_are_gains():
    found = headline.gains(METRICS, FUSED, trained()).set_index(["task", "panel"])
    assert found.loc[("spend", "answer"), "value"] == pytest.approx(10)
    assert found.loc[("like", "answer"), ["low", "high"]].tolist() == pytest.approx(
        [-31.25, -18.75]
    )
    assert found.loc[("like", "joint"), "value"] == pytest.approx(10)
    assert ("other", "answer") not in found.index and ("other", "joint") not in found.index


def test_one_training_is_no_row_of_joint_training():
    assert set(headline.gains(METRICS, FUSED, trained(seeds=1))["panel"]) == {"answer"}
    assert set(headline.gains(METRICS, FUSED, {})["panel"]) == {"answer"}


def test_sentences_count_and_name_the_losses():
    known = trained()
    said = headline.sentences(headline.gains(METRICS, FUSED, known), FUSED, known)
    assert "helps 1 of 2 tasks and hurts 0; 1 are undecided" in said[0]
    assert (
        "ahead of the best specialist in 1 of 2 tasks, behind in 1" in said[1]
        and "behind in `shop · like`" in said[1]
    )
    assert "language model helps 1 of the 1" in said[2]
    assert headline.sentences(headline.gains({}, {}, {}), {}, {}) == []


def test_the_figure_has_a_row_per_task_and_a_colour_per_verdict():
    found = headline.gains(METRICS, FUSED, trained())
    figure = headline.figure(found, {"shop": ["spend", "like", "other"]})
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == [
        "shop · spend", "shop · like", "shop · other"
    ]  # fmt: skip
    lines = [line.get_color() for line in left.lines if len(line.get_xdata()) == 2]
    assert {VERDICTS["better"], VERDICTS["undecided"]} <= set(lines)
    assert [text.get_text() for text in right.texts] == ["not known"]
    plt.close(figure)
