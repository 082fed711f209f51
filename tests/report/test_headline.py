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
        "type": kind, "chosen": "fused", "served": "fused",
        "joint": {metric: interval(reached + 0.1, 0, 0)}, "peer": {metric: interval(reached, 0, 0)},
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
            "like": {**answer("binary", "auc", -0.2, -0.25, -0.15, 0.8), "served": "fused"},
            "other": {"type": "binary", "chosen": "joint", "served": "joint"},
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
    assert "helps 1 of 2 tasks and hurts 0; 1 is undecided" in said[0]
    assert "joint model alone is behind the best specialist in 1 of 2 tasks" in said[1]
    assert "beats the best specialist in 1 of 2 tasks and loses in 1" in said[2]
    assert "behind in `shop · like`" in said[2]
    assert "several together in 2 and the joint model in 1." in said[2]
    assert "Not counted" not in said[2]
    assert "language model helps 1 of 1 tasks measured" in said[3]
    assert headline.sentences(headline.gains({}, {}, {}), {}, {}) == []


def test_the_held_out_split_is_named_and_test_rows_stand_beside_it():
    found = headline.gains(METRICS, FUSED, trained())
    _, behind, said, _ = headline.sentences(found, FUSED, trained(), seen=found)
    assert "by the value on the [held-out split](docs/results.md#on-a-split" in behind
    assert "on a split that was held out." in said
    assert "looked at often, it is ahead in 1 of 2, behind in 1." in said
    figure = headline.figure(found, {"shop": ["spend", "like"]}, held_out=True)
    assert [axes.get_xlabel().partition("\n")[2] for axes in figure.axes] == [
        "test rows, several seeds", "held-out split, one training",
    ]  # fmt: skip
    assert "best specialist on the held-out split: better in 1" in headline.caption(found, True)
    plt.close(figure)
    ahead = found[found["low"] > 0]
    assert "and loses in none; 0 are undecided" in headline.sentences(ahead, FUSED, trained())[2]


def test_an_answer_that_is_not_served_is_named_and_neither_counted_nor_drawn():
    spend = {**FUSED["shop"]["tasks"]["spend"], "served": "single"}
    fused = {"shop": {"tasks": {**FUSED["shop"]["tasks"], "spend": spend}}}
    found = headline.gains(METRICS, fused, {})
    assert found["task"].tolist() == ["like"]
    _, said = headline.sentences(found, fused, {})
    assert "beats the best specialist in 0 of 1 tasks and loses in 1;" in said
    assert "a model of this task alone in 1" in said
    assert "Not counted: `shop · spend`. A fusion led there, ahead of the best" in said
    assert "in 1 of 1" in said
    figure = headline.figure(found, {"shop": ["spend", "like"]}, headline.unserved(fused))
    assert [text.get_text() for text in figure.axes[1].texts] == ["not served"]
    plt.close(figure)


@pytest.mark.parametrize(
    ("value", "low", "high", "arrows"),
    [(0, -40, 40, ["<", ">"]), (5, 1, 16, [">"]), (20, 16, 25, [">"]), (-20, -30, -2, ["<"]),
     (1, -2, 3, [])],
)  # fmt: skip
def test_an_arrow_stands_at_each_end_of_an_interval_that_is_cut_off(value, low, high, arrows):
    row = ("shop", "like", "answer", value, low, high)
    found = pd.DataFrame([row], columns=headline.COLUMNS)
    figure = headline.figure(found, {"shop": ["like"]})
    drawn = [line.get_marker() for line in figure.axes[1].lines]
    assert [marker for marker in drawn if marker in ("<", ">")] == arrows
    assert drawn.count("o") == (abs(value) <= headline.LIMIT)
    plt.close(figure)


def test_titles_of_the_figure_say_what_was_found():
    figure = headline.figure(headline.gains(METRICS, FUSED, trained()), {"shop": ["spend", "like"]})
    titles = [axes.get_title().replace("\n", " ") for axes in figure.axes]
    assert titles == [
        "Joint training helps 1 of 2 tasks, hurts 0",
        "The served answer beats the best specialist in 1 of 2 tasks, loses in 1",
    ]
    plt.close(figure)


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
