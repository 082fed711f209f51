"""Settings of a domain of one's own: which column of which file plays which role."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mtrec.domains.own.times import EPOCHS

TAKEN = (  # names with a meaning of their own, in tables or among models
    "joint", "without_text",
    "user_id", "item_id", "timestamp", "split", "cold_user", "cold_item", "rating", "like",
    "next_item", "user_count", "item_count", "user_mean_rating", "item_mean_rating",
)  # fmt: skip


def called(column: str, likes: bool) -> str:
    """What a column of events is called in the tables; some names mean something there.

    Args:
        column: its name in the file.
        likes: there are likes made of ratings; otherwise a column may be called ``like``.

    Example:
        >>> called("gift", True), called("like", True), called("like", False)
        ('gift', 'like_of_event', 'like')
    """
    free = column not in TAKEN or (column == "like" and not likes)
    return column if free else f"{column}_of_event"


class Strict(BaseModel):
    """Base of the settings below."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EventColumns(Strict):
    """Columns of the events file."""

    user_id: str
    item_id: str
    timestamp: str | None = None
    time_unit: str = Field("iso", description="or of an epoch, or a format such as %d/%m/%Y")
    rating: str | None = Field(None, description="number that says how the event went")
    numeric: tuple[str, ...] = Field((), description="numbers of a past event, for histories")
    amounts: tuple[str, ...] = Field((), description="numbers from 0 on, log(1 + x) is a label")
    binary: tuple[str, ...] = Field((), description="yes or no of an event, each a label")
    chosen: str | None = Field(None, description="yes or no: otherwise the item was only shown")
    type: str | None = Field(None, description="text that says what happened: view, purchase")
    split: str | None = Field(None, min_length=1, description="train, validation, test")

    @field_validator("time_unit")
    @classmethod
    def _readable(cls, unit: str) -> str:
        if unit != "iso" and unit not in EPOCHS and "%" not in unit:
            raise ValueError(
                f"time_unit is iso, {', '.join(EPOCHS)} or a format such as %d/%m/%Y %H:%M, "
                f"not '{unit}'"
            )
        return unit

    @property
    def others(self) -> dict[str, str]:
        """Columns that are used but for ``split``, with the setting that names each."""
        roles = ("user_id", "item_id", "timestamp", "rating", "chosen", "type")
        found = {column: role for role in roles if (column := getattr(self, role)) is not None}
        for kind in ("numeric", "amounts", "binary"):
            found |= {column: kind for column in getattr(self, kind)}
        return found

    @property
    def named(self) -> dict[str, str]:
        """Columns that are used, with the setting that names each."""
        return self.others | ({} if self.split is None else {self.split: "split"})


class SideColumns(Strict):
    """Columns of the file of items or of users; what is not named here stays text."""

    id: str
    of_events: tuple[str, ...] = Field((), description="columns of events; there is no file")
    numeric: tuple[str, ...] = ()
    multi: dict[str, str] = Field({}, description="columns of lists, each with its separator")
    text: str = Field("", description="template such as {title}. {maker}")


class Settings(Strict):
    """``domains.<name>.data`` of ``params.yaml`` for a domain with ``module: own``."""

    events: EventColumns
    items: SideColumns | None = None
    users: SideColumns | None = None
    types: dict[str, tuple[str, ...]] = Field({}, description="labels: 1 for these types")
    repeats: Literal["keep", "collapse"] = Field("keep", description="of user and item (and time)")
    like_from: float | None = Field(None, description="ratings from here on are a like")
    next_of: tuple[str, ...] = Field((), description="item columns; the next item's is a label")
    classes: int = Field(40, ge=2, le=1000, description="most frequent values kept per next_of")
    split: Literal["temporal", "random", "leave_last_out", "given"] = "temporal"
    validation_share: float = Field(0.1, gt=0, lt=0.5)
    test_share: float = Field(0.1, gt=0, lt=0.5)

    def called(self, column: str) -> str:
        """What a column of events is called in the tables."""
        return called(column, self.like_from is not None)

    @property
    def has_clock(self) -> bool:
        """Whether the events file has times; otherwise a shuffle orders the events."""
        return self.events.timestamp is not None

    @model_validator(mode="after")
    def _goes_together(self) -> Settings:
        if self.events.timestamp is None and self.split not in ("random", "given"):
            raise ValueError(f"split {self.split} needs events.timestamp; set split: random")
        if self.split == "given" and self.events.split is None:
            raise ValueError("split given needs events.split: a column of train, validation, test")
        if self.split != "given" and self.events.split is not None:
            raise ValueError(f"events.split is not read by split {self.split}; set split: given")
        told = [c for side in (self.items, self.users) if side for c in side.of_events]
        if self.events.split in (*self.events.others, *told):
            raise ValueError(f"events.split: column '{self.events.split}' has another role, too")
        if self.like_from is not None and self.events.rating is None:
            raise ValueError("like_from needs events.rating")
        if self.types and self.events.type is None:
            raise ValueError("types needs events.type, the column that says what happened")
        labels = [self.called(name) for name in (*self.events.binary, *self.events.amounts)]
        twice = [label for label in self.types if label in labels or label in TAKEN]
        if twice:
            raise ValueError(f"types: '{twice[0]}' has a meaning of its own; rename it")
        if self.next_of and self.items is None:
            raise ValueError("next_of names columns of items, which are not described")
        return self
