"""``mtrec tune``: search for a domain's settings, show what would change, write it if asked."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from mtrec.config import Experiment
from mtrec.search import apply
from mtrec.search.driver import BASELINE, Search, best, settings_of
from mtrec.search.score import gains
from mtrec.search.space import COMPONENTS, Chosen, space_of
from mtrec.studies import runner
from mtrec.studies.search import Source, search_of


def tune(
    domain: str,
    sampler: str = "tpe",
    trials: int | None = None,
    minutes: float | None = None,
    write: bool = False,
) -> None:
    """Search, then show the best settings as a diff of ``params.yaml``.

    Several processes may do this at a time: they share the journal. What it holds counts, so that
    ``minutes=0`` shows what is known.

    Args:
        domain: its name.
        sampler: its name, see :data:`mtrec.search.samplers.SAMPLERS`.
        trials: there are to be in all, if not as many as the settings say.
        minutes: begin no trial later than this.
        write: whether to write the settings.

    Raises:
        ConfigError: the space is wrong for the domain, or the journal is of another search.
        ValueError: no trial has been trained to its end.
    """
    run = runner.begin(domain)
    search = search_of(run, sampler, trials)
    search.open()
    source = Source.read(run)
    for trial in search.run(source.measure, minutes):
        print(f"{domain}: {line_of(trial)}", flush=True)
    report(run, search, write)


def report(run: Experiment, search: Search, write: bool) -> None:
    """Print the best trial and the diff, and write it if asked."""
    trials = search.finished()
    found = best(trials)
    print(f"{run.name}: best of {len(trials)} {search.sampler} trials: {line_of(found)}")
    for line in by_task(search, found):
        print(f"  {line}")
    new = different(run, settings_of(found))
    if COMPONENTS in new:
        print(
            f"{COMPONENTS}: {new[COMPONENTS]} is a setting of all domains; change it by hand, and "
            "all of them are made anew."
        )
    file = run.paths.root / "params.yaml"
    old = file.read_bytes().decode("utf-8")
    text = apply.proposed(old, run.name, new)
    if text == old:
        print(f"{run.name}: nothing to change, the best settings are the present ones.")
        return
    print(apply.diff(old, text), end="")
    if write:
        apply.write(file, text)
        print("written to params.yaml; `make repro` trains with it.")
    else:
        print("nothing is written; --apply writes it.")


def different(run: Experiment, chosen: Chosen) -> Chosen:
    """The settings that a domain does not have yet."""
    present = space_of(run).present
    return {key: value for key, value in chosen.items() if value != present[key]}


def line_of(trial: FrozenTrial) -> str:
    """A trial in a line."""
    said = f"gain {trial.value:+.2%}" if trial.state == TrialState.COMPLETE else "ended early"
    chosen = ", ".join(f"{key.split('.', 1)[1]} {v}" for key, v in settings_of(trial).items())
    return f"trial {trial.number}, {said}: {chosen}"


def by_task(search: Search, trial: FrozenTrial) -> Sequence[str]:
    """The main validation metric of each task, and its relative gain."""
    values = trial.user_attrs["values"]
    gained = gains(values, search.open().user_attrs[BASELINE])
    return [
        f"{task}: {metric} {value:.4f} ({gained[task]:+.2%})"
        for task, (metric, value) in values.items()
    ]
