"""The service: what it takes, what it answers, and what it never does."""

import errno
import json
import os

import numpy as np
import pytest
from starlette.testclient import TestClient

from mtrec.service.app import make_app
from mtrec.service.keys import LOOPBACK, key_for
from mtrec.service.schemas import MOST_BYTES

KEY = "a key of many letters"
pytestmark = pytest.mark.usefixtures("eagerly")


def event(number=1, **changes):
    return {"event_id": f"e{number}", "user_id": "u1", "item_id": "i3",
            "timestamp": "1971-01-01T00:00:00Z", "values": {"rating": 5}, **changes}  # fmt: skip


def ids(client, **asked):
    answer = client.post("/recommend", json={"user_id": "u1", "k": 1000, **asked})
    assert answer.status_code == 200, answer.text
    return [one["item_id"] for one in answer.json()["items"]]


def send(client, *events):
    return client.post("/events", json={"events": [*events]})


def test_a_list_is_what_the_recommender_gives(client, live):
    found = client.post("/recommend", json={"user_id": "u1", "k": 4}).json()
    expected = live.bundle.answers.recommender.recommend("u1", k=4)
    assert [one["item_id"] for one in found["items"]] == expected["item_id"].tolist()
    np.testing.assert_allclose(
        [one["score"] for one in found["items"]], expected["score"], rtol=1e-4
    )
    assert found["model"] == "one"
    assert found["fallback"] is None


def test_scores_of_pairs_are_what_the_recommender_gives(client, live):
    import pandas as pd

    pairs = [{"user_id": f"u{n}", "item_id": f"i{n}"} for n in range(3)]
    found = client.post("/score", json={"pairs": pairs}).json()["pairs"]
    expected = live.bundle.answers.recommender.score(pd.DataFrame(pairs))
    for one, row in zip(found, expected.to_dict("records"), strict=True):
        assert one["tasks"] == pytest.approx(row, rel=1e-4)
        assert one["fallback"] is None


def test_an_event_changes_the_next_list_and_the_item_is_gone_from_it(client):
    first = ids(client)
    answer = send(client, event(item_id=first[0]))
    assert answer.json() == {"model": "one", "accepted": 1, "duplicates": 0, "late": 0}
    assert first[0] not in ids(client)
    assert first[0] in ids(client, keep_met=True)


def test_the_same_event_counts_once_and_another_of_its_id_is_refused(client, live):
    assert send(client, event(), event()).json()["duplicates"] == 1
    assert send(client, event()).json() == {
        "model": "one", "accepted": 0, "duplicates": 1, "late": 0
    }  # fmt: skip
    refused = send(client, event(2), event(item_id="i4"))
    assert refused.status_code == 409
    assert "'e1' was accepted before with other content" in refused.json()["error"]
    assert send(client, event(2)).json()["accepted"] == 1  # nothing of the refused was counted


def test_events_are_there_after_a_restart(client, live, make_live):
    before = ids(client)
    send(client, event(1, user_id="new", item_id=before[0]), event(2, item_id=before[1]))
    after = client.post("/recommend", json={"user_id": "new", "k": 50}).json()
    client.__exit__()
    again = make_live()
    assert again.replayed == 2
    with TestClient(make_app(again)) as second:
        assert second.post("/recommend", json={"user_id": "new", "k": 50}).json() == after
        assert after["fallback"]["used"] == "events"
        assert send(second, event(2, item_id=before[1])).json()["duplicates"] == 1
        assert before[1] not in ids(second)


def test_candidates_filters_and_weighted_tasks_bound_the_list(client, in_time):
    items = in_time.tables.items.set_index("item_id")
    red = set(items.index[items["colour"] == "red"])
    assert set(ids(client, filters={"colour": "red"})) <= red
    among = ["i1", "i2", "i3", "i4", "nothing"]
    answer = client.post(
        "/recommend",
        json={"k": 9, "candidates": among, "tasks": {"rating": 2, "like": 1, "next_item": 0.5}},
    ).json()
    assert {one["item_id"] for one in answer["items"]} == set(among[:4])
    assert answer["items"][0].keys() == {"item_id", "score", "tasks"}
    assert "1 candidates are left out" in answer["notes"][0]
    assert answer["fallback"]["used"] == "new user"
    old = {"year": {"most": 1970}}
    assert set(ids(client, filters=old)) <= set(items.index[items["year"] <= 1970])


def test_a_single_task_ranks_by_what_it_predicts(client):
    found = client.post("/recommend", json={"user_id": "u2", "k": 20, "tasks": {"rating": 1}})
    values = [one["tasks"]["rating"] for one in found.json()["items"]]
    assert values == sorted(values, reverse=True)
    pair = {"user_id": "u2", "item_id": found.json()["items"][0]["item_id"]}
    score = client.post("/score", json={"pairs": [pair]}).json()["pairs"][0]
    assert score["tasks"]["rating"] == pytest.approx(values[0], rel=1e-4)


@pytest.mark.parametrize(
    "path, body, status, sentence",
    [
        ("recommend", "{", 400, "The body is no JSON"),
        ("recommend", "[" * 100_000, 400, "The body is no JSON"),
        ("recommend", b"\xff\xfe", 400, "The body is no JSON"),
        ("recommend", '{"k": NaN}', 422, "k: "),
        ("recommend", '{"k": 1e999}', 422, "k: "),
        ("recommend", '{"k": ' + "9" * 5000 + "}", 400, "The body is no JSON"),
        ("recommend", '{"k": 0}', 422, "k: input should be greater than or equal to 1, found 0"),
        ("recommend", '{"k": "5"}', 422, "k: input should be a valid integer, found '5'"),
        ("recommend", '{"user": "1"}', 422, "user: extra inputs are not permitted"),
        ("recommend", '{"user_id": 42}', 422, "user_id: input should be a valid string, found 42"),
        ("recommend", '{"user_id": "a\\u0000b"}', 422, "user_id: string should match"),
        ("recommend", '{"user_id": "a\\ud800"}', 400, "The body is no JSON"),
        ("recommend", '{"user_id": "%s"}' % ("x" * 1_000_000), 422, "at most 128 characters"),
        ("recommend", '{"tasks": {"kind": 1}}', 422, "tasks: 'kind' does not rank items"),
        ("recommend", '{"filters": {"size": "L"}}', 422, "filters: items have no column 'size'"),
        ("recommend", '{"filters": {"year": "L"}}', 422, "'year' holds numbers; ask for least"),
        ("recommend", '{"filters": {"colour": {"least": 1}}}', 422, "'colour' holds words"),
        ("score", '{"pairs": []}', 422, "pairs: list should have at least 1 item"),
        ("score", '{"pairs": [{"context": {"age": 1}}]}', 422, "context: there is no column 'age'"),
        ("events", '{"events": [{"event_id": "a", "user_id": "b"}]}', 422,
         "events.0: it has neither an item nor labels"),
        ("events", json.dumps({"events": [event(values={"stars": 1})]}), 422,
         "events.0: values: there is no 'stars'"),
        ("events", json.dumps({"events": [event(values={"rating": 1e300})]}), 422,
         "less than or equal to 1000000000000"),
        ("events", json.dumps({"events": [event(timestamp="3000-01-01")]}), 422,
         "events.0: timestamp: 3000-01-01 is before 1970 or in the future"),
        ("events", json.dumps({"events": [event(timestamp="-1")]}), 422, "1969-12-31 is before"),
        ("events", json.dumps({"events": [event(labels={"like": 7})]}), 422, "cannot be 7"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_in_a_sentence(client, path, body, status, sentence):
    answer = client.post(f"/{path}", content=body)
    assert (answer.status_code, answer.json().keys()) == (status, {"error"})
    assert sentence in answer.json()["error"]
    assert len(answer.json()["error"]) < 300
    assert "\n" not in answer.json()["error"]


def test_a_body_that_is_too_long_is_not_read(client):
    answer = client.post("/recommend", content=b" " * (MOST_BYTES + 1))
    assert answer.status_code == 413
    assert "more than 4 MB" in answer.json()["error"]


def test_pages_that_there_are_not_are_refused_in_a_sentence(client):
    assert client.get("/nothing").json()["error"].startswith("There is no such page")
    assert client.get("/recommend").status_code == 405


@pytest.mark.parametrize("code, status", [(errno.ENOSPC, 507), (errno.EIO, 503)])
def test_a_disk_that_refuses_events_stops_no_list(client, monkeypatch, code, status):
    before = ids(client)

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("mtrec.service.log.os.write", refuse)
    answer = send(client, event(item_id=before[0]))
    assert answer.status_code == status
    assert "it is not accepted" in answer.json()["error"]
    assert ids(client) == before
    monkeypatch.undo()
    assert send(client, event(item_id=before[0])).json()["accepted"] == 1


def test_what_happened_is_counted_for_prometheus(client):
    send(client, event(), event())
    ids(client)
    text = client.get("/metrics").text
    assert 'mtrec_events_total{outcome="accepted"} 1.0' in text
    assert 'mtrec_events_total{outcome="duplicate"} 1.0' in text
    assert 'mtrec_requests_total{path="/recommend",status="200"} 1.0' in text
    assert "mtrec_seconds_bucket" in text


def test_a_new_model_answers_without_a_pause_and_knows_what_happened(make_live, make_bundle):
    bundles = []
    live = make_live(lambda: bundles.pop() if bundles else None)
    with TestClient(make_app(live, every=0.01)) as client:
        first = ids(client)
        send(client, event(item_id=first[0]))
        before = ids(client)
        bundles.append(make_bundle("two"))
        for _ in range(1000):
            answer = client.post("/recommend", json={"user_id": "u1", "k": 1000})
            assert answer.status_code == 200
            assert [one["item_id"] for one in answer.json()["items"]] == before
            if answer.json()["model"] == "two":
                break
        assert answer.json()["model"] == "two"
        assert send(client, event(item_id=first[0])).json()["duplicates"] == 1


@pytest.mark.parametrize("kind", [ValueError, TypeError])
def test_a_next_model_that_is_refused_leaves_the_present_one(make_live, kind):
    def look():
        raise kind("models/tiny/joint.keras: its SHA-256 differs.")

    live = make_live(look)
    with TestClient(make_app(live, every=0.01)) as client:
        while (health := client.get("/health").json())["next_model"] == "ok":
            pass
        assert "SHA-256 differs" in health["next_model"]
        assert health["status"] == "ok"
        assert len(ids(client))
        assert 'mtrec_reloads_total{outcome="refused"} 1.0' in client.get("/metrics").text


def test_who_has_no_key_is_told_nothing_but_health(live):
    with TestClient(make_app(live, KEY)) as client:
        assert client.get("/model").status_code == 401
        assert "needs its key" in client.post("/recommend", json={}).json()["error"]
        assert client.get("/model", headers={"X-API-Key": KEY + "x"}).status_code == 401
        assert client.get("/model", headers={"X-API-Key": "ä".encode()}).status_code == 401
        assert client.get("/model", headers={"X-API-Key": KEY}).status_code == 200
        assert client.get("/model", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
        assert client.get("/health").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_other_machines_need_a_key(host):
    with pytest.raises(ValueError, match=f"--host {host} lets other machines ask.*MTREC_API_KEY"):
        key_for(host, {})
    with pytest.raises(ValueError, match="has 5 characters; give it 16 or more"):
        key_for(host, {"MTREC_API_KEY": "short"})
    assert key_for(host, {"MTREC_API_KEY": KEY}) == KEY


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_needs_none(host):
    assert key_for(host, {}) is None


def test_the_page_of_the_interface_has_examples_that_work(client):
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/recommend", "/score", "/events"):
        body = paths[path]["post"]["requestBody"]["content"]["application/json"]
        assert "properties" in body["schema"]
        for example in body["examples"].values():
            asked = {k: v for k, v in example["value"].items() if k != "filters"}
            if "text" in asked.get("pairs", [{}])[0]:
                continue  # this domain has none, see test_later_texts.py
            assert client.post(path, json=asked).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:8000", 200), ("evil.example:8000", 421)],
)
def test_a_page_that_gives_this_address_a_name_of_its_own_reads_nothing(make_live, host, status):
    with TestClient(make_app(make_live(), hosts=LOOPBACK)) as client:
        answer = client.post("/recommend", json={"k": 1}, headers={"Host": host})
        assert answer.status_code == status
        assert status == 200 or "is asked as one of" in answer.json()["error"]
