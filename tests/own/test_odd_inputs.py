"""What people bring besides: ratings in signs, words of other languages, files that are none."""

import json

import pandas as pd
import pytest

from mtrec.domains.own import files, values
from mtrec.domains.own.check import check
from mtrec.domains.own.table import FileError


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["★★★☆☆", "★☆☆☆☆", None], [3, 1, None]),
        (["⭐⭐", "⭐⭐⭐⭐⭐", "⭐"], [2, 5, 1]),
        (["👍", "👎", "👍"], [1, -1, 1]),
        (["+", "-", "+"], [1, -1, 1]),
        (["Thumbs up", "thumbs down", "neutral"], [1, -1, 0]),
        (["oui", "Non", "oui"], [1, 0, 1]),
        (["да", "нет", "да"], [1, 0, 1]),
    ],
)
def test_ratings_in_signs_and_words_are_numbers(cells, numbers):
    found = values.ratings(pd.Series(cells, dtype="str"))
    assert found.astype("object").where(found.notna(), None).tolist() == numbers


@pytest.mark.parametrize(
    ("yes", "no"), [("oui", "non"), ("Ja", "Nein"), ("sí", "no"), ("是", "否")]
)
def test_yes_and_no_of_other_languages_become_a_task(attempt, log, yes, no):
    log["kept"] = log.pop("yes").map({1: yes, 0: no})
    assert attempt(log).tasks()["kept"] == "binary"


def test_columns_with_accents_spaces_and_points_find_their_roles(attempt, log):
    french = {"user": "Identifiant client", "item": "Réf. article", "second": "Date d'achat"}
    tried = attempt(log.rename(columns=french))
    assert tried.role("user_id") == ["Identifiant_client"]
    assert tried.role("item_id") == ["Ref_article"]
    assert tried.role("timestamp") == ["Date_d_achat"]


def test_marks_of_html_are_no_part_of_a_text(attempt, log):
    items = pd.DataFrame({"item": range(60)})
    items["description"] = [
        f"<p>A <b>great</b> story &amp; much more<br/>of the number {n} and its friends</p>"
        for n in items["item"]
    ]
    text = attempt(log, items).tables.items["text"].iloc[0]
    assert text == "A great story & much more of the number 0 and its friends"


@pytest.mark.parametrize("value", [-999, 99])
def test_a_number_that_stands_for_a_missing_rating_is_warned_of(attempt, log, value):
    log.loc[::7, "stars"] = value
    said = attempt(log).lines("warning")
    assert any(f"86 cells are {value}, far from the others (1 to 5)" in line for line in said)
    log["stars"] = log["stars"].replace({value: 0})
    assert not any("far from the others" in line for line in attempt(log).lines("warning"))


def test_a_time_of_day_beside_the_date_is_named_with_the_way_to_use_it(attempt, log):
    moment = pd.to_datetime(log.pop("second"), unit="s")
    log["date"], log["time"] = moment.dt.strftime("%Y-%m-%d"), moment.dt.strftime("%H:%M:%S")
    tried = attempt(log)
    assert tried.role("timestamp") == ["date"]
    assert tried.said("a time of day")
    assert any("Write date and time in one column" in line for line in tried.lines("note"))


def test_a_matrix_of_users_and_items_is_named_as_one(attempt, log):
    wide = log.pivot_table(index="user", columns="item", values="stars").reset_index()
    with pytest.raises(
        FileError, match=r"a matrix with a column for each of 60 items; write a row"
    ):
        attempt(wide)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<!DOCTYPE html><html><body>404, not found</body></html>\n", "a web page"),
        (b"\n<html>\n<p>a, b</p>\n", "a web page"),
        (b"<?xml version='1.0'?><rows><row user='1'/></rows>", "XML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n", "git lfs pull"),
        (json.dumps({"user": {"0": 1}, "item": {"0": 2}}).encode(), "one object a line"),
    ],
)
def test_a_file_that_is_no_table_is_named_for_what_it_is(content, what):
    with pytest.raises(FileError, match=what):
        files.parse("events.csv", content)


def test_check_needs_no_files_to_say_that_there_is_no_such_domain(tmp_path):
    assert [finding.level for finding in check("none", tmp_path)] == ["error"]


def test_ids_that_are_others_with_a_letter_before_them_are_two_and_named(attempt, log):
    log["user"] = [f"G{user}" if user % 9 == 0 and n % 3 == 0 else f"{user}"
                   for n, user in enumerate(log["user"])]  # fmt: skip
    tried = attempt(log)
    assert len(tried.tables.users) == log["user"].nunique()
    said = [line for line in tried.lines("warning") if "with letters before them" in line]
    assert len(said) == 1
    assert "kept apart" in said[0]
    log["user"] = [f"G{user}" for user in range(len(log))]
    assert not any("letters before" in line for line in attempt(log).lines("warning"))
