"""Train and score every system on held-out items and users; what is done is not done again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from keras import ops

from mtrec.config import experiment
from mtrec.features import links
from mtrec.features.candidates import left_out
from mtrec.metrics.families import HIGHER_IS_BETTER, MAIN_METRIC
from mtrec.metrics.intervals import evaluate
from mtrec.metrics.ranks import ranks
from mtrec.models.predict import predict
from mtrec.models.seeds import make_deterministic
from mtrec.peers import cold_boosting, factorization
from mtrec.peers.question import Question, Rows, require
from mtrec.studies import cold_means, ledger, workbench
from mtrec.studies.cold_split import FEWEST, SIDES, cold_tasks, make_cold
from mtrec.studies.cold_systems import ColdBench, prepare, restrict, systems
from mtrec.studies.comparison import learnt_from
from mtrec.studies.resume import resume
from mtrec.studies.workbench import Workbench
from mtrec.tables import schema
from mtrec.text import embeddings

Array = np.ndarray
DROPOUT = 0.5  # of every model here
TIE = 1e-5  # in units of a score, which are logits
PEERS: dict[str, Any] = {"lightfm": factorization, "catboost": cold_boosting}
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


def settings(domain: str, start: Path | None = None) -> Any:
    """The experiment as it is trained here: as the domain's own, without teachers.

    Rows are fewer, so more is dropped. A task that sees both sides starts from the means of the
    known one, if it has an offset; a task that sees one side starts from a constant. Nobody held
    out has a link, so no head reads links.
    """
    run = experiment(domain, start)
    tasks = {
        name: task.model_copy(
            update=({} if task.view == "joint" else {"offset": None})
            | ({"head": None} if task.head == links.HEAD else {})
        )
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
    tables, vectors = schema.read(run.paths.tables), embeddings.load(run.paths.embeddings)
    peers, done = installed(), set(ledger.read(file)["key"])
    choices = peers, tuple(PEERS)  # what is known with all peers is not done again with fewer

    def trainings(split: str, seeds: list[int]) -> Iterator[tuple[int, pd.DataFrame]]:
        for seed in seeds:
            found = hold_out_once(run, tables, vectors, split, peers, seed)
            if found.empty:
                print(f"{run.name}: {split}: no task has {FEWEST} labels in every split")
                return
            yield seed, found

    settings = (
        (split, {seed: _name(run, split, seed, choices, done) for seed in _seeds(run)},
         partial(trainings, split))
        for split in planned(run)
    )  # fmt: skip
    return resume(file, run.name, settings, minutes)


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
    """What identifies each training of the present settings, by split; with most peers known."""
    done = set(ledger.read(results_file(run))["key"])
    return {
        split: [_name(run, split, seed, PEER_SETS, done) for seed in _seeds(run)]
        for split in planned(run)
    }


def _seeds(run: Any) -> list[int]:
    return [run.seed + n for n in range(run.cold_start.seeds)]


def _name(
    run: Any, split: str, seed: int, choices: Sequence[tuple[str, ...]], done: Collection[str]
) -> str:
    """Key of the first of some choices of peers whose results are there, else of the first."""
    names = [fingerprint(run, split, seed, peers) for peers in choices]
    return next((name for name in names if name in done), names[0])


def results(run: Any) -> pd.DataFrame:
    """What is known, see :func:`mtrec.studies.ledger.known`.

    Raises:
        FileNotFoundError: nothing is known of the domain.
    """
    command = f"make study DOMAIN={run.name} PART=cold_start"
    training = ["split", "seed", "task", "system"]
    return ledger.known(results_file(run), keys(run), training, command)


def hold_out_once(
    run: Any, tables: Any, vectors: Mapping, split: str, asked: tuple[str, ...], seed: int
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
        question = ask(cold, name, seed)
        found = {system: answers[name] for system, answers in ours.items()}
        found |= {"means": cold_means.predict(cold, name), **_ask_peers(question, name, asked)}
        known = cold.test[cold.bench.data.masks[name][cold.test]]
        entities = cold.entities.iloc[known].to_numpy().astype(str)
        about = {"split": split, "seed": seed, "task": name, "type": kind.metrics,
                 "rows": len(known), "entities": len(set(entities))}  # fmt: skip
        rows += [{**about, **row} for row in _score(run, kind, question.test, found, entities)]
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
    if kind.candidates:
        for key, data in parts.items():
            labels = data.labels[name][data.masks[name]]
            outs[key] = kind.absent(labels)
        asked = cold.test[test.masks[name]]
        label = bench.domain.tasks[name].label
        known = left_out(kind, bench.assembly.encoder, bench.tables, label, asked)
        outs["test"] = outs["test"] | known
    rows = {key: Rows.of(data, name, outs[key]) for key, data in parts.items()}
    return Question(
        kind, bench.assembly.encoder, bench.assembly.seen[name], **rows, cold=cold.side, seed=seed
    )  # fmt: skip


def fingerprint(run: Any, split: str, seed: int, peers: tuple[str, ...] = tuple(PEERS)) -> str:
    """What identifies the results of a split and seed: a change of any setting makes them new."""
    elsewhere = {"epochs", "batch_size", "distillation", "recalibrate"}
    training = run.training.model_dump(exclude=elsewhere)
    return ledger.key(
        run.name, split, run.seed, seed, run.cold_start.model_dump(exclude={"seeds"}),
        run.model_building.model_dump(exclude={"history": {"length"}}), training,
        learnt_from(run.domain), run.task_embedding.model_dump(), run.evaluation.resamples,
        {peer: PEERS[peer].SETTINGS for peer in peers},
        *[name for name, task in run.domain.tasks.items() if task.offset],
        *(["without history"] if SIDES[split] == "user" else []), "ties in random order",
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
    run: Any, kind: Any, test: Rows, found: dict[str, Array], entities: Array
) -> list[dict[str, Any]]:
    """The main metric of each system and compared pair with its interval over entities."""
    if kind.candidates:
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
