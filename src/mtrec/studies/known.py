"""What notebook 06 reads: results of `make study PART=task_analysis`; no TensorFlow here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from mtrec.studies import ledger
from mtrec.studies.comparison import learnt_from

GRADIENTS = ["epoch", "probe", "task", "other", "cosine", "affinity"]


def transfer_file(paths: Any) -> Path:
    """Validation losses by set of tasks, committed."""
    return paths.study.with_name(f"{paths.domain}_transfer.csv")


def gradient_file(paths: Any) -> Path:
    """Cosines and affinities by epoch, committed."""
    return paths.study.with_name(f"{paths.domain}_gradients.csv")


def transfers(run: Any) -> pd.DataFrame:
    """Losses of the present settings or else the last known ones, see :func:`ledger.known`.

    Args:
        run: :class:`mtrec.config.Experiment`.

    Returns:
        ``tasks`` (names joined by ``+``), ``seed``, ``task``, ``val_loss`` (normalised).

    Raises:
        FileNotFoundError: nothing is known of the domain.
    """
    names = {"sets": list(keys(run, _subsets(list(run.domain.tasks))).values())}
    found = ledger.known(
        transfer_file(run.paths), names, ["tasks", "seed", "task"], _command(run.name)
    )
    return in_order(found)


def gradients(run: Any) -> pd.DataFrame:
    """Cosine and affinity of every two tasks by epoch and batch: the columns ``GRADIENTS``.

    Args:
        run: :class:`mtrec.config.Experiment`.

    Raises:
        FileNotFoundError: nothing is known of the domain.
    """
    names = {"gradients": [gradient_key(run)]}
    pairs = ["epoch", "probe", "task", "other"]
    return ledger.known(gradient_file(run.paths), names, pairs, _command(run.name))[GRADIENTS]


def state(run: Any) -> str:
    """A sentence on whether the results are those of the present settings."""
    done = set(ledger.read(gradient_file(run.paths))["key"])
    if gradient_key(run) in done:
        return "These are trainings with the present settings."
    return f"These are trainings with earlier settings; `{_command(run.name)}` makes new ones."


def matrix(found: pd.DataFrame, column: str, tasks: Sequence[str]) -> pd.DataFrame:
    """Mean of ``cosine`` or ``affinity`` over epochs and batches, ``(tasks, tasks)``."""
    means = found.pivot_table(index="task", columns="other", values=column)
    return means.reindex(index=list(tasks), columns=list(tasks))


def keys(run: Any, sets: Iterable[tuple[str, ...]]) -> dict[tuple, str]:
    """What identifies each training, by set of tasks and seed."""
    identity = _identity(run)
    return {
        (names, run.seed + n): ledger.key(identity, names, run.seed + n)
        for names in sets
        for n in range(run.analysis.seeds)
    }


def gradient_key(run: Any) -> str:
    """What identifies the training whose gradients were watched."""
    return ledger.key(_identity(run), "gradients", run.analysis.probes)


def in_order(found: pd.DataFrame) -> pd.DataFrame:
    """Results without their keys, by seed and set of tasks."""
    found = found.drop(columns="key")
    return found.sort_values(["seed", "tasks"], kind="stable", ignore_index=True)


def _identity(run: Any) -> list:
    """Everything that the trainings depend on, but tasks and seed."""
    short = run.analysis.model_dump(exclude={"seeds", "probes"})
    settings = (run.task_embedding, run.model_building, run.training)
    return [run.name, run.seed, short, learnt_from(run.domain), *(s.model_dump() for s in settings)]


def _subsets(tasks: Sequence[str]) -> list[tuple[str, ...]]:
    return [some for size in range(1, len(tasks) + 1) for some in combinations(tasks, size)]


def _command(domain: str) -> str:
    return f"make study DOMAIN={domain} PART=task_analysis"
