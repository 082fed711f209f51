"""Your own data: events of users with items, and tables of either, in the roles that you name.

`mtrec new` writes the settings; `params.yaml` says which column is what. Without timestamps a
seeded shuffle plays the part of time, so that "strictly before" still is a valid rule. Items and
users that have no table, or are missing from theirs, are known by their ids alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mtrec.domains.own import files, times, values
from mtrec.domains.own.settings import Settings as Settings  # what config looks for
from mtrec.domains.own.sides import number_column, side_table
from mtrec.domains.own.table import FileError
from mtrec.tables import identifiers
from mtrec.tables import split as splits
from mtrec.tables.past import running
from mtrec.tables.schema import Account, Tables, require_columns

FILES = ("csv", "csv.gz", "parquet", "parquet.gz", "jsonl", "jsonl.gz")
OTHER = "OTHER"
CHOSEN = "_chosen"  # a column while tables are made: the item was not only shown


@dataclass(frozen=True)
class Raw:
    """The files as tables of text cells; a file that is not there is an empty table."""

    events: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame


@dataclass(frozen=True)
class Part(Raw):
    """Part of the raw data: what is taken is decided once the settings say what columns mean."""

    before: pd.Timestamp | None = None
    sample: tuple[int, int] | None = None  # users, seed


def load_raw(folder: Path) -> Raw:
    """Read ``events``, ``items`` and ``users`` in ``folder``: CSV, Parquet or JSON lines.

    Raises:
        FileError: there are no events, or a file cannot be used.
    """
    if find(folder, "events") is None:
        raise FileError(
            f"{folder}: there is no events file (events.csv, .csv.gz or .parquet); run "
            f"`mtrec new {folder.name} --events FILE` to copy it there."
        )
    found = {name.name: find(folder, name.name) for name in fields(Raw)}
    return of_frames({name: files.read(file).frame for name, file in found.items() if file})


def of_frames(frames: Mapping[str, pd.DataFrame]) -> Raw:
    """Files that were read already; one that is not there is an empty table."""
    return Raw(**{each.name: frames.get(each.name, pd.DataFrame()) for each in fields(Raw)})


def find(folder: Path, name: str) -> Path | None:
    """The file of that name in ``folder``, whatever its format, or None."""
    candidates = (folder / f"{name}.{suffix}" for suffix in FILES)
    return next((file for file in candidates if file.is_file() or file.is_symlink()), None)


def truncate(raw: Raw, cutoff: pd.Timestamp) -> Part:
    """The raw data as it was before ``cutoff``; for the check that features know no future."""
    part = raw if isinstance(raw, Part) else Part(raw.events, raw.items, raw.users)
    return replace(part, before=cutoff)


def sample_raw(raw: Raw, users: int, seed: int) -> Part:
    """The raw data of some users, or all there are; for checks that need not see everyone."""
    part = raw if isinstance(raw, Part) else Part(raw.events, raw.items, raw.users)
    return replace(part, sample=(users, seed))


def make_tables(raw: Raw, settings: Settings, seed: int) -> Tables:
    """Make the four tables; every event is an example.

    Labels are ``next_item``, ``rating``, ``like``, the yes-or-no columns and the amounts by their
    name, types of events, and ``next_<column>``; context columns count and average what came
    strictly before. What was only shown is an example, but no event of a history, and no next item.
    Where the split is given, no history holds what is not for training, which is asked for after
    all that is.

    Raises:
        SchemaError: a column that the settings name is missing.
        ValueError: no event is left.
    """
    account = Account()
    events = _in_time(_events(raw, settings, account), settings, seed, account)
    sides = {
        name: side_table(_side_cells(raw, settings, name), getattr(settings, f"{name}s"), name,
                         events[f"{name}_id"], account)
        for name in ("item", "user")
    }  # fmt: skip
    if isinstance(raw, Part) and raw.before is not None:
        events = events[events["timestamp"] < raw.before]
    numeric = [settings.called(name) for name in settings.events.numeric]
    examples = events.drop(columns=[*numeric, CHOSEN]).assign(
        next_item=events["item_id"].where(events[CHOSEN]),
        **_context(events, settings),
        **_amounts(events, settings),
    )
    if settings.like_from is not None:
        like = (events["rating"] >= settings.like_from).astype("float64")
        examples["like"] = like.where(events["rating"].notna())
    items, training = sides["item"].set_index("item_id"), events[events["split"] == "train"]
    for column in settings.next_of:
        require_columns(items, [column], "items")
        label = frequent(items[column], training["item_id"], settings.classes)
        examples[f"next_{column}"] = examples["next_item"].map(label)
    labels = {settings.called(name) for name in (*settings.events.binary, *settings.types)}
    unread = {settings.called(name) for name in settings.events.amounts} - set(numeric)
    columns = [name for name in events if name not in {"split", CHOSEN, *labels, *unread}]
    known = events["split"].eq("train") if settings.split == "given" else True
    past = events[events[CHOSEN] & known].sort_values(
        ["user_id", "timestamp"], kind="stable", ignore_index=True
    )
    return Tables(
        sides["user"],
        sides["item"],
        past[columns],
        splits.add_cold_flags(examples),
        account.frame(),
    )


def _events(raw: Raw, settings: Settings, account: Account) -> pd.DataFrame:
    """Clean events with their split, in the order of time."""
    named = settings.events
    require_columns(raw.events, list(named.named), "events")
    events = pd.DataFrame(
        {key: identifiers.clean(raw.events[getattr(named, key)]) for key in ("user_id", "item_id")}
    )
    if isinstance(raw, Part) and raw.sample is not None:
        known = pd.Series(events["user_id"].dropna().unique()).sort_values()
        chosen = known.sample(min(raw.sample[0], len(known)), random_state=raw.sample[1])
        events = events[events["user_id"].isin(chosen)]
    cells = raw.events.loc[events.index]
    if named.timestamp is not None:
        events["timestamp"] = times.times(cells[named.timestamp], named.time_unit)
    if named.rating is not None:
        events["rating"] = values.ratings(cells[named.rating])
        unread = events["rating"].isna() & cells[named.rating].notna()
        account.add("events", f"{named.rating}: not a number", "repaired", unread.sum(),
                    len(events), "kept as missing")  # fmt: skip
    for column in dict.fromkeys((*named.numeric, *named.amounts)):
        events[settings.called(column)] = number_column(cells, column, "events", account)
    for column in named.binary:
        events[settings.called(column)] = values.yes_or_no(cells[column])
    for label, types in settings.types.items():
        events[label] = _is_one_of(cells[named.type], types)
    chosen = True if named.chosen is None else values.yes_or_no(cells[named.chosen]) == 1
    events[CHOSEN] = pd.Series(chosen, index=events.index)
    if named.split is not None:
        events["split"] = values.split_of(cells[named.split])
    events = _without_broken(events, settings, account)
    if events.empty:
        raise ValueError(
            "events: no row has a user, an item and a time that can be read; check the columns "
            "under data.events in params.yaml with `mtrec check`."
        )
    return events


def _is_one_of(cells: pd.Series, types: tuple[str, ...]) -> pd.Series:
    """1.0 where the type of an event is one of ``types``, missing where it is not known."""
    return cells.str.strip().isin(types).astype("float64").where(cells.notna())


def _side_cells(raw: Raw, settings: Settings, side: str) -> pd.DataFrame:
    """The file of items or users, or the events where these tell about them."""
    named = getattr(settings, f"{side}s")
    from_events = named is not None and named.of_events
    return raw.events if from_events else getattr(raw, f"{side}s")


def _amounts(events: pd.DataFrame, settings: Settings) -> dict[str, pd.Series]:
    """Labels log(1 + x) of amounts; what is below 0 is 0."""
    names = [settings.called(name) for name in settings.events.amounts]
    return {name: np.log1p(events[name].clip(lower=0)) for name in names}


def _without_broken(events: pd.DataFrame, settings: Settings, account: Account) -> pd.DataFrame:
    """Events with both ids and, if they have times at all, with a time."""
    for key, what in (("user_id", "no user id"), ("item_id", "no item id")):
        events = account.drop(events, events[key].isna(), "events", what, "cannot be learnt from")
    if "timestamp" in events:
        events = account.drop(
            events, events["timestamp"].isna(), "events", "no time",
            "missing, not readable in the unit of params.yaml, or outside 1900 to 2100",
        )  # fmt: skip
    if "split" in events:
        events = account.drop(events, events["split"].isna(), "events", "no split",
                              "neither train nor validation nor test")  # fmt: skip
    same = [name for name in ("user_id", "item_id", "timestamp") if name in events]
    twice = events.duplicated(same)
    if settings.repeats == "collapse":
        return account.drop(events, twice, "events", "repeats", "data.repeats: collapse")
    account.add("events", "repeats", "kept", twice.sum(), len(events),
                "same user, item and time (if there are times): each is an event")  # fmt: skip
    return events


def _in_time(events: pd.DataFrame, settings: Settings, seed: int, account: Account) -> pd.DataFrame:
    """Add ``split``, and ``timestamp`` where there is none; rows in the order of time."""
    shares = (settings.validation_share, settings.test_share)
    if settings.split != "given":
        events = events.assign(split=splits.SPLIT_METHODS[settings.split](events, shares, seed))
    elif not (events["split"] == "validation").any():
        training = events[events["split"] == "train"]
        drawn = splits.random(training, (shares[0], 0.0), seed)
        events["split"] = drawn.reindex(events.index).fillna(events["split"])
        account.add("events", "validation", "derived", (drawn == "validation").sum(), len(events),
                    "no event is named for it: drawn from those for training")  # fmt: skip
    if settings.split == "given" and "timestamp" in events:
        events["timestamp"] = _asked_after(events)
    if "timestamp" not in events:
        events["timestamp"] = splits.shuffled_times(events["split"], seed)
        account.add("events", "no times", "derived", len(events), len(events),
                    "a seeded shuffle plays the part of time: training comes first")  # fmt: skip
    return events.sort_values("timestamp", kind="stable", ignore_index=True)


def _asked_after(events: pd.DataFrame) -> pd.Series:
    """Times of events, of those that are not for training none before these have ended.

    A published split seldom follows the clock. Its test rows are asked for when all of training is
    known, as requests are; an earlier moment would hide what the user did after it.
    """
    train, time = events["split"] == "train", events["timestamp"]
    last = time[train].max()
    return time.mask(~train & (time <= last), last + pd.Timedelta(milliseconds=1))


def _context(events: pd.DataFrame, settings: Settings) -> dict[str, pd.Series]:
    """Number of earlier events and mean of earlier ratings, of the user and of the item.

    Where the split is not in time, only training rows are counted.
    """
    known = events[CHOSEN]
    if settings.split != "temporal":
        known = known & (events["split"] == "train")
    columns = {}
    for side in ("user", "item"):
        keys = events[["timestamp"]].assign(key=pd.factorize(events[f"{side}_id"])[0], one=1.0)
        columns[f"{side}_count"] = np.log1p(running(keys, "key", "one", known)[0])
        if settings.events.rating is not None:
            keys["one"] = events["rating"]
            columns[f"{side}_mean_rating"] = running(keys, "key", "one", known)[1]
    return columns


def frequent(column: pd.Series, training: pd.Series, classes: int) -> pd.Series:
    """Values of items as labels: what training shows most often, and OTHER or nothing for the rest.

    Args:
        column: a text or a list per item, indexed by item.
        training: items of the training events.
        classes: number of values kept.
    """
    weight = training.value_counts().reindex(column.index, fill_value=0)
    single = column.explode()
    counts = weight.reindex(single.index).groupby(single.to_numpy()).sum()
    kept = counts[counts > 0].sort_values(ascending=False, kind="stable").index
    if len(single) != len(column) or column.map(lambda value: isinstance(value, list)).any():
        known = set(kept[:classes])
        return column.map(lambda names: [name for name in names if name in known])
    if len(kept) > classes:
        rare = column.notna() & ~column.isin(kept[: classes - 1])
        column = column.where(~rare, OTHER)
    return column
