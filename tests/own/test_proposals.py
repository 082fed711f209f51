"""Column roles, values and task definitions that are proposed for a stranger's files."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mtrec.domains.own import plan, times, values
from mtrec.domains.own.columns import describe
from mtrec.domains.own.inspect import inspect
from mtrec.domains.own.propose import propose
from mtrec.domains.own.table import FileError
from mtrec.settings import Domain
from mtrec.tables import identifiers
from mtrec.tables.spreadsheet import defused


def cells(**columns):
    return pd.DataFrame({name: pd.Series(found, dtype="str") for name, found in columns.items()})


def role(found, kind, table="events"):
    return [column.name for column in found.named(table, kind)]


def test_roles_are_found_by_name_and_by_what_cells_hold():
    events = cells(
        Customer=["u1", "u2", "u1"], SKU=["a", "b", "b"], bought=["1", "0", "1"],
        created_at=["2024-01-01", "2024-01-02T10:00:00+02:00", "2024-01-03"],
        stars=["5", "3", "1"], price=["1,5", "2,25", "3"], session=["x", "y", "z"],
    )  # fmt: skip
    found = inspect({"events": events})
    assert role(found, "user_id") == ["Customer"]
    assert role(found, "item_id") == ["SKU"]
    assert role(found, "timestamp") == ["created_at"]
    assert role(found, "rating") == ["stars"]
    assert role(found, "numeric") == ["price"]
    assert role(found, "binary") == ["bought"]
    assert role(found, "unused") == ["session"]
    assert all(column.reason for column in found.events)


def test_epoch_numbers_are_times_only_where_the_name_says_so():
    epoch = ["1700000000", "1700003600"]
    for name, kind in {"sold_at": "timestamp", "SaleTime": "timestamp", "phone": "unused"}.items():
        events = cells(user=["a", "b"], item=["x", "y"], **{name: epoch})
        assert role(inspect({"events": events}), kind) == [name]


def test_nameless_ids_are_found_by_the_other_file_and_options_override():
    events = cells(a=["7.0", "8.0"], b=["x", "y"], c=["y", "x"])
    items = cells(code=["x", "y", "z"], price=["1", "2", "3"])
    users = cells(nr=["7", "8", "9"], age=["30", "40", "50"])
    found = inspect({"events": events, "items": items, "users": users})
    assert role(found, "user_id") == ["a"]
    assert role(found, "item_id") == ["b"]
    assert role(found, "item_id", "items") == ["code"]
    assert role(found, "user_id", "users") == ["nr"]
    named = inspect({"events": events, "items": items}, {"user_id": "a", "item_id": "c"})
    assert role(named, "item_id") == ["c"]


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (
            {},
            "no column looks like the user id .found: a, b, c, n; .* name it with --user-id",
        ),
        ({"user_id": "a"}, "looks like the item id"),
        ({"user_id": "z"}, "--user-id names column 'z', which does not exist"),
        ({"user_id": "a", "item_id": "a"}, "'a' is named for two roles"),
        (
            {"user_id": "a", "item_id": "b", "timestamp": "n"},
            "'n': its cells cannot be read as times",
        ),
        ({"user_id": "a", "item_id": "b", "rating": "c"}, "'c' does not hold numbers"),
    ],
)
def test_a_role_that_cannot_be_filled_is_named_with_its_option(roles, message):
    with pytest.raises(FileError, match=message):
        inspect({"events": cells(a=["u", "v"], b=["x", "y"], c=["p", "q"], n=["1", "2"])}, roles)


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (["1.5", "2", None, "7"], "numeric"),
        (["01", "02", "01", "02"], "categorical"),
        (["a|b", "b", "c|a", "a"], "multi"),
        (["a; b", "b", "c; a", "a"], "multi"),
        (["red", "blue", "red", "red"], "categorical"),
        (["true", "false", "true", None], "categorical"),
        (["a long text of very many words here"] + [f"another text with {n} words in it"
                                                    for n in range(9)], "text"),
        ([f"thing {n}" for n in range(50)], "title"),
        ([f"x{n:06d}" for n in range(50)], "unused"),
        ([f"https://example.org/{n}" for n in range(9)], "unused"),
        (["same"] * 5, "unused"),
        ([None] * 3, "unused"),
    ],
)  # fmt: skip
def test_columns_of_items_are_told_apart(found, kind):
    assert describe(pd.Series(found, dtype="str", name="c"), event=False).kind == kind


@settings(max_examples=200, deadline=None)
@given(
    st.integers(-1_000_000_000, 4_000_000_000),
    st.sampled_from(["s", "ms", "us", "ns"]),
)
def test_epochs_of_any_unit_are_the_same_moment(second, unit):
    factor = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    found = times.times(pd.Series([str(second * factor)]), unit)[0]
    expected = datetime.fromtimestamp(second, UTC).replace(tzinfo=None)
    assert abs((found - pd.Timestamp(expected)).total_seconds()) < 0.001


def test_mixed_zones_become_utc_and_nonsense_is_missing():
    found = times.times(
        pd.Series(["2024-05-01T10:00:00+02:00", "2024-05-01 08:00Z", "2024-05-01T08:00:00",
                   "2024-05-01T03:00:00.000-05:00", "now", "today", "1850-01-01", "2500-01-01",
                   "2024-13-01", None]), "iso",
    )  # fmt: skip
    assert (found[:4] == pd.Timestamp("2024-05-01 08:00")).all()
    assert found[4:].isna().all()
    assert found.dtype == "datetime64[ms]"


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.one_of(st.text(max_size=8), st.none()), min_size=1, max_size=8),
    st.lists(st.one_of(st.text(max_size=8), st.integers().map(str)), min_size=1, max_size=8),
)
def test_whatever_cells_hold_inspection_proposes_or_says_one_sentence(first, second):
    rows = min(len(first), len(second))
    clean = [[c if c is None else c.encode("utf-8", "ignore").decode() for c in part[:rows]]
             for part in (first, second)]  # fmt: skip
    events = cells(user_id=clean[0], item_id=clean[1], rating=clean[1], other=clean[0])
    events["when"] = events["rating"]
    items = cells(item_id=clean[1], what=clean[0])
    try:
        found = inspect({"events": events, "items": items})
    except FileError as error:
        assert "\n" not in str(error)
        return
    made = propose("mine", {"events": events, "items": items}, found)
    Domain.model_validate(yaml.safe_load("domains:\n" + made.block)["domains"]["mine"])


def test_tasks_follow_from_the_columns():
    events = cells(
        user=["a", "b"] * 5, item=["x", "y"] * 5, stars=list("1234512345"), gift=["yes", "no"] * 5
    )
    items = cells(
        id=["x", "y", "z"], title=["One thing", "Two things", "More"], kind=["p", "q", "p"],
        tags=["m;n", "n", "m"],
    )  # fmt: skip
    frames = {"events": events, "items": items}
    made = propose("mine", frames, inspect(frames))
    block = yaml.safe_load("domains:\n" + made.block)["domains"]["mine"]
    types = {name: (task["type"], task["view"]) for name, task in block["tasks"].items()}
    assert types == {
        "next_item": ("ranking", "user"), "rating": ("regression", "joint"),
        "like": ("binary", "joint"), "gift": ("binary", "joint"),
        "next_tags": ("multilabel", "user"), "next_kind": ("multiclass", "user"),
    }  # fmt: skip
    assert block["data"]["split"] == "random"  # there are no times
    assert not [name for name, task in block["tasks"].items() if "peers" in task]  # nor an order
    assert block["data"]["items"]["multi"] == {"tags": ";"}
    assert block["data"]["items"]["text"].startswith("{title}")
    assert block["data"]["like_from"] == 4.0
    assert [line for line in made.block.splitlines() if "#" in line]


@pytest.mark.parametrize("most, peers", [(4, ["sasrec"]), (3, None)])
def test_a_catalogue_too_large_for_a_specialist_is_not_asked_of_it(most, peers, monkeypatch):
    monkeypatch.setattr(plan, "LARGEST", most)
    frames = {
        "events": cells(
            user=["a", "b"] * 5,
            item=["1.0", " 9.0"] * 5,
            stars=list("1234512345"),
            at=[f"2024-01-{day:02}" for day in range(1, 11)],
        ),
        "items": cells(item=["1", "2", "3"], kind=["p", "q", "p"]),
    }
    made = propose("mine", frames, inspect(frames))
    task = yaml.safe_load("domains:\n" + made.block)["domains"]["mine"]["tasks"]["next_item"]
    assert task.get("peers") == peers


def test_names_that_yaml_would_misread_are_quoted():
    events = cells(user=["a", "b"], item=["x", "y"], no=["1.5", "2.5"], yes=["3.5", "1.5"])
    frames = {"events": events}
    made = propose("on", frames, inspect(frames))
    block = yaml.safe_load("domains:\n" + made.block)["domains"]["on"]
    assert block["data"]["events"]["numeric"] == ["no", "yes"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=6)), min_size=1, max_size=6))
def test_written_class_names_never_begin_as_a_formula(found):
    kept = defused(pd.Series(found, dtype="str")).dropna()
    for cell in kept:
        number = cell.lstrip("+-").replace(".", "").replace(",", "")
        assert cell[:1] not in "=@" or len(cell) < 2
        assert cell[:1] not in "+-" or len(cell) < 2 or number[:1].isdigit() or number[:1] in " :/"


def test_a_template_inserts_cells_and_evaluates_nothing():
    frame = cells(a=["{b}", "x"], b=["secret", None])
    assert values.fill("{a}, by {b}!", frame).tolist() == ["{b}, by secret!", "x!"]
    with pytest.raises(KeyError, match="no column '__class__'"):
        values.fill("{__class__}", frame)
    assert values.fill("{a.__class__} {0}", frame.assign(**{"0": "z"})).iloc[0].endswith("z")


def test_ids_of_any_type_agree_between_files():
    assert identifiers.clean(pd.Series(["1.0", "22.0"])).tolist() == ["1", "22"]
    assert identifiers.clean(pd.Series([" 1", "007"])).tolist() == ["1", "007"]
    mixed = identifiers.clean(pd.Series(["1.0", "x", "", None]))
    assert mixed[:2].tolist() == ["1", "x"]
    assert mixed[2:].isna().all()


def test_decimal_commas_are_numbers_and_thousands_are_not_guessed():
    assert values.numbers(pd.Series(["1,5", "2"])).tolist() == [1.5, 2.0]
    assert np.isnan(values.numbers(pd.Series(["1,500", "2,000"]))).all()
