"""Items that came after training are known by their text, as soon as it is read."""

import time
from dataclasses import replace

import numpy as np
import pytest
from starlette.testclient import TestClient

from mtrec.service.answer import Answers
from mtrec.service.app import make_app
from mtrec.service.bundle import Bundle
from mtrec.service.texts import TYPED, Texts
from mtrec.settings import EmbedSettings
from mtrec.text.embed import embed, reduce
from mtrec.text.embeddings import embed_tables
from tests.service.conftest import ONLINE_DOMAIN, small

pytestmark = pytest.mark.usefixtures("eagerly")
SETTINGS = EmbedSettings(layer=2, batch_tokens=64, max_tokens=16, components=6)
NEW = {"event_id": "1", "user_id": "u1", "item_id": "later", "values": {"rating": 5.0}}


@pytest.fixture(scope="module")
def known(tiny_raw, tmp_path_factory):
    """A domain whose text vectors are the tiny language model's."""
    from tests.conftest import make_world

    made = make_world()
    found = embed_tables(
        made, ONLINE_DOMAIN.tasks, SETTINGS, tiny_raw, tmp_path_factory.mktemp("c")
    )
    return small(True, found), found


@pytest.fixture
def make_bundle(known, tiny_raw, tmp_path):
    """A bundle that reads texts; the service's fixtures use it."""
    from mtrec.features.state import save_state
    from mtrec.service.state import State
    from mtrec.serving.recommender import load_state

    domain, vectors = known

    def make(version: str = "one") -> Bundle:
        folder = tmp_path / version
        save_state(domain.assembly, domain.tables, ONLINE_DOMAIN.tasks, folder)
        model = domain.build(vectors)
        fields = domain.assembly.encoder.item.fields
        texts = Texts(model, fields, vectors, SETTINGS, None, tiny_raw)
        found = replace(load_state("tiny", folder, model, domain.assembly), model=texts.model)
        state = State(found, domain.tables, ONLINE_DOMAIN.tasks, domain.rules)
        tasks = ONLINE_DOMAIN.tasks
        answers = Answers(found, state, domain.tables, tasks, version, texts)
        return Bundle(answers, "data", {"domain": "tiny", "version": version})

    return make


@pytest.fixture
def client(make_live):
    with TestClient(make_app(make_live())) as found:
        yield found


def item_said(client, **pair):
    answer = client.post("/score", json={"pairs": [pair]}).json()["pairs"][0]
    return answer["tasks"], (answer["fallback"] or {}).get("item", {}).get("why", "")


def until_read(client, item="later"):
    for _ in range(200):
        tasks, why = item_said(client, user_id="u1", item_id=item)
        if "pending" not in why:
            return tasks, why
        time.sleep(0.02)
    raise AssertionError(why)


def test_vectors_of_a_later_text_are_those_that_the_data_would_have_given_it(tiny_raw, tmp_path):
    texts = [f"film number {n} of {n * 7 % 5}" for n in range(30)]
    raw = embed(texts, SETTINGS, tiny_raw, tmp_path)
    components, projection = reduce(raw, np.arange(30) < 25, 6)
    np.testing.assert_allclose(projection(raw), components, atol=2e-4)
    nothing, none = reduce(np.full((3, 8), np.nan), np.ones(3, bool), 6)
    assert np.isnan(nothing).all()
    assert none is None


def test_a_typed_text_is_answered_as_the_known_text_is(client, known):
    domain, vectors = known
    text = domain.tables.items.set_index("item_id").loc["i4", "text"]
    typed, why = item_said(client, user_id="u1", text=text)
    assert "text alone" in why
    blank, _ = item_said(client, user_id="u1")
    other, _ = item_said(client, user_id="u1", text="another one altogether")
    assert typed != blank
    assert typed != other
    again, _ = item_said(client, user_id="u1", text=text)
    assert again == typed


def test_a_new_item_is_pending_then_known_by_its_text_and_then_in_lists(client):
    before = {one["item_id"] for one in client.post("/recommend", json={"k": 50}).json()["items"]}
    event = {**NEW, "item": {"text": "a film about a later thing"}}
    assert client.post("/events", json={"events": [event]}).status_code == 200
    tasks, why = until_read(client)
    assert "and its text" in why
    after = client.post("/recommend", json={"k": 50}).json()["items"]
    assert {one["item_id"] for one in after} - before == {"later"}
    own = client.post("/recommend", json={"user_id": "u1", "k": 50}).json()["items"]
    assert "later" not in {one["item_id"] for one in own}  # he has met it
    only = {"user_id": "u2", "candidates": ["later", "i1", "never"], "k": 9}
    found = client.post("/recommend", json=only).json()
    assert {"later"} <= {one["item_id"] for one in found["items"]}
    assert "1 candidates are left out" in found["notes"][0]
    weighed = client.post("/recommend", json={"k": 50, "tasks": {"rating": 1.0}}).json()["items"]
    assert "later" in {one["item_id"] for one in weighed}
    assert tasks == until_read(client)[0]


def test_filters_leave_out_items_whose_columns_are_not_known(client):
    event = {**NEW, "item": {"text": "a film about a later thing"}}
    client.post("/events", json={"events": [event]})
    until_read(client)
    asked = {"k": 50, "filters": {"colour": ["red", "blue"]}}
    found = client.post("/recommend", json=asked).json()["items"]
    assert "later" not in {one["item_id"] for one in found}


def test_texts_are_read_again_after_a_restart(make_live):
    event = {**NEW, "item": {"text": "a film about a later thing"}}
    with TestClient(make_app(make_live())) as client:
        client.post("/events", json={"events": [event]})
        first, _ = until_read(client)
    with TestClient(make_app(make_live())) as client:
        second, why = until_read(client)
    assert "and its text" in why
    assert first == second


def test_an_item_without_a_text_says_so(client):
    client.post("/events", json={"events": [NEW]})
    assert "it has no text" in item_said(client, item_id="later")[1]


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([{"item_id": "i4", "text": "other"}], "the model knows the text of item 'i4'"),
        ([{"text": "   "}], "blank"),
        ([{"text": f"text {n}"} for n in range(TYPED + 1)], f"more than the {TYPED}"),
    ],
)
def test_texts_that_cannot_be_answered_are_refused_in_one_sentence(client, pairs, said):
    answer = client.post("/score", json={"pairs": pairs})
    assert answer.status_code == 422
    assert said in answer.json()["error"]


@pytest.mark.parametrize("text", ["a", "é 🎬 電影", "word " * 4000])
def test_any_text_gets_finite_answers(client, text):
    tasks, _ = item_said(client, user_id="u1", text=text)
    assert np.isfinite([value for value in tasks.values() if isinstance(value, float)]).all()


def test_the_example_with_a_text_works(client):
    paths = client.get("/openapi.json").json()["paths"]
    body = paths["/score"]["post"]["requestBody"]["content"]["application/json"]
    texts = [e["value"] for e in body["examples"].values() if "text" in e["value"]["pairs"][0]]
    assert [client.post("/score", json=value).status_code for value in texts] == [200]


def test_a_text_that_cannot_be_read_is_said_and_answers_go_on(make_live, monkeypatch):
    live = make_live()

    def read(_):
        raise OSError("the weights are gone")

    monkeypatch.setattr(live.bundle.answers.texts, "read", read)
    with TestClient(make_app(live)) as client:
        client.post("/events", json={"events": [{**NEW, "item": {"text": "later"}}]})
        _, why = until_read(client)
        assert "could not be read (the weights are gone)" in why
