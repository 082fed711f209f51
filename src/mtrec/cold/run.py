"""Train and score every system on held-out items and users; what is done is not done again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from keras import ops

from mtrec.cold import boosting, factorization, means
from mtrec.cold.peers import Question, Rows, require
from mtrec.cold.ranking import GroupRanking
from mtrec.cold.split import FEWEST, SIDES, cold_tasks, make_cold
from mtrec.cold.systems import ColdBench, prepare, restrict, systems
from mtrec.config import experiment
from mtrec.data import schema, texts
from mtrec.evaluation.intervals import evaluate
from mtrec.evaluation.metrics import HIGHER_IS_BETTER, MAIN_METRIC
from mtrec.evaluation.ranks import left_out, ranks
from mtrec.study.run import learnt_from
from mtrec.tasks import Ranking
from mtrec.training import ledger, workbench
from mtrec.training.loop import make_deterministic, predict

Array = np.ndarray
DROPOUT = 0.5  # of every model here
TIE = 1e-5  # in units of a score, which are logits
PEERS: dict[str, Any] = {"lightfm": factorization, "catboost": boosting}
PEER_SETS = tuple(tuple(some) for n in (2, 1, 0) for some in combinations(PEERS, n))
COMPARED = (
    ("tables", "ids"), ("llm", "ids"), ("both", "tables"), ("both", "means"), ("tables", "means"),
    ("both", "lightfm"), ("tables", "lightfm"), ("both", "catboost"), ("tables", "catboost"),
)  # fmt: skip


def main(domain: str, minutes: float | None = None) -> bool:
    """Do what the results' file lacks, which is whole after each split.

    Args:
        domain: name of the domain.
        minutes: stop before a split that would begin later than this.

    Returns:
        Whether nothing is missing any more.
    """
    run = settings(domain)
    make_deterministic(run.seed, run.training.deterministic)
    return study(run, results_file(run), minutes)


def settings(domain: str) -> Any:
    """The experiment as it is trained here: as the domain's own, without teachers.

    Rows are fewer, so more is dropped. A task that sees both sides starts from the means of the
    known one, if it has an offset; a task that sees one side starts from a constant.
    """
    run = experiment(domain)
    tasks = {
        name: task if task.view == "joint" else task.model_copy(update={"offset": None})
        for name, task in run.domain.tasks.items()
    }
    return replace(
        run,
        domain=run.domain.model_copy(update={"tasks": tasks}),
        model_building=run.model_building.model_copy(update={"dropout": DROPOUT}),
    )


def results_file(run: Any) -> Path:
    """Where the results of a domain are kept, committed."""
    return run.paths.study.with_name(f"{run.name}_cold.csv")


def study(run: Any, file: Path, minutes: float | None = None) -> bool:
    """:func:`main` for settings that are read already."""
    started = time.monotonic()
    tables, vectors = schema.read(run.paths.tables), texts.load(run.paths.embeddings)
    peers = installed()
    for split in planned(run):
        name = fingerprint(run, split, peers)
        if {name, fingerprint(run, split)} & set(ledger.read(file)["key"]):
            continue
        if minutes is not None and time.monotonic() - started > 60 * minutes:
            print(f"{run.name}: stopped after {minutes:g} minutes; run again to go on", flush=True)
            return False
        begun = time.monotonic()
        found = hold_out_once(run, tables, vectors, split, peers)
        if found.empty:
            print(f"{run.name}: {split}: no task has {FEWEST} labels in every split", flush=True)
            continue
        ledger.add(file, found.assign(key=name))
        print(f"{run.name}: {split}: {time.monotonic() - begun:.0f} s", flush=True)
    return True


def planned(run: Any) -> list[str]:
    """Splits of a domain; one that no task sees is left out."""
    return [split for split, side in SIDES.items() if cold_tasks(run.domain.tasks, side)]


def installed() -> tuple[str, ...]:
    """Peers that can be asked; of one that cannot, a sentence says so and it is left out."""
    found = []
    for name in PEERS:
        try:
            require(name)
        except ImportError as error:
            print(error, flush=True)
        else:
            found.append(name)
    return tuple(found)


def keys(run: Any) -> dict[str, list[str]]:
    """By split what results of the present settings are known by, most peers first."""
    return {
        split: [fingerprint(run, split, peers) for peers in PEER_SETS] for split in planned(run)
    }


def results(run: Any) -> pd.DataFrame:
    """What is known: of the present settings, else of the last; with all peers, if there is such.

    Raises:
        FileNotFoundError: nothing is known of the domain.
    """
    found, parts = ledger.read(results_file(run)), []
    if found.empty:
        raise FileNotFoundError(
            f"{results_file(run)}: no results; run `make study DOMAIN={run.name} PART=cold_start`."
        )
    for split, names in keys(run).items():
        own = found[found["split"] == split]
        known = [name for name in names if name in set(own["key"])] or [*own["key"].tail(1)]
        parts.append(own[own["key"].isin(known[:1])])
    return pd.concat(parts, ignore_index=True)


def hold_out_once(
    run: Any, tables: Any, vectors: Mapping, split: str, asked: tuple[str, ...]
) -> pd.DataFrame:
    """Hold entities out, train and ask every system, and score all on the same rows.

    Our systems are trained once per seed; the peers ``asked`` are fitted once.

    Returns:
        A row per task, seed and system, and per compared pair (``both - ids``, positive is
        better): ``split``, ``seed``, ``task``, ``type``, ``metric``, ``rows``, ``entities``,
        ``system``, ``value``, ``low``, ``high``.
    """
    short, seed = run.cold_start, run.seed
    data = make_cold(tables, run.domain, split, (short.validation_share, short.test_share), seed)
    if not data.domain.tasks:
        return pd.DataFrame()
    cold = prepare(run, short, data, vectors, seed)
    seeds = [seed + n for n in range(short.seeds)]
    ours = {
        system: _joint(restrict(cold.bench, parts, cold.side), cold.test, seeds)
        for system, parts in systems(cold.bench.assembly.encoder, cold.side).items()
    }
    rows = []
    for name, kind in cold.bench.assembly.types.items():
        question = ask(cold, name, seed)
        peers = {"means": means.predict(cold, name)}
        peers |= _ask_peers(question, name, asked)
        known = cold.test[cold.bench.data.masks[name][cold.test]]
        entities = cold.entities.iloc[known].to_numpy().astype(str)
        about = {"task": name, "type": kind.metrics, "rows": len(known),
                 "entities": len(set(entities))}  # fmt: skip
        for number in seeds:
            found = {system: by_seed[number][name] for system, by_seed in ours.items()} | peers
            scored = _score(run, kind, question.test, found, entities)
            rows += [{"split": split, "seed": number, **about, **row} for row in scored]
    return pd.DataFrame(rows)


def _ask_peers(question: Question, name: str, asked: tuple[str, ...]) -> dict[str, Array]:
    """Answers of the peers that answer such a task; one that cannot learn it says so and is out."""
    found = {}
    for peer in asked:
        if not PEERS[peer].answers(question):
            continue
        try:
            found[peer] = PEERS[peer].predict(question)
        except ValueError as error:
            print(f"task '{name}': {error}; the peer is left out", flush=True)
    return found


def ask(cold: ColdBench, name: str, seed: int) -> Question:
    """What a peer is asked about a task."""
    bench = cold.bench
    kind = bench.assembly.types[name]
    test = bench.data.take(cold.test)
    parts = {"training": bench.training, "validation": bench.validation, "test": test}
    outs: dict[str, Array | None] = dict.fromkeys(parts)
    if isinstance(kind, Ranking):
        for key, data in parts.items():
            labels = data.labels[name][data.masks[name]]
            outs[key] = _absent(kind, labels)
        asked = cold.test[test.masks[name]]
        label = bench.domain.tasks[name].label
        known = left_out(kind, bench.assembly.encoder, bench.tables, label, asked)
        outs["test"] = outs["test"] | known
    rows = {key: Rows.of(data, name, outs[key]) for key, data in parts.items()}
    return Question(
        kind, bench.assembly.encoder, bench.assembly.seen[name], **rows, cold=cold.side, seed=seed
    )  # fmt: skip


def fingerprint(run: Any, split: str, peers: tuple[str, ...] = tuple(PEERS)) -> str:
    """What identifies a split's results: a change of any setting behind them makes them new."""
    elsewhere = {"epochs", "batch_size", "distillation", "recalibrate"}
    training = run.training.model_dump(exclude=elsewhere)
    return ledger.key(
        run.name, split, run.seed, run.cold_start.model_dump(),
        run.model_building.model_dump(exclude={"history": {"length"}}), training,
        learnt_from(run.domain), run.task_embedding.model_dump(), run.evaluation.resamples, peers,
        *[name for name, task in run.domain.tasks.items() if task.offset],
    )  # fmt: skip


def tied(scores: Array, label: Array) -> Array:
    """Scores above the label's own, 0 where the difference is one of rounding.

    A model that knows nothing of new items scores all alike, but for the last bit of a product.
    """
    above = scores - scores[np.arange(len(scores)), label][:, None]
    return np.where(np.abs(above) < TIE, 0.0, above)


def _absent(kind: Ranking, labels: Array) -> Array:
    if isinstance(kind, GroupRanking):
        return kind.absent(labels)
    return np.zeros((len(labels), kind.outputs), dtype=bool)


def _joint(bench: Any, test: Array, seeds: list[int]) -> dict[int, dict[str, Array]]:
    """Predictions of the joint model on the test rows with a label, by seed and task."""
    part, types = bench.data.take(test), bench.assembly.types
    found = {}
    for seed, model, _ in workbench.fit(bench, tuple(types), seeds):
        logits = predict(model, part.inputs)
        found[seed] = {
            name: ops.convert_to_numpy(kind.predict(logits[name][part.masks[name]]))
            for name, kind in types.items()
        }
    return found


def _score(
    run: Any, kind: Any, test: Rows, found: dict[str, Array], entities: Array
) -> list[dict[str, Any]]:
    """The main metric of each system and compared pair with its interval over entities."""
    if isinstance(kind, Ranking):
        assert test.out is not None
        out, label = test.out, test.label
        found = {name: ranks(tied(scores, label), label, out) for name, scores in found.items()}
    pairs = {f"{a} - {b}": (a, b) for a, b in COMPARED if a in found and b in found}
    metric = MAIN_METRIC[kind.metrics]
    scores = evaluate(
        kind.metrics, test.label, found, entities, run.evaluation.resamples, run.seed, pairs
    )
    rows = []
    for name, values in scores.items():
        value, low, high = (values[metric][key] for key in ("value", "low", "high"))
        if name in pairs and not HIGHER_IS_BETTER[metric]:
            value, low, high = -value, -high, -low
        rows.append({"metric": metric, "system": name, "value": round(value, 6),
                     "low": round(low, 6), "high": round(high, 6)})  # fmt: skip
    return rows
