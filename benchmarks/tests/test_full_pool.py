"""The full pool of TALLRec's questions: who is learnt from, who is asked, and what a file holds."""

import numpy as np
import pytest

from benchmarks.models import rating_table, tallrec
from benchmarks.protocols import full_pool, prompts
from mtrec.domains.own.inspect import inspect
from mtrec.paths import find_root

ROOT = find_root()


def test_parts_are_those_of_the_questions_and_each_question_knows_its_ten_films(raw_data):
    part, rows = full_pool.parts(ROOT), prompts.split(ROOT).rows
    for name in ("validation", "test"):
        assert set(np.flatnonzero(part == name)) == set(rows[name])
    learnt = set(np.flatnonzero(part == "train"))
    assert set(rows["train"]) <= learnt
    table = rating_table.interactions(ROOT / "data" / "ml-100k")
    more = table.loc[sorted(learnt - set(rows["train"]))]
    assert set(more.groupby("user").size()) == {tallrec.SEEN}
    assert set(table.loc[rows["test"], "user"]) <= set(more["user"])


@pytest.mark.parametrize("described", [False, True])
def test_files_hold_titles_alone_or_all_that_is_known(raw_data, described):
    found = full_pool.files(ROOT, described)
    assert set(found) == {"events", "items"} | ({"users"} if described else set())
    assert (found["events"]["split"].value_counts()[["validation", "test"]] == 1000).all()
    if not described:
        assert list(found["items"]) == ["item_id", "title"]
        assert found["items"]["title"].iloc[0] == "Toy Story (1995)"
    text = {name: frame.head(2000).astype("str") for name, frame in found.items()}
    roles = {kind: [c.name for c in inspect(text).named("events", kind)]
             for kind in ("user_id", "item_id", "rating", "timestamp", "split")}  # fmt: skip
    assert roles == {"user_id": ["user_id"], "item_id": ["item_id"], "rating": ["rating"],
                     "timestamp": ["timestamp"], "split": ["split"]}  # fmt: skip
