from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mtrec.studies import task_analysis as analysis
from mtrec.studies import task_analysis_plan as known
from mtrec.studies.gradients import COLUMNS
from mtrec.studies.transfer import small_sets
from mtrec.training.loop import Outcome

TASKS = ("like", "rating")


@pytest.fixture
def experiment(tmp_path, run):
    """A run of two tasks whose results go to a folder of its own."""
    tasks = {name: run.domain.tasks[name] for name in TASKS}
    return SimpleNamespace(
        name="tiny", seed=3, paths=SimpleNamespace(study=tmp_path / "tiny.csv", domain="tiny"),
        analysis=run.analysis.model_copy(update={"seeds": 2, "probes": 1}),
        domain=run.domain.model_copy(update={"tasks": tasks}), training=run.training,
        model_building=run.model_building, task_embedding=run.task_embedding,
    )  # fmt: skip


@pytest.fixture
def trained(monkeypatch):
    """The trainings that were done; the keyboard interrupts the one with number ``stop``."""
    done = {"stop": None, "runs": []}

    def fit(bench, names, seeds):
        for seed in seeds:
            if len(done["runs"]) == done["stop"]:
                raise KeyboardInterrupt
            done["runs"].append((tuple(names), seed))
            yield seed, None, outcome(names, seed)

    def watch(bench, probes, seed):
        rows = [(1, 0, s, t, float(s == t), 0.1) for s in TASKS for t in TASKS]
        return SimpleNamespace(table=lambda: pd.DataFrame(rows, columns=COLUMNS))

    monkeypatch.setattr(analysis.workbench, "fit", fit)
    monkeypatch.setattr(analysis.workbench, "prepare", lambda run, short: BENCH)
    monkeypatch.setattr(analysis, "watch_training", watch)
    return done


def outcome(names, seed):
    """Losses that tell set, task and seed apart; the best of two epochs is the first."""
    losses = [len(names) + number / 10 + seed / 100 for number, _ in enumerate(names)]
    rows = [(1, name, 0.0, loss) for name, loss in zip(names, losses, strict=True)]
    rows += [(2, name, 0.0, 9.0) for name in names]
    return Outcome(pd.DataFrame(rows, columns=["epoch", "task", "loss", "val_loss"]), 1, 0.0)


BENCH = SimpleNamespace(assembly=SimpleNamespace(types=dict.fromkeys(TASKS)))


def test_study_trains_every_set_once_per_seed_and_keeps_the_best_losses(experiment, trained):
    assert analysis.study(experiment)
    sets = small_sets(TASKS)
    assert trained["runs"] == [(names, seed) for names in sets for seed in (3, 4)]
    found = known.transfers(experiment)
    together = found[found["tasks"] == "like+rating"]
    assert together["seed"].tolist() == [3, 3, 4, 4]
    np.testing.assert_allclose(together["val_loss"], [2.03, 2.13, 2.04, 2.14])
    cosine = known.matrix(known.GRADIENTS.results(experiment), "cosine", TASKS)
    np.testing.assert_array_equal(cosine, np.eye(2))


def test_finished_trainings_are_not_repeated(experiment, trained):
    analysis.study(experiment)
    first, count = known.transfers(experiment), len(trained["runs"])
    assert analysis.study(experiment)
    assert len(trained["runs"]) == count
    pd.testing.assert_frame_equal(known.transfers(experiment), first)


def test_interrupted_study_goes_on_where_it_stopped(experiment, trained):
    trained["stop"] = 3
    with pytest.raises(KeyboardInterrupt):
        analysis.study(experiment)
    trained["stop"] = None
    analysis.study(experiment)
    assert len(trained["runs"]) == len(set(trained["runs"])) == 6


def test_results_of_other_settings_are_shown_and_named_until_there_are_new_ones(
    experiment, trained
):
    analysis.study(experiment)
    assert "present settings" in known.state(experiment)
    experiment.training = experiment.training.model_copy(update={"learning_rate": 0.5})
    assert "earlier settings" in known.state(experiment)
    assert len(known.transfers(experiment)) == 8
    analysis.study(experiment)
    assert "present settings" in known.state(experiment)
    assert len(known.transfers(experiment)) == 8


def test_reader_without_results_is_told_which_command_makes_them(experiment):
    with pytest.raises(FileNotFoundError, match="make study DOMAIN=tiny PART=task_analysis"):
        known.transfers(experiment)
