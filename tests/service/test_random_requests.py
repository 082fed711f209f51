"""Requests drawn at random: no list holds what it may not, and nothing ends in a 500.

``MTREC_REQUESTS=20000 pytest tests/service/test_random_requests.py`` sends 120,000.
"""

import itertools
import json
import math
import os
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from starlette.testclient import TestClient

from mtrec.service.app import make_app

REQUESTS = int(os.environ.get("MTREC_REQUESTS", "40"))  # each test draws so many
if REQUESTS < 1000:  # else compiling pays
    pytestmark = pytest.mark.usefixtures("eagerly")
FEW = settings(
    max_examples=REQUESTS, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
users = some.sampled_from([f"u{n}" for n in range(6)] + ["new", "é", "x" * 128])
items = some.sampled_from([f"i{n}" for n in range(20)] + ["new", " i3 "])
colours = some.sampled_from(["red", "blue", "green"])
asked = some.fixed_dictionaries(
    {"k": some.integers(1, 40)},
    optional={
        "user_id": users,
        "candidates": some.lists(items, min_size=1, max_size=30),
        "filters": some.fixed_dictionaries(
            {},
            optional={
                "colour": colours | some.lists(colours, min_size=1, max_size=3),
                "year": some.fixed_dictionaries(
                    {},
                    optional={"least": some.integers(1940, 2010), "most": some.floats(1940, 2010)},
                ),
                "genres": some.sampled_from(["drama", "action", "none"]),
            },
        ),
        "tasks": some.dictionaries(
            some.sampled_from(["rating", "like", "next_item"]), some.floats(-3, 3), min_size=1
        ),
    },
)  # fmt: skip
told = some.fixed_dictionaries(
    {"user_id": users, "item_id": items},
    optional={
        "values": some.fixed_dictionaries({"rating": some.integers(1, 5)}),
        "timestamp": some.datetimes(
            min_value=datetime(1970, 1, 1),
            max_value=datetime(2020, 1, 1),
        ).map(lambda moment: moment.isoformat()),
        "happened": some.booleans(),
        "item": some.fixed_dictionaries({"colour": colours}),
    },
)
plain = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=9), inner),
    max_leaves=12,
)
pages = some.sampled_from(["recommend", "score", "events", "predict", "explain"])
tasks = some.sampled_from(["rating", "like", "next_item"])
past = some.fixed_dictionaries(
    {"item_id": items},
    optional={
        "values": some.fixed_dictionaries({"rating": some.integers(1, 5)}),
        "days_ago": some.floats(0, 1e4),
    },
)
why = some.fixed_dictionaries(
    {"item_id": items},
    optional={
        "user_id": users,
        "history": some.lists(past, max_size=8),
        "tasks": some.lists(tasks, min_size=1, max_size=1),
    },
)


@pytest.fixture
def service(make_live):
    live = make_live()
    with TestClient(make_app(live), raise_server_exceptions=False) as client:
        yield live, client


@FEW
@given(request=asked, events=some.lists(told, max_size=3))
def test_a_list_holds_nothing_seen_filtered_out_or_outside_the_candidates(
    service, in_time, request, events
):
    live, client = service
    if events:
        named = [{"event_id": f"e{next(number)}", **event} for event in events]
        sent = client.post("/events", json={"events": named})
        assert sent.status_code == 200, sent.text
        for event in events:
            if event.get("happened", True):
                met.setdefault(event["user_id"].strip(), set()).add(event["item_id"].strip())
    answer = client.post("/recommend", json=request)
    assert answer.status_code == 200, answer.text
    found = [one["item_id"] for one in answer.json()["items"]]
    assert len(found) == len(set(found)) <= request["k"]
    assert all(math.isfinite(one["score"]) for one in answer.json()["items"])
    scores = [one["score"] for one in answer.json()["items"]]
    assert scores == sorted(scores, reverse=True)
    user = request.get("user_id")
    past = in_time.tables.events
    assert not set(found) & ({*past.loc[past["user_id"] == user, "item_id"]} | met.get(user, set()))
    if "candidates" in request:
        assert set(found) <= {name.strip() for name in request["candidates"]}
    about = in_time.tables.items.set_index("item_id").loc[found]
    filters = request.get("filters", {})
    if "colour" in filters:
        wanted = filters["colour"]
        assert about["colour"].isin([wanted] if isinstance(wanted, str) else wanted).all()
    assert (about["year"] >= filters.get("year", {}).get("least", -math.inf)).all()
    assert (about["year"] <= filters.get("year", {}).get("most", math.inf)).all()
    if "genres" in filters:
        assert all(filters["genres"] in genres for genres in about["genres"])


met: dict[str, set] = {}
number = itertools.count()


@pytest.fixture(autouse=True)
def forget():
    met.clear()


@FEW
@given(page=pages, body=plain | asked.map(lambda one: {**one, "more": 1}))
def test_whatever_is_sent_ends_in_an_answer_or_one_sentence(service, page, body):
    answer = service[1].post(f"/{page}", content=json.dumps(body))
    assert answer.status_code in (200, 400, 422), answer.text
    if answer.status_code != 200:
        assert answer.json().keys() == {"error"}
        assert "\n" not in answer.json()["error"]


@FEW
@given(page=pages, body=some.binary(max_size=60))
def test_whatever_bytes_are_sent_end_in_an_answer_or_one_sentence(service, page, body):
    assert service[1].post(f"/{page}", content=body).status_code in (200, 400, 422)


@FEW
@given(
    page=some.sampled_from(["users", "items", "history"]),
    query=some.dictionaries(
        some.sampled_from(["prefix", "query", "user", "limit"]),
        some.text(max_size=80) | users | some.sampled_from(["film", "NUMBER 1", "\t", "%", ""]),
        max_size=2,
    ),
)
def test_whatever_an_address_asks_ends_in_an_answer_or_one_sentence(service, page, query):
    query = {name: one.encode("utf-8", "replace") for name, one in query.items()}
    answer = service[1].get(f"/{page}", params=query)
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 200:
        found = next(answer.json()[name] for name in ("users", "items", "events")
                     if name in answer.json())  # fmt: skip
        assert len(found) <= 20
    else:
        assert answer.json().keys() == {"error"}
        assert "\n" not in answer.json()["error"]


@FEW
@given(user=users | some.none(), named=some.lists(items, max_size=20))
def test_probabilities_are_probabilities(service, user, named):
    asked = {"item_ids": named, **({} if user is None else {"user_id": user})}
    answer = service[1].post("/predict", json=asked)
    assert answer.status_code == 200, answer.text
    assert [one["item_id"] for one in answer.json()["items"]] == [name.strip() for name in named]
    for one in answer.json()["items"]:
        for said in one["tasks"].values():
            assert 0 <= said.get("probability", 0) <= 1
            assert math.isfinite(said.get("value", 0))


@FEW
@given(request=why)
def test_reasons_are_numbers_of_what_was_asked(service, request):
    answer = service[1].post("/explain", json=request)
    assert answer.status_code == 200, answer.text
    for name, task in answer.json()["tasks"].items():
        assert name in request.get("tasks", ["rating", "like", "next_item"])
        assert math.isfinite(task["prediction"])
        assert all(math.isfinite(one["contribution"]) for one in task["groups"] + task["history"])
        if "history" in request:
            told = {one["item_id"].strip() for one in request["history"]}
            assert {one["item"] for one in task["history"]} <= told
