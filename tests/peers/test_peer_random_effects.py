from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from mtrec.features.encoder import fit_encoder
from mtrec.peers.base import PeerTask
from mtrec.peers.random_effects import fit
from mtrec.registry import PEERS
from mtrec.settings import Columns, Features, Task
from mtrec.tables.schema import Tables
from mtrec.tables.split import add_cold_flags
from mtrec.tasks.multilabel import Multilabel
from mtrec.tasks.ordinal import Ordinal
from mtrec.tasks.regression import Regression
from tests.conftest import SIZES

REFERENCE = Path(__file__).parent / "reference"


def small(seed=0, n=60, sizes=(10, 6, 3)):
    rng = np.random.default_rng(seed)
    groups = [rng.integers(0, size, n) for size in sizes]
    fixed = np.column_stack([np.ones(n), rng.normal(size=n)])
    y = fixed @ [1.0, -0.5] + rng.normal(size=n)
    for codes, size in zip(groups, sizes, strict=True):
        y = y + rng.normal(size=size)[codes]
    return y, fixed, groups, sizes


def test_fit_equals_brute_force_maximum_likelihood_and_generalised_least_squares():
    y, fixed, groups, sizes = small()
    indicators = [np.eye(size)[codes] for codes, size in zip(groups, sizes, strict=True)]

    def covariance(deviations):
        parts = [d**2 * z @ z.T for d, z in zip(deviations[:-1], indicators, strict=True)]
        return sum(parts) + deviations[-1] ** 2 * np.eye(len(y))

    def estimate(deviations):
        inverse = np.linalg.inv(covariance(deviations))
        return np.linalg.solve(fixed.T @ inverse @ fixed, fixed.T @ inverse @ y), inverse

    def deviance(deviations):
        mean = fixed @ estimate(deviations)[0]
        return -2 * multivariate_normal.logpdf(y, mean, covariance(deviations))

    best = minimize(deviance, np.ones(4), method="Nelder-Mead", options={"maxiter": 1000})
    found = fit(y, fixed, groups, sizes)
    assert found.deviance == pytest.approx(best.fun, abs=1e-3)
    spread = (*found.deviations, found.residual)
    assert spread == pytest.approx(np.abs(best.x), abs=0.01)
    coefficients, inverse = estimate(spread)
    assert found.fixed == pytest.approx(coefficients, abs=1e-6)
    for d, z, effects in zip(found.deviations, indicators, found.effects, strict=True):
        blup = d**2 * z.T @ inverse @ (y - fixed @ coefficients)
        assert effects == pytest.approx(blup, abs=1e-6)


def test_insteval_has_the_deviance_and_the_fit_that_mixedmodels_publishes(raw_data):
    """JuliaStats/MixedModels.jl, test/pls.jl, testset "InstEval": objective, first fitted value.

    https://github.com/JuliaStats/MixedModels.jl/blob/main/test/pls.jl, for
    ``y ~ 1 + service + (1|s) + (1|d) + (1|dept)`` by maximum likelihood, as lme4 with REML=FALSE.
    """
    frame = pd.read_pickle(raw_data / "insteval" / "InstEval.pkl.xz", compression="xz")
    groups = [pd.factorize(frame[name])[0] for name in ("s", "d", "dept")]
    fixed = np.column_stack([np.ones(len(frame)), frame["service"]])
    found = fit(frame["y"].to_numpy("float64"), fixed, groups, (2972, 1128, 14))
    assert found.deviance == pytest.approx(237721.76877450474, abs=0.001)
    fitted = found.predict(fixed, groups)
    assert fitted[0] == pytest.approx(3.1787619026604945, abs=1e-4)
    assert frame["y"][0] - fitted[0] == pytest.approx(1.8212380973395055, abs=1e-4)


def test_two_crossed_effects_are_those_of_statsmodels():
    known = np.load(REFERENCE / "crossed_statsmodels.npz")  # made by the script of that name
    fixed = np.column_stack([np.ones(len(known["y"])), known["x"]])
    found = fit(known["y"], fixed, list(known["groups"]), (12, 7))
    assert found.deviance == pytest.approx(float(known["deviance"]), abs=1e-6)
    assert found.deviations == pytest.approx(known["deviations"], abs=1e-4)
    assert found.residual == pytest.approx(float(known["residual"]), abs=1e-4)
    assert found.fixed == pytest.approx(known["fixed"], abs=1e-5)
    assert np.concatenate(found.effects) == pytest.approx(known["effects"], abs=1e-4)


def test_an_unseen_level_has_no_effect():
    y, fixed, groups, sizes = small()
    model = fit(y, fixed, groups, sizes)
    nowhere = [np.full(len(y), -1) for _ in groups]
    assert model.predict(fixed, nowhere) == pytest.approx(fixed @ model.fixed)


def survey(seed=1, students=60, lecturers=20):
    """Crossed ratings with a context column, and the peer's task on them."""
    rng = np.random.default_rng(seed)
    pairs = pd.MultiIndex.from_product([range(students), range(lecturers)]).to_frame(index=False)
    service = rng.integers(0, 2, len(pairs)).astype(float)
    level = 2 + rng.normal(0, 0.6, students)[pairs[0]] + rng.normal(0, 0.8, lecturers)[pairs[1]]
    level = np.clip(np.round(level - 0.8 * service + rng.normal(0, 0.7, len(pairs))), 0, 4)
    rows = pd.DataFrame(
        {"user_id": pairs[0].astype(str), "item_id": pairs[1].astype(str), "y": level + 1,
         "timestamp": pd.Timestamp("2000-01-01"), "service": service,
         "split": rng.choice(["train", "validation", "test"], len(pairs), p=[0.6, 0.2, 0.2])}
    )  # fmt: skip
    rows["timestamp"] = rows["timestamp"].astype("datetime64[ms]")
    users, items = (pd.DataFrame({f"{k}_id": rows[f"{k}_id"].unique()}) for k in ("user", "item"))
    events = rows.loc[rows["split"] == "train", ["user_id", "item_id", "timestamp"]]
    tables = Tables(users, items, events, add_cold_flags(rows), pd.DataFrame())
    features = Features(
        user=Columns(categorical=("user_id",)), item=Columns(categorical=("item_id",)),
        joint=Columns(context=("service",)),
    )  # fmt: skip
    return tables, fit_encoder(tables, features, SIZES, {})


def peer_task(tables, encoder, kind, task):
    training = tables.examples[tables.examples["split"] == "train"]
    fitted = kind.fit(training[task.label], ())
    labels, mask = fitted.encode(tables.examples[task.label])
    return PeerTask("evaluation", task, fitted, tables, encoder, labels, mask, 0)


def test_levels_are_probabilities_that_know_student_lecturer_and_service():
    tables, encoder = survey()
    task = Task(type="ordinal", view="joint", label="y")
    asked = peer_task(tables, encoder, Ordinal, task)
    found = PEERS["random_effects"](asked)
    assert found.shape == (1200, 5) and (found >= 0).all()
    assert found.sum(axis=1) == pytest.approx(1)
    test = asked.rows("test")
    shares = np.bincount(asked.labels[asked.rows("train")], minlength=5) / len(asked.rows("train"))
    loss = [-np.log(p[np.arange(len(test)), asked.labels[test]]).mean()
            for p in (found[test], np.broadcast_to(shares, (len(test), 5)))]  # fmt: skip
    assert loss[0] < loss[1] - 0.2


def test_predictions_do_not_depend_on_held_out_labels():
    tables, encoder = survey()
    task = Task(type="regression", view="joint", label="y")
    before = PEERS["random_effects"](peer_task(tables, encoder, Regression, task))
    changed = tables.examples.copy()
    held = changed["split"] != "train"
    changed.loc[held, "y"] = 6 - changed.loc[held, "y"]
    other = Tables(tables.users, tables.items, tables.events, changed, tables.account)
    after = PEERS["random_effects"](peer_task(other, encoder, Regression, task))
    assert after == pytest.approx(before, abs=1e-9)


def test_fixed_effects_outside_features_are_not_used():
    tables, encoder = survey()
    task = Task(type="regression", view="joint", label="y", features=("user_id", "item_id"))
    found = PEERS["random_effects"](peer_task(tables, encoder, Regression, task))
    turned = tables.examples.assign(service=1 - tables.examples["service"])
    other = Tables(tables.users, tables.items, tables.events, turned, tables.account)
    again = PEERS["random_effects"](peer_task(other, encoder, Regression, task))
    assert again == pytest.approx(found, abs=1e-9)


def test_another_type_or_view_is_refused():
    tables, encoder = survey()
    task = Task(type="regression", view="user", label="y")
    with pytest.raises(ValueError, match="peer random_effects predicts ordinal and regression"):
        PEERS["random_effects"](peer_task(tables, encoder, Regression, task))
    lists = tables.examples.assign(y=[["a"]] * len(tables.examples))
    other = Tables(tables.users, tables.items, tables.events, lists, tables.account)
    task = Task(type="multilabel", view="joint", label="y")
    with pytest.raises(ValueError, match="found: multilabel"):
        PEERS["random_effects"](peer_task(other, encoder, Multilabel, task))
