"""Data of any size, made by mtrec's own machinery: tables, encoder, model, trainer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mtrec.features.assemble import Assembly, assemble, dataset
from mtrec.features.encoder import usable_events
from mtrec.features.state import met_pairs
from mtrec.models.twins import build_some
from mtrec.serving.recommender import Recommender
from mtrec.settings import Columns, Domain, Features, ModelBuilding, Task
from mtrec.tables.schema import Tables
from mtrec.training.loop import Trainer

START = np.datetime64("2020-01-01T00:00:00", "ms")
HISTORY = 8


def tables(events: int, users: int, items: int, tasks: int, seed: int) -> Tables:
    """Users, items, and as many examples as events, one of each a second apart per example.

    A binary label is a coin whose bias is the user's and the item's; nine examples of ten are for
    training.
    """
    draw = np.random.default_rng(seed)
    user, item = draw.integers(0, users, events), (items * draw.random(events) ** 2).astype(int)
    ids = {"user_id": names("u", users), "item_id": names("i", items)}
    rows = pd.DataFrame(
        {
            "user_id": ids["user_id"][user],
            "item_id": ids["item_id"][item],
            "timestamp": START + np.arange(events).astype("timedelta64[s]"),
        }
    )
    bias = draw.normal(size=(users + items, tasks))
    chance = 1.0 / (1.0 + np.exp(-bias[user] - bias[users + item]))
    labels = (draw.random((events, tasks)) < chance).astype("float64")
    labels[:2] = [[0.0] * tasks, [1.0] * tasks]
    split = np.where(np.arange(events) < 0.9 * events, "train", "validation")
    examples = rows.assign(
        split=split, cold_user=False, cold_item=False, next_item=rows["item_id"],
        **{f"label{number}": labels[:, number] for number in range(tasks)},
    )  # fmt: skip
    return Tables(
        pd.DataFrame({"user_id": ids["user_id"], "group": draw.integers(0, 20, users).astype(str)}),
        pd.DataFrame({"item_id": ids["item_id"], "kind": draw.integers(0, 50, items).astype(str)}),
        rows.assign(strength=draw.normal(size=events)),
        examples,
        pd.DataFrame(),
    )


def names(prefix: str, count: int) -> np.ndarray:
    """Ids that sort as they are numbered."""
    return np.array([f"{prefix}{number:08d}" for number in range(count)], dtype=object)


def domain(tasks: int, ranking: bool) -> Domain:
    """Binary tasks that see user and item; with ``ranking``, one more task over the catalogue."""
    features = Features(
        user=Columns(categorical=("user_id", "group")),
        item=Columns(categorical=("item_id", "kind")),
        event=("strength",),
    )
    chosen = {
        f"task{number}": Task(type="binary", view="joint", label=f"label{number}")
        for number in range(tasks)
    }
    if ranking:
        chosen["next_item"] = Task(type="ranking", view="user", label="next_item")
    return Domain(raw="", data=None, features=features, tasks=chosen)


def sizes() -> ModelBuilding:
    """The pipeline's sizes with shorter histories and every id known."""
    found = ModelBuilding(min_count=1)
    history = found.history.model_copy(update={"length": HISTORY})
    return found.model_copy(update={"history": history})


def prepare(made: Tables, plan: Domain) -> tuple[Assembly, Any]:
    """Fitted features and task types, and all examples as arrays."""
    assembly = assemble(made, {}, plan, sizes())
    return assembly, dataset(assembly, made, plan.tasks)


def build(assembly: Assembly, seed: int) -> Any:
    """The joint model, untrained, with gates that know no text."""
    blank = np.zeros((len(assembly.types), 1), dtype="float32")
    return build_some(assembly, tuple(assembly.types), blank, sizes(), seed)


def recommender(made: Tables, plan: Domain, seed: int) -> Recommender:
    """A model with weights drawn at random, and the state of its users and items."""
    assembly, _ = prepare(made, plan)
    model, draw = build(assembly, seed), np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(draw.normal(scale=0.3, size=variable.shape))
    events = usable_events(made, assembly.encoder)
    now = pd.Timestamp(int(events.time.max()) + 1000, unit="ms")
    return Recommender("synthetic", assembly, model, events, {}, now, met_pairs(events))


def trainer(assembly: Assembly, data: Any, made: Tables, settings: Any, seed: int) -> Trainer:
    """mtrec's trainer on the training rows."""
    split = made.examples["split"].to_numpy()
    training, held = data.take(split == "train"), data.take(split == "validation")
    return Trainer(
        build(assembly, seed), assembly.types, assembly.scales,
        dict.fromkeys(assembly.types, 1.0), training, held.take(np.arange(min(len(held), 4096))),
        settings, max(1, len(training) // settings.batch_size),
    )  # fmt: skip
