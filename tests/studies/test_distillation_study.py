"""The study of distillation: teachers that have not seen the row, pupils, and what is reported."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mtrec.fusion.choice import FUSED, Choice
from mtrec.fusion.members import Bench
from mtrec.models.store import save_model
from mtrec.models.twins import build_some
from mtrec.registry import PEERS
from mtrec.studies import distillation, distillation_plan
from mtrec.studies.distillation_plan import PLAN
from mtrec.tasks.lognormal import LogNormal
from mtrec.tasks.regression import Regression
from mtrec.training.domain import Budget
from tests.conftest import FEW, of
from tests.studies.conftest import moved

ASKED = []  # what peers were given, newest last


def by_heart(task):
    """A peer that knows the labels that it learnt, and nothing else."""
    ASKED.append(task)
    known = task.rows("train")
    found = np.full(len(task.labels), -1.0)
    found[known] = task.labels[known]
    return found


@pytest.fixture
def bench(few_assembly, few_data, world, tmp_path, monkeypatch):
    monkeypatch.setitem(PEERS.places, "by_heart", f"{__name__}:by_heart")
    return Bench(few_assembly, few_data, world, FEW, tmp_path, 0)


def test_a_specialist_teaches_rows_that_it_did_not_learn_from(bench):
    rows = bench.rows("rating", "train")
    found = distillation.crossfitted(bench, "rating", Choice("by_heart", {}), rows)
    assert (found == -1).all()  # it knows none of the rows that it is asked about
    asked = ASKED[-distillation_plan.FOLDS :]
    unseen = [set(rows) - set(one.rows("train")) for one in asked]
    assert not set.intersection(*unseen) and set.union(*unseen) == set(rows)
    for one in asked:  # nothing but labels is kept from it: users have the histories that they have
        assert one.tables is bench.tables
        np.testing.assert_array_equal(one.rows("validation"), bench.rows("rating", "validation"))


def test_a_teacher_that_knows_the_labels_would_be_found(bench, monkeypatch):
    monkeypatch.setattr(distillation, "replace", lambda asked, **_: asked)
    rows = bench.rows("rating", "train")
    found = distillation.crossfitted(bench, "rating", Choice("by_heart", {}), rows)
    np.testing.assert_array_equal(found, bench.data.labels["rating"][rows])


def test_a_specialist_that_fails_leaves_its_task_to_the_twin(bench, monkeypatch, capsys):
    def fused(bench, task, resamples):
        return SimpleNamespace(served=Choice("linear", {"linear": 1.0}), fitted={})

    def fails(*given):
        raise RuntimeError("too few rows")

    monkeypatch.setattr(distillation, "fuse", fused)
    monkeypatch.setattr(distillation, "_said", lambda *given: {"linear": np.zeros(3)})
    monkeypatch.setattr(distillation, "crossfitted", fails)
    bench = replace(bench, tasks={"rating": FEW["rating"]})
    assert distillation.all_teachers(bench, bench.rows("rating", "train"), 10) == {}
    assert "rating: taught by its twin: too few rows" in capsys.readouterr().out


def test_a_stack_is_that_of_its_weights(bench, monkeypatch):
    monkeypatch.setattr(distillation, "_network", lambda bench, name, task, rows: 2.0 * rows)
    rows = bench.rows("rating", "train")
    choice = Choice(FUSED, {"joint": 0.5, "by_heart": 0.25, "single": 0.0}, (1.0,))
    found = distillation.crossfitted(bench, "rating", choice, rows)
    np.testing.assert_allclose(found, rows - 0.25 + 1.0)


@pytest.mark.parametrize("task", FEW)
def test_logits_of_predictions_give_them_back(few_assembly, few_data, task):
    kind = few_assembly.types[task]
    logits = np.random.default_rng(0).normal(size=(7, kind.outputs)).astype("float32")
    if task in few_assembly.types and kind.candidates:
        pytest.skip("rankings are not taught")
    wanted = np.asarray(kind.predict(logits))
    again = distillation.logits(kind, wanted, wanted.shape[1:])
    found = np.asarray(kind.predict(again.astype("float32")))
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "found"),
    [(LogNormal(0.0, 1.0), np.ones(3)), (Regression(0.0, 1.0), np.ones((3, 2))),
     (Regression(0.0, 1.0), np.full(3, np.nan))],
    ids=["not a mean", "another shape", "not finite"],
)  # fmt: skip
def test_what_has_no_logits_is_refused(kind, found):
    with pytest.raises(ValueError):
        distillation.logits(kind, found, ())


@pytest.fixture(scope="module")
def done(few_run, few_assembly, vectors, tmp_path_factory):
    run = moved(few_run, tmp_path_factory.mktemp("distillation"))
    training = run.training.model_copy(update={"distillation": 0.5})
    run = replace(run, training=training)
    run.paths.trained.mkdir(parents=True)
    for name, tasks in {"joint": tuple(FEW), **{task: (task,) for task in FEW}}.items():
        model = build_some(few_assembly, tasks, vectors["tasks"][: len(FEW)], run.model_building, 0)
        save_model(model, run.paths.trained / f"{name}.keras")
    heard, served = [], {}

    def fit(budget, name, model, tasks, watch):
        heard.append((name, budget.training.taught))

    def fused(bench, task, resamples):
        found = fuse(bench, task, resamples)
        served[task] = found
        return replace(found, served=Choice("linear", {"linear": 1.0}))

    fuse = distillation.fuse
    with pytest.MonkeyPatch.context() as patch:
        quick = {"linear", "running_mean"}
        patch.setattr(PEERS, "known", {
            name: peer._replace(member=name in quick) for name, peer in PEERS.known.items()
        })  # fmt: skip
        tasks = {name: task.model_copy(update={"peers": ()}) for name, task in FEW.items()}
        run = replace(run, domain=of(tasks))
        patch.setattr(Budget, "fit", fit)
        patch.setattr(distillation, "fuse", fused)
        patch.setattr(distillation, "experiment", lambda domain, root: run)
        patch.setattr(distillation_plan, "SEEDS", 1)
        distillation._given.cache_clear()
        assert distillation.study(run)
        assert distillation.study(run)  # finds nothing to do
        distillation._given.cache_clear()
        yield PLAN.results(run), heard


def test_one_pupil_hears_the_twins_and_the_other_the_specialist(done, few_data, world):
    results, heard = done
    (_, twins), (_, fused) = sorted(heard, key=lambda one: one[0] == "distilled")
    assert {name for name, _ in heard} == {"joint", "distilled"}
    training = (world.examples["split"] == "train").to_numpy()
    for task in FEW:
        known = few_data.masks[task][training]
        if task in set(results.loc[results["who"] == "linear", "task"]):
            assert np.abs(fused[task][known] - twins[task][known]).max() > 0.01
            assert not fused[task][~known].any()
        else:
            np.testing.assert_array_equal(fused[task], twins[task])


def test_pupils_and_teacher_are_compared_on_the_same_rows(done):
    results, _ = done
    for task, own in results.groupby("task"):
        value = own.set_index("system")["value"]
        np.testing.assert_allclose(
            value["difference"], value["distilled"] - value["joint"], atol=2e-6
        )
        if "fused" in value:
            kept = value["distilled"] - value["fused"]
            np.testing.assert_allclose(value["kept_difference"], kept, atol=2e-6)
        else:
            assert (own["who"] == "the twin").all(), task
    assert isinstance(results, pd.DataFrame) and results["low"].notna().any()
