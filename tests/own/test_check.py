"""``mtrec check``: each planted fault is found, all at once, and a sound domain has none."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtrec import cli
from mtrec.domains.own.check import check
from mtrec.domains.own.findings import as_lines, status
from mtrec.domains.own.language import other_language
from mtrec.domains.own.new import new

ROOT = Path(__file__).resolve().parents[2]
NOW = pd.Timestamp("2025-01-01")
SECOND_OF_2030 = "1900000000"


def world(rows=1200, seed=0):
    rng = np.random.default_rng(seed)
    events = pd.DataFrame({
        "user_id": [f"u{n}" for n in rng.integers(0, 40, rows)],
        "item_id": [f"i{n}" for n in rng.integers(0, 25, rows)],
        "timestamp": (1_600_000_000 + 3600 * np.arange(rows)).astype("str"),
        "rating": rng.integers(1, 6, rows).astype("str"),
    })  # fmt: skip
    items = pd.DataFrame({
        "item_id": [f"i{n}" for n in range(25)],
        "title": [f"The thing number {n}" for n in range(25)],
        "kind": rng.choice(["p", "q"], 25), "weight": rng.random(25).round(3).astype("str"),
    })  # fmt: skip
    users = pd.DataFrame({"user_id": [f"u{n}" for n in range(40)],
                          "age": rng.integers(18, 80, 40).astype("str")})  # fmt: skip
    return {"events": events, "items": items, "users": users}


@pytest.fixture
def make(tmp_path):
    """Make a domain of sound files, then put faulty ones or other settings in their place."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)

    def made(faulty=None, settings=()):
        sound = world()
        paths = {name: tmp_path / f"{name}.csv" for name in sound}
        for name, frame in sound.items():
            frame.to_csv(paths[name], index=False)
        new("shop", paths, {}, True, tmp_path)
        for name, frame in (faulty or {}).items():
            frame.to_csv(tmp_path / "own" / "shop" / f"{name}.csv", index=False)
        params = tmp_path / "params.yaml"
        head, mark, tail = params.read_text().partition("\n  shop:")
        for old, changed in settings:
            assert old in tail
            tail = tail.replace(old, changed, 1)
        params.write_text(head + mark + tail)
        return check("shop", tmp_path, NOW)

    return made


def of(findings, level, file, column, what):
    found = [f for f in findings if (f.level, f.file, f.column) == (level, file, column)]
    return [f for f in found if what in f.what]


def test_a_sound_domain_has_no_finding(make):
    assert make() == []


def test_all_faults_of_the_files_are_found_at_once_with_rows_and_the_mend(make):
    events, items, users = world().values()
    events.loc[4, "timestamp"] = SECOND_OF_2030
    events.loc[5, "timestamp"] = "soon"
    events.loc[6, "rating"] = "good"
    events.loc[7, "rating"] = "inf"
    events.loc[8, "user_id"] = None
    items.loc[24, "item_id"] = "i3"
    users.loc[40] = ["u99", "x"]
    items["weight"] = "heavy"
    findings = make({"events": events, "items": items, "users": users})
    for level, file, column, what, row in (
        ("warning", "events.csv", "timestamp", "1 times are in the future", "row 5: '1900000000'"),
        ("warning", "events.csv", "timestamp", "times are not sorted, 1 go back", "row 7: '16"),
        ("warning", "events.csv", "timestamp", "1 of 1,200 times are missing", "row 6: 'soon'"),
        ("error", "events.csv", "rating", "1 cells are not numbers", "row 7: 'good'"),
        ("error", "events.csv", "rating", "1 values are infinite", "row 8: 'inf'"),
        ("warning", "events.csv", "user_id", "1 ids are missing", "row 9: empty"),
        ("error", "items.csv", "item_id", "1 rows repeat an id", "row 25: 'i3'"),
        ("warning", "items.csv", "item_id", "1 of 25 items in events have no row", "'i24'"),
        ("warning", "users.csv", "user_id", "1 of 41 users have no event", "row 41: 'u99'"),
        ("error", "users.csv", "age", "1 cells are not numbers", "row 41: 'x'"),
        ("error", "items.csv", "weight", "25 cells are not numbers", "row 1: 'heavy'"),
    ):  # fmt: skip
        found = of(findings, level, file, column, what)
        assert len(found) == 1, (what, [f.line() for f in findings])
        assert any(row in example for example in found[0].rows)
        assert found[0].mend
    assert status(findings) == 1


def test_settings_that_name_no_column_are_each_found(make):
    findings = make(settings=[("rating: rating", "rating: stars"), (" id: item_id", " id: code"),
                              ("numeric: [age]", "numeric: [years]")])  # fmt: skip
    for file, column in (("events.csv", "stars"), ("items.csv", "code"), ("users.csv", "years")):
        assert of(findings, "error", file, column, "no such column")


def test_features_and_labels_that_no_table_has_are_found(make):
    findings = make(settings=[("categorical: [user_id]", "categorical: [user_id, city]"),
                              ("label: like", "label: liked")])  # fmt: skip
    assert of(findings, "error", "users", "city", "no such column")
    assert of(findings, "error", "params.yaml", "tasks.like", "no label 'liked'")


def test_a_feature_that_determines_a_label_is_found_and_others_are_not(make):
    events, items, _ = world().values()
    items["shelf"] = items["kind"].map({"p": "upper", "q": "lower"})
    findings = make(
        {"items": items},
        [("categorical: [item_id, kind]", "categorical: [item_id, kind, shelf]"),
         ("type: multiclass, view: user", "type: multiclass, view: joint")],
    )  # fmt: skip
    leaks = {f.column for f in findings if "determines 'next_kind'" in f.what}
    assert leaks == {"item_id", "kind", "shelf", "weight", "text"}
    assert not [f for f in findings if "determines 'rating'" in f.what]


def test_one_class_and_empty_texts_and_splits_are_found(make):
    events, items, _ = world().values()
    findings = make({"events": events.assign(rating="5"), "items": items.assign(title="", kind="")})
    assert of(findings, "error", "examples", "like", "one class in the training split")
    assert of(findings, "error", "examples", "next_kind", "no label in the test split")
    assert of(findings, "error", "items", "text", "every text is empty")
    findings = make({"events": events.assign(timestamp="1600000000")})
    assert of(findings, "warning", "events.csv", "timestamp", "the same time")
    assert of(findings, "error", "examples", "split", "the train split is empty")


def test_a_hostile_file_is_a_finding_and_the_others_are_still_checked(make, tmp_path):
    users = world()["users"].assign(age="old")
    make({"users": users})
    (tmp_path / "own" / "shop" / "items.csv").write_bytes(b"a,b\n\x00,1\n")
    findings = check("shop", tmp_path, NOW)
    assert of(findings, "error", "items.csv", "", "line 2 holds a NUL byte")
    assert of(findings, "error", "users.csv", "age", "40 cells are not numbers")
    (tmp_path / "own" / "shop" / "items.csv").unlink()
    (tmp_path / "own" / "shop" / "items.csv").symlink_to(tmp_path / "items.csv")
    assert of(check("shop", tmp_path, NOW), "error", "items.csv", "", "a symbolic link")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("This is a very nice dress, but it runs small and I had to return it", None),
        ("Das Buch ist sehr schön und ich habe es gern mit den Kindern gelesen", "German"),
        ("Ce livre est très bien écrit et les personnages sont dans une histoire", "French"),
        ("Este libro es muy bueno y lo recomiendo para todos los que leen", "Spanish"),
        ("Это очень хорошая книга", "Russian"),
        ("这本书很好", "Chinese"),
        ("Pan Tadeusz to ostatni zajazd na Litwie, historia szlachecka z roku", "Polish"),
        ("Toy Story (1995)", None),
        ("Die Ärzte", None),
        ("12345 / 67 - 8", None),
    ],
)
def test_the_language_of_texts_is_guessed_and_titles_are_left_alone(text, language):
    assert other_language(pd.Series([text])) == language


def test_a_language_other_than_english_is_a_warning(make):
    items = world()["items"].assign(title="Das Buch ist sehr schön und ich habe es gern gelesen")
    findings = make({"items": items})
    assert of(findings, "warning", "items", "text", "seems to be in German")
    assert status(findings) == 0


def test_the_command_prints_errors_before_warnings_and_ends_with_one(
    make, tmp_path, capsys, monkeypatch
):
    events = world()["events"]
    events.loc[6, "rating"] = "good"
    findings = make({"events": events.iloc[::-1]})
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", "shop"]) == 1
    out = capsys.readouterr().out
    assert out.strip() == as_lines("shop", findings)
    assert out.index("1 error") < out.index("warning")
    assert cli.main(["check", "nothing"]) == 1
    assert "there is no domain 'nothing'" in capsys.readouterr().out


def test_a_built_in_domain_is_sound(raw_data):
    assert status(check("video", ROOT)) == 0
