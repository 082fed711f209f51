from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtrec.evaluation.held_out import DIFFERENCES, HeldOut
from mtrec.features.ablation import WITHOUT_TEXT
from mtrec.lock import BusyError, only_run
from mtrec.models.twins import build_some
from mtrec.paths import Paths
from mtrec.peers.base import TooMany
from mtrec.registry import PEERS
from mtrec.report import controls as controls_report
from mtrec.studies import controls, controls_plan, ledger, workbench
from mtrec.studies.controls import plan
from mtrec.studies.controls_plan import PLAN
from mtrec.training.domain import Budget
from tests.conftest import SHORT

TAUGHT = 0.5


@pytest.fixture(scope="module")
def bench(few_run):
    return workbench.prepare(few_run, SHORT)


@pytest.fixture(scope="module")
def build():
    """Builds each model once."""
    built = {}

    def build(assembly, names, vectors, sizes, seed):
        key = (len(assembly.encoder.item.fields), tuple(names), vectors is None, seed)
        if key not in built:
            built[key] = build_some(assembly, names, vectors, sizes, seed)
        return built[key]

    return build


def learnt(seed, name, shape):
    """What a training that takes no time learns: the head's bias, which is all that it answers."""
    return np.random.default_rng([seed, len(name)]).normal(size=shape)


@pytest.fixture(scope="module")
def begin(few_run, bench, build):
    """Begin the study on the tiny world with trainings that take no time; ``done`` lists them."""

    def begin(monkeypatch, root):
        change = {"distillation": TAUGHT, "recalibrate": True}  # of which pupils must not hear
        training = few_run.training.model_copy(update=change)
        own = replace(few_run, paths=Paths(root, "tiny"), training=training)
        given = replace(bench, settings=training)
        found = {"run": own, "file": PLAN.file(own), "done": [], "stop": None, "hears": {}}

        def fit(budget, name, model, tasks, watch):
            if len(found["done"]) == found["stop"]:
                raise KeyboardInterrupt
            found["done"].append(name)
            found["hears"][name] = {
                task: logits[budget.training.masks[task]]
                for task, logits in budget.training.taught.items()
            }
            paths = [variable.path for variable in model.variables]
            texts = any("text_vectors" in path or "task_text" in path for path in paths)
            assert texts == (WITHOUT_TEXT not in name)
            for task in tasks:
                bias = model.get_layer(f"{task}_head").bias
                bias.assign(learnt(budget.seed, name, bias.shape))

        monkeypatch.setenv("MTREC_WORKERS", "1")
        monkeypatch.setattr(Budget, "fit", fit)
        monkeypatch.setattr(controls, "build_some", build)
        monkeypatch.setattr(controls, "experiment", lambda domain, root=None: own)
        monkeypatch.setattr(workbench, "whole", lambda run: given)
        monkeypatch.setattr(controls_plan, "SEEDS", 1)
        return found

    return begin


@pytest.fixture(scope="module")
def finished(begin, tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        study = begin(monkeypatch, tmp_path_factory.mktemp("controls"))
        assert controls.study(study["run"])
        assert controls.study(study["run"])  # finds nothing to do
    return study


def test_pupils_come_after_teachers_that_lack_the_same():
    first, second = plan(("a", "b"), (WITHOUT_TEXT,), taught=True)
    assert {one.name for one in first} == {
        "single.a", "single.b", "single_without_text.a", "single_without_text.b"
    }  # fmt: skip
    teachers = {one.name: (one.lacks, one.teachers) for one in second}
    assert teachers == {
        "joint": (None, "single"),
        "without_text": (WITHOUT_TEXT, "single_without_text"),
        "self_taught.a": (None, "single"),
        "self_taught.b": (None, "single"),
    }
    lacks = {one.system: one.lacks for one in first}
    assert all(lacks[by] == lack for lack, by in teachers.values())


def test_where_nobody_is_taught_the_twin_is_the_control():
    rounds = plan(("a",), (WITHOUT_TEXT,), taught=False)
    assert [[one.system for one in some] for some in rounds] == [
        ["single"], ["joint", "without_text"]
    ]  # fmt: skip
    assert not any(one.teachers for some in rounds for one in some)


def test_a_seed_has_every_system_and_difference_and_leaves_no_folder(finished, bench):
    found = pd.read_csv(finished["file"])
    assert list(found["seed"].unique()) == [finished["run"].seed]
    assert list(found["task"].unique()) == list(bench.assembly.types)
    systems = {"joint", "single", "self_taught", "without_text", "baseline", "difference",
               "control_difference", "teacher_difference", "text_difference",
               "baseline_difference", "single_without_text"}  # fmt: skip
    assert systems <= set(found["system"])
    assert not list((finished["run"].paths.artifacts / "controls").iterdir())
    values = found.set_index(["task", "system"])["value"]
    for task in bench.assembly.types:
        assert values[task, "difference"] == pytest.approx(
            values[task, "joint"] - values[task, "single"], abs=2e-6
        )


def test_joint_model_and_self_taught_twins_hear_teachers_and_twins_do_not(finished, bench):
    teachers = {"joint": "single", "self_taught": "single", "without_text": "single_without_text"}
    for name, taught in finished["hears"].items():
        by = teachers.get(name.split(".")[0])
        assert set(taught) == (set(bench.assembly.types) if by else set())
        for task, logits in taught.items():
            said = learnt(finished["run"].seed, f"{by}.{task}", logits.shape[1])
            np.testing.assert_allclose(logits, np.tile(said, (len(logits), 1)), atol=1e-2)


def test_interrupted_study_goes_on_with_the_same_result(finished, begin, monkeypatch, tmp_path):
    study = begin(monkeypatch, tmp_path)
    study["stop"] = 5
    with pytest.raises(KeyboardInterrupt):
        controls.study(study["run"])
    assert not study["file"].exists()
    study["stop"] = None
    assert controls.study(study["run"])
    assert sorted(study["done"]) == sorted(finished["done"])
    pd.testing.assert_frame_equal(ledger.read(study["file"]), ledger.read(finished["file"]))


def test_what_a_kill_left_of_a_finished_seed_is_deleted_and_other_seeds_are_kept(finished):
    folder = finished["run"].paths.artifacts / "controls"
    done, other = folder / ledger.read(finished["file"])["key"].iloc[0], folder / "other"
    for one in (done, other):
        one.mkdir()
    controls._clear(folder, finished["file"])
    assert other.is_dir() and not done.exists()
    other.rmdir()


def test_two_processes_do_not_train_the_same_domain(begin, monkeypatch, tmp_path):
    study = begin(monkeypatch, tmp_path)
    with (
        only_run(study["run"].paths.artifacts / "controls.lock"),
        pytest.raises(BusyError, match="another run is under way"),
    ):
        controls.study(study["run"])
    assert not study["done"]


def test_every_difference_that_is_measured_is_a_question_that_is_answered():
    assert set(DIFFERENCES) == set(controls_report.QUESTIONS)


def test_other_settings_are_other_trainings(few_run):
    run = few_run
    other = replace(run, training=run.training.model_copy(update={"l2": 0.5}))
    assert not set(PLAN.keys(run)["controls"]) & set(PLAN.keys(other)["controls"])


def test_a_model_of_one_task_is_asked_its_own_rows_alone(bench, few):
    models = {
        name: few.model(*names)
        for name, names in {"joint": (), **{task: (task,) for task in bench.assembly.types}}.items()
    }
    held = HeldOut(bench.assembly, bench.data, bench.tables, bench.domain.tasks)
    joint = held.answers(models["joint"], tuple(bench.assembly.types))
    for task in bench.assembly.types:
        assert len(joint[task]) == len(held.rows(task))
        twin = held.answers(models[task], (task,))[task]
        np.testing.assert_allclose(twin, joint[task], rtol=1e-5)  # untrained: the same constant


def test_a_peer_that_the_catalogue_has_outgrown_steps_aside(bench, monkeypatch, capsys):
    def full(asked):
        raise TooMany(f"task '{asked.name}': too many.")

    peers = {"full": full, "boosting": PEERS["boosting"]}
    monkeypatch.setattr("mtrec.evaluation.held_out.PEERS", peers)
    asked = bench.domain.tasks["rating"].model_copy(update={"peers": tuple(peers)})
    tasks = {**bench.domain.tasks, "rating": asked}
    held = HeldOut(bench.assembly, bench.data, bench.tables, tasks)
    found = held.others("rating", 0)
    assert set(found) == {"baseline", "boosting"}
    assert held.predictions("rating", found).peers == ("boosting",)
    assert capsys.readouterr().out == "It steps aside: task 'rating': too many.\n"


def rows(values, spread=0.1, system="difference", metric="auc", task="a"):
    return pd.DataFrame(
        [{"seed": seed, "task": task, "metric": metric, "system": system, "value": value,
          "low": value - spread, "high": value + spread} for seed, value in enumerate(values)]
    )  # fmt: skip


def test_a_difference_that_every_seed_shows_is_a_verdict_and_one_that_comes_and_goes_is_none():
    sure = controls_report.combined(rows([0.3, 0.31, 0.32]))
    assert controls_report.sentences(sure) == [
        "Joint training helps 1 of 1 task (a) and hurts none."
    ]
    once = controls_report.combined(rows([0.3]))
    assert controls_report.sentences(once) == ["One training of each model allows no verdict."]
    luck = controls_report.combined(rows([0.3, 0.2, -0.2]))
    assert "1 is undecided (a)" in controls_report.sentences(luck)[0]


def test_a_title_counts_verdicts_and_one_training_has_none():
    sure = controls_report.combined(rows([0.3, 0.31, 0.32]))
    title = controls_report.message(sure, "difference", "joint training")
    assert title == "joint training helps 1 of 1 task and hurts none"
    once = controls_report.combined(rows([0.3]))
    title = controls_report.message(once, "difference", "joint training")
    assert title == "what joint training is worth, by one training"
    assert "none of 0 tasks" in controls_report.message(sure, "graph_difference", "the graph")


def test_less_error_is_a_gain():
    found = controls_report.combined(rows([-0.3, -0.31, -0.32], metric="rmse"))
    assert "helps 1 of 1 task (a)" in controls_report.sentences(found)[0]
    assert found.loc[0, "low"] < 0.31 < found.loc[0, "high"]


def test_peers_are_named_beside_their_task():
    found = controls_report.combined(rows([0.3, 0.3, 0.3], system="svdpp_difference"))
    assert list(controls_report.peer_differences(found)["task"]) == ["a vs svdpp"]
    assert controls_report.peer_differences(found.iloc[:0]).empty


def test_the_table_has_a_column_per_system_and_leaves_blank_what_a_task_lacks():
    both = pd.concat([rows([0.5, 0.5], system="joint"), rows([0.4, 0.4], system="joint", task="b"),
                      rows([0.3, 0.3], system="single")])  # fmt: skip
    table = controls_report.table(controls_report.combined(both))
    assert list(table.columns) == ["task", "metric", "single-task", "joint"]
    assert table.set_index("task").loc["b", "single-task"] == ""
