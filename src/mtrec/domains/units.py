"""In what a label or an event's column is counted, for people who read it; settings need no units.

A domain that is not named here is shown its numbers as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
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

    @property
    def in_words(self) -> str:
        """As a table says it, a dash if the number says it all.

        Example:
            >>> Unit("dollars", logarithm=True).in_words, Unit("stars").in_words, Unit().in_words
            ('log(1 + dollars)', 'stars', '-')
        """
        return f"log(1 + {self.name or 'x'})" if self.logarithm else self.name or "-"


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


def written(domain: str, columns: Iterable[str]) -> dict[str, str]:
    """The units of a domain's columns in words.

    Example:
        >>> written("ecommerce", ["purchase", "spend"])
        {'purchase': '-', 'spend': 'log(1 + dollars)'}
    """
    return {column: unit(domain, column).in_words for column in columns}


def unit(domain: str, column: str) -> Unit:
    """The unit of a domain's label or event column.

    Example:
        >>> unit("ecommerce", "spend"), unit("shop", "spend").name
        (Unit(name='dollars', logarithm=True), '')
    """
    return UNITS.get(domain, {}).get(column, Unit())
