"""The same domain with a share of its events and training rows; held-out rows stay as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from mtrec.features.events import training_events
from mtrec.settings import Domain
from mtrec.studies.past_columns import past_columns
from mtrec.tables.schema import Tables
from mtrec.tables.split import add_cold_flags

KEYS = ["user_id", "item_id", "timestamp"]


def thin(tables: Tables, share: float, seed: int) -> Tables:
    """Keep a share of all events, drawn one by one, and of the training rows.

    A training row that is an event is kept with it; others are drawn alike. A smaller share is a
    part of a larger one of the same seed. Validation and test rows are all kept, so that what is
    judged does not change.

    Args:
        tables: the four tables.
        share: share of the events that is left.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    kept = rng.random(len(tables.events)) < share
    drawn = rng.random(len(tables.examples)) < share
    events, gone = tables.events[kept], tables.events[~kept]
    is_event, is_gone = (_among(tables.examples, part) for part in (tables.events, gone))
    training = (tables.examples["split"] == "train").to_numpy()
    stays = ~training | np.where(is_event, ~is_gone, drawn)
    examples = add_cold_flags(tables.examples[stays].reset_index(drop=True))
    return replace(tables, events=events, examples=examples)


def recount(tables: Tables, domain: Domain) -> tuple[Tables, Domain]:
    """Context columns counted again over the events that are left, and the domain that has them.

    The domain's own columns know the whole past. They are replaced by the number of a user's and
    an item's earlier events and the means of the events' columns; those of pairs are left out.
    """
    features, examples = domain.features, tables.examples
    own = {side: getattr(features, side).context for side in ("user", "item", "joint")}
    new = {
        side: past_columns(_countable(tables, side), examples, side, features.event)
        for side in ("user", "item")
        if own[side]
    }
    gone = {column for columns in own.values() for column in columns}
    examples = pd.concat([examples.drop(columns=sorted(gone)), *new.values()], axis=1)
    features = features.model_copy(
        update={
            side: getattr(features, side).model_copy(
                update={"context": tuple(new[side]) if side in new else ()}
            )
            for side in own
        }
    )
    tasks = {
        name: task.model_copy(
            update={"features": task.features and tuple(f for f in task.features if f not in gone)}
        )
        for name, task in domain.tasks.items()
    }
    changed = domain.model_copy(update={"features": features, "tasks": tasks})
    return replace(tables, examples=examples), changed


def _countable(tables: Tables, side: str) -> pd.DataFrame:
    """Events that a side's columns may count: all in time, else those of training.

    Of held-out users, a split by users lets their own columns know what they did, but not those of
    items.
    """
    training, in_time = training_events(tables.events, tables.examples)
    held = tables.examples["split"] != "train"
    users = [set(tables.examples.loc[rows, "user_id"].dropna()) for rows in (held, ~held)]
    if not in_time or (side == "item" and users[0].isdisjoint(users[1])):
        return training
    return tables.events


def _among(rows: pd.DataFrame, events: pd.DataFrame) -> np.ndarray:
    return pd.MultiIndex.from_frame(rows[KEYS]).isin(pd.MultiIndex.from_frame(events[KEYS]))
