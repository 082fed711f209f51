"""One more of each kind is one file and one line of the registry: here a module elsewhere."""

import sys
import textwrap
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import poisson

from mtrec.config import experiment, source_settings
from mtrec.evaluation import domain, reference
from mtrec.features import assemble
from mtrec.metrics.families import HIGHER_IS_BETTER
from mtrec.models import twins
from mtrec.models.store import load_model
from mtrec.paths import ConfigError
from mtrec.peers.base import PeerTask
from mtrec.registry import (
    BALANCERS,
    HEADS,
    METRICS,
    PEERS,
    SHARED_LAYERS,
    SOURCES,
    TASK_TYPES,
    Form,
    Kind,
    Origin,
    Peer,
)
from mtrec.report import tables as report
from mtrec.settings import Domain, Shared, Task
from mtrec.studies import cold_start, cold_start_plan
from mtrec.tables import schema
from mtrec.training.domain import train_models
from tests.conftest import FEW, SIZES, TRAINING, make_world, of

FILE = """
from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from mtrec.balancing.base import Balancer
from mtrec.features.source import Vectors
from mtrec.metrics.family import Family
from mtrec.models.shared.base import SharedLayer, pick
from mtrec.registry import TASK_TYPES, Form
from mtrec.settings import Settings as Base
from mtrec.tasks.base import TaskType, float_labels


@dataclass(frozen=True)
class Count(TaskType):
    metrics: ClassVar[str] = "count"
    mean: float

    @classmethod
    def fit(cls, labels, catalogue, head=None, loss=None):
        TASK_TYPES.choose_head("count", head)
        TASK_TYPES.choose_loss("count", loss)
        return cls(float(labels.mean()))

    @property
    def head(self):
        return "log_rate"

    @property
    def outputs(self):
        return 1

    def encode(self, labels):
        return float_labels(labels, 0.0)

    def loss(self, labels, logits):
        log_factorial = ops.cumsum(ops.log(ops.maximum(ops.arange(20.0), 1.0)))
        own = ops.take(log_factorial, ops.cast(labels, "int32"))
        return ops.exp(logits[:, 0]) - labels * logits[:, 0] + own

    def predict(self, logits):
        return ops.exp(logits[:, 0])

    def answers(self, predictions):
        return [f"about {value:.0f}" for value in predictions]

    def base_logits(self, labels):
        return np.log([labels.mean()]).astype("float32")


def deviance(labels, predictions, weights):
    labels = labels.astype("float64")
    ratio = np.where(labels > 0, labels / predictions, 1.0)
    rows = 2 * (labels * np.log(ratio) - labels + predictions)
    return {"deviance": weights @ rows / weights.sum(axis=1)}


COUNTS = Family("deviance", {"deviance": False}, 0.05, deviance)


def log_rate(outputs, width, **kwargs):
    return keras.layers.Dense(outputs, kernel_initializer="zeros", **kwargs)


@keras.saving.register_keras_serializable("additions")
class Untouched(SharedLayer):
    def call(self, inputs):
        return pick(inputs[..., : self.units], self.groups)


def make(groups, sizes, text_width):
    return Untouched(groups, sizes.units, name="shared")


class First(Balancer):
    def weigh(self, losses, gram, present):
        return tf.one_hot(0, self.tasks) + 0.5


def training_mean(asked):
    asked.require("training_mean", (Form.NUMBER,))
    mean = asked.labels[asked.rows("train")].mean()
    return np.full(len(asked.labels), mean)


class Settings(Base):
    scale: float = 1.0


def pictures(asked):
    return {
        one.side: {name: Vectors(asked.settings.scale * np.array(one.table[name].tolist()))
                   for name in one.columns}
        for one in asked.sides
    }
"""


@pytest.fixture
def additions(tmp_path, monkeypatch):
    """A module with one of each, and the lines of the registry that name them."""
    (tmp_path / "additions.py").write_text(textwrap.dedent(FILE))
    monkeypatch.syspath_prepend(tmp_path)
    for registry, name, attribute in (
        (METRICS, "count", "COUNTS"), (HEADS, "log_rate", "log_rate"),
        (SHARED_LAYERS, "untouched", "make"), (BALANCERS, "first", "First"),
    ):  # fmt: skip
        monkeypatch.setitem(registry.places, name, f"additions:{attribute}")
    for part in ("places", "known"):
        monkeypatch.setattr(PEERS, part, dict(getattr(PEERS, part)))
    PEERS.add("training_mean", Peer("additions:training_mean", cold=True))
    for part in ("places", "forms", "heads", "losses", "compared"):
        monkeypatch.setattr(TASK_TYPES, part, dict(getattr(TASK_TYPES, part)))
    for part in ("places", "origins"):
        monkeypatch.setattr(SOURCES, part, dict(getattr(SOURCES, part)))
    SOURCES.add("pictures", Origin("additions:pictures", columns=True, settings=True))
    TASK_TYPES.add("count", Kind("additions:Count", Form.NUMBER, ("log_rate",), ("poisson",)))
    yield
    sys.modules.pop("additions", None)


@pytest.fixture
def counted():
    """The tiny world with a count that follows the item."""
    tables = make_world()
    rows = tables.examples
    item = rows["item_id"].str[1:].astype(float) + 1
    plays = np.random.default_rng(0).poisson(1 + item % 4).astype(float)
    return replace(
        tables, examples=rows.assign(plays=np.where(rows["mood"].notna(), plays, np.nan))
    )


def test_a_type_a_head_metrics_a_layer_a_balancer_and_a_peer_need_no_other_file(
    additions, counted, vectors, tmp_path
):
    tasks = {
        "plays": Task(type="count", view="joint", label="plays", features=("item_id",),
                      text="How often?", peers=("training_mean",)),
        "like": FEW["like"],
    }  # fmt: skip
    schema.validate(counted, {name: task.type for name, task in tasks.items()})
    sizes = SIZES.model_copy(update={"shared": Shared(layer="untouched", units=8)})
    settings = TRAINING.model_copy(
        update={"balancing": "first", "epochs": 3, "batch_size": 128, "recalibrate": True}
    )

    assembly = assemble.assemble(counted, vectors, of(tasks), sizes)
    assemble.save(assembly, tmp_path)
    assert assemble.load(tmp_path).types == assembly.types
    data = assemble.dataset(assembly, counted, tasks)
    untrained, trained = tmp_path / "untrained", tmp_path / "trained"
    twins.save_models(twins.build_models(assembly, vectors["tasks"][:2], sizes, 3), untrained)
    outcomes = train_models(
        assembly, data, counted.examples["split"], tasks, settings, 0, untrained, trained, tmp_path
    )
    assert set(outcomes) == {"joint", "plays", "like"}

    found = domain.predict_tasks(assembly, data, counted, tasks, trained, 0)
    metrics = {"tasks": domain.score(found, resamples=20, seed=0)}
    plays, asked = metrics["tasks"]["plays"], found["plays"]
    assert plays["type"] == "count"
    labels = asked.labels
    for system in ("joint", "single", "baseline", "training_mean"):
        mean = np.maximum(asked.systems[system], 1e-9)
        saturated = poisson.logpmf(labels, np.maximum(labels, 1e-9))
        expected = 2 * (saturated - poisson.logpmf(labels, mean)).mean()
        assert plays[system]["deviance"]["value"] == pytest.approx(expected, rel=1e-3), system
    assert plays["joint"]["deviance"]["value"] < plays["training_mean"]["deviance"]["value"]

    assert not HIGHER_IS_BETTER["deviance"]
    assert report.results_table(metrics)["metric"].tolist() == ["deviance ↓", "auc ↑"]
    lines = reference.compare(metrics, reference.main_figures(metrics))
    assert lines[0] == "plays joint deviance: within 0.05 of the committed reference"
    assert assembly.types["plays"].answers(np.array([2.2])) == ["about 2"]
    assert load_model(trained / "joint.keras").get_layer("shared").units == 8


def test_a_source_of_vectors_needs_no_other_file(additions, vectors, tmp_path):
    """Each film's poster says whether it is liked, and nothing else does."""
    world, rng = make_world(), np.random.default_rng(0)
    good = rng.random(len(world.items)) < 0.5
    posters = np.where(good, 1.0, -1.0)[:, None] * rng.uniform(0.5, 1.5, (len(good), 3))
    liked = dict(zip(world.items["item_id"], good.astype(float), strict=True))
    examples = world.examples.assign(
        like=world.examples["item_id"].map(liked).where(world.examples["like"].notna())
    )
    items = world.items.assign(poster=posters.tolist())
    tables = replace(world, items=items, examples=examples)
    tasks = {"like": FEW["like"].model_copy(update={"features": ("poster",), "view": "item"})}
    params = {
        "raw": "raw", "data": None, "tasks": tasks,
        "features": {"item": {"pictures": ["poster"]}, "pictures": {"scale": 2.0}},
    }  # fmt: skip
    asked = Domain.model_validate(params)
    features = source_settings("tiny", asked.features)
    asked = asked.model_copy(update={"features": features})

    assembly = assemble.assemble(tables, vectors, asked, SIZES)
    found = assembly.encoder.item.field("poster")
    assert found.kind == "pictures"
    np.testing.assert_allclose(found.vectors[found.table[1:]], 2 * posters, rtol=1e-6)
    data = assemble.dataset(assembly, tables, tasks)
    untrained, trained = tmp_path / "untrained", tmp_path / "trained"
    twins.save_models(twins.build_models(assembly, vectors["tasks"][:1], SIZES, 3), untrained)
    settings = TRAINING.model_copy(update={"epochs": 8, "patience": 8})
    train_models(
        assembly, data, tables.examples["split"], tasks, settings, 0, untrained, trained, tmp_path
    )
    answers = domain.predict_tasks(assembly, data, tables, tasks, trained, 0)
    scores = domain.score(answers, resamples=20, seed=0)
    assert scores["like"]["joint"]["auc"]["value"] > 0.95
    with pytest.raises(ConfigError, match="features.pictures: scale: Input should be a valid numb"):
        source_settings("tiny", features.model_copy(update={"pictures": {"scale": "big"}}))


def test_a_peer_says_which_types_it_answers(additions, counted):
    kind = TASK_TYPES["multiclass"].fit(pd.Series(["a", "b"]), ())
    asked = PeerTask("mood", None, kind, counted, None, np.zeros(1), np.ones(1, bool), 0)
    with pytest.raises(
        ValueError,
        match="'mood': peer training_mean predicts regression and count tasks .found: multiclass",
    ):
        PEERS["training_mean"](asked)


def test_the_cold_start_study_asks_a_peer_whose_line_says_so(additions, counted, capsys):
    run = experiment("video")
    assert PEERS.cold == ("lightfm", "catboost", "training_mean")
    without = cold_start_plan.fingerprint(run, "cold_items", 0, PEERS.cold[:2])
    assert cold_start_plan.fingerprint(run, "cold_items", 0) != without
    labels = counted.examples["plays"]
    kind = TASK_TYPES["count"].fit(labels.dropna(), ())
    known = labels.notna().to_numpy()
    asked = PeerTask("plays", None, kind, counted, None, labels.to_numpy(), known, 0, cold="item")
    found = cold_start.ask_peers(asked, ("training_mean",))
    expected = labels[known & (counted.examples["split"] == "train")].mean()
    assert list(found) == ["training_mean"]
    assert found["training_mean"] == pytest.approx(np.full(len(asked.rows("test")), expected))
    classes = TASK_TYPES["multiclass"].fit(pd.Series(["a", "b"]), ())
    assert not cold_start.ask_peers(replace(asked, kind=classes), ("training_mean",))
    assert not capsys.readouterr().out  # it is not asked what it does not answer


def test_a_class_that_no_line_names_is_said_so():
    with pytest.raises(ValueError, match="class int is no task type; add a line for it"):
        TASK_TYPES.name_of(int)
