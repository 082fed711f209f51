"""Which trainings joint training and its controls take, and what is known of them."""

from __future__ import annotations

import pandas as pd

from mtrec.config import Experiment
from mtrec.studies import ledger

SEEDS = 3


def keys(run: Experiment) -> dict[int, str]:
    """What identifies the trainings of each seed: a change of any setting makes them new."""
    domain = run.domain.model_dump(mode="json", exclude={"raw", "module"})
    given = (run.model_building, run.training, run.task_embedding, run.evaluation)
    settings = [part.model_dump(mode="json") for part in given]
    seeds = range(run.seed, run.seed + SEEDS)
    return {seed: ledger.key("controls", run.name, seed, domain, *settings) for seed in seeds}


def results(run: Experiment) -> pd.DataFrame:
    """A row per seed, task and system or difference: main metric with its interval over users.

    Raises:
        FileNotFoundError: nothing is known of the domain.
    """
    command = f"make study DOMAIN={run.name} PART=controls"
    names = {"controls": list(keys(run).values())}
    return ledger.known(run.paths.controls, names, ["seed", "task", "system"], command)
