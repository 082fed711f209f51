"""Rows that a notebook asks a model about."""

from types import SimpleNamespace

import pandas as pd
import pytest

from mtrec.report import inspect

JOINT = {"joint": SimpleNamespace(columns=("grade",))}


def tables(n=40, cold=(), item=True):
    rows = pd.DataFrame(
        {
            "user_id": [f"u{row}" for row in range(n)],
            "item_id": [f"i{row}" if item else None for row in range(n)],
            "split": ["train", "test"] * (n // 2),
            "cold_user": [row in cold for row in range(n)],
            "grade": [float(row) for row in range(n)],
            "label": 1.0,
        }
    )
    return SimpleNamespace(examples=rows)


def sample(found, contexts=JOINT):
    return inspect.sample_pairs(found, SimpleNamespace(contexts=contexts), 0)


def test_pairs_are_test_rows_with_the_joint_context_of_their_moment():
    found = tables()
    pairs = sample(found)
    assert list(pairs) == ["user_id", "item_id", "grade"] and len(pairs) == 5
    known = found.examples[found.examples["split"] == "test"].set_index("item_id")
    assert pairs["grade"].tolist() == known.loc[pairs["item_id"], "grade"].tolist()
    assert pairs["user_id"].tolist()[:-1] == known.loc[pairs["item_id"], "user_id"].tolist()[:-1]
    assert list(sample(found, {})) == ["user_id", "item_id"]


def test_somebody_new_has_the_context_of_a_cold_user():
    pairs = sample(tables(cold={7, 8}))  # row 8 is of training
    assert pairs["user_id"].iloc[-1] == "somebody new" and pairs["item_id"].iloc[-1] == "i7"


@pytest.mark.parametrize(("n", "asked"), [(0, 0), (2, 1), (6, 3)])
def test_a_tiny_domain_has_fewer_pairs(n, asked):
    pairs = sample(tables(n))
    assert len(pairs) == asked
    assert pairs["user_id"].tolist()[-1:] == ["somebody new"] * min(asked, 1)


def test_rows_without_an_item_are_asked_where_there_are_no_others():
    assert sample(tables(item=False))["item_id"].isna().all()
