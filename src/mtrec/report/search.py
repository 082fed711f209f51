"""What a search for settings found: curves, importances, and the settings before and after."""

from __future__ import annotations

import json
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import optuna
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState, create_trial

from mtrec.config import Experiment
from mtrec.report import controls
from mtrec.report.findings import verdicts
from mtrec.report.plots import COLOURS, LOW_TO_HIGH, NotDrawn
from mtrec.report.tables import arrow, show_interval
from mtrec.search.space import Space, space_of
from mtrec.settings import Choice
from mtrec.studies import ledger
from mtrec.studies.search_plan import COMPARISON, COMPLETE, PRUNED, compared

FEWEST = 6  # trials to the end, below which nothing is said of what matters
GRID = "grid"
COLUMNS = ["task", "metric", "value", "low", "high"]
MARKS = {"tpe": ("o", "-"), "random": ("s", "--"), GRID: ("^", ":")}


def space_table(run: Experiment) -> pd.DataFrame:
    """What may vary: ``setting``, its ``present`` value, and what is ``tried``."""
    space = space_of(run)
    rows = [
        (key, str(space.present[key]), ", ".join(map(str, one.values)) if isinstance(one, Choice)
         else f"{one.low:g} to {one.high:g}{', logarithmic' if one.kind == 'log' else ''}")
        for key, one in space.vary.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["setting", "present", "tried"])


def by_sampler(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials, those that ended early, the best gain and the epochs trained, by sampler."""
    rows = [
        {
            "sampler": sampler, "trials": len(part),
            "ended early": int((part["state"] == PRUNED).sum()),
            "best gain [%]": round(100 * part["score"].max(), 1),
            "found in trial": int(part.loc[part["score"].idxmax(), "trial"]),
            "epochs in all": int(part["epochs"].sum()),
        }
        for sampler, part in trials.groupby("sampler", sort=False)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def best_so_far(trials: pd.DataFrame) -> pd.DataFrame:
    """The best gain up to each trial, by sampler: ``sampler``, ``trial``, ``best``."""
    parts = [
        part.sort_values("trial").assign(best=lambda frame: frame["score"].cummax().ffill())
        for _, part in trials.groupby("sampler", sort=False)
    ]
    return pd.concat(parts)[["sampler", "trial", "best"]]


def best_gains(trials: pd.DataFrame) -> str:
    """The samplers' best gains as a clause, the largest first.

    Example:
        >>> trials = pd.DataFrame({"sampler": ["tpe", "grid"], "score": [0.031, 0.0]})
        >>> best_gains(trials)
        'the best trial of tpe gains 3.1 %, of grid 0.0 %'
    """
    best = trials.groupby("sampler", sort=False)["score"].max().sort_values(ascending=False)
    (first, gain), *rest = ((name, f"{100 * gain:.1f} %") for name, gain in best.items())
    others = "".join(f", of {name} {own}" for name, own in rest)
    return f"the best trial of {first} gains {gain}{others}"


def curves(trials: pd.DataFrame, title: str) -> Figure:
    """Best gain so far against the number of trials, a line per sampler."""
    figure, axes = plt.subplots()
    for n, (sampler, part) in enumerate(best_so_far(trials).groupby("sampler", sort=False)):
        marker, line = MARKS.get(str(sampler), ("o", "-"))
        axes.plot(part["trial"], part["best"], drawstyle="steps-post", color=COLOURS[n],
                  linestyle=line, label=str(sampler))  # fmt: skip
        done = trials[(trials["sampler"] == sampler) & (trials["state"] == COMPLETE)]
        axes.plot(done["trial"], done["score"], marker, color=COLOURS[n], alpha=0.5, markersize=4)
    axes.axhline(0, color="black", linewidth=1)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(title=title, xlabel="trial", ylabel="mean gain on validation rows")
    axes.legend(title=None)
    return figure


def tried(trials: pd.DataFrame, space: Space) -> pd.DataFrame:
    """Settings of the trials that went to the end, a column each, and ``score``.

    A grid leaves most settings as they are; it has these, too.
    """
    done = trials[trials["state"] == COMPLETE]
    first = trials[trials["trial"] == 0]
    usual = next((json.loads(text) for text in first["settings"] if len(json.loads(text))
                  == len(space.vary)), space.present)  # fmt: skip
    rows = [{**usual, **json.loads(text)} for text in done["settings"]]
    return pd.DataFrame(rows, columns=[*space.vary]).assign(score=done["score"].to_numpy())


def importances(run: Experiment, trials: pd.DataFrame) -> pd.DataFrame:
    """Share of the gain's variance that each setting explains by itself (fANOVA).

    The grid, which varies few settings, is left out. Empty if too few trials went to the end.

    Source: Hutter et al. 2014, "An Efficient Approach for Assessing Hyperparameter Importance".
    """
    space = space_of(run)
    found = tried(trials[trials["sampler"] != GRID], space)
    if len(found) < FEWEST or found["score"].nunique() < 2:
        return pd.DataFrame({"setting": pd.Series(dtype=str), "importance": pd.Series(dtype=float)})
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            create_trial(
                state=TrialState.COMPLETE, value=float(row["score"]),
                params={key: row[key] for key in space.vary}, distributions=space.distributions,
            )
            for row in found.to_dict("records")
        ]
    )  # fmt: skip
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=run.seed))
    return pd.DataFrame({"setting": [*shares], "importance": [*shares.values()]})


def most_important(found: pd.DataFrame) -> str:
    """The setting that matters most as a clause; empty if nothing is said of any."""
    if found.empty:
        return "too few trials to say which setting matters"
    top = found.iloc[0]
    return f"{top['setting'].split('.', 1)[1]} explains {top['importance']:.0%} of the variance"


def importance_figure(found: pd.DataFrame, title: str) -> Figure | NotDrawn:
    """Importances as bars, the largest on top."""
    if found.empty:
        return NotDrawn(f"fewer than {FEWEST} trials went to the end.")
    figure, axes = plt.subplots(figsize=(7, 0.4 * len(found) + 1.4))
    axes.barh(np.arange(len(found))[::-1], found["importance"], color=COLOURS[0])
    axes.set_yticks(np.arange(len(found))[::-1], found["setting"])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set(title=title, xlabel="share of the variance of the gain")
    return figure


def parallel(run: Experiment, trials: pd.DataFrame, title: str) -> Figure | NotDrawn:
    """A line per trial through its settings, coloured by gain; the best one is drawn last."""
    space = space_of(run)
    found = tried(trials, space).sort_values("score")
    if len(found) < 2:
        return NotDrawn("fewer than two trials went to the end.")
    keys = [*space.vary]
    places = np.column_stack([_places(space, key, found[key]) for key in keys])
    norm = Normalize(found["score"].min(), found["score"].max())
    figure, axes = plt.subplots(figsize=(9, 5))
    for n, (line, score) in enumerate(zip(places, found["score"], strict=True)):
        last = n == len(found) - 1
        axes.plot(line, color=COLOURS[1] if last else LOW_TO_HIGH(0.15 + 0.85 * norm(score)),
                  linewidth=3 if last else 1.3)  # fmt: skip
    for n, key in enumerate(keys):
        axes.axvline(n, color="black", linewidth=0.6)
        for place, text in _ticks(space, key):
            axes.annotate(
                text.replace("_", "\n"), (n, place), fontsize=8, xytext=(4, 0),
                textcoords="offset points", va="center",
                bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
            )  # fmt: skip
    axes.set_xticks(range(len(keys)), [key.split(".", 1)[1] for key in keys], rotation=30,
                    ha="right", rotation_mode="anchor")  # fmt: skip
    axes.set(title=title, yticks=[], xlim=(-0.1, len(keys) - 0.2), ylim=(-0.05, 1.05))
    bar = figure.colorbar(ScalarMappable(norm, LOW_TO_HIGH), ax=axes, pad=0.02)
    bar.set_label("mean gain on validation rows")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    return figure


def changes(trials: pd.DataFrame) -> pd.DataFrame:
    """The settings that the best trial changed: ``setting``, ``before``, ``after``."""
    pair = compared(trials)
    rows = [
        (key, str(pair.before.get(key, "as it was")), str(value))
        for key, value in pair.after.items() if value != pair.before.get(key)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["setting", "before", "after"])


def by_task(trials: pd.DataFrame) -> pd.DataFrame:
    """The main validation metric of each task, before and in the best trial."""
    done = trials[trials["state"] == COMPLETE]
    first = json.loads(done[done["trial"] == 0].iloc[0]["values"])
    found = json.loads(done.loc[done["score"].idxmax(), "values"])
    return pd.DataFrame(
        [
            {"task": task, "metric": arrow(metric), "before": round(value, 4),
             "best trial": round(found[task][1], 4)}
            for task, (metric, value) in first.items()
        ]
    )  # fmt: skip


def compared_rows(run: Experiment) -> pd.DataFrame:
    """Before, after and their difference on test rows over seeds; empty while there are none.

    See :func:`mtrec.report.controls.combined`.
    """
    if ledger.read(COMPARISON.file(run)).empty:
        return pd.DataFrame(columns=[*COLUMNS, "system", "seeds"])
    return controls.combined(COMPARISON.results(run))


def comparison_table(found: pd.DataFrame) -> pd.DataFrame:
    """Main metric on test rows before and after, with intervals over users and trainings."""
    rows: list[dict[str, Any]] = []
    for (task, metric), part in found.groupby(["task", "metric"], sort=False):
        known = part.set_index("system")
        rows.append({"task": task, "metric": arrow(str(metric)),
                     **{name: show_interval(known.loc[name].to_dict())
                        for name in ("before", "after")}})  # fmt: skip
    return pd.DataFrame(rows, columns=["task", "metric", "before", "after"])


def sentences(run: Experiment, trials: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    """What the trials and the test rows allow to be said."""
    done = trials[trials["state"] == COMPLETE]
    best = done.loc[done["score"].idxmax()]
    lines = [
        f"{len(trials)} trials, of which {int((trials['state'] == PRUNED).sum())} ended early. The "
        f"best one, of {best['sampler']}, gains {best['score']:.1%} on validation rows."
    ]
    if found.empty:
        return [*lines, f"Test rows were not looked at yet: `{COMPARISON.command(run)}`."]
    return [*lines, verdicts(controls.difference(found, "difference"), "The search")]


def _places(space: Space, key: str, values: pd.Series) -> np.ndarray:
    """Where values stand on an axis of unit length."""
    one = space.vary[key]
    if isinstance(one, Choice):
        return np.array([one.values.index(v) for v in values]) / (len(one.values) - 1)
    scale = np.log if one.kind == "log" else np.asarray
    low, high = scale(one.low), scale(one.high)
    return (scale(values.to_numpy(dtype=float)) - low) / (high - low)


def _ticks(space: Space, key: str) -> list[tuple[float, str]]:
    """What is written beside an axis: every choice, or both ends."""
    one = space.vary[key]
    if isinstance(one, Choice):
        return [(n / (len(one.values) - 1), str(v)) for n, v in enumerate(one.values)]
    return [(0.0, f"{one.low:g}"), (1.0, f"{one.high:g}")]
