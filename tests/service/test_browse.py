"""What the page asks: who there is, what he did, how sure tasks are; and who may ask."""

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from mtrec.explain.titles import titles_of
from mtrec.registry import Form
from mtrec.service.app import make_app
from mtrec.service.browse import CLASSES, MOST_FOUND, MOST_SHOWN
from mtrec.service.static import read_page
from mtrec.service.words import Lookup
from tests.service.conftest import reads_as

KEY = "a key of many letters"
pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def read_as(live):
    """A function that lets every text be read as that of an item."""
    return lambda item: reads_as(live, item)


def tell(client, user="u1", item="i3", **values):
    event = {"event_id": f"{user}-{item}", "user_id": user, "item_id": item, "values": values}
    assert client.post("/events", json={"events": [event]}).json()["accepted"] == 1


def test_users_are_found_by_what_their_ids_begin_with(client):
    assert client.get("/users?prefix=u1").json()["users"][:3] == ["u1", "u10", "u11"]
    assert len(client.get("/users").json()["users"]) == MOST_FOUND
    assert client.get("/users", params={"prefix": "nobody"}).json()["users"] == []
    tell(client, user="zoe")
    assert client.get("/users?prefix=Z").json()["users"] == ["zoe"]


def test_items_are_found_by_id_and_by_what_their_titles_hold(client):
    found = client.get("/items", params={"query": "NUMBER 1"}).json()["items"]
    assert found[0] == {"item_id": "i1", "title": "film number 1"}
    assert {one["item_id"] for one in found} == {"i1", *(f"i{n}" for n in range(10, 20))}
    assert client.get("/items?query=i7").json()["items"][0]["item_id"] == "i7"


def test_without_a_query_the_most_popular_items_are_found(client, in_time):
    found = [one["item_id"] for one in client.get("/items").json()["items"]]
    counts = in_time.tables.events["item_id"].value_counts()
    assert [counts[one] for one in found] == sorted(counts, reverse=True)[:MOST_FOUND]


def test_a_history_is_what_the_data_hold_and_what_was_told_since(client, in_time):
    rows = in_time.tables.events
    own = rows[rows["user_id"] == "u1"].sort_values("timestamp", kind="stable").tail(4)
    found = client.get("/history?user=u1").json()
    assert [one["item_id"] for one in found["events"]] == own["item_id"].tolist()[::-1]
    assert [one["values"]["rating"] for one in found["events"]] == own["rating"].tolist()[::-1]
    assert found["read"] == 4
    tell(client, item="i5", rating=2)
    newest = client.get("/history?user=u1").json()["events"][0]
    assert (newest["item_id"], newest["title"]) == ("i5", "film number 5")
    assert newest["values"] == {"rating": 2.0}
    tell(client, item="later")
    newest = client.get("/history?user=u1").json()["events"][0]
    assert newest["item_id"] is None
    assert newest["values"] == {"rating": None}


def test_nobody_knows_the_history_of_a_stranger(client):
    found = client.get("/history?user=stranger").json()
    assert (found["known"], found["events"]) == (False, [])


def test_predictions_are_those_of_score_with_their_probabilities(client):
    asked = {"user_id": "u2", "item_ids": ["i1", "i4", "later"]}
    found = client.post("/predict", json=asked).json()
    pairs = [{"user_id": "u2", "item_id": one} for one in asked["item_ids"]]
    scores = client.post("/score", json={"pairs": pairs}).json()["pairs"]
    for one, score in zip(found["items"], scores, strict=True):
        assert one["tasks"]["rating"]["value"] == pytest.approx(score["tasks"]["rating"], rel=1e-4)
        assert one["tasks"]["like"]["probability"] == pytest.approx(
            score["tasks"]["like"], rel=1e-4
        )
    assert found["items"][0]["title"] == "film number 1"
    assert "next_item" not in found["items"][2]["tasks"]


def test_shares_of_items_that_may_come_next_sum_to_one_and_keep_the_order_of_the_list(client):
    ranked = client.post("/recommend", json={"user_id": "u2", "k": 50}).json()["items"]
    asked = {"user_id": "u2", "item_ids": [one["item_id"] for one in ranked]}
    found = client.post("/predict", json=asked).json()["items"]
    shares = [one["tasks"]["next_item"]["probability"] for one in found]
    assert sum(shares) == pytest.approx(1, rel=1e-4)
    assert shares == sorted(shares, reverse=True)


def test_a_text_is_answered_by_all_tasks_that_see_items(client, read_as):
    read_as("i3")
    asked = {"user_id": "u2", "item_ids": ["i3"], "text": "a film that nobody knows"}
    found = client.post("/predict", json=asked).json()
    assert found["text"]["tasks"].keys() == found["items"][0]["tasks"].keys() - {"next_item"}
    pair = {"user_id": "u2", "text": "a film that nobody knows"}
    score = client.post("/score", json={"pairs": [pair]}).json()["pairs"][0]["tasks"]
    assert found["text"]["tasks"]["rating"]["value"] == pytest.approx(score["rating"], rel=1e-4)


def test_a_text_that_cannot_be_read_is_refused_in_a_sentence(client, read_as):
    answer = client.post("/predict", json={"text": "a film"})
    assert answer.status_code == 422
    assert answer.json()["error"] == "text: this domain's model knows no texts of items."
    read_as("i3")
    answer = client.post("/predict", json={"text": " "})
    assert answer.json()["error"] == "text: it is blank; leave it out."
    assert client.post("/predict", json={}).json()["text"] is None


@pytest.mark.parametrize(
    "form, found, expected",
    [
        (Form.NUMBER, np.log1p([7.0]), {"value": pytest.approx(7.0)}),
        (Form.BIT, np.array([0.25]), {"probability": 0.25}),
        (Form.BIT, np.array([np.nan]), {}),
        (Form.LEVEL, np.array([0.5, 0.5, 0.0]),
         {"value": 1.5, "classes": [{"name": n, "probability": p}
                                    for n, p in (("1", 0.5), ("2", 0.5), ("3", 0.0))]}),
        (Form.RANK, np.log([1.0, 3.0, 4.0]),
         {"classes": [{"name": n, "probability": pytest.approx(p)}
                      for n, p in (("c", 0.5), ("b", 0.375), ("a", 0.125))]}),
        (Form.SET, np.linspace(0, 1, 9),
         {"classes": [{"name": str(n), "probability": n / 8} for n in range(8, 8 - CLASSES, -1)]}),
    ],
)  # fmt: skip
def test_each_form_of_task_is_shown_in_its_way(monkeypatch, form, found, expected):
    from types import SimpleNamespace

    from mtrec.domains.units import Unit
    from mtrec.service import browse

    types = SimpleNamespace(forms={"one": form}, name_of=lambda _: "one")
    monkeypatch.setattr(browse, "TASK_TYPES", types)
    kind = SimpleNamespace(
        levels=(1.0, 2.0, 3.0), catalogue=("a", "b", "c"), classes=tuple("012345678"),
        class_names=("1", "2", "3") if form is Form.LEVEL else (),
    )  # fmt: skip
    assert browse._shown(kind, found, Unit("readers", logarithm=True)) == expected


@pytest.mark.parametrize(
    "address, sentence",
    [
        ("/users?prefix=" + "x" * 65, "at most 64 characters"),
        ("/users?name=x", "name: extra inputs are not permitted"),
        ("/users?prefix=a&prefix=b", "The address names something twice"),
        ("/items?query=a%00b", "query: string should match"),
        ("/history", "user: field required"),
        ("/history?user=" + "x" * 129, "at most 128 characters"),
    ],
)
def test_what_an_address_may_not_ask_is_refused_in_a_sentence(client, address, sentence):
    answer = client.get(address)
    assert (answer.status_code, answer.json().keys()) == (422, {"error"})
    assert sentence in answer.json()["error"]
    assert len(answer.json()["error"]) < 300


def test_predictions_are_asked_for_few_items_at_a_time(client):
    asked = {"item_ids": ["i1"] * (MOST_SHOWN + 1)}
    assert client.post("/predict", json=asked).status_code == 422


def test_nothing_of_the_domain_is_told_without_the_key_and_the_page_needs_none(live):
    with TestClient(make_app(live, KEY)) as client:
        for address in ("/users", "/items", "/history?user=u1", "/model", "/openapi.json"):
            assert client.get(address).status_code == 401, address
            assert client.get(address, headers={"X-API-Key": KEY}).status_code == 200, address
        assert client.post("/predict", json={}).status_code == 401
        assert client.post("/predict", json={}, headers={"X-API-Key": KEY}).status_code == 200
        for path in read_page():
            answer = client.get(path)
            assert answer.status_code == 200
            assert "tiny" not in answer.text
        assert client.get("/page/../app.py").status_code in (401, 404)
        assert client.get("/page/nothing.js").status_code == 404


def test_the_page_may_load_nothing_from_elsewhere_and_run_no_script_of_its_own_text(client):
    for path in ("/", "/page/main.js", "/page/page.css"):
        answer = client.get(path)
        rules = answer.headers["content-security-policy"]
        assert "default-src 'none'" in rules
        assert "unsafe" not in rules
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "://" not in answer.text.replace("http://www.w3.org/", "")
    page = client.get("/").text
    assert page.count("<script") == page.count('<script type="module" src="page/')
    assert "style=" not in page
    assert " on" not in page.replace(" one ", " ").replace(" on ", " ")


@pytest.mark.parametrize("site, status", [("cross-site", 403), ("same-site", 403), ("none", 200),
                                          ("same-origin", 200)])  # fmt: skip
def test_a_page_of_another_site_may_not_ask_for_its_visitor(client, site, status):
    headers = {"Sec-Fetch-Site": site}
    assert client.get("/users", headers=headers).status_code == status
    assert client.get("/", headers=headers).status_code == 200


def test_the_package_holds_the_page():
    files = read_page()
    assert {"/", "/page/main.js", "/page/page.css", "/page/icon.svg"} <= set(files)
    assert all(answer.body for answer in files.values())


def test_the_colours_of_the_page_are_those_of_the_figures():
    from matplotlib.colors import to_hex

    from mtrec.report.plots import VERDICTS

    css = read_page()["/page/page.css"].body.decode()
    for name, colour in VERDICTS.items():
        assert f"--{name}: {to_hex(colour)};" in css


def test_a_long_text_is_no_title_and_the_best_column_is_taken():
    items = pd.DataFrame({"item_id": ["1"], "text": ["x" * 200], "name": ["A name"]})
    assert titles_of(items) == {"1": "A name"}
    assert len(titles_of(items[["item_id", "text"]], 120)["1"]) == 120
    assert titles_of(items[["item_id"]]) == {}


def test_a_lookup_of_nothing_finds_nothing():
    assert Lookup(()).find("", 3) == []
