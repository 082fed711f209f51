import sys
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import roc_auc_score, root_mean_squared_error

from mtrec.peers.base import NoAnswer, PeerTask
from mtrec.peers.baselines import training_means
from mtrec.peers.columns import entity_frame, entity_matrix, frame
from mtrec.registry import PEERS
from mtrec.studies.cold_start import ask
from mtrec.studies.group_ranking import GroupRanking
from tests.studies import stand_ins

catboost, lightfm = (import_module(f"mtrec.peers.{name}") for name in ("catboost", "lightfm"))


@pytest.fixture(autouse=True)
def peers(monkeypatch):
    """Peers that are not installed have a stand-in."""
    for name in PEERS.cold:
        if find_spec(name) is None:
            monkeypatch.setitem(sys.modules, name, stand_ins)


@pytest.fixture
def no_catboost(peers, monkeypatch):
    monkeypatch.setitem(sys.modules, "catboost", None)


def test_missing_peer_is_named_with_the_way_to_install_it(no_catboost):
    with pytest.raises(ImportError, match="catboost is not installed.*pip install catboost"):
        PEERS.package("catboost")
    assert PEERS.package("svdpp") is None


def test_plain_columns_are_those_of_the_encoder(cold_benches):
    cold = cold_benches["cold_users"]
    question = ask(cold, "rating", 0)
    test = question.rows("test")
    found = frame(question, test)
    side, rows = question.encoder.item, question.entities["item"][test]
    assert "user user_id" not in found  # the cold side's ids
    assert (found["item item_id"] == side.field("item_id").table[rows]).all()
    year = side.field("year").table[rows]
    np.testing.assert_allclose(found["item year"], np.where(year[:, 1] > 0, np.nan, year[:, 0]))
    text = side.field("text")
    np.testing.assert_allclose(
        found.filter(regex="^item text"), text.vectors[text.table[rows]], rtol=1e-6
    )
    assert len(found) == len(test)


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
    assert np.ptp(training_means(ask(cold, "next_item", 0))[:, _columns(cold, 2)]) == 0
    per_user = {}
    question = ask(cold, "rating", 0)
    rows = question.rows("test")
    found, users = training_means(question)[rows], question.entities["user"][rows]
    for user, value in zip(users, found, strict=True):
        per_user.setdefault(user, set()).add(round(float(value), 9))
    assert all(len(values) == 1 for values in per_user.values())  # nothing about the item


def _columns(cold, group):
    kind = cold.bench.assembly.types["next_item"]
    assert isinstance(kind, GroupRanking)
    return np.asarray(kind.groups) == group


@pytest.mark.parametrize("split", ["cold_items", "cold_users"])
def test_lightfm_shows_no_held_out_item_even_as_a_wrong_answer(cold_benches, split):
    question = ask(cold_benches[split], "next_item", 0)
    offered = lightfm._offered(question, len(question.encoder.item.ids) + 1)
    if split == "cold_users":
        assert len(offered) == len(question.encoder.item.ids)
    else:
        assert set(np.asarray(question.kind.groups)[offered - 1]) == {0}
        assert len(offered) == (np.asarray(question.kind.groups) == 0).sum()


def planted(question):
    """The same question with labels that the item's colour decides."""
    colour = question.encoder.item.field("colour").table
    return replace(question, labels=(colour[question.entities["item"]] == 1).astype("float32"))


def answer(peer, question):
    """What a peer says of the test rows."""
    return PEERS[peer](question)[question.rows("test")]


@pytest.mark.parametrize("peer", PEERS.cold)
def test_peer_finds_a_planted_rule_for_new_items(cold_benches, peer):
    question = planted(ask(cold_benches["cold_items"], "like", 0))
    found, label = answer(peer, question), question.labels[question.rows("test")]
    assert found.shape == label.shape
    assert ((found >= 0) & (found <= 1)).all()
    assert roc_auc_score(label, found) > 0.95


@pytest.mark.parametrize("peer", PEERS.cold)
def test_a_peer_of_the_study_answers_a_task_of_the_pipeline_too(cold_benches, peer):
    question = replace(planted(ask(cold_benches["cold_items"], "like", 0)), cold=None)
    found = PEERS[peer](question)
    assert found.shape == question.labels.shape
    rows = question.rows("test")
    assert roc_auc_score(question.labels[rows], found[rows]) > 0.95


def test_a_peer_of_the_pipeline_answers_a_question_of_the_study_too(cold_benches):
    found = answer("svdpp", ask(cold_benches["cold_items"], "rating", 0))
    assert np.isfinite(found).all()


class Judged:
    """Judges answers in the order in which they come, whatever they are."""

    def __init__(self, marks):
        self.marks, self.answers = list(marks), []

    def __call__(self, predictions):
        self.answers.append(predictions)
        return self.marks[len(self.answers) - 1]


@pytest.mark.parametrize("best", [0, 1])
def test_boosting_answers_with_the_setting_that_is_best_on_validation(
    cold_benches, monkeypatch, best
):
    question = ask(cold_benches["cold_items"], "like", 0)
    settings = catboost.SETTINGS[0], catboost.SETTINGS[-1]
    alone = []
    for setting in settings:
        monkeypatch.setattr(catboost, "SETTINGS", (setting,))
        alone.append(answer("catboost", question))
    monkeypatch.setattr(catboost, "SETTINGS", settings)
    judged = Judged([float(best == 0), float(best == 1)])
    monkeypatch.setattr(PeerTask, "judge", lambda self, found: judged(found))
    assert (answer("catboost", question) == alone[best]).all()
    assert (alone[0] != alone[1]).any()
    assert {len(found) for found in judged.answers} == {len(question.rows("validation"))}


def test_lightfm_answers_with_the_setting_and_epochs_that_are_best_on_validation(
    cold_benches, monkeypatch
):
    question = ask(cold_benches["cold_items"], "like", 0)
    expected = list(lightfm._answers(question, lightfm.SETTINGS[2]))[1][1]
    places = len(lightfm.SETTINGS) * len(lightfm.EPOCHS)
    judged = Judged(np.eye(places)[2 * len(lightfm.EPOCHS) + 1])
    monkeypatch.setattr(PeerTask, "judge", lambda self, found: judged(found))
    np.testing.assert_array_equal(answer("lightfm", question), expected)
    assert len(judged.answers) == places
    assert {len(found) for found in judged.answers} == {len(question.rows("validation"))}


def test_lightfm_that_diverges_with_some_settings_answers_with_the_others(
    cold_benches, monkeypatch
):
    question = ask(cold_benches["cold_items"], "like", 0)
    learn, good = lightfm._answers, lightfm.SETTINGS[0]

    def diverging(question, setting):
        if setting != good:
            raise ValueError("not all estimated parameters are finite")
        return learn(question, setting)

    monkeypatch.setattr(lightfm, "_answers", diverging)
    assert np.isfinite(answer("lightfm", question)).all()
    monkeypatch.setattr(lightfm, "SETTINGS", lightfm.SETTINGS[1:])
    with pytest.raises(ValueError, match="finite"):
        answer("lightfm", question)


def test_peer_is_judged_by_the_main_metric_on_validation_rows_and_more_is_better(cold_benches):
    cold = cold_benches["cold_items"]
    question, rng = ask(cold, "like", 0), np.random.default_rng(0)
    label = question.labels[question.rows("validation")]
    guess = rng.random(len(label))
    assert question.judge(guess) == pytest.approx(roc_auc_score(label, guess))
    question = ask(cold, "rating", 0)
    label = question.labels[question.rows("validation")]
    assert question.judge(0 * label) == pytest.approx(-root_mean_squared_error(label, 0 * label))
    question = ask(cold, "next_item", 0)
    label = question.labels[question.rows("validation")]
    chosen = np.eye(question.kind.outputs)[label]
    assert question.judge(chosen) == pytest.approx(1)  # NDCG@10 of a list that is led by the right
    assert question.judge(-chosen) == pytest.approx(0)


@pytest.mark.parametrize("peer", PEERS.cold)
@pytest.mark.parametrize("split", ["cold_items", "cold_users"])
def test_peer_ranks_every_candidate_for_every_row(cold_benches, split, peer):
    question = ask(cold_benches[split], "next_item", 0)
    found = answer(peer, question)
    assert found.shape == (len(question.rows("test")), question.kind.outputs)
    assert np.isfinite(found).all()


def test_catboost_does_not_answer_about_an_entity_without_properties(cold_benches):
    question = ask(cold_benches["cold_users"], "mood", 0)
    bare = replace(question.encoder.user, fields=question.encoder.user.fields[:1])
    nothing = replace(question, encoder=replace(question.encoder, user=bare, contexts={}))
    assert np.isfinite(answer("catboost", question)).all()
    with pytest.raises(NoAnswer, match="peer catboost predicts .* with a column to split on"):
        PEERS["catboost"](nothing)


def test_lightfm_learns_where_neither_user_nor_item_is_known(cold_benches):
    def forget(side):
        fields = [field for field in side.fields if field.kind == "categorical"]
        return replace(side, fields=tuple(replace(f, table=np.zeros_like(f.table)) for f in fields))

    question = ask(cold_benches["cold_items"], "like", 0)
    encoder = question.encoder
    bare = replace(encoder, user=forget(encoder.user), item=forget(encoder.item))
    found = answer("lightfm", replace(question, encoder=bare))
    assert np.isfinite(found).all()
    assert np.ptp(found) < 1e-6  # all rows look alike
