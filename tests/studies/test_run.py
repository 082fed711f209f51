from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtrec.config import experiment
from mtrec.report import comparison
from mtrec.settings import Columns
from mtrec.studies import comparison as module
from mtrec.studies import comparison_plan, ledger, workbench
from mtrec.studies.comparison import train_setting
from mtrec.studies.comparison_plan import PLAN, Setting, fingerprint, plan
from mtrec.studies.plan import learnt_from, plain
from mtrec.training.loop import Outcome
from tests.studies.conftest import moved

SETTING = Setting("joint", "star", "static", (), ("rating", "like"), 2)


def outcome(names, seed):
    rows = [(1, name, 0.0, 1 + seed / 10) for name in names]
    return Outcome(pd.DataFrame(rows, columns=["epoch", "task", "loss", "val_loss"]), 1, 0.0)


@pytest.fixture
def study(run, bench, common, monkeypatch, tmp_path):
    """A study on the tiny world with trainings that take no time; ``done`` lists them."""
    run = moved(run, tmp_path)
    study = {"run": run, "file": PLAN.file(run), "done": [], "stop": None}

    def fit(bench, names, seeds, weights=None):
        for seed in seeds:
            if len(study["done"]) == study["stop"]:
                raise KeyboardInterrupt
            study["done"].append(
                (bench.sizes.shared.layer, bench.settings.balancing, tuple(names), seed,
                 tuple((weights or {}).values()), str(bench.assembly.types[names[0]]))
            )  # fmt: skip
            yield seed, None, outcome(names, seed)

    def prepare(run, short):
        assert short == run.study
        return bench

    monkeypatch.setattr(module.cost, "measure", lambda run, bench: None)
    monkeypatch.setattr(workbench, "prepare", prepare)
    monkeypatch.setattr(workbench, "fit", fit)
    monkeypatch.setattr(workbench, "with_head", lambda bench, task, change: bench)
    monkeypatch.setattr(module, "score", lambda b, m, names: dict.fromkeys(names, ("auc", 0.5)))
    return study


def expected(study, bench):
    settings = plan(study["run"], bench.tables.examples)
    return [(s.part, s.name, s.tasks, n) for s in settings for n in range(s.seeds)]


def test_every_setting_of_the_plan_is_trained_once_per_seed_and_written(study, bench):
    assert module.study(study["run"])
    found = pd.read_csv(study["file"])
    trainings = expected(study, bench)
    assert len(study["done"]) == len(trainings) == found["key"].nunique()
    assert len(found) == sum(len(tasks) for _, _, tasks, _ in trainings)
    columns = ["part", "setting", "layer", "balancing", "seed", "task", "metric", "value",
               "val_loss", "epochs", "best_epoch", "key"]  # fmt: skip
    assert list(found.columns) == columns
    assert set(found["seed"]) == {0, 1}


def test_interrupted_study_goes_on_and_trains_only_what_is_missing(study, bench):
    study["stop"] = 7
    with pytest.raises(KeyboardInterrupt):
        module.study(study["run"])
    assert ledger.read(study["file"])["key"].nunique() == 7
    study["stop"] = None
    module.study(study["run"])
    assert len(study["done"]) == len(expected(study, bench))
    whole = study["file"].read_bytes()
    module.study(study["run"])
    assert len(study["done"]) == len(expected(study, bench))
    assert study["file"].read_bytes() == whole


def test_time_limit_stops_before_the_next_training(study, capsys):
    assert not module.study(study["run"], minutes=0)
    assert study["done"] == []
    assert "stopped after 0 minutes; run again to go on" in capsys.readouterr().out
    assert module.study(study["run"])
    assert module.study(study["run"], minutes=0)  # nothing is left that could be stopped


def test_number_of_trainings_is_known_before(study):
    module.study(study["run"])
    found = pd.read_csv(study["file"]).groupby("part")["key"].unique()
    wanted = PLAN.keys(study["run"])
    assert {part: set(names) for part, names in wanted.items()} == found.map(set).to_dict()
    assert all(len(set(names)) == len(names) for names in wanted.values())


def test_results_of_other_settings_are_shown_until_there_are_own(study):
    run = study["run"]
    with pytest.raises(FileNotFoundError, match="run `make study DOMAIN=tiny PART=comparison`"):
        PLAN.results(run)
    module.study(study["run"])
    old = PLAN.results(run)
    task_embedding = run.task_embedding.model_copy(update={"layer": 3})
    study["run"] = other = replace(run, task_embedding=task_embedding)
    names = PLAN.keys(other)
    pd.testing.assert_frame_equal(PLAN.results(other), old)
    for left in (1, 40):  # trainings of the new settings
        study["stop"] = len(study["done"]) + left
        with pytest.raises(KeyboardInterrupt):
            module.study(study["run"])
        found = PLAN.results(other)
        assert len(comparison.summary(found))
        assert comparison.conclusions(found, "mmoe", "static")
        assert set(found["key"]) <= set(old["key"]) or left > 1
    study["stop"] = None
    module.study(study["run"])
    found = set(PLAN.results(other)["key"])
    assert found == {name for part in names.values() for name in part}
    pd.testing.assert_frame_equal(PLAN.results(run), old)


def test_added_balancer_trains_its_own_settings_only(study, bench):
    module.study(study["run"])
    before = len(study["done"])
    more = study["run"].study.model_copy(update={"more_balancers": ("pcgrad",)})
    study["run"] = replace(study["run"], study=more)
    module.study(study["run"])
    assert [(d[0], d[1]) for d in study["done"][before:]] == [("mmoe", "pcgrad")] * 2


def test_each_training_has_the_layer_balancer_and_weights_of_its_setting(study, bench):
    module.study(study["run"])
    for setting in plan(study["run"], bench.tables.examples):
        found = [d for d in study["done"] if d[2] == setting.tasks and d[4] == setting.weights]
        assert (setting.layer, setting.balancing) in {(d[0], d[1]) for d in found}


def changed(run, key, value):
    """The run with one setting changed, by its path from the run."""
    first, *rest = key.split(".")
    if not rest:
        return replace(run, **{first: value})
    values = getattr(run, first).model_dump()
    block = values
    for name in rest[:-1]:
        block = block[name]
    block[rest[-1]] = value
    return replace(run, **{first: getattr(run, first).model_validate(values)})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "other"), ("seed", 1), ("study.share", 0.5), ("study.history", 2),
        ("study.batch_size", 7), ("study.epochs", 3), ("training.learning_rate", 0.5),
        ("training.patience", 1), ("training.gradients_on", "weights"), ("model_building.width", 3),
        ("model_building.shared.experts", 9), ("domain.tasks.like.weight", 2.0),
        ("domain.features.item.numeric", ()), ("task_embedding.layer", 3),
    ],
)  # fmt: skip
def test_fingerprint_changes_with_each_setting_that_a_training_depends_on(run, key, value):
    assert fingerprint(changed(run, key, value), SETTING, 0) != fingerprint(run, SETTING, 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_building.shared.layer", "ple"), ("training.balancing", "pcgrad"),
        ("training.epochs", 99), ("training.batch_size", 9), ("evaluation.resamples", 50),
        ("analysis.share", 0.1), ("study.layers", ("star",)), ("study.more_balancers", ("dwa",)),
    ],
)  # fmt: skip
def test_fingerprint_does_not_change_with_what_the_setting_brings_itself(run, key, value):
    assert fingerprint(changed(run, key, value), SETTING, 0) == fingerprint(run, SETTING, 0)


def test_an_option_at_its_default_makes_nothing_new_and_a_new_version_does(run, monkeypatch):
    first = fingerprint(run, SETTING, 0)
    assert "recalibrate" not in str(learnt_from(run)) and "learning_rate" in str(
        learnt_from(changed(run, "training.learning_rate", 0.5))
    )
    monkeypatch.setattr(comparison_plan, "VERSION", comparison_plan.VERSION + 1)
    assert fingerprint(run, SETTING, 0) != first


def test_fingerprint_tells_settings_and_seeds_apart(run):
    others = [replace(SETTING, layer="ple"), replace(SETTING, balancing="dwa"),
              replace(SETTING, weights=(0.5, 1.5)), replace(SETTING, tasks=("rating",)),
              replace(SETTING, head=(("head", "relu"),))]  # fmt: skip
    found = {fingerprint(run, setting, 0) for setting in [SETTING, *others]}
    assert len(found | {fingerprint(run, SETTING, 1)}) == 7


@pytest.mark.usefixtures("eagerly")
def test_setting_is_really_trained_with_its_head_and_layer(bench):
    setting = Setting("heads", "star", "static", (), ("rating",), 1, (("type", "ordinal"),))
    ((seed, rows),) = train_setting(bench, setting, [4])
    assert seed == 4
    (row,) = rows.to_dict("records")
    assert (row["part"], row["setting"], row["layer"]) == ("heads", "ordinal", "star")
    assert (row["task"], row["metric"], row["epochs"], row["best_epoch"]) == (
        "rating",
        "rmse",
        1,
        1,
    )
    assert 0.5 < row["val_loss"] < 1.5  # about a constant prediction's
    assert 0.5 < row["value"] < 2.0  # stars


def test_numbers_are_counted_in_training_and_bounded_everywhere_where_they_count(run, world):
    def names(examples, run=run):
        return [s.name for s in plan(run, examples) if s.part == "heads" and s.tasks == ("rating",)]

    examples = world.examples
    training, many = examples["split"] == "train", np.arange(len(examples)) + 1.0
    assert "ordinal" in names(examples.assign(rating=examples["rating"].where(training, many)))
    assert "ordinal" not in names(examples.assign(rating=examples["rating"].where(~training, many)))
    zero = examples.assign(rating=examples["rating"].where(examples["like"] != 0, 0.0))
    assert "lognormal" not in names(zero)
    liked = changed(run, "domain.tasks.rating.when", "like")
    assert "lognormal" in names(zero, liked)


def test_committed_results_differ_from_the_present_in_texts_a_label_and_the_graph_alone():
    then = {"layer": 16, "precision": "bfloat16"}  # until texts were read on any processor
    label = "Which department does the household buy from next?"  # until grocery was set apart
    for domain in ("video", "ecommerce"):
        present = plain(experiment(domain))
        texts = present.task_embedding.model_copy(update=then)
        tasks = {name: task.model_copy(update={"text": label} if name == "category" else {})
                 for name, task in present.domain.tasks.items()}  # fmt: skip
        features = present.domain.features
        item = Columns(**features.item.model_dump(exclude={"graph"}))  # until it came
        features = features.model_copy(update={"item": item})
        changes = {"tasks": tasks, "features": features}
        domain_then = present.domain.model_copy(update=changes)
        earlier = replace(present, task_embedding=texts, domain=domain_then)
        done = set(ledger.read(PLAN.file(present))["key"])
        alone = [Setting("alone", present.study.layer, "static", (), (task,), 1)
                 for task in present.domain.tasks]  # fmt: skip
        assert {fingerprint(earlier, setting, present.seed) for setting in alone} <= done
