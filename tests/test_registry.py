import subprocess
import sys

import pytest
import yaml

from mtrec.config import read_params
from mtrec.paths import ConfigError
from mtrec.registry import (
    BALANCERS,
    DOMAINS,
    HEADS,
    METRICS,
    OPTIMIZERS,
    PEERS,
    SHARED_LAYERS,
    SOURCES,
    STUDIES,
    TASK_TYPES,
)
from mtrec.settings import Task
from tests.conftest import ROOT

HEADS_OF, LOSSES = TASK_TYPES.heads, TASK_TYPES.losses


REGISTRIES = (
    DOMAINS, TASK_TYPES, METRICS, HEADS, SHARED_LAYERS, BALANCERS, OPTIMIZERS, PEERS,
    SOURCES, STUDIES,
)  # fmt: skip


@pytest.mark.parametrize(
    ("registry", "name"), [(registry, name) for registry in REGISTRIES for name in registry]
)
def test_what_a_name_stands_for_is_there(registry, name):
    assert registry[name] is registry[name]


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"there is no peer 'oracle' \(known: als, .*tfidf\)"):
        PEERS["oracle"]


def test_names_are_known_without_importing_what_they_stand_for():
    code = "import sys, mtrec.config; print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "like.loss",
            "hinge",
            "tasks.like.loss: task type binary has no loss 'hinge' .it has: log",
        ),
        ("genres.head", "relu", "tasks.genres.head: task type multilabel has no head 'relu'"),
        ("next_item.loss", "bpr", r"\(it has: softmax, sampled_softmax, pairwise\)"),
    ],
)
def test_unknown_head_or_loss_in_params_is_named_with_the_known_ones(tmp_path, key, value, message):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    task, setting = key.split(".")
    params["domains"]["video"]["tasks"][task][setting] = value
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(params))
    with pytest.raises(ConfigError, match=message):
        read_params(file)


def test_lognormal_loss_does_not_go_with_a_relu_head():
    with pytest.raises(ValueError, match="'lognormal' .* goes with head linear"):
        Task(type="regression", view="joint", label="y", head="relu", loss="lognormal")


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in HEADS_OF for n in HEADS_OF[k]])
def test_every_head_is_a_setting(kind, name):
    among = {"candidates": "users"} if name == "linked_catalogue" else {}
    assert Task(type=kind, view="user", label="y", head=name, **among).head == name


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in LOSSES for n in LOSSES[k]])
def test_every_loss_is_a_setting(kind, name):
    assert Task(type=kind, view="user", label="y", loss=name).loss == name
