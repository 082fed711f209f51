from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtrec.paths import Paths
from mtrec.report import new_task as report
from mtrec.studies import new_task, new_task_plan, workbench
from mtrec.studies.new_task import case, differences, draw, with_few
from mtrec.studies.new_task_plan import LAYER, PLAN, donors
from mtrec.text import embeddings
from tests.conftest import FEW, SHORT, of, run_of

LATER = "stars"  # the new task; its donor is `rating`
STARS = {"label": "stars", "text": "How many stars, of ten?", "peers": ("boosting",)}
TASKS = {
    "rating": FEW["rating"],
    "mood": FEW["mood"],
    LATER: FEW["rating"].model_copy(update=STARS),
}
COUNTS = (10, 100)


@pytest.fixture(scope="module")
def tables(world):
    stars = 2 * world.examples["rating"] + 1
    return replace(world, examples=world.examples.assign(stars=stars))


@pytest.fixture(scope="module")
def later_run(tables, vectors, tmp_path_factory):
    return run_of(TASKS, tables, vectors, tmp_path_factory.mktemp("later"))


@pytest.fixture(scope="module")
def bench(later_run):
    return workbench.with_layer(workbench.prepare(later_run, SHORT), LAYER, "static")


@pytest.fixture(scope="module")
def study(later_run, bench, tmp_path_factory):
    """The study done on the tiny world with one seed; texts are vectors that nobody computed."""
    root = tmp_path_factory.mktemp("new_task")
    own = replace(later_run, paths=Paths(root, "tiny"))

    def vector_of(texts, *others):
        rows = [np.random.default_rng(len(text)).normal(size=6) for text in texts]
        return np.stack(rows).astype("float32")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embeddings, "embed", vector_of)
        one = case(own, LATER, bench)
        calls = []
        patch.setattr(new_task, "_case", lambda *arguments: calls.append(arguments) or one)
        patch.setattr(new_task, "LABELS", COUNTS)
        patch.setattr(new_task, "RATES", (0.01,))
        patch.setattr(new_task, "FEW", {"batch_size": 64, "epochs": 2, "patience": 2})
        patch.setattr(new_task_plan, "SEEDS", 1)
        assert new_task.study(own)
        assert new_task.study(own)  # finds nothing to do
        assert len(calls) == 1
        return {"run": own, "case": one, "results": PLAN.results(own)}


def test_a_task_is_given_to_by_an_earlier_one_of_its_kind_and_by_no_other():
    assert donors(of(TASKS)) == {LATER: "rating"}
    reversed_order = dict(reversed(TASKS.items()))
    assert donors(of(reversed_order)) == {"rating": LATER}
    for change in ({"view": "user"}, {"offset": "running_mean"}, {"loss": "huber"}):
        other = {**TASKS, LATER: TASKS[LATER].model_copy(update=change)}
        assert donors(of(other)) == {}


def test_a_domain_without_a_donor_is_refused_with_a_sentence(few_run):
    with pytest.raises(ValueError, match="'tiny': no two tasks have the same type, view"):
        new_task.study(few_run)


def test_a_seed_has_every_system_with_every_number_of_labels(study):
    found = study["results"]
    every = len(study["case"].labelled())
    have = {(row.system, row.labels) for row in found.itertuples()}
    few = {(name, n) for name in ("rescaled", "tuned", "alone") for n in COUNTS}
    others = {("zero_shot", 0), ("donor", 0), ("start", every), ("baseline", every)}
    assert have == few | others | set(differences(COUNTS, every))
    assert set(found["task"]) == {LATER} and set(found["metric"]) == {"rmse"}
    assert np.isfinite(found[["value", "low", "high"]]).all(axis=None)
    values = found.set_index(["system", "labels"])["value"]
    assert values["alone_difference", 10] == pytest.approx(
        values["tuned", 10] - values["alone", 10], abs=2e-6
    )


def test_without_labels_the_answer_is_in_the_donors_unit_and_with_them_in_their_own(study):
    values = study["results"].set_index(["system", "labels"])["value"]
    assert values["zero_shot", 0] > 2  # stars are twice the rating and one more
    assert values["rescaled", 100] < values["zero_shot", 0] - 1


def test_the_others_know_nothing_of_the_new_task(study, bench):
    one = study["case"]
    assert list(one.others.assembly.types) == ["rating", "mood"]
    assert list(one.others.training.labels) == ["rating", "mood"]
    assert one.others.vectors["tasks"].shape == (2, 6)
    np.testing.assert_allclose(one.others.vectors["tasks"].sum(axis=0), 0, atol=1e-6)  # centred


def test_few_labels_are_all_that_a_training_on_few_labels_sees(study, tables):
    one = study["case"]
    rows = draw(one.labelled(), seed=3)[10]
    few = with_few(one, rows)
    assert len(few.training) == 10 and list(few.assembly.types) == [LATER]
    known = tables.examples["stars"].to_numpy()[rows]
    np.testing.assert_array_equal(few.training.labels[LATER], known)
    assert few.assembly.types[LATER].mean == pytest.approx(known.mean())
    held = (tables.examples["split"] == "validation") & tables.examples["stars"].notna()
    assert int(few.validation.masks[LATER].sum()) == held.sum()
    assert one.bench.tables.examples["stars"].notna().sum() == tables.examples["stars"].count()


def test_fewer_labels_are_among_more_and_another_seed_draws_others():
    few, more = (draw(np.arange(500), 1)[n] for n in (10, 100))
    assert set(few) < set(more) and len(few) == 10 and list(few) == sorted(few)
    assert set(draw(np.arange(500), 2)[10]) != set(few)
    assert 1000 not in draw(np.arange(500), 1)  # nobody has as many


def test_other_settings_are_other_trainings(later_run):
    other = replace(later_run, training=later_run.training.model_copy(update={"l2": 0.5}))
    keys = [set(PLAN.keys(run)["new_task"]) for run in (later_run, other)]
    assert len(keys[0]) == new_task_plan.SEEDS and not keys[0] & keys[1]


def test_of_several_rates_the_one_with_the_least_validation_loss_is_kept(monkeypatch):
    class Model:
        variables = ()

    losses, values = {0.1: 3.0, 0.2: 1.0, 0.3: 2.0}, []

    class Settings:
        def model_copy(self, update):
            return update["learning_rate"]

    class Trainer:
        def __init__(self, bench, model, names):
            self.rate = bench

        def run(self, seed):
            values.append(self.rate)
            return self.rate

    bench = type("Bench", (), {"settings": Settings()})
    monkeypatch.setattr(new_task, "RATES", tuple(losses))
    monkeypatch.setattr(new_task, "replace", lambda bench, settings: settings)
    monkeypatch.setattr(new_task, "trainer_of", Trainer)
    monkeypatch.setattr(new_task, "validation_loss", lambda rate: {"a": losses[rate]})
    monkeypatch.setattr(new_task, "_values", lambda model: values[-1:])
    left = []
    monkeypatch.setattr(new_task, "_assign", lambda model, found: left.append(found))
    new_task._fit_few(bench, Model(), "a", 0)
    assert left == [[], [], [], [0.2]]


def rows(system, values, labels=0, spread=0.1, task="a"):
    return pd.DataFrame(
        [{"seed": seed, "task": task, "metric": "rmse", "system": system, "labels": labels,
          "value": value, "low": value - spread, "high": value + spread}
         for seed, value in enumerate(values)]
    )  # fmt: skip


def results(seeds=3):
    known = [("zero_shot", 6.0, 0), ("donor", 7.0, 0), ("start", 2.0, 99), ("baseline", 10.0, 99),
             ("rescaled", 5.0, 10), ("tuned", 4.0, 10), ("alone", 8.0, 10),
             ("baseline_difference", -4.0, 0), ("alone_difference", -4.0, 10),
             ("donor_difference", 0.05, 0), ("start_difference", 2.0, 10)]  # fmt: skip
    return pd.concat([rows(name, [value] * seeds, labels) for name, value, labels in known])


def test_the_way_from_the_baseline_to_all_labels_is_told_in_percent():
    table = report.table(report.combined(results())).set_index(["system", "labels"])
    way = table["of the way [%]"]
    assert way["baseline", 99] == 0 and way["joint, with the task from the start", 99] == 100
    assert way["added by text", 0] == 50 and way["added by text and tuned", 10] == 75
    assert table.loc[("single-task model", 10), "rmse ↓"] == "8.000 [7.900, 8.100]"


def verdicts(seeds):
    found = report.differences(report.combined(results(seeds)))
    return dict(zip(zip(found["what"], found["against"], strict=True), found["verdict"],
                    strict=True))  # fmt: skip


def test_less_error_is_better_and_an_interval_with_zero_is_undecided():
    found = report.differences(report.combined(results()))
    assert found["gain in rmse"].iloc[0] == "+4.000 [+3.900, +4.100]"
    assert list(found["seeds with a gain"]) == ["3 of 3", "0 of 3", "3 of 3", "0 of 3"]
    assert verdicts(seeds=3) == {
        ("the text alone", "the baseline"): "better",
        ("the text alone", "the donor's answers"): "undecided",
        ("tuning", "a single-task model of the same labels"): "better",
        ("adding later", "all labels from the start"): "worse",
    }


def test_one_training_allows_no_verdict():
    assert set(verdicts(seeds=1).values()) == {"undecided"}


def test_the_figure_has_a_panel_per_new_task_and_a_place_per_number_of_labels():
    both = pd.concat([results(), results().assign(task="b")])
    drawn = report.figure(report.combined(both), "title")
    unit = "rmse ↓\n[units of the label]"
    assert [axes.get_ylabel() for axes in drawn.axes] == [f"a: {unit}", f"b: {unit}"]
    assert all("10 labels: tuned" in axes.get_title() for axes in drawn.axes)
    assert [label.get_text() for label in drawn.axes[1].get_xticklabels()] == ["0", "10"]
    names = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert set(names) == {
        "added by text", "the donor's answers", "added by text and tuned", "single-task model",
        "added by text, mean and deviation of the labels", "baseline (99 labels)",
        "joint, with the task from the start (99 labels)",
    }  # fmt: skip
    assert "Not drawn" in repr(report.figure(report.combined(results()).iloc[:0], "title"))


def test_every_difference_that_is_measured_is_a_question_that_is_answered():
    assert {name for name, _ in differences(COUNTS, 99)} == set(report.QUESTIONS)
