"""Specialists and fusions in service answer as `mtrec.load` does on data that hold the events."""

from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mtrec.features import assemble
from mtrec.features.encoder import usable_events
from mtrec.features.offsets import label_rows
from mtrec.features.state import save_state
from mtrec.fusion import product, store
from mtrec.fusion.choice import FUSED, Choice
from mtrec.fusion.members import Bench, members
from mtrec.models.store import save_model
from mtrec.models.twins import build_models
from mtrec.peers.base import LONGEST, Question, decayed
from mtrec.service.answer import Answers
from mtrec.service.browse import Predict, predict
from mtrec.service.bundle import Bundle
from mtrec.service.members import PAUSE, Members
from mtrec.service.past import FAR, Past
from mtrec.service.rows import Ids
from mtrec.service.schemas import Pair, Recommend, Score
from mtrec.service.shown import placed
from mtrec.service.state import State
from mtrec.service.words import words_of
from mtrec.serving.recommender import Recommender, load_state
from tests.conftest import SIZES, TASKS
from tests.service.conftest import ONLINE_DOMAIN
from tests.service.test_state import before, events_from

RATING = {"joint": 0.25, "single": 0.25, "linear": 0.3, "running_mean": 0.2}
LIKE = {"joint": 0.5, "boosting": 0.3, "running_mean": 0.2}
LIST = {"joint": 0.3, "single": 0.1, "ease": 0.2, "als": 0.1, "last_items": 0.2, "popularity": 0.1}
CHOICES = {
    "rating": Choice(FUSED, RATING, (0.1,)),
    "like": Choice(FUSED, LIKE, (0.1,)),
    "mood": Choice("linear", {"linear": 1.0}),
    "next_item": Choice(FUSED, LIST),
}
PLAIN = {  # the head of like starts from no running mean, that of mood sees no item
    "rating": ONLINE_DOMAIN.tasks["rating"], "like": TASKS["like"], "mood": TASKS["mood"],
    "next_item": TASKS["next_item"],
}  # fmt: skip


@pytest.fixture(scope="module")
def served(in_time, vectors, tmp_path_factory):
    """A domain, its tables before the last 60 moments, and all who answer, fitted."""
    tables, folder = in_time.tables, tmp_path_factory.mktemp("served")
    domain = ONLINE_DOMAIN.model_copy(update={"tasks": PLAIN})
    assembly = assemble.assemble(tables, vectors, domain, SIZES)
    models = build_models(assembly, vectors["tasks"][:4], SIZES, seed=3)
    draw = np.random.default_rng(5)
    for name, model in models.items():
        for variable in model.trainable_variables:
            variable.assign(draw.normal(scale=0.3, size=variable.shape))
        save_model(model, folder / f"{name}.keras")
    data = assemble.dataset(assembly, tables, PLAIN)
    bench = Bench(assembly, data, tables, PLAIN, folder, 0)
    specialists = {}
    for task, choice in CHOICES.items():
        peers = [name for name in choice.weights if name not in ("joint", "single")]
        for one in members(bench, task, peers)[0]:
            if one.fitted is not None:
                specialists[task, one.name] = one.fitted
    assert len(specialists) == 9
    cutoff = np.sort(tables.events["timestamp"].unique())[-60]
    return SimpleNamespace(
        tables=tables, early=before(tables, cutoff), cutoff=cutoff, assembly=assembly,
        joint=models["joint"], specialists=specialists, folder=folder, rules=in_time.rules,
    )  # fmt: skip


def loaded(served, tables, tmp_path) -> tuple[Recommender, store.Kept]:
    """The joint model and what the stage fusion keeps, as of the end of some tables."""
    save_state(served.assembly, tables, PLAIN, tmp_path)
    found = load_state("tiny", tmp_path, served.joint, served.assembly)
    encoder, means = served.assembly.encoder, {}
    data = assemble.dataset(served.assembly, tables, PLAIN)
    whole = assemble.dataset(served.assembly, served.tables, PLAIN)
    for task in ("rating", "like"):
        kind, view = served.assembly.types[task], PLAIN[task].view
        learnt = product.store.offsets.fit(
            label_rows(task, kind, view, whole, served.tables)[0]
        )  # of training rows, which are the same in both
        rows, _ = label_rows(task, kind, view, data, tables)
        latest = learnt.latest(rows, len(encoder.user.ids), len(encoder.item.ids))
        means[task] = store.Means(learnt, *latest)
    return found, store.Kept(CHOICES, served.specialists, usable_events(tables, encoder), means)


def start(served, tables, tmp_path, **changes) -> Answers:
    """A service on some tables."""
    found, kept = loaded(served, tables, tmp_path)
    kept = replace(kept, **changes)
    means = {task: one.learnt for task, one in kept.means.items()}
    state = State(found, tables, PLAIN, served.rules, means)
    own = Members(kept, served.folder, found, state)
    return Answers(found, state, tables, PLAIN, "one", members=own)


def row_of(answers, item) -> int:
    return answers.state.items.row[item]


def fused_of(served, tables, tmp_path) -> product.FusedRecommender:
    """What `mtrec.load` answers with, on some tables."""
    found, kept = loaded(served, tables, tmp_path)
    parts = {one.name: getattr(found, one.name) for one in fields(Recommender)}
    return product.FusedRecommender(**parts, kept=kept, trained=served.folder)


@pytest.mark.parametrize("told", [False, True], ids=["no event", "events"])
def test_answers_are_those_of_load_on_data_that_hold_the_events(served, told, tmp_path):
    answers = start(served, served.early, tmp_path / "early")
    if told:
        for event in events_from(served.tables, served.cutoff):
            answers.note(event)
    model = fused_of(served, served.tables if told else served.early, tmp_path / "late")
    draw = np.random.default_rng(1)
    users, items = (getattr(served.assembly.encoder, side).ids for side in ("user", "item"))
    pairs = pd.DataFrame({"user_id": draw.choice(users, 60), "item_id": draw.choice(items, 60)})
    expected = model.predict(pairs)
    rows = [
        np.array([ids.row[name] for name in pairs[f"{side}_id"]])
        for side, ids in (("user", answers.state.users), ("item", answers.state.items))
    ]
    found = answers.predict(*rows)
    assert set(found) == {"rating", "like", "mood"}
    for task, values in found.items():
        np.testing.assert_allclose(values, expected[task], atol=1e-5)
    asked = answers.score(Score(pairs=[Pair(user_id=users[0], item_id=items[0])]))
    assert set(asked["pairs"][0]["tasks"]) == {"rating", "like", "mood"}
    for user in users[:8]:
        own = model.recommend(user, 6)
        given = answers.lists.recommend(Recommend(user_id=user, k=6))["items"]
        assert [one["item_id"] for one in given] == [*own["item_id"]]
        np.testing.assert_allclose([one["score"] for one in given], own["score"], atol=1e-4)
    assert answers.members.systems == model.systems and not answers.members.trouble


def test_events_change_what_specialists_say(served, tmp_path):
    answers = start(served, served.early, tmp_path, choices={"next_item": Choice("ease", {})})
    asked = Recommend(user_id="somebody", k=5)
    first = answers.lists.recommend(asked)["items"]
    met = first[-1]["item_id"]
    answers.note({"event_id": "1", "user_id": "somebody", "item_id": met,
                  "time": answers.state.now, "values": {"rating": 5.0}})  # fmt: skip
    second = answers.lists.recommend(asked)["items"]
    assert first != second and met not in [one["item_id"] for one in second]
    weights = served.specialists["next_item", "ease"].weights
    row = answers.state.items.row
    np.testing.assert_allclose(
        [one["score"] for one in second],
        [weights[row[met] - 1, row[one["item_id"]] - 1] for one in second],
        rtol=1e-5,
    )
    assert not answers.members.trouble
    again = answers.lists.recommend(Recommend(user_id="somebody", k=50, keep_met=True))["items"]
    assert met in [one["item_id"] for one in again]


def test_a_specialist_that_fails_leaves_the_task_to_the_joint_model(served, tmp_path):
    broken = SimpleNamespace(answer=lambda asked: 1 / 0)
    specialists = served.specialists | {("rating", "linear"): broken, ("next_item", "ease"): broken}
    answers = start(served, served.early, tmp_path, specialists=specialists)
    plain = start(served, served.early, tmp_path, choices={})
    pairs = np.array([1, 2, 3]), np.array([1, 2, 3])
    np.testing.assert_array_equal(
        answers.predict(*pairs)["rating"], plain.predict(*pairs)["rating"]
    )
    asked = Recommend(user_id="u1", k=4)
    mine, theirs = answers.lists.recommend(asked), plain.lists.recommend(asked)
    assert mine["items"] == theirs["items"]
    assert mine["notes"] == [
        "next_item is answered by the joint model alone: ZeroDivisionError: division by zero"
    ]
    assert answers.members.systems["rating"] == "joint"
    assert answers.members.systems["like"].startswith("fused")
    assert answers.members.said[0].startswith("rating is answered by joint: ZeroDivisionError")
    bundle = Bundle(
        answers, "data", {}, joint={"rating": 1, "like": 2}, fused={"rating": 3, "like": 4}
    )
    assert bundle.metrics == {"rating": 1, "like": 4}  # of whoever answers


def test_one_failure_silences_a_specialist_for_a_while_only(served, tmp_path, monkeypatch):
    told, own = [], served.specialists["next_item", "ease"]

    def once(asked):
        told.append(asked)
        return 1 / 0 if len(told) == 1 else own.answer(asked)

    moment = [1000.0]
    monkeypatch.setattr("mtrec.service.members.time", SimpleNamespace(monotonic=lambda: moment[0]))
    specialists = {("next_item", "ease"): SimpleNamespace(answer=once)}
    choices = {"next_item": Choice("ease", {})}
    answers = start(served, served.early, tmp_path, specialists=specialists, choices=choices)
    asked = Recommend(user_id="u1", k=4)
    first, second = (answers.lists.recommend(asked) for _ in range(2))
    assert len(told) == 1 and first == second and first["notes"]
    assert answers.members.systems["next_item"] == "joint"
    moment[0] += PAUSE
    assert answers.members.trouble and answers.members.systems["next_item"] == "joint"
    third = answers.lists.recommend(asked)
    assert len(told) == 2 and not third["notes"] and not answers.members.said
    assert answers.members.systems["next_item"] == "ease"


def test_an_item_after_training_is_answered_by_the_joint_model(served, tmp_path):
    answers = start(served, served.early, tmp_path)
    plain = start(served, served.early, tmp_path, choices={})
    event = {"event_id": "1", "user_id": "u1", "item_id": "new", "time": answers.state.now + 5,
             "values": {"rating": 1.0}}  # fmt: skip
    for one in (answers, plain):
        one.note(event)
    pairs = np.full(2, answers.state.users.row["u2"]), np.array([row_of(answers, "new"), 1])
    mine, theirs = (one.predict(*pairs) for one in (answers, plain))
    for task in ("rating", "like"):
        assert mine[task][0] == theirs[task][0] and mine[task][1] != theirs[task][1]
    np.testing.assert_array_equal(mine["mood"][0], mine["mood"][1])  # whatever the item is
    assert np.abs(mine["mood"] - theirs["mood"]).max() > 0.01
    ones, typed = np.array([1, 1]), np.array([2, 0])
    mine, theirs = (one.predict(pairs[0], ones, typed=typed) for one in (answers, plain))
    assert mine["rating"][0] == theirs["rating"][0] and mine["rating"][1] != theirs["rating"][1]
    row = answers.state.items.row["new"]
    for one in (answers, plain):
        one.lists.shown.add(row, np.ones(one.lists.shown._vectors.shape[1] - 1, "float32"))
    size = len(answers.types["next_item"].catalogue)
    everything = Recommend(user_id="u3", k=size + 1)
    assert answers.score(Score(pairs=[Pair(user_id="a stranger", item_id="new")]))["pairs"]
    assert not answers.members.trouble
    lists = [
        [found["item_id"] for found in one.lists.recommend(everything)["items"]]
        for one in (answers, plain)
    ]
    assert abs(lists[0].index("new") - lists[1].index("new")) <= 1


def test_pages_show_scores_of_a_fused_list_and_no_shares(served, tmp_path):
    answers = start(served, served.early, tmp_path)
    state, tables = answers.state, served.early
    bundle = Bundle(answers, "data", {}, words_of("tiny", tables, state))
    given = answers.lists.recommend(Recommend(user_id="u1", k=2))["items"]
    names = [one["item_id"] for one in given]
    found = predict(bundle, Predict(user_id="u1", item_ids=names))["items"]
    assert [one["tasks"]["next_item"] for one in found] == [
        {"value": pytest.approx(one["score"])} for one in given
    ]


@pytest.mark.parametrize("half_life", [np.inf, 4e6])
def test_the_past_is_that_of_a_question_on_all_events(served, half_life):
    encoder = served.assembly.encoder
    early, late = (usable_events(one, encoder) for one in (served.early, served.tables))
    users, now = Ids(encoder.user.ids), int(late.time.max()) + 1
    past = Past(early, users, len(encoder.item.ids), int(early.time.max()))
    past.popular(half_life, now)
    for event in events_from(served.tables, served.cutoff):
        item = encoder.item.ids.index(event["item_id"]) + 1
        past.add(users.row[event["user_id"]], item, event["time"])
    who = encoder.user.ids[:5]
    rows = pd.DataFrame({"user_id": who, "item_id": None, "timestamp": pd.Timestamp(now * 10**6)})
    kind, seen = served.assembly.types["next_item"], served.assembly.seen["next_item"]
    asked = Question(rows, encoder, late, kind, seen)
    for mine, theirs in zip(past.met(np.arange(1, 6)), asked.met, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    expected = decayed(late, asked.time, len(encoder.item.ids), half_life)[0]
    np.testing.assert_allclose(past.popular(half_life, now), expected, rtol=1e-5)
    fresh = Past(late, users, len(encoder.item.ids), now)
    np.testing.assert_allclose(fresh.popular(half_life, now), expected, rtol=1e-5)


def test_the_past_of_somebody_busy_is_short_and_counts_do_not_overflow(served):
    encoder = served.assembly.encoder
    none = usable_events(replace(served.early, events=served.early.events[:0]), encoder)
    past, users = Past(none, Ids(encoder.user.ids), 20, 0), np.array([1, 0, 99])
    past.popular(10.0, 0)
    for time in range(LONGEST + 3):
        past.add(1, 1 + time % 3, time)
    row, item, ago = past.met(users)
    assert len(row) == LONGEST and set(row) == {0} and ago[0] == LONGEST - 1 and ago[-1] == 0
    assert item[-1] == 1 + (LONGEST + 2) % 3
    past.add(1, 5, 0)  # late: it is the oldest
    assert 5 not in past.met(users)[1]
    far = int(10 * FAR * 3)
    past.add(2, 7, far)
    past.add(2, 0, 10 * far)  # the model does not know the item
    found = past.popular(10.0, far + 100)
    assert found[6] == pytest.approx(2**-0.1) and found[0] == 0 and np.isfinite(found).all()


def test_an_item_that_others_do_not_know_gets_the_place_that_the_joint_model_gives_it():
    scores, joint = np.array([10.0, 30.0, 20.0]), np.array([1.0, 2.0, 3.0, 2.5, 9.0, 0.0])
    competing = np.array([True, True, True])
    assert placed(scores, joint, competing).tolist() == [20.0, 30.0, 10.0]
    assert placed(scores, joint, ~competing).tolist() == [2.5, 9.0, 0.0]
