"""The driver of every search: ask, train, tell, until trials or minutes are used up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from mtrec.paths import ConfigError
from mtrec.search.journal import fail_orphans, open_study, sign
from mtrec.search.samplers import make_pruner, make_sampler, size
from mtrec.search.score import Values, gain
from mtrec.search.space import Chosen, Space

BASELINE, VALUES, EPOCHS, SETTINGS = "baseline", "values", "epochs", "settings"
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
TAKEN = (*FINISHED, TrialState.RUNNING)
BEGUN = (TrialState.WAITING, TrialState.RUNNING)


class Hopeless(Exception):
    """A training of some settings has no result, such as one whose loss became infinite."""


Report = Callable[[int, float], None]  # epoch, validation loss; raises where the trial is to end
Measure = Callable[[Chosen, Report], Values]
Known = tuple[Chosen, float | None, Values, int]  # settings, score, values, epochs


@dataclass(frozen=True)
class Search:
    """A search of one sampler.

    Attributes:
        sampler: its name.
        space: what may vary.
        file: the journal.
        identity: what the search is of, see :func:`mtrec.search.journal.open_study`.
        trials: at most, those that were pruned included.
        seed: of the sampler.
        pruner: its name.
    """

    sampler: str
    space: Space
    file: Path
    identity: Mapping[str, str]
    trials: int
    seed: int
    pruner: str = "median"

    @property
    def planned(self) -> int:
        """How many trials there are to be."""
        return size(self.sampler, self.space, self.trials)

    def open(self) -> Study:
        """The study; what a killed process left running is ended.

        Raises:
            ConfigError: the journal is of another search.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = open_study(self.file, {**self.identity, "sampler": self.sampler})
        study.pruner = make_pruner(self.pruner)
        fail_orphans(study)
        return study

    def run(self, measure: Measure, minutes: float | None = None) -> Iterator[FrozenTrial]:
        """Try settings until the budget is spent; yields each finished trial of this process.

        Args:
            measure: trains with some settings and returns the validation metric of each task; it
                reports each epoch.
            minutes: begin no trial later than this.

        Raises:
            ConfigError: the journal is of another search.
        """
        study, began = self.open(), time.monotonic()
        if BASELINE not in study.user_attrs and not study.get_trials(deepcopy=False, states=BEGUN):
            study.enqueue_trial(self.space.present)
        while self._left(study) and (minutes is None or time.monotonic() - began < 60 * minutes):
            before = len(study.get_trials(deepcopy=False, states=TAKEN))
            study.sampler = make_sampler(self.sampler, self.space, self.seed, before)
            found: list[FrozenTrial] = []
            study.optimize(
                lambda trial: self._try(study, trial, measure),
                n_trials=1,
                callbacks=[partial(_keep, found)],
            )
            yield from (trial for trial in found if trial.state in FINISHED)

    def finished(self) -> list[FrozenTrial]:
        """The finished trials in their order; the first has the settings that were present."""
        return self.open().get_trials(deepcopy=False, states=FINISHED)

    def begin(self, trials: Sequence[Known]) -> None:
        """Put trials that are known from elsewhere into the journal, the first one first.

        Args:
            trials: of each the settings, the score (None if it was pruned), the values by task and
                the epochs.
        """
        study = self.open()
        study.set_user_attr(BASELINE, trials[0][2])
        for chosen, score, values, epochs in trials:
            study.add_trial(
                optuna.trial.create_trial(
                    state=TrialState.PRUNED if score is None else TrialState.COMPLETE,
                    value=score, params=chosen, distributions=self.space.distributions,
                    user_attrs={SETTINGS: chosen, VALUES: values, EPOCHS: epochs},
                )
            )  # fmt: skip

    def _left(self, study: Study) -> bool:
        return len(study.get_trials(deepcopy=False, states=TAKEN)) < self.planned

    def _try(self, study: Study, trial: Trial, measure: Measure) -> float:
        """Score of one trial."""
        sign(trial)
        chosen = self.space.suggest(trial)
        trial.set_user_attr(SETTINGS, chosen)
        first = chosen == self.space.present
        baseline = study.user_attrs.get(BASELINE)
        if baseline is None and not first:  # another process has begun it, and is not done
            baseline = measure(self.space.present, lambda epoch, loss: None)
            study.set_user_attr(BASELINE, baseline)
        seen: list[float] = []

        def report(epoch: int, loss: float) -> None:
            seen.append(loss)
            trial.set_user_attr(EPOCHS, epoch)
            trial.report(-loss, epoch)
            if not first and trial.should_prune():
                raise optuna.TrialPruned

        try:
            values = measure(chosen, report)
        except (Hopeless, ConfigError) as error:  # a combination that settings refuse is one, too
            if first:
                raise
            trial.set_user_attr("why", str(error))
            raise optuna.TrialPruned from None
        if baseline is None:
            baseline = values
            study.set_user_attr(BASELINE, values)
        trial.set_user_attr(VALUES, values)
        return gain(values, baseline)


def _keep(found: list[FrozenTrial], study: Study, trial: FrozenTrial) -> None:
    found.append(trial)


def best(trials: list[FrozenTrial]) -> FrozenTrial:
    """The trial with the highest score; the earlier one of two.

    Raises:
        ValueError: no trial was trained to its end.
    """
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not done:
        raise ValueError("no trial of this search was trained to its end; give it more time.")
    return max(done, key=lambda trial: (trial.value, -trial.number))


def settings_of(trial: FrozenTrial) -> dict[str, Any]:
    """What a trial tried."""
    return dict(trial.user_attrs[SETTINGS])
