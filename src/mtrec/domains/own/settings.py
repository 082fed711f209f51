"""Settings of a domain of one's own: which column of which file plays which role."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

TAKEN = (  # names with a meaning of their own, in tables or among models
    "joint", "without_text",
    "user_id", "item_id", "timestamp", "split", "cold_user", "cold_item", "rating", "like",
    "next_item", "user_count", "item_count", "user_mean_rating", "item_mean_rating",
)  # fmt: skip


class Strict(BaseModel):
    """Base of the settings below."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EventColumns(Strict):
    """Columns of the events file."""

    user_id: str
    item_id: str
    timestamp: str | None = None
    time_unit: Literal["iso", "s", "ms", "us", "ns"] = Field("iso", description="or of an epoch")
    rating: str | None = Field(None, description="number that says how the event went")
    numeric: tuple[str, ...] = Field((), description="numbers of a past event, for histories")
    binary: tuple[str, ...] = Field((), description="yes or no of an event, each a label")


class SideColumns(Strict):
    """Columns of the file of items or of users; what is not named here stays text."""

    id: str
    numeric: tuple[str, ...] = ()
    multi: dict[str, str] = Field({}, description="columns of lists, each with its separator")
    text: str = Field("", description="template such as {title}. {maker}")


class Settings(Strict):
    """``domains.<name>.data`` of ``params.yaml`` for a domain with ``module: own``."""

    events: EventColumns
    items: SideColumns | None = None
    users: SideColumns | None = None
    like_from: float | None = Field(None, description="ratings from here on are a like")
    next_of: tuple[str, ...] = Field((), description="item columns; the next item's is a label")
    classes: int = Field(40, ge=2, le=1000, description="most frequent values kept per next_of")
    split: Literal["temporal", "random", "leave_last_out"] = "temporal"
    validation_share: float = Field(0.1, gt=0, lt=0.5)
    test_share: float = Field(0.1, gt=0, lt=0.5)

    @property
    def has_clock(self) -> bool:
        """Whether the events file has times; otherwise a shuffle orders the events."""
        return self.events.timestamp is not None

    @model_validator(mode="after")
    def _goes_together(self) -> Settings:
        if self.events.timestamp is None and self.split != "random":
            raise ValueError(f"split {self.split} needs events.timestamp; set split: random")
        if self.like_from is not None and self.events.rating is None:
            raise ValueError("like_from needs events.rating")
        for name in (*self.events.numeric, *self.events.binary):
            if name in TAKEN:
                raise ValueError(f"column '{name}' of events has a meaning of its own; rename it")
        if self.next_of and self.items is None:
            raise ValueError("next_of names columns of items, which are not described")
        return self
