import json

import numpy as np
import pandas as pd

from mtrec.report import task_analysis


def test_agreement_is_the_rank_correlation_off_the_diagonal():
    names = list("abc")
    measured = pd.DataFrame([[9, 1, 2], [3, 9, 4], [5, 6, 9.0]], names, names)
    same = 10 * measured + 1
    opposite = -measured
    opposite.iloc[0, 1] = np.nan
    found = task_analysis.agreement({"same": same, "opposite": opposite}, measured)
    assert found["pairs"].tolist() == [6, 5]
    np.testing.assert_allclose(found["Spearman's rho"], [1.0, -1.0])


def test_files_hold_every_frame_and_missing_values_are_null(tmp_path):
    frame = pd.DataFrame({"x": [1.0, np.nan]}, index=["a", "b"])
    task_analysis.write({"one": frame}, tmp_path / "analysis")
    plain = json.loads((tmp_path / "analysis" / "metrics.json").read_text())
    assert plain["one"]["data"] == [[1.0], [None]]
    assert pd.read_csv(tmp_path / "analysis" / "one.csv", index_col=0).loc["a", "x"] == 1.0
    assert not list((tmp_path / "analysis").glob("*.partial"))


def test_the_closest_labels_are_the_pair_with_the_greatest_dependency():
    names = ["a", "b", "c"]
    known = pd.DataFrame([[1, 0.1, 0.3], [0.1, 1, np.nan], [0.3, np.nan, 1]], names, names)
    assert task_analysis.closest(known) == "a and c depend on each other most"
    alone = pd.DataFrame([[1, np.nan], [np.nan, 1]], ["a", "b"], ["a", "b"])
    assert task_analysis.closest(alone) == "labels do not depend on each other"
