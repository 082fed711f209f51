"""What an event does to the labels and context columns of a domain, one event at a time.

The modules of domains compute the same columns for whole tables. What is not named here is taken
from events that bring it: weekly aggregates of baskets, say, of which an event is a part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mtrec.domains import social_trust, video

if TYPE_CHECKING:
    from mtrec.domains.own.settings import Settings as Own


@dataclass(frozen=True)
class Running:
    """Number and mean of what was known of a key before; counts are ``log(1 + n)``.

    Attributes:
        side: whose context it is, ``user`` or ``item``.
        label: label that is averaged; an event without it is not counted. Empty: every event.
        count: column of the number, or empty.
        mean: column of the mean, or empty.
        key: column of items that items share; empty for the user or item itself.
        named: the label names the user whom it counts for, who need not be the event's.
        plain: the number itself instead of its logarithm.
    """

    side: str
    label: str
    count: str = ""
    mean: str = ""
    key: str = ""
    named: bool = False
    plain: bool = False


@dataclass(frozen=True)
class Last:
    """The latest known value of an event column before.

    Attributes:
        side: whose context it is.
        value: column of events.
        column: context column.
    """

    side: str
    value: str
    column: str


@dataclass(frozen=True)
class Online:
    """What events change in a domain.

    Attributes:
        columns: rules of context columns.
        labels: label -> column of events that it is, and the number from which on it is 1 (or None
            for the number itself), where an event does not bring the label.
        held_out: whether held-out rows of the data are counted; those of a split in time are.
    """

    columns: tuple[Running | Last, ...] = ()
    labels: Mapping[str, tuple[str, float | None]] = field(default_factory=dict)
    held_out: bool = False


def _rated(*named: tuple[str, str], label: str = "rating") -> tuple[Running, ...]:
    """Count and mean of a rating, of users and items under the prefixes given."""
    return tuple(
        Running(side, label, f"{prefix}_count", f"{prefix}_mean{'_rating' * (label == 'rating')}")
        for side, prefix in named
    )


SIDES = (("user", "user"), ("item", "item"))
ONLINE = {
    "video": Online(
        _rated(*SIDES), {"rating": ("rating", None), "like": ("rating", float(video.LIKED))}
    ),
    "social_trust": Online(
        (
            *_rated(*SIDES),
            Running("user", "trusts", "user_trusts"),
            Running("user", "trusts", "user_trusted", named=True),
        ),
        {"rating": ("rating", None), "like": ("rating", social_trust.LIKED)},
    ),
    "social_reviews": Online(
        (Running("item", "sentiment", "product_count", "product_mean_rating", key="product"),),
        {},
    ),
    "education_courses": Online(
        _rated(("user", "student"), ("item", "lecturer"), label="evaluation"),
        {"evaluation": ("evaluation", None)},
    ),
    "education_mastery": Online(
        (Last("user", "math", "last_math"), Last("user", "reading", "last_reading")),
        {"math": ("math", None), "reading": ("reading", None)},
    ),
}


def online(module: str, data: Any) -> Online:
    """The rules of a domain.

    Args:
        module: that makes its tables, as in the registry.
        data: its settings.
    """
    found = _own(data) if module == "own" else ONLINE.get(module, Online())
    return replace(found, held_out=getattr(data, "split", None) == "temporal")


def _own(settings: Own) -> Online:
    """Rules of a domain of one's own."""
    columns = [Running(side, "next_item", f"{side}_count") for side in ("user", "item")]
    labels: dict[str, tuple[str, float | None]] = {}
    if settings.events.rating is not None:
        columns += [Running(s, "rating", mean=f"{s}_mean_rating") for s in ("user", "item")]
        labels["rating"] = ("rating", None)
        if settings.like_from is not None:
            labels["like"] = ("rating", settings.like_from)
    return Online(tuple(columns), labels)
