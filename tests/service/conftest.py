"""A small domain whose means run and whose context counts, trained or not."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from mtrec.domains.online import Last, Online, Running
from mtrec.tables.past import running
from mtrec.tables.schema import Tables
from tests.conftest import DOMAIN, SIZES, TASKS, make_world

RULES = Online(
    (
        Running("user", "rating", "user_count", "user_mean_rating"),
        Running("item", "rating", "item_count", "item_mean_rating", key="colour"),
        Last("user", "rating", "last_rating"),
    ),
    {"rating": ("rating", None), "like": ("rating", 4.0)},
)
OFFSET = {
    name: TASKS[name].model_copy(update={"offset": "running_mean"}) for name in ("rating", "like")
}
ONLINE_DOMAIN = DOMAIN.model_copy(
    update={
        "tasks": {**OFFSET, "next_item": TASKS["next_item"]},
        "features": DOMAIN.features.model_copy(
            update={
                "user": DOMAIN.features.user.model_copy(
                    update={"context": ("user_count", "user_mean_rating", "last_rating")}
                ),
                "item": DOMAIN.features.item.model_copy(
                    update={"context": ("item_count", "item_mean_rating")}
                ),
            }
        ),
    }
)


class Small(NamedTuple):
    """A domain, its data, and what was learnt of them."""

    tables: Tables
    rules: Online
    assembly: Any

    def build(self, vectors: dict) -> Any:
        """A model whose weights are all drawn."""
        from mtrec.models.twins import build_models

        model = build_models(self.assembly, vectors["tasks"][:3], SIZES, seed=3)["joint"]
        draw = np.random.default_rng(5)
        for variable in model.trainable_variables:
            variable.assign(draw.normal(scale=0.3, size=variable.shape))
        return model


def with_past(tables: Tables, in_time: bool) -> Tables:
    """Context columns as a domain's module computes them, for whole tables."""
    rows = tables.examples[tables.examples["timestamp"].notna()].copy()
    if not in_time:
        rows["split"] = np.random.default_rng(2).permutation(rows["split"].to_numpy())
    known = (rows["split"] == "train") | in_time
    rows["colour"] = rows["item_id"].map(tables.items.set_index("item_id")["colour"])
    for name, key in (("user", "user_id"), ("item", "colour")):
        count, mean = running(rows, key, "rating", known)
        rows[f"{name}_count"], rows[f"{name}_mean_rating"] = np.log1p(count), mean
    told = rows.assign(told=rows["rating"].where(known)).sort_values("timestamp", kind="stable")
    last = told.groupby("user_id")["told"].ffill()
    shifted = last.groupby(told["user_id"]).shift(1)
    moments = [told["user_id"], told["timestamp"]]
    rows["last_rating"] = shifted.groupby(moments).transform(lambda one: one.iloc[0])
    films = tables.examples[tables.examples["timestamp"].isna()]
    return replace(tables, examples=pd.concat([rows, films], ignore_index=True))


def small(in_time: bool, vectors: dict, seed: int = 0) -> Small:
    from mtrec.features.assemble import assemble

    world = make_world(seed)
    moments = pd.to_datetime(np.arange(len(world.events)) // 2 * 60, unit="s")
    order = world.events.sort_values("timestamp", kind="stable").index
    times = pd.Series(moments.astype("datetime64[ms]"), index=order)  # two at a time
    events = world.events.assign(timestamp=times).sort_values(["user_id", "timestamp"])
    examples = world.examples.copy()
    examples.loc[times.index, "timestamp"] = times
    tables = with_past(replace(world, events=events, examples=examples), in_time)
    rules = replace(RULES, held_out=in_time)
    assembly = assemble(tables, vectors, ONLINE_DOMAIN, SIZES)
    return Small(tables, rules, assembly)


def reads_as(live: Any, item: str) -> None:
    """Let a service read every text as that of an item, without a language model."""
    answers = live.bundle.answers
    row = answers.state.items.row[item]
    answers.texts = SimpleNamespace(
        pool=None, read=lambda text: text, put=lambda place, read: None, row=lambda place: row
    )


@pytest.fixture(scope="session")
def in_time(vectors) -> Small:
    return small(True, vectors)


@pytest.fixture(scope="session")
def model(in_time, vectors):
    return in_time.build(vectors)


@pytest.fixture
def make_bundle(in_time, model, tmp_path):
    """A function that makes what answers requests, as of the data alone."""
    from mtrec.features.state import save_state
    from mtrec.service.answer import Answers
    from mtrec.service.bundle import Bundle
    from mtrec.service.state import State
    from mtrec.service.words import describe, words_of
    from mtrec.serving.recommender import load_state

    def make(version: str = "one") -> Bundle:
        folder = tmp_path / version
        save_state(in_time.assembly, in_time.tables, ONLINE_DOMAIN.tasks, folder)
        found = load_state("tiny", folder, model, in_time.assembly)
        state = State(found, in_time.tables, ONLINE_DOMAIN.tasks, in_time.rules)
        answers = Answers(found, state, in_time.tables, ONLINE_DOMAIN.tasks, version)
        types = in_time.assembly.types
        page = describe("tiny", in_time.tables, ONLINE_DOMAIN.tasks, types, state)
        about = {"domain": "tiny", "version": version, "page": page}
        about["tasks"] = {name: {"ranks_items": True} for name in types}
        return Bundle(answers, "data", about, words_of("tiny", in_time.tables, state))

    return make


@pytest.fixture
def make_live(make_bundle, tmp_path):
    """A function that starts a service on one log."""
    from mtrec.service.live import Live
    from mtrec.service.log import EventLog
    from mtrec.service.metrics import Metrics

    def make(look=None) -> Live:
        return Live(make_bundle(), EventLog(tmp_path / "log"), Metrics(), look)

    return make


@pytest.fixture
def live(make_live):
    """A service that has not begun; its log is let go of."""
    made = make_live()
    yield made
    made.log.close()


@pytest.fixture
def client(live):
    """Who asks a service."""
    from mtrec.service.app import make_app

    with TestClient(make_app(live), raise_server_exceptions=False) as found:
        yield found
