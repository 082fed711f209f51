"""Columns are judged by name, shape and agreement with the rest, not by the look of one cell."""

import numpy as np
import pandas as pd
import pytest

from mtrec.own import lists, times, values
from mtrec.own.columns import describe
from mtrec.own.table import FileError


def cells(*found):
    return pd.Series(found, dtype="str", name="c")


def events(log, **columns):
    return pd.DataFrame({"user_id": log["user"], "item_id": log["item"], **columns})


@pytest.mark.parametrize(
    ("drama", "both"),
    [
        ("['Drama']", "['Drama', 'Comedy']"),
        ('["Drama"]', '["Drama", "Comedy"]'),
        ("{Drama}", "{Drama,Comedy}"),
        ("('Drama',)", "('Drama', 'Comedy')"),
        ("[Drama]", "[Drama, Comedy]"),
        ("['Drama']", "['Drama' 'Comedy']"),
        ("[{'name': 'Drama', 'id': 1}]", "[{'name': 'Drama'}, {'id': 2, 'name': 'Comedy'}]"),
    ],
)  # fmt: skip
def test_lists_in_brackets_are_lists_whichever_language_wrote_them(attempt, log, drama, both):
    items = pd.DataFrame({"id": range(60), "genres": np.resize([drama, both], 60)})
    found = attempt(events(log, rating=log["stars"]), items)
    assert found.block["data"]["items"]["multi"] == {"genres": "[]"}
    assert found.tables.items["genres"].iloc[:2].tolist() != []
    assert {label for row in found.tables.items["genres"] for label in row} == {"Drama", "Comedy"}


def test_nothing_in_brackets_is_run(tmp_path):
    trap = tmp_path / "sprung"
    found = lists.lists(cells(f"[__import__('os').mkdir('{trap}')]", "[1, 2]", "[" * 500), "[]")
    assert found[1] == ["1", "2"]
    assert not trap.exists()


@pytest.mark.parametrize(
    ("name", "found", "points", "is_list"),
    [
        ("tag", ["1,21", "5", "3"], False, True),
        ("tags", ["8,21,3", "13"], False, True),
        ("price", ["1,21", "5,10"], True, False),
        ("c", ["1,21", "5,07", "3"], False, False),
        ("c", ["1,21", "5,70", "3"], False, False),
        ("c", ["1,21", "5,70", "3"], True, True),
        ("c", ["1,2,3", "1"], False, True),
        ("c", ["1,2", "2,3", "3,4", "4,5", "5,1"], False, True),
        ("c", ["4,250", "3,125"], False, False),
        ("c", ["1,234,567", "1,000"], False, False),
    ],
)
def test_numbers_with_commas_are_lists_or_decimals_by_name_and_agreement(
    name, found, points, is_list
):
    assert lists.of_numbers(name, cells(*found), points) == is_list


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (["1,5", "2"], [1.5, 2.0]),
        (["1,500.25", "2,000.00"], [1500.25, 2000.0]),
        (["1.500,25", "2.000,00"], [1500.25, 2000.0]),
        (["1,234,567", "1,000"], [1_234_567.0, 1000.0]),
        (["$12.99", "$3"], [12.99, 3.0]),
        (["12,50 €", "3,00 €"], [12.5, 3.0]),
        (["4,250", "1,000"], [np.nan, np.nan]),
    ],
)
def test_numbers_of_the_world_are_read_and_those_with_two_meanings_are_not(found, expected):
    np.testing.assert_array_equal(values.numbers(cells(*found)), expected)


@pytest.mark.parametrize(
    ("found", "unit"),
    [
        (["2019-10-01 00:00:00 UTC", "2019-10-02 00:00:00 UTC"], "iso"),
        (["20200913", "20201231"], "%Y%m%d"),
        (["13/09/2020", "01/10/2020"], "%d/%m/%Y"),
        (["12/1/2010 8:24", "12/31/2010 23:59"], "%m/%d/%Y %H:%M"),
        (["01-12-2010 08:24", "31-12-2010 08:24"], "%d-%m-%Y %H:%M"),
        (["01.02.2020", "02.03.2020"], "%d.%m.%Y"),
        (["2020/09/13 10:00:00", "2020/10/01 10:00:00"], "%Y/%m/%d %H:%M:%S"),
        (["01-Jan-1994", "02-Feb-1995"], "%d-%b-%Y"),
        (["Sep 13, 2009", "Jan 1, 2010"], "%b %d, %Y"),
        (["09 13, 2009", "01 02, 2010"], "%m %d, %Y"),
        (["Mon Jan 05 20:00:00 +0000 2015"] * 2, "%a %b %d %H:%M:%S %z %Y"),
        (["1.600007e+12", "1.600018e+12"], "ms"),
        (["11/13/2019 9:05:58 AM", "11/12/2019 9:05:58 PM"], "%m/%d/%Y %I:%M:%S %p"),
    ],
)
def test_times_are_read_in_the_way_that_reads_them_all(found, unit):
    assert times.units(cells(*found)) == (unit,)
    assert times.times(cells(*found), unit).notna().all()


@pytest.mark.parametrize(
    "found", [["5", "3"], ["99999999"], ["2019", "2020"], ["10:30"], ["a-b-c"]]
)
def test_what_is_no_time_is_not_read_as_one(found):
    assert times.units(cells(*found)) == ()


def test_dates_that_read_both_ways_are_asked_about_and_the_answer_is_taken(attempt, log):
    dates = [f"{n % 12 + 1:02d}/{n % 11 + 1:02d}/2020" for n in range(len(log))]
    with pytest.raises(FileError, match="as %d/%m/%Y or %m/%d/%Y .*'01/01/2020'.*--time-unit"):
        attempt(events(log, date=dates))
    for unit, month in (("%d/%m/%Y", 2), ("%m/%d/%Y", 3)):
        found = attempt(events(log, date=[*dates[:-1], "03/02/2020"]), time_unit=unit)
        assert found.block["data"]["events"]["time_unit"] == unit
        last = found.tables.examples["timestamp"].dt.month.value_counts()
        assert last[month] > 0


def test_one_day_after_the_twelfth_among_many_decides():
    column = pd.Series(["01/02/2020"] * 50_000 + ["13/02/2020"], dtype="str")
    assert times.units(column) == ("%d/%m/%Y",)


@pytest.mark.parametrize("other", ["birth_date", "shipping_limit_date", "registered_at"])
def test_of_two_times_the_one_named_for_the_event_is_taken_wherever_it_stands(attempt, log, other):
    when = pd.to_datetime(log["second"], unit="s")
    first = pd.to_datetime("1950-01-01") + pd.to_timedelta(log["user"] * 31, unit="D")
    first = when + pd.Timedelta("5D") if "shipping" in other else first
    found = attempt(events(log, **{other: first, "purchased_on": when}))
    assert found.role("timestamp") == ["purchased_on"]
    assert found.said(f"{other}: not used: another time") or found.role("timestamp", "users") == []


def test_a_date_that_belongs_to_the_user_is_no_time_of_events(attempt, log):
    born = pd.to_datetime("1950-01-01") + pd.to_timedelta(log["user"] * 31, unit="D")
    found = attempt(events(log, birthday=born, rating=log["stars"]))
    assert found.role("timestamp") == []
    assert found.said("birthday: not used: another time ('")


def test_the_finer_of_two_equally_named_times_is_taken(attempt, log):
    when = pd.to_datetime(log["second"], unit="s")
    found = attempt(events(log, date=when.dt.strftime("%Y%m%d"), time_ms=log["second"] * 1000))
    assert found.role("timestamp") == ["time_ms"]


def test_row_numbers_and_numbers_that_name_something_are_no_amounts(attempt, log):
    found = attempt(events(
        log, InvoiceNo=536365 + np.arange(len(log)) // 3, order_number=log["user"] * 7,
        quantity=log["stars"], days_since_prior_order=log["stars"] * 3, zip=10115 + log["item"] % 7,
    ).to_csv())  # fmt: skip
    assert set(found.role("numeric")) == {"quantity", "days_since_prior_order"}
    assert found.said("column_1: row numbers ('0', '1', '2')")
    assert found.said("InvoiceNo: not used: numbers that name something")


def test_proposals_show_two_or_three_cells(attempt, log):
    found = attempt(events(log, rating=log["stars"], timestamp=log["second"]))
    table = found.made.inspection.frame().set_index("column")
    assert table.loc["rating", "for example"].count("'") >= 4
    assert table.loc["rating", "for example"].split(", ")[0] == f"'{log['stars'][0]}'"
    assert "'" in found.made.report()


@pytest.mark.parametrize(
    ("form", "value"), [("4 stars", 4.0), ("4/5", 4.0), ("4 out of 5", 4.0), ("4.5 ★", 4.5)]
)
def test_ratings_with_a_unit_or_a_scale_are_numbers(attempt, log, form, value):
    number = form.split("/")[0].split()[0]
    forms = [form.replace(number, str(star), 1) for star in log["stars"]]
    found = attempt(events(log, rating=forms))
    assert found.tables.events["rating"].value_counts().to_dict() == (
        log["stars"].astype(float).value_counts().to_dict()
    )


def test_scales_that_differ_are_not_mixed():
    assert values.ratings(cells("4/5", "7/10")).isna().all()


def test_a_name_of_lists_is_needed_to_divide_at_spaces():
    names = ("Drama", "War", "Comedy", "Crime", "Music", "Western")
    genres = cells(*(f"{a} {b}" for a in names for b in names if a < b), *names)
    assert describe(genres.rename("genres"), event=False).detail == " "
    assert describe(genres.rename("shelf"), event=False).kind != "multi"
