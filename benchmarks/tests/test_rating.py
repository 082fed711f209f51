import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from runpy import run_path
from threading import Event
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import root_mean_squared_error

from benchmarks.harness.frozen import Split
from benchmarks.models import (
    rating_bayes,
    rating_draws,
    rating_joint,
    rating_network,
    rating_sides,
)
from benchmarks.models.rating_blend import blend, weights
from benchmarks.models.rating_table import given, interactions, sides
from benchmarks.protocols import like, rating, rating_rows
from benchmarks.protocols.rating_scores import mean_rmse, rmse_draws
from mtrec.evaluation.intervals import evaluate, interval, resample_weights, weightings
from tests.conftest import ROOT

DATA = ROOT / "data" / "ml-100k"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="data/ml-100k is not checked out")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def world(rng):
    """Ratings of 30 users and 20 items that follow a bias of either; 100 rows are asked."""
    pairs = rng.permutation(600)[:500]
    user, item = pairs // 20, pairs % 20
    taste, quality = rng.normal(size=30), rng.normal(size=20)
    score = taste[user] + quality[item] + 0.3 * rng.normal(size=500)
    level = np.digitize(score, [-1.5, -0.5, 0.5, 1.5])
    time = rng.integers(0, 5 * 86_400, size=500)
    return {
        "user": user[:400], "item": item[:400], "time": time[:400], "rating": level[:400] + 1,
        "asked_user": user[400:], "asked_item": item[400:], "asked_time": time[400:],
        "user_age": rng.integers(20, 60, 30), "user_gender": rng.integers(0, 2, 30),
        "user_occupation": rng.integers(0, 3, 30), "item_year": rng.integers(1980, 1999, 20),
        "item_genres": rng.integers(0, 2, (20, 4)).astype(float), "truth": level[400:] + 1,
    }  # fmt: skip


@needs_data
def test_the_test_rows_of_u1_are_the_published_ones():
    table = interactions(DATA)
    rows = rating.fold(ROOT, 1).rows["test"]
    first = table.iloc[rows].sort_values(["user", "item"])[:3]
    assert (first["user"] + 1).tolist() == [1, 1, 1]
    assert (first["item"] + 1).tolist() == [6, 10, 12]
    assert first["rating"].tolist() == [5, 3, 5]


@needs_data
def test_the_folds_test_rows_cover_every_row_once_and_validation_is_a_tenth_of_training():
    splits = [rating.fold(ROOT, number).rows for number in range(1, 6)]
    tests = np.concatenate([rows["test"] for rows in splits])
    assert np.array_equal(np.sort(tests), np.arange(100_000))
    assert {len(rows["validation"]) for rows in splits} == {8_000}
    assert {len(rows["train"]) for rows in splits} == {72_000}


@needs_data
def test_a_system_is_never_given_the_ratings_it_is_asked_for():
    table, tables = interactions(DATA), sides(DATA)
    known, asked = np.arange(100, 300), np.arange(100)
    before = given(table, known, asked, tables)
    changed = table.copy()
    changed.loc[asked, "rating"] = 99
    after = given(changed, known, asked, tables)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_level_probabilities_are_differences_of_the_normal_distribution(rng):
    mean, cuts, root = rng.normal(size=4), np.array([-1.0, 0.2, 1.0]), np.array([1, 2, 0.5, 1])
    found = rating_draws.probabilities(mean, cuts, root)
    for n in range(4):
        spread = norm(mean[n], 1 / root[n])
        wanted = [spread.cdf(-1), spread.cdf(0.2) - spread.cdf(-1),
                  spread.cdf(1) - spread.cdf(0.2), spread.sf(1)]  # fmt: skip
        np.testing.assert_allclose(found[n], wanted, atol=1e-12)


def test_latent_scores_lie_within_the_cut_points_of_their_level(rng):
    labels, cuts = rng.integers(0, 4, 1000), np.array([-1.0, 0.0, 1.0])
    mean, root = rng.normal(size=1000), rng.gamma(5, 0.2, 1000)
    found = rating_draws.draw_latent(labels, mean, root, cuts, rng)
    assert np.array_equal(np.searchsorted(cuts, found), labels)


def test_grouped_products_equal_a_loop_over_rows(rng):
    entity, left, right = rng.integers(0, 5, 40), rng.normal(size=(40, 3)), rng.normal(size=(40, 4))
    weight = rng.gamma(2, 1, 40)
    wanted = np.zeros((6, 3, 4))
    for n in range(40):
        wanted[entity[n]] += weight[n] * np.outer(left[n], right[n])
    found = rating_draws.Grouped.of(entity, 6).products(left, right, weight)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_drawn_rows_have_the_mean_and_covariance_of_the_closed_form(rng):
    design, target = rng.normal(size=(12, 2)), rng.normal(size=12)
    weight, prior = rng.gamma(3, 1, 12), np.array([[0.5, -1.0]])
    precision = np.array([[2.0, 0.3], [0.3, 1.0]])
    rows = rating_draws.Grouped.of(np.zeros(12, int), 1)
    drawn = np.stack([
        rating_draws.draw_rows(rows, design, target, weight, prior, precision, rng)[0]
        for _ in range(4000)
    ])  # fmt: skip
    total = design.T @ (weight[:, None] * design) + precision
    mean = np.linalg.solve(total, design.T @ (weight * target) + precision @ prior[0])
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), np.linalg.inv(total), atol=0.01)


def test_drawn_coefficients_have_the_mean_and_covariance_of_ridge_regression(rng):
    features, strengths = rng.normal(size=(15, 3)), np.array([1.0, 2.0, 5.0])
    target, covariance = rng.normal(size=(15, 2)), np.array([[1.0, 0.4], [0.4, 0.5]])
    root = np.linalg.cholesky(covariance)
    kernel = features.T @ features
    drawn = np.stack([
        rating_draws.draw_coefficients(features, kernel, strengths, target, root, rng).ravel()
        for _ in range(6000)
    ])  # fmt: skip
    inverse = np.linalg.inv(kernel + np.diag(strengths))
    np.testing.assert_allclose(
        drawn.mean(axis=0), (inverse @ features.T @ target).ravel(), atol=0.02
    )
    np.testing.assert_allclose(np.cov(drawn.T), np.kron(inverse, covariance), atol=0.01)


def test_the_sampler_predicts_planted_biases_better_than_the_shares_of_the_levels(world):
    found = rating_bayes.sample(
        world["rating"] - 1, rating_sides.modes(world), rating_sides.groups(world), 2, 60, 15, 0
    )
    values = found @ np.arange(1, 6)
    error = np.mean((values - world["truth"]) ** 2)
    assert np.allclose(found.sum(axis=1), 1)
    assert error < 0.5 * np.var(world["truth"])


def test_the_sampler_answers_the_same_for_the_same_seed(world):
    parts = rating_sides.modes(world), rating_sides.groups(world), 2, 12, 3
    first, second = (rating_bayes.sample(world["rating"] - 1, *parts, 5) for _ in range(2))
    assert np.array_equal(first, second)


def test_a_planted_effect_of_a_users_session_is_learned(world, rng):
    session = {part: rng.integers(0, 3, len(world[f"{part}user"])) for part in ("", "asked_")}
    loud = {part: (world[f"{part}user"] + session[part]) % 2 == 0 for part in session}
    planted = world | {f"{part}time": session[part] * 600 for part in session}
    planted["rating"] = np.where(loud[""], 5, 1)
    found = rating_bayes.sample(
        planted["rating"] - 1, rating_sides.modes(planted),
        rating_sides.groups(planted, (600,)), 2, 40, 10, 0,
    )  # fmt: skip
    above = found[:, 4] > found[:, 4].mean()
    assert (above == loud["asked_"]).mean() > 0.85


def test_drawn_pairs_are_never_training_pairs(world, rng):
    found = rating_joint.draw_pairs(world, 2000, rng)
    known = set(zip(world["user"].tolist(), world["item"].tolist(), strict=True))
    assert known.isdisjoint(zip(found["user"].tolist(), found["item"].tolist(), strict=True))


def test_the_ordinal_loss_is_the_negative_log_of_the_levels_probability(rng):
    logits = np.sort(rng.normal(size=(6, 4)), axis=1)[:, ::-1].astype("float32")
    above = 1 / (1 + np.exp(-logits))
    shares = -np.diff(np.hstack([np.ones((6, 1)), above, np.zeros((6, 1))]), axis=1)
    level = rng.integers(0, 5, 6)
    found = rating_network.ordinal_loss(np.eye(5, dtype="float32")[level], logits)
    np.testing.assert_allclose(found, -np.log(np.maximum(shares[range(6), level], 1e-6)), rtol=1e-3)


def test_the_joint_network_learns_both_tasks_from_planted_biases(world):
    none = {name: world[name][:0] for name in ("user", "item", "time")}
    settings = rating_network.Settings(width=4, hidden=8, epochs=20, batch=64, rate=0.03)
    levels, like = rating_joint.network(world, none, np.zeros((0, 5)), settings, 0)
    values = levels @ np.arange(1, 6)
    liked = world["truth"] >= 4
    assert np.mean((values - world["truth"]) ** 2) < 0.7 * np.var(world["truth"])
    assert like[liked].mean() > like[~liked].mean() + 0.2


def test_rows_of_unknown_days_and_groups_add_nothing(rng):
    table = rng.normal(size=(3, 2)).astype("float32")
    found = np.asarray(rating_network.known(table, np.array([-1, 2])))
    assert np.array_equal(found, [[0, 0], table[2]])


def test_blend_weights_are_shares_and_prefer_the_better_component(rng):
    labels = rng.normal(size=500)
    parts = np.stack([labels + rng.normal(0, s, 500) for s in (0.3, 0.6, 3.0)])
    found = weights(parts, labels)
    assert found.sum() == pytest.approx(1)
    assert found[0] > found[1] > found[2] >= 0
    mixed = blend(parts, found)
    assert np.mean((mixed - labels) ** 2) < np.mean((parts[0] - labels) ** 2)


def test_peers_can_be_keys_so_that_a_fold_is_asked_once():
    assert len(set(rating.PEERS)) == len(rating.PEERS)


def test_systems_asked_beside_each_other_answer_in_order_and_their_errors_are_not_lost():
    later = Event()

    def answer(number):
        if number == 0:
            later.wait(5)
        later.set()
        return 10 // (number - 7), number

    assert rating_rows.beside(answer, [0, 1, 2]) == [(-2, 0), (-2, 1), (-2, 2)]
    with pytest.raises(ZeroDivisionError):
        rating_rows.beside(answer, [6, 7])


def test_every_peer_has_one_trial_more_than_the_thirteen_that_ours_took():
    assert {len(peer.trials) for peer in (*rating.PEERS, *like.PEERS)} == {14}


def test_a_peers_settings_are_chosen_on_validation_rows_without_their_ratings(monkeypatch):
    asked = []

    def answer(root, split, system, seed):
        asked.append((split.rows, system.options["settings"]["size"]))
        size = system.options["settings"]["size"]
        return rating_rows.Run(np.full(len(split.rows["test"]), size), "", 0.0, 0.0)

    monkeypatch.setattr(rating_rows, "run_peer", answer)
    rows = {"train": np.arange(20), "validation": np.arange(20, 25), "test": np.arange(25, 30)}
    system = rating_rows.System(
        "peer", "", "", {}, False, "note", tuple({"size": n} for n in (1, 4, 7))
    )
    found = rating_rows.choose(
        Path(), Split("split", "", rows), system, lambda at, answers: abs(answers.mean() - 5)
    )
    assert found.options == {"settings": {"size": 4}} and not found.trials
    assert found.note == "note; best of 3 settings on validation"
    assert rating_rows.settings(found) == '{"size": 4}'
    for parts, _ in asked:
        known = np.concatenate([parts["train"], parts["validation"]])
        assert np.array_equal(np.sort(known), rows["train"])
        assert np.array_equal(parts["test"], rows["validation"])


def test_the_rmse_of_folds_is_the_mean_of_scikit_learns_on_the_rows_and_on_each_resample(rng):
    labels, found = ([rng.normal(size=size) for size in (30, 50)] for _ in range(2))
    users = [rng.integers(0, 6, 30), rng.integers(3, 9, 50)]
    drawn = np.split(resample_weights(np.concatenate(users), 4, 1), [30], axis=1)
    folds = list(zip(labels, found, strict=True))
    wanted = [
        np.mean([root_mean_squared_error(*fold, sample_weight=w[draw])
                 for fold, w in zip(folds, drawn, strict=True)])
        for draw in range(4)
    ]  # fmt: skip
    np.testing.assert_allclose(rmse_draws(labels, found, users, 4, 1)[:4], wanted, rtol=1e-12)
    assert mean_rmse(labels, found) == pytest.approx(
        np.mean([root_mean_squared_error(*fold) for fold in folds])
    )


def test_intervals_of_one_fold_are_those_of_the_evaluation(rng):
    labels, user = rng.normal(size=90), rng.integers(0, 9, 90)
    ours, theirs = labels + rng.normal(0, 0.1, 90), labels + rng.normal(0, 0.3, 90)
    mine, other = (rmse_draws([labels], [one], [user], 50, 1) for one in (ours, theirs))
    value = mean_rmse([labels], [theirs]) - mean_rmse([labels], [ours])
    wanted = evaluate("regression", labels, {"ours": ours, "theirs": theirs}, user, 50, 1,
                      {"gain": ("theirs", "ours")})  # fmt: skip
    size, alone = len(np.unique(user)), mean_rmse([labels], [ours])
    assert interval(alone, mine, size) == pytest.approx(wanted["ours"]["rmse"])
    assert interval(value, other - mine, size) == pytest.approx(wanted["gain"]["rmse"])


DRAWS = 100
OFF = {1: -0.6, 2: 0.6}  # what the peer must be set to on each fold of the planted world


@dataclass(frozen=True)
class Planted:
    """Two folds of forty ratings, and what was asked of whom."""

    frame: pd.DataFrame
    folds: dict[int, Split]
    asked: list
    spans: set

    def truth(self, rows):
        return self.frame["rating"].to_numpy(float)[rows]


@pytest.fixture
def planted(monkeypatch, rng):
    """A peer that is right but for noise of its seed once it is set to its fold's ``OFF``.

    One that draws nothing is wrong by a half. Components of ours are wrong by their number and
    the seed; on validation rows of u1 the first is right, on those of u2 the second.
    """
    frame = pd.DataFrame({"user": np.arange(40) % 7, "rating": rng.integers(1, 6, 40)})
    rows = np.arange(40)
    parts = {1: (rows[24:], rows[20:24], rows[:20]), 2: (rows[:16], rows[16:20], rows[20:])}
    folds = {
        number: Split(f"u{number}", f"{number}" * 64,
                      dict(zip(("train", "validation", "test"), part, strict=True)))
        for number, part in parts.items()
    }  # fmt: skip
    world = Planted(frame, folds, [], set())

    def peer(root, split, system, seed):
        asked = split.rows["test"]
        off = system.options["settings"]["off"]
        world.asked.append((system.name, split.rows, off, seed))
        wrong = np.abs(off - OFF[int(split.name[1])]) + wobble(asked, seed) * system.random
        wrong = wrong + 0.5 * (not system.random)
        return rating_rows.Run(toward(world.truth(asked), wrong), "1", 1.0, 1.0)

    def our_parts(root, known, asked, seed, spans):
        world.spans.add(spans)
        fold = next((n for n in folds if set(asked) == set(folds[n].rows["validation"])), None)
        values = [
            toward(world.truth(asked), (n + 1 != fold) * (0.1 * (n + 1) + wobble(asked, seed)))
            for n in range(3)
        ]
        levels = np.zeros((3, len(asked), 5))
        low = np.clip(np.floor(values), 1, 4).astype(int)
        for at, (value, floor) in enumerate(zip(values, low, strict=True)):
            levels[at, np.arange(len(asked)), floor] = value - floor
            levels[at, np.arange(len(asked)), floor - 1] = 1 - (value - floor)
        return rating_rows.Parts(levels, levels[0, :, 4], "1", 2.0, 1.0, 1.0)

    for module in (rating, rating_rows):
        monkeypatch.setattr(module, "run_peer", peer)
        monkeypatch.setattr(module, "table", lambda root: frame)
    monkeypatch.setattr(rating, "our_parts", our_parts)
    monkeypatch.setattr(rating, "fold", lambda root, number: folds[number])
    trials = tuple({"off": off} for off in OFF.values())
    monkeypatch.setattr(rating, "PEERS", tuple(
        rating_rows.System(name, "", "", {}, random, "note", trials)
        for name, random in (("peer", True), ("fixed", False))
    ))  # fmt: skip
    monkeypatch.setattr(rating, "FINE_PEER", rating_rows.System(
        "peer, to the second", "", "", {}, True, "note", trials
    ))  # fmt: skip
    return world


def wobble(rows, seed):
    """Errors that depend on row and seed."""
    return 0.05 * ((rows * 7 + seed * 3) % 5)


def toward(truth, wrong):
    """Ratings that are wrong by so much, toward the middle of the scale."""
    return truth + np.where(truth > 3, -wrong, wrong)


def test_settings_are_chosen_on_each_folds_own_validation_and_never_on_test_rows(planted, tmp_path):
    for number, off in OFF.items():
        planted.asked.clear()
        found = rating.chosen(tmp_path, number, rating.PEERS[0])
        assert found.options["settings"] == {"off": off}
        assert len(planted.asked) == 2
        for _, rows, _, _ in planted.asked:
            seen = np.concatenate(list(rows.values()))
            assert not np.isin(seen, planted.folds[number].rows["test"]).any()


def wanted(planted, wrong, seeds, keep):
    """Value and resamples of a planted system on the test rows of both folds, by scikit-learn.

    ``wrong`` says by how much it is: of rows, seed and fold.
    """
    tests = [planted.folds[number].rows["test"] for number in OFF]
    rows = [part[keep(part)] for part in tests]
    users = planted.frame["user"].to_numpy()[np.concatenate(rows)]
    drawn = np.vstack([np.ones(len(users)), weightings(users, DRAWS, 42)])
    found = []
    for number, part, draws in zip(OFF, rows, np.split(drawn, [len(rows[0])], axis=1), strict=True):
        truth = planted.truth(part)
        for seed in seeds:
            answer = toward(truth, wrong(part, seed, number))
            found.append([root_mean_squared_error(truth, answer, sample_weight=w) for w in draws])
    return np.mean(found, axis=0)


@pytest.mark.parametrize("metric", ["rmse", "unseen rmse"])
def test_the_mean_of_folds_is_over_three_seeds_a_fold_and_differences_are_paired(
    planted, tmp_path, monkeypatch, metric
):
    monkeypatch.setattr(rating, "rmse_draws", partial(rmse_draws, resamples=DRAWS))
    found = {row.system: row for row in rating.measure("mean", (1, 2), tmp_path)
             if row.metric == metric}  # fmt: skip
    seen = planted.folds[1].rows["validation"]

    def keep(rows):
        return ~np.isin(rows, seen) | (metric == "rmse")

    def fused(rows, seed, number):
        shares = rating.shares(tmp_path, number)
        assert np.argmax(shares) == number - 1  # the component that is right on its validation
        return sum(share * (0.1 * (n + 1) + wobble(rows, seed)) for n, share in enumerate(shares))

    draws = {
        "peer": wanted(planted, lambda rows, seed, number: wobble(rows, seed), (0, 1, 2), keep),
        "fixed": wanted(planted, lambda rows, seed, number: 0.5, (0,), keep),
        "mtrec fused": wanted(planted, fused, (0, 1, 2), keep),
    }
    draws |= {
        f"mtrec fused - {name}": draws[name] - draws["mtrec fused"] for name in ("peer", "fixed")
    }
    kept = np.concatenate([rows[keep(rows)] for rows in
                           (split.rows["test"] for split in planted.folds.values())])  # fmt: skip
    users = planted.frame["user"].iloc[kept].nunique()
    for name, one in draws.items():
        bounds = interval(one[0], one[1:], users)
        row = found[name]
        assert {"value": row.value, "low": row.low, "high": row.high} == pytest.approx(bounds)
    assert {name: found[name].seeds for name in draws} == {
        "peer": 6, "fixed": 2, "mtrec fused": 6, "mtrec fused - peer": 6, "mtrec fused - fixed": 6,
    }  # fmt: skip
    trained = [one for one in planted.asked if len(one[1]["test"]) == 20]
    assert sorted({seed for name, _, _, seed in trained if name == "peer"}) == [0, 1, 2]
    assert {(name, off) for name, rows, off, _ in trained if rows["test"][0] == 20} == {
        ("peer", 0.6), ("fixed", 0.6),
    }  # fmt: skip
    assert found["peer"].note.startswith("note; best of 2 settings on validation; u1 0.")
    assert '{"off": -0.6}; u2 0.' in found["peer"].note


def test_minutes_and_seconds_are_read_in_rows_of_their_own_and_compared_with_each_other(
    planted, tmp_path
):
    coarse = {row.system for row in rating.measure("mean", (1, 2), tmp_path)}
    assert planted.spans == {rating_sides.DAYS}
    assert not any("second" in name for name in coarse)
    fine = {row.system for row in rating.measure("one", (1,), tmp_path)} - coarse
    assert planted.spans == {rating_sides.DAYS, rating_sides.SECONDS}
    assert fine == {
        "mtrec fused, to the second", "peer, to the second",
        "mtrec fused, to the second - peer, to the second",
    }  # fmt: skip


def test_myfm_is_given_the_same_spans_of_time_as_ours():
    given = {
        peer.name: tuple(peer.options["spans"])
        for peer in (*rating.PEERS, rating.FINE_PEER, *like.PEERS) if "myFM" in peer.name
    }  # fmt: skip
    fine = given.pop("myFM ordered probit, to the second")
    assert fine == rating_sides.SECONDS
    assert set(given.values()) == {rating_sides.DAYS}


@pytest.fixture
def myfm_script(monkeypatch):
    """The script of myFM's environment, without its package."""
    monkeypatch.setitem(sys.modules, "myfm", ModuleType("myfm"))
    exchange = ModuleType("exchange")
    exchange.answer = exchange.given = None
    monkeypatch.setitem(sys.modules, "exchange", exchange)
    return SimpleNamespace(**run_path(str(ROOT / "benchmarks" / "systems" / "ratings_myfm.py")))


def test_myfm_shares_a_column_between_the_rows_that_share_an_effect_of_ours(world, myfm_script):
    for span, group in zip(
        rating_sides.SECONDS, rating_sides.groups(world, rating_sides.SECONDS), strict=True
    ):
        known, asked = (part.toarray() for part in myfm_script.sessions(world, span))
        assert (known.sum(axis=1) == 1).all()
        same = group.known[:, None] == group.known
        np.testing.assert_array_equal(known @ known.T, same)
        np.testing.assert_array_equal(asked @ known.T, group.asked[:, None] == group.known)


def test_a_main_row_of_ours_reads_no_minute_and_no_second(world):
    asked = {"asked_time": world["asked_time"] // rating_sides.DAY * rating_sides.DAY}
    known = {"time": world["time"] // rating_sides.DAY * rating_sides.DAY}
    for data in (world, world | known | asked):
        groups = rating_sides.groups(data, rating_sides.DAYS)
        assert len(groups) == 1
        np.testing.assert_array_equal(
            groups[0].known, rating_sides.groups(world, rating_sides.DAYS)[0].known
        )


def test_one_fold_has_no_rows_that_settings_were_chosen_on(planted, tmp_path):
    found = rating.measure("one", (1,), tmp_path)
    assert {row.metric for row in found} == {"rmse"}
    assert {row.split_sha256 for row in found} == {"1" * 64}
    assert rating.together_sha(list(planted.folds.values())) not in ("1" * 64, "2" * 64)
