"""What a source of vectors is asked, and what it returns: a fixed vector per user or item.

A source is a function, named by a line of :data:`mtrec.registry.SOURCES`, from :class:`Asked` to
vectors by side and feature: ``{"item": {"pictures": Vectors(...)}}``. It learns from training
entities and events alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from mtrec.features.fields import Fitted

Array = np.ndarray


@dataclass(frozen=True)
class Entities:
    """All users or all items.

    Attributes:
        side: ``user`` or ``item``.
        table: one row per user or item.
        training: ``(rows,)`` bool, those that training shows; nothing may be learnt from others.
        text: the language model's vectors ``(rows, components)``, NaN where there is no text; None
            without any.
        columns: columns of ``table`` that ``params.yaml`` names for the source on this side.
    """

    side: str
    table: pd.DataFrame
    training: Array
    text: Array | None = None
    columns: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Name of the column of ids."""
        return f"{self.side}_id"


@dataclass(frozen=True)
class Asked:
    """What a source gets.

    Attributes:
        user: all users.
        item: all items.
        events: training events.
        settings: the source's ``Settings``, None where ``params.yaml`` has none.
    """

    user: Entities
    item: Entities
    events: pd.DataFrame
    settings: Any = None

    @property
    def sides(self) -> tuple[Entities, Entities]:
        """Users and items."""
        return self.user, self.item


@dataclass(frozen=True)
class Vectors:
    """One feature of all users or items.

    Attributes:
        values: ``(rows, components)`` float, NaN rows where nothing is known.
        fitted: what gives vectors of later users or items, if the source can.
    """

    values: Array
    fitted: Fitted | None = None


Found = Mapping[str, Mapping[str, Vectors]]
