import pytest

from mtrec.registry import STUDIES
from mtrec.studies import controls, runner


def test_a_study_is_given_the_settings_of_its_domain_and_the_limit(monkeypatch):
    given = []
    monkeypatch.setattr(runner, "make_deterministic", lambda *settings: given.append(settings))
    monkeypatch.setattr(controls, "study", lambda run, minutes: given.append((run.name, minutes)))
    runner.main("controls", "video", 5.0)
    run = runner.begin("video")
    assert given[:2] == [(run.seed, run.training.deterministic), ("video", 5.0)]


def test_a_study_that_there_is_not_is_answered_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"there is no study 'weather' \(known: controls, "):
        runner.main("weather", "video")


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_one_entry_of_its_name(name):
    assert STUDIES.places[name] == f"mtrec.studies.{name}:study"
