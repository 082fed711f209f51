"""Train and score every system on held-out items and users; what is done is not done again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from keras import ops

from mtrec.config import Experiment
from mtrec.features.candidates import left_out
from mtrec.metrics.families import HIGHER_IS_BETTER, MAIN_METRIC
from mtrec.metrics.intervals import evaluate
from mtrec.metrics.ranks import ranks
from mtrec.models.predict import predict
from mtrec.peers.base import NoAnswer, PeerTask, answers
from mtrec.peers.baselines import training_means
from mtrec.registry import PEERS
from mtrec.studies import runner, workbench
from mtrec.studies.cold_split import FEWEST, make_cold
from mtrec.studies.cold_start_plan import PLAN, adapted, trainings
from mtrec.studies.cold_systems import ColdBench, prepare, restrict, systems
from mtrec.studies.workbench import Workbench
from mtrec.tables import schema
from mtrec.tables.schema import Tables
from mtrec.text import embeddings

Array = np.ndarray
TIE = 1e-5  # in units of a score, which are logits
COMPARED = (
    ("tables", "ids"),
    ("llm", "ids"),
    ("both", "tables"),
)  # among ours


def study(run: Experiment, minutes: float | None = None) -> bool:
    """Train and score every system on every split; see :func:`mtrec.studies.runner.main`."""
    run = adapted(run)
    tables, vectors = schema.read(run.paths.tables), embeddings.load(run.paths.embeddings)
    peers = installed()
    asked = peers, PEERS.cold  # what is known with all peers is not done again with fewer

    def train(split: str, seeds: list[int]) -> Iterator[tuple[int, pd.DataFrame]]:
        for seed in seeds:
            found = hold_out_once(run, tables, vectors, split, peers, seed)
            if found.empty:
                print(f"{run.name}: {split}: no task has {FEWEST} labels in every split")
                return
            yield seed, found

    mine = replace(PLAN, trainings=partial(trainings, asked=asked))
    return runner.resume(mine, run, train, minutes)


def installed() -> tuple[str, ...]:
    """Peers that can be asked; of one that cannot, a sentence says so and it is left out."""
    found = []
    for name in PEERS.cold:
        try:
            PEERS.package(name)
        except ImportError as error:
            print(f"{error} It is left out of the cold-start study.", flush=True)
        else:
            found.append(name)
    return tuple(found)


def hold_out_once(
    run: Experiment, tables: Tables, vectors: Mapping, split: str, asked: tuple[str, ...], seed: int
) -> pd.DataFrame:
    """Hold entities out, train and ask every system, and score all on the same rows.

    Entities and rows are drawn by the run's seed, so they are the same for every ``seed``, with
    which our systems are trained and the peers ``asked`` are fitted.

    Returns:
        A row per task and system, and per compared pair (``both - ids``, positive is better):
        ``split``, ``seed``, ``task``, ``type``, ``metric``, ``rows``, ``entities``, ``system``,
        ``value``, ``low``, ``high``; empty if no task has enough labels.
    """
    short = run.cold_start
    shares = short.validation_share, short.test_share
    data = make_cold(tables, run.domain, split, shares, run.seed)
    if not data.domain.tasks:
        return pd.DataFrame()
    cold = prepare(run, short, data, vectors, run.seed)
    ours = {
        system: _joint(restrict(cold.bench, parts, cold.side), cold.test, seed)
        for system, parts in systems(cold.bench.assembly.encoder, cold.side).items()
    }
    rows = []
    for name, kind in cold.bench.assembly.types.items():
        task = ask(cold, name, seed)
        known = task.rows("test")
        found = {system: answers[name] for system, answers in ours.items()}
        found |= {"means": training_means(task)[known], **ask_peers(task, asked)}
        entities = cold.entities.iloc[known].to_numpy().astype(str)
        about = {"split": split, "seed": seed, "task": name, "type": kind.metrics,
                 "rows": len(known), "entities": len(set(entities))}  # fmt: skip
        rows += [{**about, **row} for row in _score(run, task, found, entities)]
    return pd.DataFrame(rows)


def ask_peers(task: PeerTask, asked: tuple[str, ...]) -> dict[str, Array]:
    """Answers of the peers that answer such a task; one that cannot learn it says so and is out."""
    found = {}
    for peer in asked:
        try:
            found[peer] = answers(PEERS[peer](task), task, task.rows("test"))
        except NoAnswer:
            continue
        except ValueError as error:
            print(f"task '{task.name}': {error}; the peer is left out", flush=True)
    return found


def ask(cold: ColdBench, name: str, seed: int) -> PeerTask:
    """What a peer is asked about a task."""
    bench, data = cold.bench, cold.bench.data
    return PeerTask(
        name, bench.domain.tasks[name], bench.assembly.types[name], bench.tables,
        bench.assembly.encoder, data.labels[name], data.masks[name], seed, cold=cold.side,
    )  # fmt: skip


def tied(scores: Array, label: Array) -> Array:
    """Scores above the label's own, 0 where the difference is one of rounding.

    A model that knows nothing of new items scores all alike, but for the last bit of a product.
    """
    above = scores - scores[np.arange(len(scores)), label][:, None]
    return np.where(np.abs(above) < TIE, 0.0, above)


def _joint(bench: Workbench, test: Array, seed: int) -> dict[str, Array]:
    """Predictions of the joint model on the test rows with a label, by task."""
    part, types = bench.data.take(test), bench.assembly.types
    ((_, model, _),) = workbench.fit(bench, tuple(types), [seed])
    logits = predict(model, part.inputs)
    return {
        name: ops.convert_to_numpy(kind.predict(logits[name][part.masks[name]]))
        for name, kind in types.items()
    }


def _score(
    run: Experiment, task: PeerTask, found: dict[str, Array], entities: Array
) -> list[dict[str, str | float]]:
    """The main metric of each system and compared pair with its interval over entities."""
    kind, rows = task.kind, task.rows("test")
    label = task.labels[rows]
    if kind.candidates:
        out = task.out("test") | left_out(kind, task.encoder, task.tables, task.task.label, rows)
        found = {name: ranks(tied(scores, label), label, out) for name, scores in found.items()}
    others = [(ours, other) for other in ("means", *PEERS.cold) for ours in ("both", "tables")]
    compared = [(a, b) for a, b in (*COMPARED, *others) if a in found and b in found]
    pairs = {f"{a} - {b}": (a, b) for a, b in compared}
    metric = MAIN_METRIC[kind.metrics]
    scores = evaluate(
        kind.metrics, label, found, entities, run.evaluation.resamples, run.seed, pairs
    )
    lines: list[dict[str, str | float]] = []
    for name, values in scores.items():
        value, low, high = (values[metric][key] for key in ("value", "low", "high"))
        if name in pairs and not HIGHER_IS_BETTER[metric]:
            value, low, high = -value, -high, -low
        lines.append({"metric": metric, "system": name, "value": round(value, 6),
                      "low": round(low, 6), "high": round(high, 6)})  # fmt: skip
    return lines
