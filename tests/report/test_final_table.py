"""The table of the parts that were held out, and of what answers cost."""

import json

import pandas as pd
import pytest

from mtrec.fusion.domain import NETWORKS
from mtrec.report import fusion, held_out


def interval(value, low, high):
    return {"value": value, "low": low, "high": high}


OPENED = {
    "shop": {
        "held_out": {"commit": "0123456789", "seed": 43, "data": {"until": "2020-01-01"}},
        "tasks": {
            "spend": {
                "type": "regression", "served": "fused", "chosen": "fused", "best_peer": "linear",
                **{name: {"rmse": interval(1.0, 0.9, 1.1)}
                   for name in ("joint", "single", "answer", "peer")},
                "peer_difference": {"rmse": interval(-0.2, -0.3, -0.1)},
            },
            "like": {
                "type": "binary", "served": "joint", "chosen": "fused",
                **{name: {"auc": interval(0.7, 0.6, 0.8)}
                   for name in ("joint", "single", "answer")},
            },
        },
    },
    "lot": {"held_out": {"commit": "0123456789", "seed": 43, "data": {}}, "tasks": {}},
}  # fmt: skip


def test_a_gain_is_positive_where_the_answer_is_better_and_blank_without_a_specialist():
    found = held_out.table(OPENED)
    assert found["task"].tolist() == ["shop · spend", "shop · like"]
    assert found["gain over the specialist"].tolist() == ["+0.200 [+0.100, +0.300]", ""]
    assert found["served answer"].tolist() == ["1.000 [0.900, 1.100]", held_out.UNSERVED]
    assert found["best specialist"].tolist() == ["linear 1.000 [0.900, 1.100]", ""]


def test_the_specialist_itself_gains_nothing_without_a_minus():
    same = {"shop": {**OPENED["shop"], "tasks": {"spend": {
        **OPENED["shop"]["tasks"]["spend"], "peer_difference": {"rmse": interval(0.0, 0.0, 0.0)},
    }}}}  # fmt: skip
    assert held_out.table(same)["gain over the specialist"].tolist() == ["+0.000 [+0.000, +0.000]"]


def test_it_says_how_rows_were_held_out():
    assert held_out.how(OPENED) == (
        "Seed 43: `shop` (until 2020-01-01), `lot`. The code is that of commit 0123456."
    )


def test_a_file_that_was_cut_off_is_as_if_it_were_not_there(tmp_path):
    folder = tmp_path / held_out.FOLDER
    folder.mkdir(parents=True)
    (folder / "shop.json").write_text(json.dumps(OPENED["shop"]), encoding="utf-8")
    (folder / "cut.json").write_text('{"tasks": ', encoding="utf-8")
    (folder / "other.json").write_text("{}", encoding="utf-8")
    assert held_out.read(tmp_path).keys() == {"shop"}


def test_costs_are_kept_beside_the_results_and_networks_are_no_specialists(tmp_path):
    class One:
        seconds = {"ease": 0.512, "als": 2.0, NETWORKS[0]: 9.0}

    class Model:
        def score(self, pairs):
            return pairs

    file = tmp_path / "costs.json"
    fusion.write_costs({"next": One()}, {"joint": Model(), "answer": Model()}, pd.DataFrame(), file)
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["seconds to fit"] == {"next": {"ease": 0.5, "als": 2.0}}
    assert found["one pair [ms]"].keys() == {"joint", "answer"}
    table = held_out.costs({"shop": {"costs": found}, "none": {}})
    assert table.loc[0, "the slowest"] == "als (next): 2 s"
    assert table["domain"].tolist() == ["`shop`"]


@pytest.mark.parametrize("fit", [{}, {"next": {}}])
def test_a_domain_without_specialists_has_costs_of_requests_alone(fit):
    costs = {"seconds to fit": fit, "one pair [ms]": {"joint": 1.0, "answer": 2.0}}
    assert held_out.costs({"shop": {"costs": costs}}).loc[0, "the slowest"] == ""
