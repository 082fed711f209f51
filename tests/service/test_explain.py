"""``POST /explain``: its form, what it takes, and what it says where little is known."""

import json

import numpy as np
import pytest

pytestmark = [
    pytest.mark.usefixtures("eagerly"),
    pytest.mark.filterwarnings("ignore:.*answered as new"),
]
TASKS = {"rating", "like", "next_item"}


def ask(client, **asked):
    answer = client.post("/explain", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_answer_has_the_documented_form(client):
    found = ask(client, user_id="u1", item_id="i3")
    assert found["model"] == "one" and found["fallback"] is None
    assert set(found["tasks"]) == TASKS
    for task in found["tasks"].values():
        assert {"prediction", "base", "groups", "history", "sentence"} <= set(task)
        assert all({"group", "contribution"} <= set(one) for one in task["groups"])
        assert all({"item", "contribution"} <= set(one) for one in task["history"])
        assert task["experts"][0].keys() == {"expert", "weight"}
        assert task["counterfactual"]["item"] in {one["item"] for one in task["history"]}
    assert {"item", "similarity"} <= set(found["similar"]["items"][0])


def test_reasons_are_those_of_the_recommender_and_predictions_those_of_scores(client, live):
    found = ask(client, user_id="u2", item_id="i4")
    expected = live.bundle.answers.recommender.explain("u2", "i4")
    for name, task in found["tasks"].items():
        reason = expected.tasks[name]
        assert task["prediction"] == pytest.approx(reason.prediction, rel=1e-4)
        ours = {one["group"]: one["contribution"] for one in task["groups"]}
        assert ours == pytest.approx(
            {one["group"]: one["contribution"] for one in reason.groups}, abs=5e-3
        )
    pair = {"user_id": "u2", "item_id": "i4"}
    (scored,) = client.post("/score", json={"pairs": [pair]}).json()["pairs"]
    assert found["tasks"]["like"]["prediction"] == pytest.approx(scored["tasks"]["like"], rel=1e-4)


def test_an_event_is_in_the_next_reasons(client):
    event = {"event_id": "e1", "user_id": "u1", "item_id": "i9",
             "timestamp": "1971-01-01T00:00:00Z", "values": {"rating": 5}}  # fmt: skip
    client.post("/events", json={"events": [event]})
    found = ask(client, user_id="u1", item_id="i3", tasks=["like"])
    assert list(found["tasks"]) == ["like"]
    assert found["tasks"]["like"]["history"][0]["item"] == "i9"


def test_a_history_may_be_brought_and_is_explained_event_by_event(client):
    history = [{"item_id": "i7", "values": {"rating": 1}, "days_ago": 3}, {"item_id": "i8"}]
    found = ask(client, item_id="i3", history=history)
    for task in found["tasks"].values():
        assert [one["item"] for one in task["history"]] == ["i8", "i7"]
    none = ask(client, item_id="i3", history=[])
    assert none["tasks"]["like"]["history"] == []
    assert "counterfactual" not in none["tasks"]["like"]
    long = [{"item_id": f"i{n % 20}"} for n in range(1000)]
    assert ask(client, item_id="i3", history=long)["tasks"]["like"]["history"][0]["item"] == "i19"


def test_context_replaces_what_is_known(client):
    usual = ask(client, user_id="u1", item_id="i3", tasks=["rating"])
    other = ask(client, user_id="u1", item_id="i3", tasks=["rating"],
                context={"user_mean_rating": 1.0})  # fmt: skip
    assert usual["tasks"]["rating"]["prediction"] != other["tasks"]["rating"]["prediction"]


@pytest.mark.parametrize(
    "body",
    [{}, {"user_id": "nobody"}, {"item_id": "nothing"}, {"user_id": "nobody", "item_id": "nothing"},
     {"user": "u1", "item": "i3"}, {"user": "u1", "item": "i3", "tasks": []}],
)  # fmt: skip
def test_whatever_is_unknown_is_explained_as_new_and_noted(client, body):
    answer = client.post("/explain", json=body)
    assert answer.status_code == 200, answer.text
    found = json.loads(answer.content, parse_constant=lambda name: pytest.fail(name))
    assert set(found["tasks"]) == TASKS
    if body.get("user_id"):
        assert found["fallback"]["used"] == "new user"
    if "user" not in body:
        assert any("No past event" in note for note in found["notes"])
    numbers = [one["contribution"] for t in found["tasks"].values() for one in t["groups"]]
    assert np.isfinite(numbers).all()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"tasks": ["x"]}, "tasks: there is no 'x' (known: rating, like, next_item)."),
        ({"tasks": ["like"] * 17}, "tasks: list should have at most 16 items"),
        ({"context": {"x": 1.0}}, "context: there is no column 'x'"),
        ({"history": [{"item_id": "i1", "values": {"x": 1.0}}]}, "history: there is no column 'x'"),
        ({"history": [{"item_id": "i1"}] * 1001}, "history: list should have at most 1000 items"),
        ({"item_id": 3}, "item_id"),
        ({"users": ["u1"]}, "users: extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_is_refused_with_one_sentence(client, body, said):
    answer = client.post("/explain", json=body)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert said in error and error.endswith(".") and not error.endswith("..")
