"""The rule: who answers, and that no gain is an artefact of choosing."""

import numpy as np
import pytest

from mtrec.fusion import choice, selection
from mtrec.fusion.choice import FUSED, Rows, choose
from mtrec.registry import Form


def numbers(n=400, users=80, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    users = rng.integers(0, users, n).astype(str)
    return rng, truth, Rows(Form.NUMBER, "regression", truth, users)


def test_members_that_err_apart_are_fused():
    rng, truth, rows = numbers()
    found = {name: truth + rng.normal(size=400) for name in ("joint", "single", "svdpp")}
    chosen = choose(rows, found, 0)
    assert chosen.chosen == FUSED and chosen.why.startswith("the fusion answers: it gains +")
    assert all(weight > 0.15 for weight in chosen.weights.values())


def test_one_member_that_is_clearly_best_answers_alone():
    rng, truth, rows = numbers()
    noise = rng.normal(size=400)
    found = {"joint": truth + 3 * noise, "svdpp": truth + 0.1 * rng.normal(size=400)}
    assert choose(rows, found, 0).chosen == "svdpp"


def test_a_member_that_is_hardly_better_does_not_replace_the_joint_model():
    rng, truth, rows = numbers()
    noise = rng.normal(size=400)
    shrunk = (truth + noise) / 2  # calibrated, so that fusion has nothing to add
    found = {"joint": shrunk, "svdpp": shrunk + 0.001 * rng.normal(size=400)}
    assert choose(rows, found, 0).chosen == "joint"


def test_rows_of_one_user_are_in_one_fold():
    users = np.random.default_rng(0).integers(0, 30, 300).astype(str)
    fold = choice.folds(users, 0)
    assert all(len(set(fold[users == user])) == 1 for user in set(users))
    assert len(set(fold)) == choice.FOLDS


def test_labels_of_a_fold_do_not_reach_its_own_fused_answers():
    rng, truth, rows = numbers()
    found = [truth + rng.normal(size=400), truth + rng.normal(size=400)]
    fold = choice.folds(rows.clusters, 0)
    before = choice.crossfit(rows, found, 0)
    changed = Rows(rows.form, rows.family, np.where(fold == 2, 99.0, truth), rows.clusters)
    after = choice.crossfit(changed, found, 0)
    np.testing.assert_array_equal(before[fold == 2], after[fold == 2])
    assert np.abs(before[fold != 2] - after[fold != 2]).max() > 0.1


def test_a_member_that_learnt_the_labels_of_its_own_fold_by_heart_gains_nothing_elsewhere():
    """A leak of one fold looks like a gain on all rows at once, and is none cross-fitted."""
    rng, truth, rows = numbers()
    fold = choice.folds(rows.clusters, 0)
    inside, outside = (np.flatnonzero(part) for part in (fold == 0, fold != 0))
    honest = (truth + rng.normal(size=400)) / 2
    planted = np.where(fold == 0, truth, rng.normal(size=400))
    own, both = rows.take(inside), [honest, planted]
    _, _, at_once = choice.combine(rows, both)
    gained = own.quality(at_once(both)[inside]) - own.quality(honest[inside])
    crossed = own.quality(choice.crossfit(rows, both, 0)[inside])
    alone = own.quality(choice.crossfit(rows, [honest], 0)[inside])
    assert gained > 0.05  # all rows at once reward the leak
    assert crossed - alone < gained / 2  # the weights of the other folds hardly know the member
    weights, _, _ = choice.combine(rows.take(outside), [one[outside] for one in both])
    assert weights[1] < 0.05


def test_rankings_are_chosen_by_the_same_rule():
    rng = np.random.default_rng(0)
    labels, out = rng.integers(0, 20, 300), np.zeros((300, 20), bool)
    rows = Rows(Form.RANK, "ranking", labels, (np.arange(300) // 3).astype(str), out)
    found = {}
    for name in ("joint", "ease", "als"):
        scores = rng.normal(size=(300, 20))
        scores[np.arange(300), labels] += 1.5
        found[name] = selection.standardised(scores, out)
    chosen = choose(rows, found, 0)
    assert chosen.chosen == FUSED and not chosen.bias
    assert sum(chosen.weights.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("rows", "why"),
    [(Rows(Form.BIT, "binary", np.zeros(0, int), np.zeros(0, str)), "no validation rows"),
     (Rows(Form.BIT, "binary", np.ones(50, int), np.arange(50).astype(str)), "a single class"),
     (Rows(Form.BIT, "binary", np.arange(9) % 2, np.array(["a", "b", "c"] * 3)), "fewer than 5")],
)  # fmt: skip
def test_where_there_is_nothing_to_choose_on_the_joint_model_answers_and_says_so(rows, why):
    found = {name: np.full(len(rows.labels), 0.5) for name in ("joint", "svdpp")}
    chosen = choose(rows, found, 0)
    assert chosen.chosen == "joint" and why in chosen.why
    assert chosen.weights == {"joint": 1.0, "svdpp": 0.0}


def test_where_lower_is_better_a_gain_is_a_fall():
    _, truth, rows = numbers()
    gain, error = choice.placed_gain(rows, truth, truth + 1, 0)
    assert gain == pytest.approx(1) and error < 0.01
    assert rows.sign == -1


def test_rare_labels_of_a_fold_do_not_turn_its_fused_answers_against_them():
    rng = np.random.default_rng(0)
    truth = (rng.random((60, 12)) < 0.05).astype(float)
    member = np.clip(truth * 0.3 + 0.3 * rng.random((60, 12)), 0.01, 0.99)
    rows = Rows(Form.SET, "multilabel", truth, np.arange(60).astype(str))
    crossed = rows.quality(choice.crossfit(rows, [member], 0))
    assert crossed == pytest.approx(rows.quality(member), abs=0.06)


@pytest.mark.parametrize(
    ("chosen", "best", "simple", "why"),
    [(FUSED, "single", "single",
      "the fusion answers: it gains +0.0027 over single (standard error 0.0005)."),
     (FUSED, "joint", "joint",
      "the fusion answers: it gains +0.0027 over the joint model (standard error 0.0005)."),
     ("ease", "ease", "ease",
      "ease answers: it gains +0.0405 over the joint model (standard error 0.0074); the gain of "
      "fusion over it is +0.0027 (standard error 0.0005), not more than one standard error."),
     ("joint", "joint", "joint",
      "the joint model answers: the gain of fusion over it is +0.0027 (standard error 0.0005), "
      "not more than one standard error."),
     ("joint", "ease", "joint",
      "the joint model answers: the gain over it of ease is +0.0405 (standard error 0.0074) and of "
      "fusion +0.0027 (standard error 0.0005), neither more than one standard error.")],
)  # fmt: skip
def test_the_reason_says_who_answers_and_by_how_much(chosen, best, simple, why):
    assert choice._why(chosen, best, simple, (0.0405, 0.0074), (0.0027, 0.0005)) == why
