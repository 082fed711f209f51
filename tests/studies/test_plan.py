from itertools import product

import numpy as np
import pytest

from mtrec.config import experiment, read_params
from mtrec.registry import BALANCERS, SHARED_LAYERS, TASK_TYPES
from mtrec.settings import Study
from mtrec.studies.comparison_plan import Setting, fingerprint, settings, weightings
from mtrec.studies.plan import plain
from tests.conftest import ROOT, TASKS

STUDY = Study(
    seeds=3, layers=("mmoe", "star", "ple"), balancers=("static", "dbmtl"),
    layer="mmoe", more_balancers=("pcgrad",), weightings=15,
)  # fmt: skip
LEVELS, LOWEST = {"rating": 5}, {"rating": 1.0}


@pytest.fixture(scope="module")
def plan():
    return settings(STUDY, TASKS, LEVELS, LOWEST, seed=0)


def part(plan, name):
    return [setting for setting in plan if setting.part == name]


def test_every_layer_meets_every_balancer_and_further_ones_meet_one_layer(plan):
    assert [s.tasks for s in part(plan, "alone")] == [(name,) for name in TASKS]
    found = [(s.layer, s.balancing) for s in part(plan, "joint")]
    assert sorted(found) == sorted([*product(STUDY.layers, STUDY.balancers), ("mmoe", "pcgrad")])
    assert all(s.tasks == tuple(TASKS) and s.seeds == 3 for s in part(plan, "joint"))


def test_important_settings_come_first_and_none_twice(plan):
    assert len(set(plan)) == len(plan)
    order = [s.part for s in plan]
    assert order[: len(TASKS)] == ["alone"] * len(TASKS)
    found = [(s.layer, s.balancing) for s in part(plan, "joint")]
    assert found[:5] == [
        ("mmoe", "static"), ("star", "static"), ("ple", "static"), ("mmoe", "dbmtl"),
        ("mmoe", "pcgrad"),
    ]  # fmt: skip
    assert order[-2:] == ["joint"] * 2


def test_heads_are_those_of_each_tasks_type(plan):
    found = {(s.tasks[0], s.name) for s in part(plan, "heads")}
    assert found == {
        ("rating", "relu"), ("rating", "lognormal"), ("rating", "ordinal"), ("like", "focal"),
        ("next_item", "sampled_softmax"), ("next_item", "pairwise"),
        *product(("genres", "kind"), ("label_embedding", "focal", "asymmetric")),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("levels", "lowest", "names"),
    [
        (10, 0.5, ["relu", "lognormal", "ordinal"]),
        (11, 0.5, ["relu", "lognormal"]),
        (11, 0.0, ["relu"]),
        (5, -1.0, ["ordinal"]),
        (11, -1.0, []),
    ],
)
def test_number_is_tried_only_as_what_its_labels_can_be(levels, lowest, names):
    plan = settings(STUDY, TASKS, {"rating": levels}, {"rating": lowest}, seed=0)
    assert [s.name for s in part(plan, "heads") if s.tasks == ("rating",)] == names


def test_every_head_of_the_plan_is_known_to_its_type():
    for kind, changes in TASK_TYPES.compared.items():
        for change in changes:
            kind = change.get("type", kind)
            TASK_TYPES.choose_head(kind, change.get("head"))
            TASK_TYPES.choose_loss(kind, change.get("loss"))


def test_the_real_study_names_known_layers_and_balancers_and_no_setting_twice():
    config = read_params(ROOT / "params.yaml")
    assert set(config.study.layers) <= set(SHARED_LAYERS)
    assert {*config.study.balancers, *config.study.more_balancers} <= set(BALANCERS)
    for domain in config.domains.values():
        plan = settings(
            config.study, domain.tasks, dict.fromkeys(domain.tasks, 5),
            dict.fromkeys(domain.tasks, 1.0), 0,
        )  # fmt: skip
        assert len(set(plan)) == len(plan)
        assert len({(s.part, s.name, s.tasks) for s in plan}) == len(plan)


def test_static_weightings_have_mean_one_and_the_first_is_equal(plan):
    found = [s.weights for s in part(plan, "weightings")]
    assert len(found) == len(set(found)) == 15
    assert found[0] == (1.0,) * len(TASKS)
    np.testing.assert_allclose(np.mean(found, axis=1), 1.0, atol=1e-4)
    assert all(s.seeds == 1 and s.tasks == tuple(TASKS) for s in part(plan, "weightings"))


def test_static_weightings_cover_the_simplex_evenly_without_switching_a_task_off():
    found = np.array(weightings(4, 2001, seed=1))[1:]
    assert found.min() > 0.04
    np.testing.assert_allclose(found.mean(axis=0), 1.0, atol=0.05)
    # a weight of the uniform simplex has variance (T - 1) / (T + 1) around its mean of 1
    np.testing.assert_allclose(found.var(axis=0), 3 / 5, atol=0.06)
    assert weightings(4, 20, seed=1) == weightings(4, 20, seed=1) != weightings(4, 20, seed=2)


def test_names_tell_settings_of_a_part_apart():
    more = {"tasks": ("a", "b"), "seeds": 1}
    assert Setting("layers", "ple", "dwa", (), **more).name == "ple + dwa"
    assert Setting("weightings", "ple", "static", (0.5, 1.5), **more).name == "0.50 : 1.50"
    assert Setting("heads", "ple", "static", (), head=(("head", "relu"),), **more).name == "relu"


def test_what_a_domain_trains_otherwise_is_no_business_of_the_study(plan):
    run = experiment("ecommerce", ROOT)
    own = plain(run)
    assert run.training.l2 > own.training.l2 == own.training.ema_momentum == 0.0
    common = read_params(ROOT / "params.yaml")
    assert own.training.balancing == common.training.balancing
    assert own.model_building == common.model_building != run.model_building
    changes = {"training": {"epochs": 1}, "model_building": {"width": 8}}
    domain = run.domain.model_copy(update=changes)
    changed = run.__class__(**{**vars(run), "domain": domain})
    assert fingerprint(plain(changed), plan[0], 1) == fingerprint(own, plan[0], 1)
