"""What the study of augmentation says: gains in percent, verdicts, costs, and a figure."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from mtrec.report import augmentation as report
from mtrec.report import plots
from tests.report.test_legible import faults

CHANGES = {  # variant, rows, task -> metric, value of the plain training, change
    ("mask", "warm", "stars"): ("rmse", 2.0, -0.1),
    ("mask", "warm", "good"): ("auc", 0.5, -0.1),
    ("mask", "cold item", "good"): ("auc", 0.5, 0.001),
    ("noise", "warm", "stars"): ("rmse", 2.0, 0.0),
    ("noise", "warm", "good"): ("auc", 0.5, 0.0),
}


@pytest.fixture
def results():
    rows = []
    for seed in (0, 1, 2):
        for (variant, group, task), (metric, plain, change) in CHANGES.items():
            own = {"task": task, "rows": group, "metric": metric, "n": 40, "seed": seed}
            for name, value, changed, seconds in (
                ("plain", plain, 0.0, 1.0), (variant, plain + change, change, 1.5),
            ):  # fmt: skip
                for system, number in (("value", value), ("difference", changed)):
                    rows.append(
                        {"variant": name, "system": system, "value": number, "low": number - 0.02,
                         "high": number + 0.02, "seconds": seconds, "plain_seconds": 1.0, **own}
                    )  # fmt: skip
    return pd.DataFrame(rows).drop_duplicates(["variant", "rows", "task", "seed", "system"])


def test_gains_are_in_percent_of_the_plain_training(results):
    found = report.combined(results).set_index(["variant", "rows", "task"])
    assert found.loc[("mask", "warm", "stars"), "percent"] == pytest.approx(5.0)
    assert found.loc[("mask", "warm", "good"), "percent"] == pytest.approx(-20.0)
    assert [*found["verdict"]].count("undecided") == 3
    assert "plain" not in found.index.get_level_values("variant")


def test_every_clear_gain_is_in_the_table_and_every_variant_is_counted(results):
    gains = report.combined(results)
    table = report.table(gains)
    assert list(table["task"]) == ["stars", "good"]
    assert list(table["verdict"]) == ["better", "worse"]
    counts = report.counts(gains, results).set_index("variant")
    assert counts.loc["mask", "warm rows"] == "1 better, 1 worse of 2"
    assert counts.loc["noise", "rows of new items"] == ""
    assert counts.loc["mask", "time of an epoch"] == 1.5


def test_sentences_say_what_chance_would_have_found(results):
    warm, cold = report.sentences(report.combined(results))
    assert "of 4 comparisons" in warm and "above zero in: mask (stars);" in warm
    assert "below zero in: mask (good)." in warm and "about 0.2 of them" in warm
    assert cold.startswith("On rows of new items") and "above zero in: none;" in cold


def test_a_title_counts_verdicts(results):
    title = report.message(report.combined(results))
    assert title == "of 5 comparisons 1 better, 1 worse"


def test_the_figure_is_legible_and_is_not_drawn_of_nothing(results):
    gains = report.combined(results)
    with plt.rc_context():
        plots.style()
        assert not faults(report.figure(gains, f"tiny: {report.message(gains)}"))
    assert "Not drawn" in repr(report.figure(gains.iloc[:0], "title"))
