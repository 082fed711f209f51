"""What may vary: checked against a domain's settings, and put into them."""

from dataclasses import replace

import numpy as np
import optuna
import pytest

from mtrec.paths import ConfigError
from mtrec.search.space import changed, rounded, space_of
from mtrec.settings import Search

WIDTH = {"kind": "choice", "values": [8, 16]}
RATE = {"kind": "log", "low": 0.001, "high": 0.1}


def searching(run, **space):
    """The run with a search space; ``__`` stands for the dot of a path."""
    named = {key.replace("__", "."): value for key, value in space.items()}
    return replace(run, search=Search(space=named))


def test_a_space_knows_what_the_domain_has_at_present(run):
    space = space_of(searching(run, model_building__width=WIDTH, training__learning_rate=RATE))
    assert space.present == {"model_building.width": 8, "training.learning_rate": 0.01}
    assert space.points()["training.learning_rate"] == [0.001, pytest.approx(0.01), 0.1]


def test_settings_change_where_their_path_says_and_nowhere_else(run):
    found = changed(run, {"model_building.shared.units": 16, "training.l2": 0.5})
    assert found.model_building.shared.units == 16
    assert found.training == run.training.model_copy(update={"l2": 0.5})
    assert found.model_building.width == run.model_building.width
    assert run.training.l2 == 0


def test_settings_of_features_change_too(run):
    found = changed(run, {"features.imputation": "mean"})
    assert found.domain.features.imputation == "mean"
    assert found.domain.tasks == run.domain.tasks


@pytest.mark.parametrize(
    ("key", "vary", "message"),
    [
        ("model_building__size", WIDTH, "'size' is not there \\(there: width, min_count,"),
        ("model_building__reader__units", WIDTH, "no setting 'model_building.reader.units'"),
        ("data__split", WIDTH, "a key begins with model_building, training, features"),
        ("model_building__shared", WIDTH, "'model_building.shared' is a block or a list"),
        ("training__distillation", RATE, "cannot be searched: a trial trains no teachers"),
        ("training__balancing", {"kind": "choice", "values": ["static", "fair"]},
         "balancing: there is no balancing method 'fair' \\(known: static, "),
        ("model_building__dropout", {"kind": "float", "low": 0, "high": 1.5},
         "dropout: Input should be less than 1 \\(found: 1.5\\)"),
        ("model_building__width", {"kind": "choice", "values": [16, 32]},
         "tiny has 8 at present, which the search could not try \\(16, 32\\)"),
        ("training__l2", {"kind": "log", "low": 1e-5, "high": 1e-2}, "tiny has 0.0 at present"),
    ],
)  # fmt: skip
def test_a_wrong_space_is_one_sentence_that_names_the_key(run, key, vary, message):
    with pytest.raises(ConfigError, match=message) as raised:
        space_of(searching(run, **{key: vary}))
    assert str(raised.value).startswith(f"params.yaml: search.space.{key.replace('__', '.')}")
    assert "\n" not in str(raised.value)


def test_a_search_without_a_space_is_refused(run):
    with pytest.raises(ConfigError, match=r"search.space is empty"):
        space_of(run)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": {"a": {"kind": "int", "low": 3, "high": 2}}}, "low: 3 is not below high: 2"),
        ({"space": {"a": {"kind": "int", "low": 1.5, "high": 2}}}, "whole ends, not 1.5 and 2"),
        ({"space": {"a": {"kind": "log", "low": 0, "high": 2}}}, "begins above 0, not at 0"),
        ({"space": {"a": {"kind": "maybe"}}}, "'choice', 'int', 'float', 'log'"),
        ({"grid": ["b"], "space": {"a": WIDTH}}, r"'b' is not in space: \(there: a\)"),
    ],
)
def test_a_range_that_is_none_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Search.model_validate(settings)


def test_what_is_tried_has_few_digits_and_is_what_is_written(run):
    space = space_of(searching(run, training__learning_rate=RATE))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    rates = [space.suggest(study.ask())["training.learning_rate"] for _ in range(200)]
    assert all(rate == rounded(rate) for rate in rates)
    assert 0.001 <= min(rates) < 0.002
    assert 0.05 < max(rates) <= 0.1
    assert 0.005 < np.exp(np.mean(np.log(rates))) < 0.02  # even in the logarithm


def test_the_present_value_is_tried_with_all_its_digits(run):
    odd = replace(run, training=run.training.model_copy(update={"learning_rate": 0.0123456}))
    space = space_of(searching(odd, training__learning_rate=RATE))
    study = optuna.create_study()
    study.enqueue_trial(space.present)
    assert space.suggest(study.ask()) == {"training.learning_rate": 0.0123456}
