"""Hold whole items or users out: no row, event, count or context column of theirs is learnt from.

The side of the held-out entities is the cold side. A row that names a held-out entity, as its id
or as the label of a ranking task, is a held-out row. Time plays no part in this split; histories
still hold only what came before a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mtrec.registry import TASK_TYPES, Form
from mtrec.settings import Domain, Features, Task
from mtrec.studies.cold_start_plan import SIDES, cold_tasks, ranks_side
from mtrec.studies.past_columns import past_columns
from mtrec.tables.labels import relevant
from mtrec.tables.schema import SPLITS, Tables
from mtrec.tables.split import add_cold_flags
from mtrec.tables.split import random as random_split

OTHER = {"item": "user", "user": "item"}
FEWEST = 30  # labels of a task in each split, below which nothing can be said about it


@dataclass(frozen=True)
class ColdData:
    """A domain whose held-out rows are those of held-out entities.

    Attributes:
        side: ``item`` or ``user``.
        tables: the four tables; events of held-out entities are gone, and so are rows that name
            no entity of that side or carry no label of a task that is left.
        domain: the domain with the tasks that see the cold side and the context columns that a
            new entity can have.
        groups: split of every entity of the side, by id.
        entities: which entity put each example into its split.
    """

    side: str
    tables: Tables
    domain: Domain
    groups: pd.Series
    entities: pd.Series


def hold_out(ids: pd.Series, shares: tuple[float, float], seed: int) -> pd.Series:
    """Split of each id, by id: shares of the ids validate and test, drawn by a seed."""
    frame = pd.DataFrame({"id": np.sort(ids.to_numpy(dtype=object))})
    return pd.Series(random_split(frame, shares, seed).to_numpy(), index=frame["id"])


def make_cold(
    tables: Tables, domain: Domain, split: str, shares: tuple[float, float], seed: int
) -> ColdData:
    """Hold entities out of a domain.

    The cold side's and the pair's context columns are taken out of the model, on all rows: a new
    entity has none, and a column that only training rows have teaches nothing for it. Those of
    the other side may count held-out entities' events, so they are replaced by their count and
    means over the events that are left (:func:`mtrec.studies.past_columns.past_columns`).

    Args:
        tables: the four tables.
        domain: its settings.
        split: ``cold_items`` or ``cold_users``.
        shares: shares of the entities that validate and test.
        seed: of the draw.
    """
    side = SIDES[split]
    other, key = OTHER[side], f"{side}_id"
    groups = hold_out(getattr(tables, f"{side}s")[key], shares, seed)
    held = groups.index[groups != "train"]
    events = tables.events[~tables.events[key].isin(held)]
    examples, entities = name_rows(tables.examples, side, domain.tasks, groups)
    past = pd.DataFrame(index=examples.index)
    if getattr(domain.features, other).context:
        past = past_columns(events, examples, other, domain.features.event)
    examples = examples.drop(columns=list(_contexts(domain.features))).join(past)
    domain = _narrow(domain, side, other, tuple(past), examples)
    labels = {name: relevant(examples, domain.tasks, name).notna() for name in domain.tasks}
    labelled = pd.DataFrame(labels, index=examples.index).any(axis=1)
    examples = add_cold_flags(examples[labelled].reset_index(drop=True))
    entities = entities[labelled].reset_index(drop=True)
    return ColdData(
        side, replace(tables, events=events, examples=examples), domain, groups, entities
    )


def name_rows(
    examples: pd.DataFrame, side: str, tasks: Mapping[str, Task], groups: pd.Series
) -> tuple[pd.DataFrame, pd.Series]:
    """Examples with the split of the entities that they name, and the deciding entity of each.

    A row that names entities of several splits belongs to ``test`` before ``validation`` before
    ``train``; rows that name none are left out.
    """
    columns = [f"{side}_id", *(task.label for task in tasks.values() if ranks_side(task, side))]
    order = {split: code for code, split in enumerate(SPLITS)}
    codes = np.column_stack(
        [examples[column].map(groups).map(order).to_numpy(dtype=float) for column in columns]
    )
    known = np.isfinite(codes).any(axis=1)
    codes = np.where(np.isfinite(codes), codes, -1.0)[known]
    deciding = codes.argmax(axis=1)
    named = examples[known]
    entity = named[columns].to_numpy(dtype=object)[np.arange(len(named)), deciding]
    split = np.asarray(SPLITS, dtype=object)[codes.max(axis=1).astype(int)]
    return named.assign(split=split), pd.Series(entity, index=named.index)


def _contexts(features: Features) -> dict[str, None]:
    return dict.fromkeys(
        column for part in ("user", "item", "joint") for column in getattr(features, part).context
    )


def _narrow(
    domain: Domain, side: str, other: str, past: tuple[str, ...], examples: pd.DataFrame
) -> Domain:
    """The domain with the tasks and context columns of :class:`ColdData`."""
    gone = set(_contexts(domain.features))
    parts = {side: (), "joint": (), other: past}
    features = domain.features.model_copy(
        update={
            part: getattr(domain.features, part).model_copy(update={"context": columns})
            for part, columns in parts.items()
        }
    )
    tasks = cold_tasks(domain.tasks, side)
    counts = {
        name: relevant(examples, tasks, name).notna().groupby(examples["split"]).sum()
        for name in tasks
    }
    enough = {n: t for n, t in tasks.items() if counts[n].reindex(SPLITS).min() >= FEWEST}
    tasks = {
        name: task.model_copy(update={
            "features": task.features and tuple(f for f in task.features if f not in gone),
            "loss": None if TASK_TYPES.forms[task.type] is Form.RANK else task.loss,
            "head": None if task.head == "label_embedding" else task.head,
        })
        for name, task in cold_tasks(enough, side).items()
    }  # fmt: skip
    return domain.model_copy(update={"features": features, "tasks": tasks})
