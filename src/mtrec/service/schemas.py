"""What a request may hold: strict, and small. Whatever else it holds is refused with a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

MOST_BYTES = 4 << 20  # of a request
MOST_EVENTS = 1000
MOST_PAIRS = 1000
MOST_CANDIDATES = 10_000
MOST_K = 1000
MOST_HISTORY = 1000
PRINTED = r"^[^\p{Cc}\u2028\u2029]+$"

Id = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128, pattern=PRINTED)
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=PRINTED)]
Words = Annotated[
    str, StringConstraints(min_length=1, max_length=20_000, pattern=r"^[^\x00-\x08]*$")
]
Number = Annotated[float, Field(ge=-1e12, le=1e12)]
Label = Number | Id | Annotated[list[Id], Field(max_length=256)]
Weight = Annotated[float, Field(ge=-1e3, le=1e3)]


class Strict(BaseModel):
    """Base of all requests."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Range(Strict):
    """Numbers that a column may have; a missing one has none of them."""

    least: Number | None = None
    most: Number | None = None


Filter = Id | Annotated[list[Id], Field(min_length=1, max_length=256)] | Range


class Recommend(Strict):
    """``POST /recommend``: the best items for a user, or for nobody in particular."""

    user_id: Id | None = None
    k: int = Field(10, ge=1, le=MOST_K, description="items wanted")
    candidates: Annotated[list[Id], Field(min_length=1, max_length=MOST_CANDIDATES)] | None = Field(
        None, description="items that compete; all if not given"
    )
    filters: dict[Name, Filter] = Field(
        default_factory=dict, max_length=16,
        description="values that columns of items must have: one, one of several, or a range",
    )  # fmt: skip
    tasks: Annotated[dict[Name, Weight], Field(min_length=1, max_length=16)] | None = Field(
        None, description="tasks to rank by, with weights; the domain's own ranking if not given"
    )
    keep_met: bool = Field(False, description="leave in what the user met before")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_id": "42", "k": 5},
                {"user_id": "42", "k": 5, "filters": {"genres": "Comedy"}},
                {"k": 3, "candidates": ["50", "181", "258"], "tasks": {"rating": 2, "like": 1}},
            ]
        }
    )


class Pair(Strict):
    """A user and an item, either of which may be missing."""

    user_id: Id | None = None
    item_id: Id | None = None
    text: Words | None = Field(None, description="of an item that the model does not know")
    context: dict[Name, Number] = Field(
        default_factory=dict, max_length=64, description="columns that replace the latest known"
    )


class Score(Strict):
    """``POST /score``: what all tasks say of pairs."""

    pairs: list[Pair] = Field(min_length=1, max_length=MOST_PAIRS)

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"pairs": [{"user_id": "42", "item_id": "50"}]},
                {"pairs": [{"user_id": "42", "text": "A film that nobody has seen yet."}]},
            ]
        }
    )


class Past(Strict):
    """An event of a history that a request brings."""

    item_id: Id
    values: dict[Name, Number | None] = Field(
        default_factory=dict, max_length=64, description="event columns, such as a rating"
    )
    days_ago: Annotated[float, Field(ge=0, le=1e6)] = 0.0


class Explain(Pair):
    """``POST /explain``: why tasks say what they say of a user and an item."""

    user_id: Id | None = Field(None, validation_alias=AliasChoices("user_id", "user"))
    item_id: Id | None = Field(None, validation_alias=AliasChoices("item_id", "item"))
    history: Annotated[list[Past], Field(max_length=MOST_HISTORY)] | None = Field(
        None, description="past events, the oldest first, in place of the user's own"
    )
    tasks: Annotated[list[Name], Field(max_length=16)] | None = Field(
        None, description="tasks to explain; all if none is given"
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_id": "42", "item_id": "50"},
                {"user_id": "42", "item_id": "50", "tasks": ["like"]},
                {"item_id": "50", "history": [{"item_id": "181", "values": {"rating": 5}}]},
            ]
        }
    )


class Event(Strict):
    """What happened once, between a user and perhaps an item."""

    event_id: Id = Field(description="the same event sent twice counts once")
    user_id: Id
    item_id: Id | None = None
    timestamp: Annotated[datetime, Field(strict=False)] | None = Field(
        None, description="ISO 8601, UTC if it has no zone; the moment of arrival if not given"
    )
    happened: bool = Field(True, description="false: the item was only shown")
    values: dict[Name, Number] = Field(
        default_factory=dict, max_length=64, description="event columns, such as a rating"
    )
    labels: dict[Name, Label] = Field(
        default_factory=dict, max_length=64, description="labels that do not follow from values"
    )
    context: dict[Name, Number] = Field(
        default_factory=dict, max_length=64,
        description="context columns known at the time that do not follow from events",
    )  # fmt: skip
    item: dict[Name, Number | Words | Annotated[list[Id], Field(max_length=256)]] = Field(
        default_factory=dict,
        max_length=64,
        description="columns of an item that is new, such as its text",
    )


class Events(Strict):
    """``POST /events``: accepted together, or none of them."""

    events: list[Event] = Field(min_length=1, max_length=MOST_EVENTS)

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "events": [
                        {
                            "event_id": "a81f", "user_id": "42", "item_id": "50",
                            "timestamp": "1998-04-23T01:10:38Z", "values": {"rating": 4},
                        }
                    ]
                }
            ]
        }
    )  # fmt: skip


def sentence(error: ValidationError) -> str:
    """The first thing that is wrong, and how many there are."""
    first: Any = error.errors(include_url=False, include_input=True, include_context=False)[0]
    if first["type"] == "json_invalid":
        return f"The body is no JSON ({first['msg'].removeprefix('Invalid JSON: ')})."
    place = ".".join(str(part)[:64] for part in first["loc"]) or "body"
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    value = first.get("input")
    found = f", found {value!r:.60}" if isinstance(value, str | int | float) else ""
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{place}: {message}{found}{more}.".replace("\n", " ")


def as_json(answer: Mapping[str, Any]) -> bytes:
    """An answer as JSON; a number that is not finite is a mistake and is not written."""
    return json.dumps(answer, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
