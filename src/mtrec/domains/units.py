"""In what a label or an event's column is counted, for people who read it; settings need no units.

A domain that is not named here is shown its numbers as they are.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unit:
    """A unit of numbers.

    Attributes:
        name: in the plural, as it follows a number; empty if the number says it all.
        logarithm: the data hold ``log(1 + x)`` of it.
    """

    name: str = ""
    logarithm: bool = False


STARS = Unit("stars")
POINTS = Unit("points")
UNITS: dict[str, dict[str, Unit]] = {
    "video": {"rating": STARS},
    "social_trust": {"rating": STARS},
    "social_reviews": {"sentiment": STARS, "engagement": Unit("readers", logarithm=True)},
    "ecommerce": {
        "spend": Unit("dollars", logarithm=True),
        "log_spend": Unit("dollars", logarithm=True),
    },
    "education_mastery": {"math": POINTS, "reading": POINTS},
}


def unit(domain: str, column: str) -> Unit:
    """The unit of a domain's label or event column.

    Example:
        >>> unit("ecommerce", "spend"), unit("shop", "spend").name
        (Unit(name='dollars', logarithm=True), '')
    """
    return UNITS.get(domain, {}).get(column, Unit())
