"""The study of changed batches: every variant beside the plain training, warm and cold apart."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtrec.config import Experiment
from mtrec.settings import Reader
from mtrec.studies import augmentation, augmentation_plan
from mtrec.studies.augmentation import groups
from mtrec.studies.augmentation_plan import PLAN, VARIANTS, chosen
from tests.studies.conftest import moved


@pytest.fixture(scope="module")
def done(pair_run, tmp_path_factory):
    run = moved(pair_run, tmp_path_factory.mktemp("augmentation"))
    with pytest.MonkeyPatch.context() as patch:
        few = {name: VARIANTS[name] for name in ("plain", "drop ids")}
        patch.setattr(augmentation_plan, "VARIANTS", few)
        patch.setattr(augmentation_plan, "SEEDS", 2)
        patch.setattr(augmentation, "FEWEST", 3)
        patch.setattr(augmentation, "EPOCHS", 3)
        patch.setattr(augmentation, "SHARE", 1.0)
        assert augmentation.study(run)
        patch.setattr(augmentation.Variants, "_fit", None)
        assert augmentation.study(run)  # finds nothing to do
        return PLAN.results(run)


def test_every_variant_and_seed_has_a_value_and_a_difference_on_all_rows(done):
    whole = done[done["rows"] == "all"]
    assert {*zip(whole["variant"], whole["seed"], whole["task"], whole["system"], strict=True)} == {
        (variant, seed, task, system)
        for variant in ("plain", "drop ids")
        for seed in (0, 1)
        for task in ("like", "kind")
        for system in ("value", "difference")
    }
    assert (done["seconds"] > 0).all()


def test_the_difference_is_that_from_the_plain_training_of_the_same_seed(done):
    value = done.set_index(["variant", "seed", "task", "rows", "system"])["value"]
    for seed in (0, 1):
        own = value["drop ids", seed, "like", "all", "value"]
        plain = value["plain", seed, "like", "all", "value"]
        found = value["drop ids", seed, "like", "all", "difference"]
        assert found == pytest.approx(own - plain, abs=2e-6)
        assert value["plain", seed, "like", "all", "difference"] == 0
    changed = done[(done["variant"] == "drop ids") & (done["system"] == "difference")]
    assert (changed["value"] != 0).any()


def test_rows_are_cold_where_user_or_item_is():
    about = pd.DataFrame({"cold_user": [True, False, False, True], "cold_item": [0, 1, 0, 1]})
    found = groups(about.astype(bool))
    assert {name: rows.tolist() for name, rows in found.items()} == {
        "all": [True] * 4,
        "warm": [False, False, True, False],
        "cold user": [True, False, False, True],
        "cold item": [False, True, False, True],
    }


def test_a_variant_switches_off_what_it_does_not_name(run):
    found = chosen("mask")
    assert found["training.augmentation.mask"] == 0.2
    assert sum(found.values()) == pytest.approx(0.2)
    assert np.mean([*chosen("plain").values()]) == 0


def test_five_seeds_are_planned_and_rows_that_read_texts_are_not_mixed(run: Experiment):
    keys = PLAN.keys(run)["augmentation"]
    assert len(keys) == len({*keys}) == 5 * len(VARIANTS)
    reads = run.model_building.model_copy(update={"reader": Reader()})
    reading = [some.name for some in PLAN.trainings(replace(run, model_building=reads))]
    assert reading == [name for name in VARIANTS if name != "mixup"]


def test_switching_a_change_on_for_the_domain_leaves_the_study_as_it_was(run):
    on = run.training.model_copy(update={"augmentation": {"mask": 0.1}})
    assert PLAN.keys(replace(run, training=on)) == PLAN.keys(run)
