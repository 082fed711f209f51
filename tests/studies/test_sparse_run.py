from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtrec.features.impute import IMPUTERS
from mtrec.settings import Sparse
from mtrec.studies import ledger
from mtrec.studies import sparse_data as module
from mtrec.studies.sparse_data import fit_whole, prepare, study, train, with_step
from mtrec.studies.sparse_data_plan import PLAN, Setting, fingerprint, plan
from tests.conftest import DOMAIN
from tests.studies.conftest import moved

SHORT = Sparse(
    share=1.0, history=4, batch_size=64, epochs=1, seeds=2, levels=(1.0, 0.5), components=4
)


def with_short(run, **more):
    return replace(run, sparse=SHORT.model_copy(update=more))


@pytest.fixture
def sparse_run(run):
    return with_short(run)


def test_every_level_meets_every_step(sparse_run, world):
    found = plan(sparse_run, world)
    steps = [("none", "none"), *(("factors", name) for name in ("pca", "svd", "nmf"))]
    steps += [("imputation", name) for name in ("mean", "iterative", "knn")]
    assert found == [Setting(level, *step) for level in (1.0, 0.5) for step in steps]


def test_imputation_is_not_tried_where_nothing_can_be_missing(sparse_run, world):
    features = DOMAIN.features.model_copy(
        update={"user": DOMAIN.features.user.model_copy(update={"context": ()})}
    )
    domain = DOMAIN.model_copy(update={"features": features})
    run = replace(sparse_run, domain=domain)
    assert not world.items["year"].isna().any()
    assert {s.part for s in plan(run, world)} == {"none", "factors"}


def test_setting_brings_its_own_step_and_no_other(sparse_run):
    found = with_step(DOMAIN.features, Setting(1.0, "factors", "nmf"), sparse_run.sparse)
    assert (found.factors.method, found.factors.components, found.imputation) == ("nmf", 4, None)
    found = with_step(found, Setting(1.0, "imputation", "knn"), sparse_run.sparse)
    assert (found.factors, found.imputation) == (None, "knn")


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("method", ["none", "svd", "iterative"])
def test_setting_is_really_trained_with_its_step_on_thinned_rows(
    sparse_run, world, vectors, method
):
    part = {"none": "none", "svd": "factors"}.get(method, "imputation")
    setting = Setting(0.5, part, method)
    types = fit_whole(sparse_run, world, vectors)
    bench = prepare(sparse_run, world, vectors, setting, types)
    assert bench.assembly.types == types
    names = {f.name for f in bench.assembly.encoder.item.fields}
    assert ("factors" in names) == (method == "svd")
    assert bool(bench.assembly.encoder.imputers) == (method in IMPUTERS)
    trained = (world.examples["split"] == "train").sum()
    assert len(bench.training) == pytest.approx(trained / 2, abs=0.1 * trained)
    found = dict(train(bench, setting, [3, 4]))
    assert list(found) == [3, 4]
    assert list(found[3]["task"]) == list(DOMAIN.tasks)
    assert np.isfinite(found[3]["value"]).all()
    assert not np.allclose(found[3]["value"], found[4]["value"])


@pytest.mark.usefixtures("common")
def test_interrupted_study_goes_on_and_does_nothing_twice(sparse_run, monkeypatch, tmp_path):
    run = moved(sparse_run, tmp_path)
    done, file = [], PLAN.file(run)

    def quick(bench, setting, seeds):
        for seed in seeds:
            if len(done) == 5:
                done.append("stop")
                raise KeyboardInterrupt
            done.append((setting, seed))
            yield seed, pd.DataFrame({"value": [0.5]})

    monkeypatch.setattr(module, "train", quick)
    monkeypatch.setattr(module, "prepare", lambda *arguments: None)
    monkeypatch.setattr(module, "fit_whole", lambda *arguments: {"like": 1})
    assert not study(run, minutes=0)
    with pytest.raises(KeyboardInterrupt):
        study(run)
    assert ledger.read(file)["key"].nunique() == 5
    assert study(run)
    assert ledger.read(file)["key"].nunique() == 14 * 2 == len(done) - 1
    assert study(run, minutes=0)


@pytest.mark.usefixtures("common")
def test_results_of_other_settings_are_shown_until_there_are_own(sparse_run, tmp_path):
    run = moved(sparse_run, tmp_path)
    names = PLAN.keys(run)
    assert [len(names[part]) for part in ("none", "factors")] == [2 * 2, 3 * 2 * 2]
    with pytest.raises(FileNotFoundError, match="run `make study DOMAIN=.* PART=sparse_data`"):
        PLAN.results(run)
    row = {"level": 0.5, "part": "none", "method": "none", "task": "like", "seed": 0}
    ledger.add(PLAN.file(run), pd.DataFrame([{**row, "key": "other"}]))
    assert PLAN.results(run)["key"].tolist() == ["other"]
    ledger.add(PLAN.file(run), pd.DataFrame([{**row, "key": names["none"][0]}]))
    assert PLAN.results(run)["key"].tolist() == ["other"]
    for part in ("factors", "imputation"):
        ledger.add(PLAN.file(run), pd.DataFrame([{**row, "key": names[part][0]}]))
    assert PLAN.results(run)["key"].tolist() == [part[0] for part in names.values()]


def test_more_levels_and_seeds_leave_trainings_valid_and_other_settings_do_not(sparse_run):
    setting = Setting(0.5, "factors", "pca")
    first = fingerprint(sparse_run, setting, 0)
    more = with_short(sparse_run, levels=(1.0, 0.5, 0.2), seeds=7)
    assert fingerprint(more, setting, 0) == first
    others = {
        fingerprint(with_short(sparse_run, components=8), setting, 0),
        fingerprint(sparse_run, Setting(0.2, "factors", "pca"), 0),
        fingerprint(sparse_run, Setting(0.5, "factors", "svd"), 0),
        fingerprint(sparse_run, setting, 1),
    }
    assert first not in others
    assert len(others) == 4
