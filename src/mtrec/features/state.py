"""What requests need beside a trained model: the last events, context and offsets of everybody."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from mtrec.features.assemble import Assembly, dataset, save
from mtrec.features.encoder import usable_events
from mtrec.features.events import Events
from mtrec.features.offsets import label_rows
from mtrec.files import save_arrays, write_sums
from mtrec.settings import Task
from mtrec.tables.schema import Tables

LAST_STATE = "state"


def save_state(assembly: Assembly, tables: Tables, tasks: Mapping[str, Task], folder: Path) -> None:
    """Write beside the trained models what requests need, and last the list of all files."""
    save(assembly, folder)
    events, length = usable_events(tables, assembly.encoder), assembly.encoder.history_length
    rows = np.arange(1, len(events.user))
    last = np.searchsorted(events.user[1:], events.user[1:], side="right")
    keep = np.r_[0, rows[last - np.arange(len(rows)) <= length]]
    arrays = {name: getattr(events, name)[keep] for name in ("user", "item", "time", "features")}
    ranked = any(kind.candidates for kind in assembly.types.values())
    arrays["met"] = met_pairs(events)[: None if ranked else 0]
    for side in ("user", "item"):
        scaler = assembly.encoder.contexts.get(side)
        if scaler is not None:
            frame = _latest(tables.examples, f"{side}_id", scaler.columns)
            arrays[f"{side}_context"] = frame.to_numpy(dtype="float64")
            arrays[f"{side}_context_ids"] = frame.index.to_numpy().astype(str)
    if assembly.offsets:
        data = dataset(assembly, tables, tasks)
    for name, means in assembly.offsets.items():
        kind, view = assembly.types[name], tasks[name].view
        labelled, _ = label_rows(name, kind, view, data, tables)
        sizes = (len(assembly.encoder.user.ids), len(assembly.encoder.item.ids))
        for side, part in zip(("user", "item"), means.latest(labelled, *sizes), strict=True):
            arrays[f"{name}_offset_{side}"] = part
    save_arrays(folder / f"{LAST_STATE}.npz", arrays)
    write_sums(folder)


def met_pairs(events: Events) -> np.ndarray:
    """Rows of known users and items that met, each pair once, ``(pairs, 2)``, by user."""
    pairs = np.stack([events.user, events.item], axis=1)
    return np.unique(pairs[(pairs > 0).all(axis=1)], axis=0)


def _latest(examples: pd.DataFrame, key: str, columns: tuple[str, ...]) -> pd.DataFrame:
    known = examples[examples[key].notna() & examples["timestamp"].notna()]
    ordered = known.sort_values("timestamp", kind="stable")
    return ordered.groupby(key)[list(columns)].last()
