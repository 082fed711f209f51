"""What tuning the language model's upper blocks adds to a reader of its frozen states."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from mtrec import progress
from mtrec.config import Experiment
from mtrec.features.dataset import Dataset, encode_labels, fit_types
from mtrec.files import save_arrays
from mtrec.metrics.intervals import evaluate
from mtrec.registry import METRICS
from mtrec.studies import runner
from mtrec.studies.tuning_model import Tuner, raised
from mtrec.studies.tuning_plan import PLAN, TUNING, VERSION, Tuning
from mtrec.tables import schema
from mtrec.tables.schema import Tables
from mtrec.tasks.base import TaskType
from mtrec.text import backbone
from mtrec.text.backbone import LanguageModel
from mtrec.text.lora import Adapters

Array = np.ndarray
SHARD = 256  # texts per file: what an interruption can lose
BATCH = 32  # texts per forward pass
SYSTEMS = ("frozen", "lora")


def study(run: Experiment, minutes: float | None = None) -> bool:
    """Train frozen and tuned with every number of rows; see :func:`mtrec.studies.runner.main`."""
    return runner.resume(PLAN, run, partial(train, run), minutes)


def train(
    run: Experiment, size: int, seeds: Sequence[int], tuning: Tuning = TUNING
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Train a reader on frozen states and one with adapters on the same rows, per seed.

    Both are judged on the same validation rows; no test row is looked at. Adapters start as
    nothing, so that both start alike.

    Args:
        run: the settings.
        size: training rows.
        seeds: of weights, dropout and batches.
        tuning: settings of the study.

    Yields:
        The seed and its rows: ``rows``, ``seed``, ``system`` (``frozen``, ``lora`` and their
        paired difference), ``task``, ``metric``, ``value``, ``low``, ``high``, and ``minutes`` of
        CPU time, which leave out the states of the blocks below (``state_minutes``, once for all).
    """
    tables, tasks = schema.read(run.paths.tables), run.domain.tasks
    catalogues = {"items": tuple(tables.items["item_id"]), "users": tuple(tables.users["user_id"])}
    types = fit_types(tables.examples, tasks, catalogues)
    texts, split = texts_of(tables), tables.examples["split"].to_numpy()
    learnt, judged = (
        drawn(np.flatnonzero((split == part) & (texts != "")), count, run.seed)
        for part, count in (("train", size), ("validation", tuning.validation))
    )
    rows = np.concatenate([learnt, judged])
    work = run.paths.root / "build" / "tuning" / run.name
    model = backbone.load(
        run.task_embedding.preset, run.paths.raw, "float32", tuning.below + tuning.blocks
    )
    lower, spent = states_below(model, texts[rows], tuning, run.task_embedding.preset, work)
    training, held = np.arange(len(learnt)), np.arange(len(learnt), len(rows))
    users = tables.examples["user_id"].factorize()[0]
    data = Dataset({"user": users}, *encode_labels(tables.examples, tasks, types)).take(rows)
    same = fingerprint(run, texts[rows], data, tuning)
    for seed in seeds:
        found, minutes = {}, {}
        for system in SYSTEMS:
            name = f"{system}-{size}-{seed}"
            began = time.process_time()
            tuner = beginning(model, types, data, lower, training, tuning, seed, system == "lora")
            before = tuner.fit(work / f"{name}.npz", f"{name} {same}")
            if tuner.adapters is not None:
                tuner.adapters.save(work / f"{name}-adapters.npz")
            found[system] = tuner.predict(held)
            minutes[system] = (before + time.process_time() - began) / 60
        table = scores(run, types, data, held, found)
        table = table.assign(
            rows=size, seed=seed, state_minutes=round(spent / 60, 2),
            minutes=table["system"].map(minutes).round(2),
        )  # fmt: skip
        yield seed, table
        for system in found:  # what is in the results goes on nowhere
            (work / f"{system}-{size}-{seed}.npz").unlink(missing_ok=True)


def beginning(
    model: LanguageModel, types: Mapping[str, TaskType], data: Dataset, lower: Sequence[Array],
    training: Array, tuning: Tuning, seed: int, tuned: bool,
) -> Tuner:  # fmt: skip
    """A reader before its training, on adapters or on the states that they begin with."""
    adapters = Adapters(model, tuning.below, tuning.blocks, tuning.rank, tuning.alpha, seed=seed)
    upper = raised(adapters, lower[:SHARD] if tuned else lower, BATCH)
    return Tuner(
        types, data.labels, data.masks, lower if tuned else upper, training,
        adapters if tuned else None, np.concatenate(upper[:SHARD]).astype("float32"), tuning, seed,
    )  # fmt: skip


def scores(
    run: Experiment, types: Mapping[str, TaskType], data: Dataset, held: Array,
    found: Mapping[str, Mapping[str, Array]],
) -> pd.DataFrame:  # fmt: skip
    """Metrics of both systems and their difference, with intervals over users.

    A task with fewer than two labels is left out, as it has no interval.
    """
    rows = []
    for name, kind in types.items():
        known = data.masks[name][held]
        if known.sum() < 2:
            continue
        labels = data.labels[name][held][known]
        answers, family, true = {}, "", labels
        for system, predictions in found.items():
            family, true, answers[system] = kind.in_units(labels, predictions[name][known])
        scored = evaluate(
            family, true, answers, data.inputs["user"][held][known], run.evaluation.resamples,
            run.seed, {"difference": ("lora", "frozen")},
        )  # fmt: skip
        metrics = [metric for metric in ("mae",) if metric in scored["lora"]]
        for metric in dict.fromkeys([METRICS[family].main, *metrics]):
            rows += [
                {"system": system, "task": name, "metric": metric,
                 **{key: round(value, 6) for key, value in values[metric].items()}}
                for system, values in scored.items()
            ]  # fmt: skip
    return pd.DataFrame(rows)


def texts_of(tables: Tables) -> Array:
    """Text of each example's item, empty where there is none.

    Raises:
        ValueError: the domain has no texts.
    """
    items = tables.items
    if "text" not in items or items["text"].isna().all():
        raise ValueError(
            "items: no text in this domain, and a language model is tuned on texts. Run the study "
            "on social_reviews."
        )
    text = tables.examples["item_id"].map(items.set_index("item_id")["text"])
    return text.fillna("").str.strip().to_numpy(dtype=object)


def fingerprint(run: Experiment, texts: Array, data: Dataset, tuning: Tuning) -> str:
    """What a training that was cut must have alike to go on: method, settings, texts, labels."""
    said = [VERSION, run.task_embedding.preset, tuning.model_dump(mode="json"), list(texts)]
    found = hashlib.sha256(json.dumps(said).encode())
    for name, labels in data.labels.items():
        found.update(name.encode() + labels.tobytes() + data.masks[name].tobytes())
    return found.hexdigest()


def drawn(rows: Array, size: int, seed: int) -> Array:
    """``size`` of the rows by lot, or all if they are fewer; fewer are the first of more."""
    return np.random.default_rng(seed).permutation(rows)[:size]


def states_below(
    model: LanguageModel, texts: Sequence[str], tuning: Tuning, preset: str, folder: Path
) -> tuple[list[Array], float]:
    """States of texts after the blocks that are not adapted, float16, and their CPU seconds.

    The start token is among them, as the blocks above look at it.

    Args:
        model: the language model.
        texts: none empty.
        tuning: blocks and tokens.
        preset: of the model.
        folder: of the files that hold them, a shard each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Array] = []
    spent = 0.0
    with progress.task("states", len(texts), unit="text") as bar:
        for start in range(0, len(texts), SHARD):
            part = list(texts[start : start + SHARD])
            said = json.dumps([preset, tuning.below, tuning.tokens, part])
            file = folder / f"{hashlib.sha256(said.encode()).hexdigest()[:24]}.npz"
            states, starts, seconds = _load(file) or _compute(model, part, tuning, file)
            found += [states[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]
            spent += float(seconds)
            bar.advance(len(part))
    return found, spent


def _compute(
    model: LanguageModel, texts: list[str], tuning: Tuning, file: Path
) -> tuple[Array, Array, Array]:
    began, ids = time.process_time(), model.tokens(texts, tuning.tokens)
    order = np.argsort([len(one) for one in ids], kind="stable")
    parts: list[Array] = [np.empty(0)] * len(ids)
    for rows in np.array_split(order, -(-len(order) // BATCH)):
        longest = max(len(ids[row]) for row in rows)
        tokens, padding = np.zeros((2, len(rows), longest), "int32")
        for at, row in enumerate(rows):
            tokens[at, : len(ids[row])], padding[at, : len(ids[row])] = ids[row], 1
        read = np.asarray(backbone.hidden_states(model, tokens, padding, tuning.below))
        for at, row in enumerate(rows):
            parts[row] = read[at, : len(ids[row])].astype("float16")
    starts = np.cumsum([0, *map(len, parts)])
    arrays = {"states": np.concatenate(parts), "starts": starts,
              "seconds": np.array(time.process_time() - began)}  # fmt: skip
    save_arrays(file, arrays)
    return arrays["states"], starts, arrays["seconds"]


def _load(file: Path) -> tuple[Array, Array, Array] | None:
    """What a file holds, or None if there is none or it is damaged."""
    try:
        with np.load(file) as found:
            return found["states"], found["starts"], found["seconds"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
