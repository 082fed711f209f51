import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import roc_auc_score, root_mean_squared_error

from mtrec.peers import cold_boosting, factorization
from mtrec.peers.question import MODULES, entity_frame, entity_matrix, frame, judge, require
from mtrec.studies import cold_means
from mtrec.studies.cold_start import ask
from mtrec.studies.group_ranking import GroupRanking
from tests.studies import stand_ins


@pytest.fixture(autouse=True)
def peers(monkeypatch):
    """Peers that are not installed have a stand-in."""
    for name in MODULES:
        if find_spec(name) is None:
            monkeypatch.setitem(sys.modules, name, stand_ins)


@pytest.fixture
def no_catboost(peers, monkeypatch):
    monkeypatch.setitem(sys.modules, "catboost", None)


def test_missing_peer_is_named_with_the_way_to_install_it(no_catboost):
    with pytest.raises(ImportError, match="catboost is not installed.*pip install catboost"):
        require("catboost")


def test_plain_columns_are_those_of_the_encoder(cold_benches):
    cold = cold_benches["cold_users"]
    question = ask(cold, "rating", 0)
    found = frame(question, question.test)
    side, rows = question.encoder.item, question.test.inputs["item"]
    assert "user user_id" not in found  # the cold side's ids
    assert (found["item item_id"] == side.field("item_id").table[rows]).all()
    year = side.field("year").table[rows]
    np.testing.assert_allclose(found["item year"], np.where(year[:, 1] > 0, np.nan, year[:, 0]))
    text = side.field("text")
    np.testing.assert_allclose(
        found.filter(regex="^item text"), text.vectors[text.table[rows]], rtol=1e-6
    )
    assert len(found) == len(question.test.label)


def test_item_without_text_has_missing_components(cold_benches):
    side = cold_benches["cold_users"].bench.assembly.encoder.item
    assert entity_frame(side, ("text",)).iloc[0].isna().all()


def test_features_for_factors_are_the_known_categories_or_that_there_is_none(cold_benches):
    side = cold_benches["cold_users"].bench.assembly.encoder.item
    found = entity_matrix(side, ("item_id", "colour"))
    assert sparse.issparse(found)
    assert found.shape[0] == len(side.ids) + 1
    expected = sum((side.field(name).table > 0).astype(float) for name in ("item_id", "colour"))
    np.testing.assert_allclose(np.asarray(found[:, :-1].sum(axis=1)).ravel(), expected)
    np.testing.assert_allclose(found[:, -1].toarray().ravel(), expected == 0)


def test_new_item_gets_the_mean_and_no_popularity(cold_benches):
    cold = cold_benches["cold_items"]
    assert np.ptp(cold_means.predict(cold, "next_item")[:, _columns(cold, 2)]) == 0
    found = cold_means.predict(cold, "rating")
    per_user = {}
    question = ask(cold, "rating", 0)
    for user, value in zip(question.test.inputs["user"], found, strict=True):
        per_user.setdefault(user, set()).add(round(float(value), 9))
    assert all(len(values) == 1 for values in per_user.values())  # nothing about the item


def _columns(cold, group):
    kind = cold.bench.assembly.types["next_item"]
    assert isinstance(kind, GroupRanking)
    return np.asarray(kind.groups) == group


@pytest.mark.parametrize("split", ["cold_items", "cold_users"])
def test_lightfm_shows_no_held_out_item_even_as_a_wrong_answer(cold_benches, split):
    question = ask(cold_benches[split], "next_item", 0)
    offered = factorization._offered(question, len(question.encoder.item.ids) + 1)
    if split == "cold_users":
        assert len(offered) == len(question.encoder.item.ids)
    else:
        assert set(np.asarray(question.kind.groups)[offered - 1]) == {0}
        assert len(offered) == (np.asarray(question.kind.groups) == 0).sum()


def planted(question):
    """The same question with labels that the item's colour decides."""
    colour = question.encoder.item.field("colour").table
    rows = {
        name: replace(part, label=(colour[part.inputs["item"]] == 1).astype("float32"))
        for name, part in (("training", question.training), ("validation", question.validation),
                           ("test", question.test))
    }  # fmt: skip
    return replace(question, **rows)


@pytest.mark.parametrize("module", [cold_boosting, factorization])
def test_peer_finds_a_planted_rule_for_new_items(cold_benches, module):
    question = planted(ask(cold_benches["cold_items"], "like", 0))
    found = module.predict(question)
    assert found.shape == question.test.label.shape
    assert ((found >= 0) & (found <= 1)).all()
    assert roc_auc_score(question.test.label, found) > 0.95


class Judged:
    """Judges answers in the order in which they come, whatever they are."""

    def __init__(self, marks):
        self.marks, self.answers = list(marks), []

    def __call__(self, question, predictions):
        self.answers.append(predictions)
        return self.marks[len(self.answers) - 1]


@pytest.mark.parametrize("best", [0, 1])
def test_boosting_answers_with_the_setting_that_is_best_on_validation(
    cold_benches, monkeypatch, best
):
    question = ask(cold_benches["cold_items"], "like", 0)
    settings = cold_boosting.SETTINGS[0], cold_boosting.SETTINGS[-1]
    alone = []
    for setting in settings:
        monkeypatch.setattr(cold_boosting, "SETTINGS", (setting,))
        alone.append(cold_boosting.predict(question))
    monkeypatch.setattr(cold_boosting, "SETTINGS", settings)
    judged = Judged([float(best == 0), float(best == 1)])
    monkeypatch.setattr(cold_boosting, "judge", judged)
    assert (cold_boosting.predict(question) == alone[best]).all()
    assert (alone[0] != alone[1]).any()
    assert {len(found) for found in judged.answers} == {len(question.validation.label)}


def test_lightfm_answers_with_the_setting_and_epochs_that_are_best_on_validation(
    cold_benches, monkeypatch
):
    question = ask(cold_benches["cold_items"], "like", 0)
    expected = list(factorization._answers(question, factorization.SETTINGS[2]))[1][1]
    places = len(factorization.SETTINGS) * len(factorization.EPOCHS)
    judged = Judged(np.eye(places)[2 * len(factorization.EPOCHS) + 1])
    monkeypatch.setattr(factorization, "judge", judged)
    np.testing.assert_array_equal(factorization.predict(question), expected)
    assert len(judged.answers) == places
    assert {len(found) for found in judged.answers} == {len(question.validation.label)}


def test_lightfm_that_diverges_with_some_settings_answers_with_the_others(
    cold_benches, monkeypatch
):
    question = ask(cold_benches["cold_items"], "like", 0)
    learn, good = factorization._answers, factorization.SETTINGS[0]

    def diverging(question, setting):
        if setting != good:
            raise ValueError("not all estimated parameters are finite")
        return learn(question, setting)

    monkeypatch.setattr(factorization, "_answers", diverging)
    assert np.isfinite(factorization.predict(question)).all()
    monkeypatch.setattr(factorization, "SETTINGS", factorization.SETTINGS[1:])
    with pytest.raises(ValueError, match="finite"):
        factorization.predict(question)


def test_peer_is_judged_by_the_main_metric_on_validation_rows_and_more_is_better(cold_benches):
    cold = cold_benches["cold_items"]
    question, rng = ask(cold, "like", 0), np.random.default_rng(0)
    label = question.validation.label
    guess = rng.random(len(label))
    assert judge(question, guess) == pytest.approx(roc_auc_score(label, guess))
    question = ask(cold, "rating", 0)
    label = question.validation.label
    assert judge(question, 0 * label) == pytest.approx(-root_mean_squared_error(label, 0 * label))
    question = ask(cold, "next_item", 0)
    label = question.validation.label
    chosen = np.eye(question.kind.outputs)[label]
    assert judge(question, chosen) == pytest.approx(1)  # NDCG@10 of a list that is led by the right
    assert judge(question, -chosen) == pytest.approx(0)


@pytest.mark.parametrize("module", [cold_boosting, factorization])
@pytest.mark.parametrize("split", ["cold_items", "cold_users"])
def test_peer_ranks_every_candidate_for_every_row(cold_benches, split, module):
    question = ask(cold_benches[split], "next_item", 0)
    found = module.predict(question)
    assert found.shape == (len(question.test.label), question.kind.outputs)
    assert np.isfinite(found).all()


def test_boosting_is_not_asked_about_an_entity_without_properties(cold_benches):
    question = ask(cold_benches["cold_users"], "mood", 0)
    bare = replace(question.encoder.user, fields=question.encoder.user.fields[:1])
    nothing = replace(question, encoder=replace(question.encoder, user=bare, contexts={}))
    assert cold_boosting.answers(question)
    assert not cold_boosting.answers(nothing)


def test_lightfm_learns_where_neither_user_nor_item_is_known(cold_benches):
    def forget(side):
        fields = [field for field in side.fields if field.kind == "categorical"]
        return replace(side, fields=tuple(replace(f, table=np.zeros_like(f.table)) for f in fields))

    question = ask(cold_benches["cold_items"], "like", 0)
    encoder = question.encoder
    bare = replace(encoder, user=forget(encoder.user), item=forget(encoder.item))
    found = factorization.predict(replace(question, encoder=bare))
    assert np.isfinite(found).all()
    assert np.ptp(found) < 1e-6  # all rows look alike
