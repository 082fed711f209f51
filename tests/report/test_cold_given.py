"""What the figure says that systems are told is what the study gives them."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from mtrec.report import cold_given
from mtrec.report.cold_start import NO_RESULT, OTHERS, OURS
from mtrec.studies.cold_systems import SYSTEMS


def results(*systems, split="cold_items"):
    return pd.DataFrame({"split": split, "system": systems})


def test_ours_are_told_the_parts_that_the_study_leaves_them():
    assert set(OURS) | set(OTHERS) == cold_given.GIVEN.keys()
    columns, text = cold_given.OWN
    for system, parts in SYSTEMS.items():
        told = cold_given.GIVEN[system]
        assert (columns in told) == (cold_given.COLUMNS in told) == ("tables" in parts)
        assert (cold_given.CONTEXT in told) == ("tables" in parts)
        assert (text in told) == (cold_given.TEXT in told) == ("text" in parts)
        assert cold_given.ID in told and cold_given.LABELS not in told


@pytest.mark.parametrize(
    ("found", "columns"),
    [(results("ids", "llm", "both", "means", "llm - ids"), 8),
     (results("ids", "tables", "catboost"), 6),
     (results("ids", "tables", "catboost", split="cold_users"), 5)],
)  # fmt: skip
def test_a_row_per_system_and_a_column_for_what_there_is(found, columns):
    drawn = cold_given.figure(found, found["split"][0], "t")
    axes = drawn.axes[0]
    assert len(axes.get_xticklabels()) == columns
    assert len(axes.get_yticklabels()) == sum(" - " not in name for name in found["system"])
    plt.close(drawn)


def test_without_results_nothing_is_drawn():
    assert cold_given.figure(results("ids"), "cold_users", "t") is NO_RESULT
