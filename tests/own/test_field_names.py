"""The field's names are known, and what they speak of becomes tasks."""

import json

import numpy as np
import pandas as pd
import pytest

from mtrec.own import field, kinds
from mtrec.own.inspect import inspect
from mtrec.own.table import FileError


def text(frame):
    return frame.astype("str")


@pytest.mark.parametrize(
    ("user", "item", "time", "rating"),
    [
        ("user_id:token", "item_id:token", "timestamp:float", "rating:float"),  # RecBole
        ("reviewerID", "asin", "unixReviewTime", "overall"),  # Amazon, old
        ("user_id", "parent_asin", "timestamp", "rating"),  # Amazon, new
        ("customer_id", "product_id", "review_date", "star_rating"),  # Amazon, reviews
        ("User-ID", "ISBN", None, "Book-Rating"),  # Book-Crossing
        ("userId", "movieId", "timestamp", "rating"),  # MovieLens
        ("UserID", "MovieID", "Timestamp", "Rating"),
        ("user_id", "business_id", "date", "stars"),  # Yelp
        ("user_id", "book_id", "date_added", "rating"),  # Goodreads
        ("customer_unique_id", "product_id", "order_purchase_timestamp", "review_score"),  # Olist
        ("CustomerID", "StockCode", "InvoiceDate", None),  # Online Retail
        ("visitorid", "itemid", "timestamp", None),  # RetailRocket
        ("customer_id", "article_id", "t_dat", None),  # H&M
        ("userID", "artistID", None, None),  # Last.fm
        ("user_id", "anime_id", None, "rating"),
        ("user_id", "recipe_id", "date", "rating"),
        ("msno", "song_id", None, None),
        ("usuario", "producto", "fecha", "valoracion"),
    ],
)
def test_roles_are_found_by_the_names_of_the_field(attempt, log, user, item, time, rating):
    columns = {user: log["user"], item: log["item"]}
    columns |= {time: log["second"]} if time else {}
    columns |= {rating: log["stars"]} if rating else {}
    found = attempt(pd.DataFrame(columns).to_csv(index=False, sep="\t"))
    clean = {name: name.split(":")[0].replace("-", "_") for name in columns}
    assert found.role("user_id") == [clean[user]]
    assert found.role("item_id") == [clean[item]]
    assert found.role("timestamp") == ([clean[time]] if time else [])
    assert found.role("rating") == ([clean[rating]] if rating else [])


def test_the_customer_of_all_orders_wins_over_the_one_of_each(attempt, log):
    each = [f"c{n}" for n in range(len(log))]
    events = pd.DataFrame({"customer_id": each, "customer_unique_id": log["user"],
                           "product_id": log["item"]})  # fmt: skip
    assert attempt(events).role("user_id") == ["customer_unique_id"]


@pytest.mark.parametrize(
    ("view", "cart", "buy"),
    [("view", "cart", "purchase"), ("view", "addtocart", "transaction"), ("pv", "cart", "buy")],
)
@pytest.mark.parametrize("column", ["event", "event_type", "action", "what"])
def test_types_of_events_become_tasks_that_wait_for_each_other(
    attempt, log, column, view, cart, buy
):
    kind = np.random.default_rng(3).choice([view, cart, buy], len(log), p=[0.6, 0.25, 0.15])
    found = attempt(pd.DataFrame({"user_id": log["user"], "item_id": log["item"], column: kind,
                                  "timestamp": log["second"]}))  # fmt: skip
    assert found.tasks() == {"next_item": "ranking", cart: "binary", buy: "binary"}
    assert found.block["tasks"][buy]["when"] == cart
    rows = found.tables.examples
    assert rows[cart].sum() == np.isin(kind, [cart, buy]).sum()
    assert rows[buy].sum() == (kind == buy).sum()
    assert buy not in found.tables.events


def test_types_without_an_order_are_tasks_of_their_own():
    found, when = kinds.labels(pd.Series(["play"] * 5 + ["share"] * 2 + ["like", "9"]))
    assert found == {"type_9": ("9",), "like": ("like",), "share": ("share",)}
    assert when == {}


def test_a_type_that_no_event_has_is_an_error_of_check(attempt, log, tmp_path):
    kind = np.resize(["view", "view", "buy"], len(log))
    events = pd.DataFrame({"user": log["user"], "item": log["item"], "event": kind})
    attempt(events)
    params = tmp_path / "params.yaml"
    params.write_text(params.read_text().replace("{buy: [buy]}", "{buy: [bought]}"))
    from mtrec.own.check import check

    lines = [finding.line() for finding in check("shop", tmp_path)]
    assert any("no event is of type 'bought', which data.types.buy names" in x for x in lines)


def test_several_feedback_columns_are_several_tasks(attempt, log):
    rng = np.random.default_rng(4)
    columns = {name: rng.integers(0, 2, len(log)) for name in ("is_click", "like", "follow")}
    found = attempt(pd.DataFrame({
        "user_id": log["user"], "video_id": log["item"], "time_ms": log["second"] * 1000, **columns,
        "play_time_ms": rng.integers(0, 90_000, len(log)),
    }))  # fmt: skip
    assert found.tasks() == {"next_item": "ranking", "is_click": "binary", "like": "binary",
                             "follow": "binary", "play_time_ms": "regression"}  # fmt: skip


@pytest.mark.parametrize("name", ["plays", "weight", "listen_count", "hours", "dwell_time", "qty"])
def test_how_much_a_user_did_is_a_task(attempt, log, name):
    amount = np.random.default_rng(5).integers(0, 5_000, len(log))
    found = attempt(pd.DataFrame({"user": log["user"], "artist": log["item"], name: amount}))
    assert found.tasks() == {"next_item": "ranking", name: "regression"}
    label = np.sort(found.tables.examples[name])
    np.testing.assert_allclose(label, np.sort(np.log1p(amount)))
    assert np.sort(found.tables.events[name]).tolist() == np.sort(amount).tolist()


def test_what_was_shown_and_not_clicked_is_not_seen(attempt, log):
    found = attempt(pd.DataFrame({"user_id": log["user"], "item_id": log["item"],
                                  "timestamp": log["second"], "clicked": log["yes"]}))  # fmt: skip
    rows, clicked = found.tables.examples, log["yes"].to_numpy() == 1
    assert found.block["data"]["events"]["chosen"] == "clicked"
    assert len(rows) == len(log)
    assert len(found.tables.events) == clicked.sum()
    assert (rows["next_item"].notna() == (rows["clicked"] == 1)).all()
    before = log["user"].map(str).where(clicked)
    last = rows.iloc[-1]
    seen = (before[:-1] == last["user_id"]).sum()
    assert last["user_count"] == pytest.approx(np.log1p(seen))


def test_one_wide_file_is_events_and_items_and_users(attempt, log):
    user, item = log["user"], log["item"]
    found = attempt(pd.DataFrame({
        "user_id": user, "gender": np.where(user % 2, "F", "M"), "movie_id": item,
        "title": [f"Film number {n}" for n in item],
        "genres": np.array(["Drama|War", "War", "Comedy|Drama"])[item % 3], "year": 1980 + item % 9,
        "rating": log["stars"], "timestamp": log["second"],
    }))  # fmt: skip
    data = found.block["data"]
    assert data["items"]["of_events"] == ["title", "genres", "year"]
    assert data["items"]["text"] == "{title}. {genres}"
    assert data["users"]["of_events"] == ["gender"]
    assert found.tasks()["next_genres"] == "multilabel"
    items = found.tables.items.set_index("item_id")
    assert len(items) == item.nunique()
    assert items.loc["7", "genres"] == ["War"]
    assert items.loc["7", "text"].startswith("Film number 7")
    assert items.loc["7", "year"] == 1987
    assert found.tables.users.set_index("user_id").loc["3", "gender"] == "F"


def test_a_column_that_differs_between_events_stays_with_them(attempt, log):
    found = attempt(pd.DataFrame({"user": log["user"], "item": log["item"], "price": log["stars"]}))
    assert found.role("numeric") == ["price"]
    assert "items" not in found.block["data"]


def test_feedback_is_no_property_of_an_item_that_all_treat_alike(attempt, log):
    events = pd.DataFrame({"user": log["user"], "item": log["item"], "plays": log["item"] * 3})
    found = attempt(events, errors=True)  # check names the leak
    assert found.role("numeric") == ["plays"]


def test_files_without_header_in_the_usual_order_are_proposed_and_others_asked_about(attempt, log):
    usual = pd.DataFrame(
        {"u": log["user"], "i": log["item"], "r": log["stars"], "t": log["second"]}
    )
    found = attempt(usual.to_csv(index=False, header=False))
    roles = {kind: found.role(kind) for kind in ("user_id", "item_id", "rating", "timestamp")}
    assert roles == {"user_id": ["column_1"], "item_id": ["column_2"], "rating": ["column_3"],
                     "timestamp": ["column_4"]}  # fmt: skip
    assert "--user-id names another" in found.made.report()
    swapped = usual[["i", "u", "r", "t"]].assign(i=[f"B{n:03d}" for n in log["item"]])
    items = pd.DataFrame({"id": [f"B{n:03d}" for n in range(60)],
                          "kind": np.resize(["a", "b"], 60)})  # fmt: skip
    found = attempt(swapped.to_csv(index=False, header=False), items)
    assert (found.role("user_id"), found.role("item_id")) == (["column_2"], ["column_1"])
    three = usual[["u"]].assign(a=log["item"] + 100, b=log["item"] * 31, t=log["second"])
    with pytest.raises(FileError, match="no header line.*column_2: '1.*--user-id COLUMN"):
        attempt(three.to_csv(index=False, header=False))


def test_json_reviews_are_a_domain(attempt, log):
    lines = [json.dumps({"reviewerID": f"A{row.user:03d}", "asin": f"{row.item:010d}",
                         "helpful": [1, 2], "overall": float(row.stars),
                         "unixReviewTime": row.second}) for row in log.itertuples()]  # fmt: skip
    found = attempt("\n".join(lines))
    assert found.tasks() == {"next_item": "ranking", "rating": "regression", "like": "binary"}
    assert (found.made.folder / "events.jsonl").is_file()
    assert "0000000007" in set(found.tables.items["item_id"])


def test_names_of_the_field_are_plain_and_not_claimed_by_two_roles():
    for names in field.NAMES.values():
        assert all(field.plain(name) == name for name in names)
        assert len(set(names)) == len(names)
    every = [name for names in field.NAMES.values() for name in names]
    assert len(set(every)) == len(every)


def test_names_alone_do_not_make_a_role():
    events = pd.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "value": ["p", "q"],
                           "candidate": ["1", "2"]}, dtype="str")  # fmt: skip
    found = inspect({"events": events})
    assert [column.kind for column in found.events[2:]] == ["unused", "numeric"]
