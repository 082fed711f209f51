"""`mtrec new` as a conversation."""

import shutil
from pathlib import Path

import pytest
import yaml

from mtrec import cli
from mtrec.own.new import new
from mtrec.own.table import FileError
from mtrec.own.talk import talk

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def converse(tmp_path):
    """Run `new` with answers; gives the questions, what is written and what was said."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)

    def run(events, *answers, **flags):
        given, said = list(answers), []

        def read(prompt):
            if not given:
                raise EOFError
            return given.pop(0)

        def speak(make, found):
            return talk(make, found, read, said.append)

        file = tmp_path / "log.csv"
        events.to_csv(file, index=False)
        roles = {key: flags.pop(key) for key in list(flags) if key not in ("repeats", "time_unit")}
        new("shop", {"events": file}, roles, True, tmp_path, talk=speak, **flags)
        assert not given, "asked too little"
        params = yaml.safe_load((tmp_path / "params.yaml").read_text(encoding="utf-8"))
        return params["domains"]["shop"]["data"], "\n".join(said)

    run.root = tmp_path
    return run


def timed(log):
    return log.rename(columns={"second": "timestamp"}).drop_duplicates(
        ["user", "item", "timestamp"]
    )


def test_nothing_is_asked_where_nothing_is_unsure(converse, log):
    assert converse(timed(log))[1] == ""


def test_dates_that_can_be_read_in_two_ways_are_asked_about(converse, log):
    dates = [f"0{n % 9 + 1}/0{n % 7 + 1}/{2000 + n % 20}" for n in range(len(log))]
    log = timed(log.assign(second=dates)).rename(columns={"timestamp": "date"})
    found, said = converse(log, "2")
    assert found["events"]["time_unit"] == "%m/%d/%Y"
    assert "How are the times to be read?" in said
    assert converse(log, time_unit="%m/%d/%Y") == (found, "")


def test_a_column_that_nobody_could_find_is_chosen_by_its_number(converse, log):
    found, said = converse(timed(log).rename(columns={"user": "wer"}), "9", "1")
    assert found["events"]["user_id"] == "wer"
    assert "Please write a number from 1 to 5." in said
    assert "Which column says who did it?" in said


def test_an_empty_line_takes_what_is_proposed(converse, log):
    log = log.assign(customer=log["user"] % 7)
    found, said = converse(log, "", "")
    assert found["events"]["user_id"] == "user"
    assert found["repeats"] == "keep"
    assert "What are they?" in said
    found, _ = converse(log, "2", "2")
    assert found["events"]["user_id"] == "customer"
    assert found["repeats"] == "collapse"
    assert converse(log, user_id="customer", repeats="collapse") == (found, "")


def test_without_an_answer_nothing_is_written(converse, log):
    before = (converse.root / "params.yaml").read_bytes()
    with pytest.raises(FileError, match="no answer was given, so nothing was written"):
        converse(log.rename(columns={"user": "wer"}))
    assert (converse.root / "params.yaml").read_bytes() == before


def test_a_pipe_is_never_asked(converse, log, monkeypatch, capsys):
    log.rename(columns={"user": "wer"}).to_csv(converse.root / "log.csv", index=False)
    monkeypatch.chdir(converse.root)
    assert cli.main(["new", "shop", "--events", "log.csv"]) == 1
    assert "name it with --user-id COLUMN." in capsys.readouterr().err
