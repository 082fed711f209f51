"""The driver on a toy: what is tried, when it ends, what a kill leaves."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import optuna
import pytest
from optuna.trial import TrialState

from mtrec.paths import ConfigError
from mtrec.search import journal
from mtrec.search.driver import BASELINE, Hopeless, Search, best, settings_of
from mtrec.search.space import Space
from mtrec.settings import Choice, Range
from tests.conftest import ROOT

SPACE = Space(
    {
        "training.learning_rate": Range(kind="log", low=0.001, high=0.1),
        "model_building.width": Choice(kind="choice", values=(8, 16)),
    },
    {"training.learning_rate": 0.01, "model_building.width": 8},
)


def measure(chosen, report):
    """Best at a rate of 0.03 and width 16; losses fall with the epochs."""
    error = abs(chosen["training.learning_rate"] - 0.03) + (chosen["model_building.width"] == 8)
    for epoch in range(1, 6):
        report(epoch, error + 1 / epoch)
    return {"rating": ("rmse", 1 + error)}


def toy(folder, sampler="tpe", **more):
    space = SPACE.only(("model_building.width",)) if sampler == "grid" else SPACE
    return Search(sampler, space, folder / "a.journal", {"space": "1"}, 6, 0, **more)


def test_the_first_trial_has_the_present_settings_and_gains_nothing(tmp_path):
    first, *others = toy(tmp_path).run(measure)
    assert settings_of(first) == SPACE.present
    assert first.value == 0
    assert [t.number for t in others] == [1, 2, 3, 4, 5]
    assert all(settings_of(trial) != SPACE.present for trial in others)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_best_trial_gains_on_the_first(tmp_path, sampler):
    found = best([*toy(tmp_path, sampler, pruner="none").run(measure)])
    assert found.value > 0
    assert settings_of(found)["model_building.width"] == 16


def test_a_grid_tries_each_of_its_points_once_after_the_first_trial(tmp_path):
    search = replace(toy(tmp_path, "grid", pruner="none"), space=SPACE)
    found = [settings_of(trial) for trial in search.run(measure)]
    assert found[0] == SPACE.present
    points = {(s["training.learning_rate"], s["model_building.width"]) for s in found[1:]}
    assert len(found) == 7
    assert points == {(rate, width) for rate in (0.001, 0.01, 0.1) for width in (8, 16)}


def test_a_budget_in_minutes_begins_no_trial_after_it(tmp_path):
    assert list(toy(tmp_path).run(measure, minutes=0)) == []
    assert len([*toy(tmp_path).run(measure)]) == 6


def test_trials_of_an_earlier_run_count_and_draws_go_on(tmp_path):
    alone = [settings_of(t) for t in toy(tmp_path / "alone").run(measure)]
    search = replace(toy(tmp_path), trials=3)
    twice = [*search.run(measure), *toy(tmp_path).run(measure)]
    assert [settings_of(trial) for trial in twice] == alone
    assert list(toy(tmp_path).run(measure)) == []


def test_a_trial_that_loses_to_the_median_is_ended_early(tmp_path):
    def worse(chosen, report):
        at = len(seen)
        seen.append(chosen)
        for epoch in range(1, 9):
            report(epoch, 1.0 if at < 5 else 9.0)
        return {"rating": ("rmse", 1.0)}

    seen = []
    found = [*toy(tmp_path).run(worse)]
    assert [trial.state for trial in found[:5]] == [TrialState.COMPLETE] * 5
    assert found[5].state == TrialState.PRUNED
    assert max(found[5].intermediate_values) < 8


def test_settings_without_a_result_are_a_trial_that_ended_early(tmp_path):
    def fails(chosen, report):
        if chosen != SPACE.present:
            raise Hopeless("the loss became infinite")
        return measure(chosen, report)

    found = [*toy(tmp_path).run(fails)]
    assert [trial.state for trial in found] == [TrialState.COMPLETE] + [TrialState.PRUNED] * 5
    assert found[1].user_attrs["why"] == "the loss became infinite"
    assert best(found).number == 0


@pytest.mark.parametrize("what", ["space", "settings"])
def test_a_journal_of_another_search_is_refused_with_the_way_to_begin_anew(tmp_path, what):
    list(replace(toy(tmp_path), trials=2, identity={"space": "1", "settings": "2"}).run(measure))
    other = {"space": "1", "settings": "2", what: "9"}
    with pytest.raises(ConfigError, match=rf"another search \({what}: .*delete it to begin anew"):
        list(replace(toy(tmp_path), identity=other).run(measure))


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    (tmp_path / "a.journal").write_text('{"a": 1}\n{"b": 2}\n')
    with pytest.raises(ConfigError, match="damaged, not a journal of a search"):
        list(toy(tmp_path).run(measure))


SCRIPT = """
import sys, time
from pathlib import Path
from tests.search.test_driver import measure, toy

def slow(chosen, report):
    time.sleep(float(sys.argv[2]))
    return measure(chosen, report)

for trial in toy(Path(sys.argv[1]), pruner="none").run(slow):
    print(trial.number, flush=True)
"""


def start(folder, seconds):
    """Another process that searches, with trials of so many seconds."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(seconds)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


def test_a_killed_process_loses_the_trial_that_ran_and_no_other(tmp_path):
    process = start(tmp_path, 0.5)
    assert process.stdout.readline() == "0\n"
    assert process.stdout.readline() == "1\n"
    time.sleep(0.2)  # the third is running
    process.send_signal(signal.SIGKILL)
    process.wait()
    after = [*toy(tmp_path, pruner="none").run(measure)]
    trials = toy(tmp_path).open().get_trials()
    states = [trial.state for trial in trials]
    assert states[:3] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL]
    assert states[3:] == [TrialState.COMPLETE] * 4
    assert settings_of(after[0]) == trials[2].user_attrs["settings"]  # it is tried again
    assert len(after) == 4


def test_what_kills_its_process_twice_is_not_tried_a_third_time(tmp_path):
    study = toy(tmp_path).open()
    study.set_user_attr(BASELINE, {"rating": ("rmse", 1.0)})
    for attrs in ({}, {journal.AGAIN: True}):
        study.enqueue_trial(SPACE.present, user_attrs=attrs)
        trial = study.ask()
        gone = {"host": journal._me()["host"], "pid": 2**22 + 1, "since": 0.0}
        trial.set_user_attr(journal.PROCESS, gone)
        assert journal.fail_orphans(study) == [trial.number]
        waiting = study.get_trials(states=(TrialState.WAITING,))
        assert len(waiting) == (0 if attrs else 1)
        for one in waiting:
            study.ask()
            assert one.user_attrs == {journal.AGAIN: True}
            study._storage.set_trial_state_values(one._trial_id, state=TrialState.FAIL)


def test_several_processes_share_one_search(tmp_path):
    processes = [start(tmp_path, 0.3) for _ in range(2)]
    printed = [process.communicate(timeout=120)[0].split() for process in processes]
    assert all(process.returncode == 0 for process in processes)
    numbers = sorted(int(number) for part in printed for number in part)
    trials = toy(tmp_path).open().get_trials(states=(TrialState.COMPLETE,))
    assert numbers == [trial.number for trial in trials]
    assert 6 <= len(trials) <= 7  # both may begin the last one at a time
    tried = [tuple(settings_of(trial).values()) for trial in trials[1:]]
    assert len(set(tried)) >= len(tried) - 1


def test_a_trial_of_a_living_process_is_left_alone(tmp_path):
    study = toy(tmp_path).open()
    study.enqueue_trial(SPACE.present)
    journal.sign(study.ask())
    assert journal.fail_orphans(study) == []


def test_half_a_line_that_a_killed_process_left_is_dropped(tmp_path):
    list(replace(toy(tmp_path), trials=3).run(measure))
    file = tmp_path / "a.journal"
    file.write_bytes(file.read_bytes() + b'{"op_code": 4, "wor')
    found = [*toy(tmp_path).run(measure)]
    assert len(found) == 3
    assert isinstance(found[0], optuna.trial.FrozenTrial)


def test_trials_known_from_elsewhere_fill_a_new_journal(tmp_path):
    values = {"rating": ("rmse", 2.0)}
    other = {"training.learning_rate": 0.02, "model_building.width": 16}
    toy(tmp_path).begin([(SPACE.present, 0.0, values, 5), (other, None, {}, 3)])
    found = [*toy(tmp_path).run(measure)]
    assert len(found) == 4
    assert settings_of(best(toy(tmp_path).finished())) != SPACE.present
