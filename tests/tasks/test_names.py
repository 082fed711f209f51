import pytest
import yaml

from mtrec import names
from mtrec.balancing import BALANCERS
from mtrec.config import ConfigError, read_params
from mtrec.evaluation.peers import PEERS
from mtrec.models.shared import SHARED_LAYERS
from mtrec.names import HEADS, LOSSES
from mtrec.settings import Task
from mtrec.training.loop import OPTIMIZERS
from tests.conftest import ROOT


def test_names_are_those_of_what_is_there():
    assert tuple(SHARED_LAYERS) == names.SHARED_LAYERS
    assert tuple(BALANCERS) == names.BALANCERS
    assert tuple(OPTIMIZERS) == names.OPTIMIZERS
    assert tuple(PEERS) == names.PEERS


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


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in HEADS for n in HEADS[k]])
def test_every_head_is_a_setting(kind, name):
    among = {"candidates": "users"} if name == "linked_catalogue" else {}
    assert Task(type=kind, view="user", label="y", head=name, **among).head == name


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in LOSSES for n in LOSSES[k]])
def test_every_loss_is_a_setting(kind, name):
    assert Task(type=kind, view="user", label="y", loss=name).loss == name
