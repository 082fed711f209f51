"""Whether a service that was told n events knows what `mtrec.load` knows of data that hold them.

``python -m benchmarks.service.equal ROOT [DOMAIN …]``: for each domain under ROOT (trained), the
last events of the data are taken out, a service starts without them and is told them one by one.
Histories, met items, running means, context columns, scores of pairs, and what specialists and
fusions say of pairs and of lists, are compared with those of the whole data. Where held-out rows
are nobody's knowledge, only training rows are used.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mtrec
from mtrec.config import experiment
from mtrec.domains.online import Online, Running, online
from mtrec.features.assemble import encode_labels
from mtrec.features.dataset import Dataset
from mtrec.features.encoder import usable_events
from mtrec.features.offsets import held_out_is_known, label_rows
from mtrec.features.state import save_state
from mtrec.fusion import product, store
from mtrec.models.predict import predict
from mtrec.service.members import Members
from mtrec.service.rows import Ids
from mtrec.service.state import State
from mtrec.serving.recommender import Recommender, load_state
from mtrec.tables import schema
from mtrec.tables.schema import Tables

LISTS = 40  # users whose lists are compared


def part(tables: Tables, rules: Online) -> Tables:
    """Rows that a request may know."""
    counted = any(isinstance(rule, Running) for rule in rules.columns)
    if held_out_is_known(tables) and (rules.held_out or not counted):
        return tables
    training = tables.examples[tables.examples["split"] == "train"]
    last = training["timestamp"].max()
    return replace(
        tables, examples=training, events=tables.events[tables.events["timestamp"] <= last]
    )


def before(tables: Tables, cutoff: pd.Timestamp) -> Tables:
    """The data as they were before a moment; the split is the same."""
    early = ~(tables.examples["timestamp"] >= cutoff)
    return replace(
        tables,
        examples=tables.examples[early],
        events=tables.events[tables.events["timestamp"] < cutoff],
    )


def events_of(tables: Tables, cutoff: pd.Timestamp, run: Any, columns: set[str]) -> Iterator[dict]:
    """What happened from a moment on, as the service is told it."""
    labels = [c for c in {t.label for t in run.domain.tasks.values()} if c in tables.examples]
    late = tables.examples[tables.examples["timestamp"] >= cutoff]
    keys = ["user_id", "item_id", "timestamp"]
    own = tables.events[tables.events["timestamp"] >= cutoff]
    own = own.assign(order=np.arange(len(own)))
    values = [*run.domain.features.event]
    extra = [c for c in values if c not in late]
    both = late.merge(own[[*keys, *extra, "order"]], "outer", on=keys)
    both = both.sort_values(["timestamp", "order"], kind="stable")
    for at, row in enumerate(both.to_dict("records")):
        known = {k: v for k, v in row.items() if isinstance(v, list) or pd.notna(v)}
        found = {
            "event_id": str(at),
            "user_id": known["user_id"],
            "item_id": known.get("item_id"),
            "happened": "order" in known,
            "time": int(row["timestamp"].value // 1_000_000),
            "values": {c: known[c] for c in values if c in known},
            "labels": {c: known[c] for c in labels if c in known},
            "context": {c: known[c] for c in columns if c in known},
        }
        yield found


def loaded(whole: Recommender, tables: Tables, run: Any) -> Recommender:
    """What `mtrec.load` would answer from, on these data."""
    with tempfile.TemporaryDirectory() as folder:
        save_state(whole.assembly, tables, run.domain.tasks, Path(folder))
        return load_state(whole.domain, Path(folder), whole.model, whole.assembly)


def compare(domain: str, root: Path, count: int = 400) -> dict[str, float]:
    """Greatest differences after the last ``count`` events of a domain."""
    run, recommender = experiment(domain, root), mtrec.load(domain, root)
    rules = online(run.domain.module or domain, run.domain.data)
    tables = part(schema.read(run.paths.tables), rules)
    timed = tables.examples["timestamp"].dropna().sort_values()
    cutoff = timed.iloc[-count]
    late = loaded(recommender, tables, run)
    early = before(tables, cutoff)
    kept = store.load(run.paths.fusion) or store.Kept({}, {}, None, {})
    means = {task: one.learnt for task, one in kept.means.items()}
    start = loaded(recommender, early, run)
    state = State(start, early, run.domain.tasks, rules, means)
    members = Members(as_of(kept, early, run, start), run.paths.trained, start, state)
    ruled = {
        c
        for r in rules.columns
        for c in (getattr(r, "count", ""), getattr(r, "mean", ""), getattr(r, "column", ""))
        if c
    }
    given = {c for side in state.sides.values() for c in side.columns} - ruled
    events = [*events_of(tables, cutoff, run, given)]
    began, told = time.perf_counter(), 0
    for event in events:
        state.check(event)
        state.add(event)
        if event["item_id"] and event["happened"]:
            user, item = (ids.row[event[f"{side}_id"]] for side, ids in ids_of(state).items())
            members.note(user, item, event["time"])
        told += 1
    found: dict[str, float] = {
        "events": told, "per second": told / (time.perf_counter() - began),
        "now": abs(state.now - late.now.value // 1_000_000),
    }  # fmt: skip
    ids = pd.Series(late.assembly.encoder.user.ids)
    for side, one in state.sides.items():
        frame = late.context[side]
        rows = [one.ids.row[name] for name in frame.index]
        for column in one.columns:
            mine = one.values[rows, one.place[column]]
            theirs = frame[column].to_numpy(dtype="float64")
            same = np.where(np.isnan(mine) & np.isnan(theirs), 0.0, np.abs(mine - theirs))
            found[column] = float(np.where(np.isnan(same), np.inf, same).max(initial=0.0))
    for name, sides in late.offsets.items():
        mean = state.means[name]
        for side, known in zip(("user", "item"), sides, strict=True):
            mine = np.array([mean.adds(r, r)[side == "user"] for r in range(len(known))])
            found[f"{name}_offset_{side}"] = float(np.abs(mine - known).max())
    found["met"] = sum(set(state.met(u)) != set(late.met_by(u)) for u in range(1, len(ids) + 1))
    draw = np.random.default_rng(0)
    pairs = pd.DataFrame({
        "user_id": draw.choice(ids, 500),
        "item_id": draw.choice(np.array(late.assembly.encoder.item.ids), 500),
    })  # fmt: skip
    expected = late.assembly.encoder.inputs(late.rows(pairs), late.events)
    expected |= late.head_inputs(expected["user"], expected["item"])
    told_of = state.inputs(
        np.array([state.users.row[n] for n in pairs["user_id"]]),
        np.array([state.items.row[n] for n in pairs["item_id"]]),
    )
    for name in expected:
        if not np.allclose(told_of[name], expected[name], atol=1e-5):
            found[f"input {name}"] = float(np.abs(told_of[name] - expected[name]).max())
    found |= fused(product.FusedRecommender(
        **{one.name: getattr(late, one.name) for one in fields(Recommender)},
        kept=as_of(kept, tables, run, late), trained=run.paths.trained,
    ), members, state, pairs, told_of)  # fmt: skip
    logits = [predict(late.model, one) for one in (told_of, expected)]
    found["logits"] = max(float(np.abs(logits[0][t] - logits[1][t]).max()) for t in logits[0])
    return found


def ids_of(state: State) -> dict[str, Ids]:
    """Ids of users and items."""
    return {"user": state.users, "item": state.items}


def as_of(kept: store.Kept, tables: Tables, run: Any, model: Recommender) -> store.Kept:
    """What the stage fusion would have kept of these data, with the same specialists."""
    assembly, means = model.assembly, {}
    encoder = assembly.encoder
    for task, one in kept.means.items():
        kind, settings = assembly.types[task], run.domain.tasks[task]
        labels = encode_labels(tables.examples, run.domain.tasks, {task: kind})
        data = Dataset(encoder.entities(tables.examples), *labels)
        rows, _ = label_rows(task, kind, settings.view, data, tables)
        latest = one.learnt.latest(rows, len(encoder.user.ids), len(encoder.item.ids))
        means[task] = store.Means(one.learnt, *latest)
    events = None if kept.events is None else usable_events(tables, encoder)
    return replace(kept, events=events, means=means)


def fused(
    late: product.FusedRecommender,
    members: Members,
    state: State,
    pairs: pd.DataFrame,
    inputs: dict[str, np.ndarray],
) -> dict[str, float]:
    """Greatest difference of what others than the joint model say, by task."""
    users, items = (
        np.array([ids.row[name] for name in pairs[f"{side}_id"]])
        for side, ids in ids_of(state).items()
    )
    joint, found = super(product.FusedRecommender, late).predict(pairs), {}

    def differ(task: str, which: np.ndarray) -> float:
        rows = members.rows(
            users[which], items[which], {name: values[which] for name, values in inputs.items()}
        )
        asked, said = late.rows(pairs.iloc[which]), joint[task][which]
        mine = members.answer(task, rows, said, late._out(task, asked))
        return float(np.abs(mine - late._answer(task, asked, said)).max())

    for task, kind in late.assembly.types.items():
        if task not in members:
            continue
        parts = np.arange(LISTS)[:, None] if kind.candidates else [np.arange(len(pairs))]
        found[f"fused {task}"] = max(differ(task, which) for which in parts)
    return found | dict.fromkeys(members.trouble, float("inf"))


def main(root: Path, domains: list[str]) -> int:
    """Print the differences of each domain; 1 if one is above 1e-5."""
    worst = 0
    for domain in domains:
        found = compare(domain, root)
        print(domain, {k: float(f"{v:.3g}") for k, v in found.items()}, flush=True)
        bad = {k: v for k, v in found.items() if k not in ("events", "per second") and v > 1e-5}
        if bad:
            print(f"{domain}: differs in {bad}")
            worst = 1
    return worst


if __name__ == "__main__":
    from mtrec.config import read_params

    place = Path(sys.argv[1])
    sys.exit(main(place, sys.argv[2:] or list(read_params(place / "params.yaml").domains)))
