"""A tiny world with every task type, and the real raw data."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from mtrec.config import Experiment
from mtrec.paths import Paths
from mtrec.settings import (  # fmt: skip
    Analysis,
    ColdStart,
    Columns,
    Domain,
    EmbedSettings,
    Evaluation,
    Features,
    History,
    ModelBuilding,
    Shared,
    Short,
    Sparse,
    Study,
    Task,
    Training,
)
from mtrec.tables import schema
from mtrec.tables.schema import Tables
from mtrec.tables.split import add_cold_flags

collect_ignore = ["peers/reference"]  # scripts of other environments

ROOT = Path(__file__).resolve().parents[1]
GENRES = ("action", "drama", "comedy")
TASKS = {
    "rating": Task(type="regression", view="joint", label="rating", text="How many stars?"),
    "like": Task(type="binary", view="joint", label="like", text="Will the user like it?"),
    "genres": Task(type="multilabel", view="user", label="genres", text="Which genres next?"),
    "mood": Task(type="multiclass", view="user", label="mood", text="Which mood next?"),
    "next_item": Task(type="ranking", view="user", label="next_item", text="Which film next?"),
    "kind": Task(type="multilabel", view="item", label="kind", features=("text",), text="Kinds?"),
}
# Some of them, which see no history: a model of a third of the time to trace.
FEW = {
    **{
        name: TASKS[name].model_copy(update={"features": ("user_id", "age", "item_id", "year")})
        for name in ("rating", "like")
    },
    "mood": TASKS["mood"].model_copy(update={"features": ("user_id", "age")}),
    "kind": TASKS["kind"],
}
# Two of them, one with text, for tests that train the joint model, its ablations and all twins.
PAIR = {name: FEW[name] for name in ("like", "kind")}
SIZES = ModelBuilding(
    width=8, min_count=1, history=History(length=4, units=8), shared=Shared(experts=3, units=8),
    tower_units=8,
)  # fmt: skip
TRAINING = Training(batch_size=64, epochs=4, patience=4, learning_rate=0.01)


def make_world(seed: int = 0, users: int = 30, items: int = 20, events: int = 500) -> Tables:
    """A small data set with all label types, split in time."""
    rng = np.random.default_rng(seed)
    catalogue = pd.DataFrame(
        {
            "item_id": [f"i{n}" for n in range(items)],
            "colour": rng.choice(["red", "blue"], items),
            "year": rng.integers(1950, 2000, items).astype(float),
            "genres": [list(rng.choice(GENRES, rng.integers(1, 3), False)) for _ in range(items)],
            "text": [f"film number {n}" for n in range(items)],
        }
    )
    people = pd.DataFrame(
        {"user_id": [f"u{n}" for n in range(users)], "age": rng.integers(18, 80, users) * 1.0}
    )
    chosen = rng.integers(0, items, events)
    rows = pd.DataFrame(
        {
            "user_id": [f"u{n}" for n in rng.integers(0, users, events)],
            "item_id": [f"i{n}" for n in chosen],
            "timestamp": pd.to_datetime(
                np.sort(rng.integers(1, 10_000, events)) * 60, unit="s"
            ).astype("datetime64[ms]"),
            "rating": np.clip(np.round(3 + rng.normal(size=events)), 1, 5),
        }
    )
    split = np.repeat(["train", "validation", "test"], [events - 200, 100, 100])
    watched = rows.assign(
        like=(rows["rating"] >= 4).astype(float),
        genres=rows["item_id"].map(catalogue.set_index("item_id")["genres"]),
        mood=rng.choice(["glad", "sad", "calm"], events),
        next_item=rows["item_id"],
        user_count=rows.groupby("user_id").cumcount().astype(float),
        split=split,
    )
    films = pd.DataFrame(
        {
            "item_id": catalogue["item_id"],
            "timestamp": pd.Series(pd.NaT, index=catalogue.index, dtype="datetime64[ms]"),
            "kind": catalogue["genres"],
            "split": np.repeat(["train", "validation", "test"], [items - 6, 3, 3]),
        }
    )
    examples = add_cold_flags(pd.concat([watched, films], ignore_index=True))
    account = pd.DataFrame(columns=["table", "step", "kind", "rows", "of", "why"])
    return Tables(people, catalogue, rows.sort_values(["user_id", "timestamp"]), examples, account)


DOMAIN = Domain(
    raw="raw",
    data=None,
    features=Features(
        user=Columns(categorical=("user_id",), numeric=("age",), context=("user_count",)),
        item=Columns(categorical=("item_id", "colour"), multi=("genres",), numeric=("year",)),
        event=("rating",),
    ),
    tasks=TASKS,
)


@pytest.fixture(scope="session")
def world() -> Tables:
    return make_world()


@pytest.fixture(scope="session")
def vectors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    sizes = {"users": 30, "items": 20, "tasks": len(TASKS)}
    return {name: rng.normal(size=(n, 6)).astype("float32") for name, n in sizes.items()}


@pytest.fixture(scope="session")
def assembly(world, vectors):
    from mtrec.features.assemble import assemble

    return assemble(world, vectors, DOMAIN, SIZES)


@pytest.fixture(scope="session")
def data(assembly, world):
    from mtrec.features.assemble import dataset

    return dataset(assembly, world, TASKS)


@pytest.fixture(scope="session")
def models(assembly, vectors):
    from mtrec.models.twins import build_models

    return build_models(assembly, vectors["tasks"], SIZES, seed=3)


class Ready(NamedTuple):
    """What a training needs but the model and its settings."""

    assembly: Any
    vectors: dict[str, np.ndarray]
    training: Any
    validation: Any

    def model(self, *names: str) -> Any:
        """An untrained model of the named tasks, or of all."""
        from mtrec.models.twins import build_some

        names = names or tuple(self.assembly.types)
        return build_some(self.assembly, names, self.vectors["tasks"], SIZES, seed=3)


def halves(assembly, vectors, data, tables) -> Ready:
    """Training and validation rows of ``data``."""
    split = tables.examples["split"]
    parts = [data.take((split == part).to_numpy()) for part in ("train", "validation")]
    return Ready(assembly, vectors, *parts)


@pytest.fixture(scope="session")
def everything(assembly, vectors, data, world) -> Ready:
    """All tasks and features."""
    return halves(assembly, vectors, data, world)


def of(tasks: dict[str, Task]) -> Domain:
    """The tiny world's domain with some of its tasks."""
    return DOMAIN.model_copy(update={"tasks": tasks})


@pytest.fixture(scope="session")
def few_data(few_assembly, world):
    from mtrec.features.assemble import dataset

    return dataset(few_assembly, world, FEW)


@pytest.fixture(scope="session")
def few_assembly(world, vectors):
    from mtrec.features.assemble import assemble

    return assemble(world, vectors, of(FEW), SIZES)


@pytest.fixture(scope="session")
def pair(world, vectors) -> tuple[Any, Any]:
    """Assembly and all examples of the tasks of ``PAIR``."""
    from mtrec.features.assemble import assemble, dataset

    assembly = assemble(world, vectors, of(PAIR), SIZES)
    return assembly, dataset(assembly, world, PAIR)


@pytest.fixture(scope="session")
def few(few_assembly, vectors, few_data, world) -> Ready:
    """The tasks of ``FEW``, for tests that hold whatever the tasks and the features."""
    return halves(few_assembly, vectors, few_data, world)


@pytest.fixture(scope="session")
def two(pair, vectors, world) -> Ready:
    """The tasks of ``PAIR``, half of ``few`` to trace, for tests of what a run leaves behind."""
    return halves(pair[0], vectors, pair[1], world)


@pytest.fixture
def eagerly():
    """Compiled functions run as Python, which is quicker than to compile one for a single call."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def unoptimised():
    """Graphs that run as they were traced: rewriting one costs more than a short training saves."""
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


SHORT = Short(share=1.0, history=4, batch_size=64, epochs=1, seeds=2)


def make_run(root: Path, tables: Tables, vectors: dict, domain: Domain = DOMAIN) -> Experiment:
    """The settings of an experiment whose tables and text vectors are written under ``root``."""
    from mtrec.text import embeddings

    run = Experiment(
        "tiny", Paths(root, "tiny"), 0, domain, EmbedSettings(), SIZES, TRAINING, Evaluation(),
        Analysis(**SHORT.model_dump()),
        Study(**SHORT.model_dump(), layers=("mmoe", "star"), balancers=("static", "dbmtl"),
              layer="mmoe"),
        ColdStart(**SHORT.model_dump()), Sparse(**SHORT.model_dump()),
    )  # fmt: skip
    run.paths.artifacts.mkdir(parents=True)
    schema.write(tables, run.paths.tables)
    embeddings.save(vectors, run.paths.embeddings)
    return run


@pytest.fixture(scope="session")
def run(world, vectors, tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"), world, vectors)


@pytest.fixture(scope="session")
def few_run(world, vectors, tmp_path_factory):
    """What ``run`` is, of the tasks of ``FEW``."""
    return run_of(FEW, world, vectors, tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="session")
def pair_run(world, vectors, tmp_path_factory):
    """What ``run`` is, of the tasks of ``PAIR``."""
    return run_of(PAIR, world, vectors, tmp_path_factory.mktemp("pair"))


def run_of(tasks: dict[str, Task], tables: Tables, vectors: dict, root: Path) -> Experiment:
    """The settings of an experiment of some tasks."""
    own = {**vectors, "tasks": vectors["tasks"][: len(tasks)]}
    return make_run(root, tables, own, of(tasks))


@pytest.fixture(scope="session")
def bench(run):
    from mtrec.studies import workbench

    return workbench.prepare(run, SHORT)


@pytest.fixture(scope="session")
def few_bench(few_run):
    from mtrec.studies import workbench

    return workbench.prepare(few_run, SHORT)


@pytest.fixture(scope="session")
def raw_data() -> Path:
    folder = ROOT / "data"
    assert folder.is_dir(), "data/ is missing: run `mtrec fetch` (or `make test`, which does) first"
    return folder


@pytest.fixture(scope="session")
def tiny_raw(tmp_path_factory) -> Path:
    """Raw data with a tiny language model under the name of the real one."""
    from tests import language_model

    root = tmp_path_factory.mktemp("raw")
    language_model.write(root)
    return root
