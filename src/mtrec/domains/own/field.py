"""The field's names of columns: what people call users, items, times, ratings and feedback."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

# fmt: off
NAMES: dict[str, tuple[str, ...]] = {  # compared without case and punctuation, the likeliest first
    "user_id": (
        "userid", "user", "uid", "customeruniqueid", "customerid", "customer", "custid", "clientid",
        "client", "memberid", "member", "visitorid", "visitor", "fullvisitorid", "householdid",
        "household", "accountid", "account", "reviewerid", "reviewer", "personid", "person",
        "playerid", "player", "subscriberid", "studentid", "student", "usersid", "profileid",
        "profile", "username", "msno", "listenerid", "listener", "readerid", "reader", "buyerid",
        "buyer", "authorsteamid", "steamid", "userkey", "userno", "customerno", "customernumber",
        "customerkey", "customercode", "anonid", "cookieid", "deviceid", "kundennummer", "kunde",
        "usuario", "cliente", "utilisateur", "用户编号", "用户id", "用户", "会员编号",
        "会员", "客户编号", "客户", "ユーザー", "ユーザーid", "пользователь", "사용자",
    ),
    "item_id": (
        "itemid", "item", "productid", "product", "sku", "skuid", "asin", "parentasin", "movieid",
        "movie", "filmid", "film", "articleid", "article", "bookid", "book", "isbn", "isbn13",
        "trackid", "track", "trackname", "songid", "song", "musicid", "artistid", "artist",
        "artistname", "courseid", "course", "gameid", "game", "appid", "app", "videoid", "video",
        "photoid", "noteid", "contentid", "content", "listingid", "businessid", "gmapid",
        "business", "newsid", "news", "restaurantid", "restaurant", "recipeid", "recipe",
        "animeid", "anime",
        "stockcode", "productcode", "productkey", "articlenumber", "itemno", "itemcode", "itemname",
        "productname", "goodsid", "goods", "adid", "jobid", "hotelid", "locationid", "venueid",
        "poiid", "placeid", "workid", "titleid", "mid", "iid", "docid", "paperid", "jokeid",
        "creativeid", "postid", "beerbeerid", "wineid", "artikelnummer", "artikel", "producto",
        "produit", "商品编号", "商品id", "商品", "物品编号", "物品id", "物品", "电影", "书籍",
        "商品コード", "товар", "상품",
    ),
    "timestamp": (
        "timestamp", "eventtime", "eventtimestamp", "timems", "datetime", "time", "date", "ts",
        "createdat", "created", "eventdate", "when", "purchasedat", "orderpurchasetimestamp",
        "orderdate", "orderdatetime", "ordertime", "unixreviewtime", "ratedat", "visitedat",
        "watchedat", "playedat", "listenedat", "invoicedate", "purchasedate", "transactiondate",
        "tdat", "unixtime", "unixtimestamp", "reviewtime", "reviewdate", "reviewtimestamp",
        "timestampms", "eventts", "interactiontime", "clicktime", "showtime", "datum", "fecha",
        "时间", "日期", "时间戳", "日時", "время", "дата",
    ),
    "rating": (
        "rating", "stars", "star", "starrating", "overall", "bookrating", "score", "ratings",
        "reviewscore", "reviewrating", "userrating", "myrating", "moviescore", "stars5",
        "overallrating", "reviewoverall", "ratingvalue", "valoracion", "bewertung", "note", "value",
        "grade", "评分", "打分", "星级", "評価", "оценка", "평점",
    ),
}
# fmt: on
FLAGS = {role: "--" + role.replace("_", "-") for role in NAMES}
WEAK = ("value", "grade", "note", "score")  # called a rating only if it can be read as one
MOMENT = {"time", "date", "datetime", "timestamp", "ts", "dt", "dat", "at", "on", "stamp", "day",
          "when", "created"}  # fmt: skip
LASTING = {"play", "playing", "watch", "watching", "dwell", "stay", "duration", "spent", "run",
           "reading", "listening", "session", "length", "total", "of", "per", "num", "count",
           "times", "n", "zone", "timezone", "since", "prior", "to"}  # fmt: skip
ANOTHER = {"birth", "birthday", "dob", "born", "shipping", "ship", "limit", "delivered",
           "delivery", "estimated", "expiry", "expires", "expiration", "updated", "update",
           "release", "released", "publish", "published", "publication", "upload", "uploaded",
           "registered", "registration", "register", "signup", "joined", "join", "since", "answer",
           "approved", "carrier", "due", "end", "modified", "last", "first", "return",
           "returned"}  # fmt: skip
# What a user did, and how much.
FEEDBACK = {"play", "plays", "playcount", "playing", "listen", "listens", "listening",
            "weight", "hours", "minutes", "dwell", "watch", "watched", "views",
            "clicks", "reads", "quantity", "qty", "stay", "spent", "viewed", "visits",
            "purchases", "count", "listencount", "playtime", "watchtime"}  # fmt: skip
OF_MANY = {"content", "age", "mpaa", "avg", "average", "mean", "count", "num", "n", "imdb", "max",
           "min", "number", "total", "critic", "metacritic"}  # fmt: skip
LISTS = {"genre", "genres", "tag", "tags", "category", "categories", "keyword", "keywords", "topic",
         "topics", "label", "labels", "cast", "actors", "authors", "directors", "ids", "list",
         "features", "flavours", "ingredients", "styles", "class"}  # fmt: skip
AMOUNTS = {"price", "amount", "cost", "weight", "score", "rating", "avg", "average", "mean", "rate",
           "ratio", "size", "length", "height", "width", "age", "income", "value", "temperature",
           "latitude", "longitude", "lat", "lon", "lng", "percent", "revenue", "sales"}  # fmt: skip
CODES = {"id", "ids", "no", "nr", "nbr", "number", "code", "key", "uuid", "guid", "ref", "zip",
         "zipcode", "postcode", "plz", "phone", "ean", "isbn", "barcode", "sku", "invoice",
         "order", "orderid", "transactionid", "transaction", "session", "sessionid", "basket",
         "invoiceno", "index"}  # fmt: skip
IDENTIFIERS = {"id", "identifiant", "identifier", "identificador", "ref", "reference", "referencia",
               "numero", "num", "nummer", "nr", "codigo"}  # fmt: skip
KINDS = ("event", "eventtype", "action", "actiontype", "behavior", "behaviour", "behaviortype",
         "behaviourtype", "type", "interaction", "interactiontype", "activity", "eventname",
         "feedback", "feedbacktype", "行为", "行为类型")  # fmt: skip


def plain(name: str) -> str:
    """A name without case and punctuation.

    Example:
        >>> plain("Book-Rating"), plain("用户 编号")
        ('bookrating', '用户编号')
    """
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).lower())


def tokens(name: str) -> list[str]:
    """The words of a name.

    Example:
        >>> tokens("InvoiceDate"), tokens("order_purchase_timestamp"), tokens("customerID")
        (['invoice', 'date'], ['order', 'purchase', 'timestamp'], ['customer', 'id'])
    """
    divided = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[\W_]+", divided.lower()) if word]


def known(columns: Mapping[str, str], role: str) -> list[str]:
    """Columns that are called as ``role`` is in the field, the likeliest name first.

    Args:
        columns: each with what the file calls it.
        role: one of :data:`NAMES`.
    """
    bare = {_bare(name): column for column, name in columns.items()}
    by_name = bare | {plain(name): column for column, name in columns.items()}
    return list(dict.fromkeys(by_name[name] for name in NAMES[role] if name in by_name))


def _bare(name: str) -> str:
    """A name of several words without accents and without those that say that it is an id.

    Example:
        >>> _bare("Réf. article"), _bare("Identifiant client")
        ('article', 'client')
    """
    spread = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = tokens(spread)
    kept = [word for word in words if word not in IDENTIFIERS]
    return "".join(kept) if len(kept) < len(words) else plain(name)


def rated(columns: Mapping[str, str]) -> list[str]:
    """Columns whose names speak of a rating by the user, the likeliest first.

    Example:
        >>> names = ["avg_rating", "film_rating", "Book-Rating", "rating_count", "content_rating"]
        >>> rated({name: name for name in names})
        ['Book-Rating', 'film_rating']
    """
    usual = known(columns, "rating")
    others = [
        column
        for column, name in columns.items()
        if column not in usual
        and (words := tokens(name))
        and words[-1] in ("rating", "ratings", "stars")
        and not set(words) & OF_MANY
    ]
    return usual + others


def moment(name: str) -> int:
    """How much a name speaks of the time of an event: 3 for a usual name, 0 for another thing.

    Example:
        >>> [moment(n) for n in ("timestamp", "birth_date", "play_time_ms", "shipping_limit_date")]
        [3, -1, 0, -1]
        >>> [moment(n) for n in ("sold_at", "SaleTime", "candidate")]
        [2, 2, 0]
    """
    if plain(name) in NAMES["timestamp"]:
        return 3
    if re.fullmatch(r"column_\w+", name):  # nobody named it
        return 1
    words = set(tokens(name))
    if not words & MOMENT or words & LASTING:
        return 0
    return -1 if words & ANOTHER else 2
