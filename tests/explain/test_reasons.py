"""What is said of one user and item, and what is said where little is known."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from mtrec.explain import units
from mtrec.explain.reasons import Explainer, Explanation, Reason, without_each
from mtrec.explain.similar import Alike
from mtrec.explain.titles import LONGEST, titles_of
from mtrec.explain.tokens import cached_texts, looks, words_of
from mtrec.explain.trunk import terms
from mtrec.explain.words import sentence
from mtrec.models.predict import predict
from mtrec.registry import Form
from mtrec.serving import recommender
from tests.conftest import DOMAIN, TASKS
from tests.explain.conftest import READER


@pytest.fixture(scope="module")
def explainer(every, world):
    return Explainer(every.trunk, {"i1": "Alien", "i2": "Brazil"})


def row(every, number=0):
    return {name: values[number : number + 1] for name, values in every.inputs.items()}


@pytest.fixture(scope="module")
def found(every, explainer):
    return explainer.explain(row(every))


def finite(plain):
    """Whether JSON can hold it: no NaN, nothing but plain values."""
    return json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_every_task_has_a_reason_whose_parts_add_up(every, found):
    assert tuple(found.tasks) == every.trunk.tasks
    for name, reason in found.tasks.items():
        total = sum(one["contribution"] for one in reason.groups)
        unit = every.trunk.units[every.trunk.tasks.index(name)]
        assert total == pytest.approx(reason.logit - reason.base_logit, abs=1e-3 * unit)
        events = sum(one["contribution"] for one in reason.history)
        own = [one["contribution"] for one in reason.groups if one["group"] == "history"]
        assert events == pytest.approx(sum(own), abs=1e-6)
    assert finite(found.plain())


def test_predictions_are_those_of_the_model(every, found, assembly):
    logits = predict(every.trunk.model, row(every))
    share = float(np.asarray(assembly.types["like"].predict(logits["like"]))[0])
    assert found.tasks["like"].prediction == pytest.approx(share, rel=1e-4)
    mood = np.asarray(assembly.types["mood"].predict(logits["mood"]))[0]
    assert found.tasks["mood"].of == assembly.types["mood"].classes[mood.argmax()]
    assert found.tasks["mood"].prediction == pytest.approx(float(mood.max()), rel=1e-4)
    item = int(row(every)["item"][0])
    assert found.tasks["next_item"].of == assembly.encoder.item.ids[item - 1]
    order = np.argsort(-logits["next_item"][0])
    assert found.tasks["next_item"].rank == 1 + order.tolist().index(item - 1)


def test_what_a_past_event_is_worth_is_what_the_model_says_without_it(every, found, assembly):
    inputs = row(every)
    places = np.flatnonzero(inputs["history_items"][0] > 0)
    without = {name: values.copy() for name, values in inputs.items()}
    newest = places[-1]
    for name in ("history_items", "history_events"):
        own = np.delete(inputs[name][0], newest, axis=0)
        without[name][0] = np.concatenate([np.zeros_like(own[:1]), own])
    change = (
        predict(every.trunk.model, inputs)["like"] - predict(every.trunk.model, without)["like"]
    )
    first = found.tasks["like"].history[0]
    assert first["item"] == assembly.encoder.item.ids[inputs["history_items"][0, newest] - 1]
    assert first["occlusion"] == pytest.approx(float(change[0, 0]), abs=1e-5)


def test_the_counterfactual_names_the_event_that_matters_most(every, found):
    for reason in found.tasks.values():
        if not reason.history:
            assert reason.counterfactual is None
            continue
        most = max(reason.history, key=lambda one: abs(one["occlusion"]))
        assert reason.counterfactual["item"] == most["item"]
    ranks = found.tasks["next_item"].counterfactual
    assert ranks["rank"] == found.tasks["next_item"].rank
    assert ranks["rank_without"] >= 1


def test_items_met_before_do_not_count_in_a_rank(every, explainer, found):
    logits = predict(every.trunk.model, row(every))["next_item"][0]
    item = int(row(every)["item"][0])
    better = np.flatnonzero(logits > logits[item - 1])
    if not len(better):
        item = 0
    met = better[:2] + 1
    less = explainer.explain(row(every), ["next_item"], met).tasks["next_item"].rank
    assert less == found.tasks["next_item"].rank - len(met)


def test_weights_of_experts_sum_to_one(found):
    for reason in found.tasks.values():
        assert sum(one["weight"] for one in reason.experts) == pytest.approx(1, abs=1e-5)


def test_titles_are_in_the_answer_and_in_the_sentence(every, world, assembly):
    titles = {name: f"the film {name}" for name in assembly.encoder.item.ids}
    found = Explainer(every.trunk, titles).explain(row(every), ["like"]).tasks["like"]
    assert all(one["title"] == f"the film {one['item']}" for one in found.history)
    assert found.counterfactual["title"] in found.sentence or "Without" not in found.sentence


def test_likeness_of_items_is_the_cosine_of_their_states(every):
    encoder = every.trunk.model.encoders["item"]
    states = np.asarray(terms(encoder, np.arange(21, dtype="int32"))).sum(axis=1)
    expected = cosine_similarity(states)
    alike = Alike(encoder, 20)
    rows, likeness = alike.nearest(3, 5)
    own = expected[3].copy()
    own[[0, 3]] = -np.inf
    assert rows.tolist() == np.argsort(-own)[:5].tolist()
    np.testing.assert_allclose(likeness, np.sort(own)[::-1][:5], rtol=1e-4)
    np.testing.assert_allclose(alike.of(3, np.array([7, 9])), expected[3, [7, 9]], rtol=1e-4)


def test_a_history_without_one_event_moves_up(every):
    inputs = {
        "history_items": np.array([[0, 5, 6, 7]]),
        "history_events": np.arange(8.0).reshape(1, 4, 2),
        "user": np.array([1]),
    }  # fmt: skip
    found = without_each(inputs)["history_items"]
    assert found.tolist() == [[0, 5, 6, 7], [0, 5, 6, 7], [0, 0, 6, 7], [0, 0, 5, 7], [0, 0, 5, 6]]
    events = without_each(inputs)["history_events"]
    assert events[3, 2].tolist() == [2.0, 3.0]


# -- little known --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(every, assembly, world, tmp_path_factory):
    from mtrec.features.state import save_state

    folder = tmp_path_factory.mktemp("state")
    save_state(assembly, world, DOMAIN.tasks, folder)
    found = recommender.load_state("tiny", folder, every.trunk.model, assembly)
    vars(found)["_explainer"] = Explainer(every.trunk)  # compiled already
    return found


@pytest.mark.filterwarnings("ignore:.*answered as new")
@pytest.mark.parametrize("user", [None, "nobody", "u1"])
@pytest.mark.parametrize("item", [None, "nothing", "i3"])
def test_whoever_is_unknown_is_explained_as_new_without_a_nan(model, user, item):
    found = model.explain(user, item)
    assert finite(found.plain())
    notes = " ".join(found.notes)
    assert ("no such user" in notes) == (user != "u1")
    assert ("no such item" in notes) == (item != "i3")
    assert ("No past event" in notes) == (user != "u1")
    for reason in found.tasks.values():
        assert reason.sentence.endswith(".")
        assert bool(reason.history) == (user == "u1" and model.assembly.seen[reason.task].history)


def test_an_item_without_a_text_is_noted(every, explainer, assembly):
    from dataclasses import replace

    side = assembly.encoder.item
    text = side.field("text")
    bare = replace(text, table=np.zeros_like(text.table))
    fields = tuple(bare if one.name == "text" else one for one in side.fields)
    other = Explainer(every.trunk)
    other.encoder = replace(assembly.encoder, item=replace(side, fields=fields))
    found = other.explain(row(every), ["kind"])
    assert "The item has no text, so text says only that there is none." in found.notes
    assert finite(found.plain())


def test_an_unknown_task_is_refused_with_one_sentence(model):
    with pytest.raises(ValueError, match=r"there is no 'x' \(known: rating, like, .*\)\.$"):
        model.explain("u1", "i1", ["x"])


@pytest.mark.filterwarnings("ignore:.*answered as new")
def test_the_recommender_explains_what_it_scores(model):
    pairs = pd.DataFrame({"user_id": ["u2"], "item_id": ["i4"]})
    scored, found = model.score(pairs), model.explain("u2", "i4")
    assert found.tasks["rating"].prediction == pytest.approx(scored["rating"][0], rel=1e-4)
    assert found.tasks["like"].prediction == pytest.approx(scored["like"][0], rel=1e-4)
    assert found.tasks["mood"].of == scored["mood"][0]
    assert list(model.explain("u2", "i4", ["like"]).tasks) == ["like"]
    assert repr(found).startswith("rating: ")
    assert found.table("like")["contribution"].abs().is_monotonic_decreasing


def test_where_others_answer_the_reason_says_that_it_is_the_joint_models():
    one = Reason("a", None, 0.5, 0.4, 0.0, -0.4, [], [], sentence="a: 50 %.")
    found = Explanation({name: one for name in "abc"}, {}).shared_with(
        {"a": {"joint": 1.0}, "b": {"als": 0.7, "joint": 0.3}, "c": {"linear": 1.0}}
    )
    assert found.tasks["a"] == one
    assert found.tasks["b"].members == {"als": 0.7, "joint": 0.3}
    assert found.tasks["b"].sentence.endswith("one of those who answer: als 0.70, joint 0.30.")
    assert found.tasks["c"].sentence.endswith("joint model; c is answered by linear instead.")


# -- words and units -----------------------------------------------------------------------------


def reason(**changes):
    groups = [{"group": "age", "contribution": 1.0}, {"group": "year", "contribution": -0.5},
              {"group": "dust", "contribution": 0.001}]  # fmt: skip
    return Reason("like", None, 0.783, 0.5, 1.0, 0.0, groups, [], **changes)


def test_a_sentence_names_what_raises_and_what_lowers():
    kind = SimpleNamespace(form=Form.BIT)
    said = sentence(reason(), kind)
    assert said == (
        "like: 78 %, against 50 % for the reference input; raised by age (+1.00); "
        "lowered by year (-0.50)."
    )
    other = {"item": "7", "title": "Alien", "prediction": 0.783, "prediction_without": 0.2}
    assert sentence(reason(counterfactual=other), kind).endswith(
        "Without “Alien” in the history this would be 20 %."
    )
    same = {**other, "prediction_without": 0.7831}
    assert "Without" not in sentence(reason(counterfactual=same), kind)
    ranks = {**other, "rank": 3, "rank_without": 14}
    said = sentence(reason(counterfactual=ranks, rank=3), SimpleNamespace(form=Form.RANK))
    assert said.startswith("like: rank 3;")
    assert said.endswith("Without “Alien” in the history this would be rank 14 instead of 3.")


def test_a_row_like_the_reference_input_is_said_to_be_one():
    plain = Reason("like", None, 0.5, 0.5, 0.0, 0.0, [], [])
    assert "nothing that this task sees" in sentence(plain, SimpleNamespace(form=Form.BIT))


@pytest.mark.parametrize("name", list(TASKS))
def test_a_changed_logit_is_a_changed_prediction(every, assembly, name):
    from mtrec.explain.trunk import logit

    kind, place = assembly.types[name], every.trunk.tasks.index(name)
    logits = predict(every.trunk.model, row(every))[name]
    which = int(every.which[name][0])
    moved = logits.copy()
    moved[0, which if kind.form in (Form.SET, Form.CLASS, Form.RANK) else 0] += 0.3
    change = np.asarray(
        logit(moved, np.array([which]), kind) - logit(logits, np.array([which]), kind)
    )
    found = units.worth_at(kind, logits[0], which, float(change[0]) / every.trunk.units[place])
    assert found == pytest.approx(float(units.worth(kind, moved, which)[0]), rel=1e-3)


def test_levels_are_explained_as_expected_levels():
    from mtrec.tasks.ordinal import Ordinal

    kind = Ordinal((1.0, 2.0, 3.0))
    logits = np.array([[1.0, -1.0]], "float32")
    levels = np.asarray(kind.predict(logits)) @ [1.0, 2.0, 3.0]
    assert units.worth(kind, logits, 0) == pytest.approx(levels, rel=1e-5)
    higher = np.asarray(kind.predict(logits + 0.5)) @ [1.0, 2.0, 3.0]
    assert units.worth_at(kind, logits[0], 0, 0.5) == pytest.approx(float(higher[0]), rel=1e-5)


def test_titles_are_short_and_those_that_are_missing_are_left_out():
    frame = pd.DataFrame({"item_id": ["1", "2", "3"], "text": ["a", None, "b" * 200]})
    found = titles_of(frame)
    assert found["1"] == "a" and "2" not in found and len(found["3"]) == LONGEST
    assert titles_of(frame[["item_id"]]) == {}


# -- words that readers look at ------------------------------------------------------------------


def test_words_have_the_attention_of_the_tasks_reader(every, assembly, world):
    from mtrec.text.states import Shard, States, Texts
    from tests.report.test_attention import Tokenizer

    reader = every.trunk.model.readers["item"]
    values = np.random.default_rng(0).normal(size=(6, 6)).astype("float16")
    states = States([Shard(values, np.array([0, 6]))])
    none = np.full(20, 1, "int32")
    none[4] = 0  # only i4 has a text
    tables = {"item": world.items.assign(text="film number four"), "user": world.users}
    look = looks(every.trunk.model, assembly, {"item": Texts(none, states)}, tables, Tokenizer)
    row = int(assembly.encoder.item.rows(pd.Series(["i4"]))[0])
    found = look("item", row)
    shares = np.asarray(reader.attention(values, np.zeros(6, "int32"), 1))
    sees = [task for task, seen in assembly.seen.items() if "text" in seen.item]
    assert list(found) == sees
    for number, task in enumerate(sees):
        assert [word for word, _ in found[task]] == ["film", "number", "four"]
        own = [share for _, share in found[task]]
        np.testing.assert_allclose(own, shares[:, number].reshape(3, 2).sum(axis=1), rtol=1e-4)
    assert look("item", 1) == {} and look("user", 1) == {}
    said = Explainer(every.trunk, None, look)._read(0, row)["kind"]
    assert sum(one["weight"] for one in said) == pytest.approx(1, abs=1e-4)


def test_texts_whose_states_are_not_cached_are_not_read(world, tmp_path):
    from mtrec.settings import EmbedSettings

    tables = {"item": world.items, "user": world.users}
    assert cached_texts(tables, READER, EmbedSettings(), tmp_path, tmp_path) == {}


def test_pieces_become_words():
    assert words_of([" [begin]", " a", "b", " c"], np.array([0.1, 0.2, 0.3, 0.4])) == [
        ("[begin]", 0.1), ("ab", 0.5), ("c", 0.4),
    ]  # fmt: skip
