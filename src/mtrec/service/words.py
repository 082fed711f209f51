"""What people call things: titles of items to look for, questions, units and ranges of numbers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mtrec.domains.units import Unit, unit
from mtrec.explain.titles import titles_of
from mtrec.registry import TASK_TYPES, Form

if TYPE_CHECKING:
    from mtrec.service.state import State
    from mtrec.settings import Task
    from mtrec.tables.schema import Tables
    from mtrec.tasks.base import TaskType

LONGEST = 120  # characters of a title
POPULAR = 20  # items that are proposed before anything is typed
CHOICES = 64  # classes that an event may be given one of
TOLD = (Form.BIT, Form.NUMBER, Form.LEVEL, Form.CLASS)  # labels that a form has a field for


class Lookup:
    """Names that can be found by what they begin with or hold, whatever their case.

    Args:
        lines: names; parts of one, such as an id and a title, are divided by a tab.

    Example:
        >>> found = Lookup(["1\\tToy Story", "2\\tGoldenEye", "21\\tMuppet Story"])
        >>> found.find("2", 9), found.find("story", 9), found.find("TOY", 9), found.find("", 2)
        ([1, 2], [0, 2], [0], [0, 1])
    """

    def __init__(self, lines: Sequence[str]):
        plain = ["\t" + line.lower().replace("\n", " ") for line in lines]
        self._text = "\n".join(plain)
        self._starts = [0, *np.cumsum([len(line) + 1 for line in plain]).tolist()][: len(plain)]

    def find(self, query: str, most: int, inside: bool = True) -> list[int]:
        """Positions of names, at most so many: of which a part begins with it, then of others.

        Args:
            query: what to look for.
            most: names wanted.
            inside: whether a part may also hold it elsewhere.
        """
        wanted = query.lower()
        found = dict.fromkeys(islice(self._places("\t" + wanted), most))
        if inside and len(found) < most:
            found |= dict.fromkeys(islice(self._places(wanted), most))
        return [*found][:most]

    def _places(self, wanted: str) -> Iterator[int]:
        """Names that hold a text, each once, in their order."""
        at = self._text.find(wanted) if self._starts else -1
        while at >= 0:
            name = bisect_right(self._starts, at) - 1
            yield name
            if name + 1 == len(self._starts):
                return
            at = self._text.find(wanted, self._starts[name + 1])


@dataclass(frozen=True)
class Words:
    """The words of one domain; of none, if nothing is given.

    Attributes:
        domain: whose units numbers have.
        title: of items, by id.
        users: their ids, to look for.
        items: ids and titles, to look for.
        popular: ids of the items with most events, the most popular first.
    """

    domain: str = ""
    title: Mapping[str, str] = field(default_factory=dict)
    users: Lookup = field(default_factory=lambda: Lookup(()))
    items: Lookup = field(default_factory=lambda: Lookup(()))
    popular: tuple[str, ...] = ()

    def unit(self, column: str) -> Unit:
        """The unit of a label or of a column of events."""
        return unit(self.domain, column)


def words_of(domain: str, tables: Tables, state: State) -> Words:
    """The words of a domain's items, and of its users and items that the model knows."""
    title = titles_of(tables.items, LONGEST)
    known = state.items.names[1 : state.items.modelled]
    return Words(
        domain,
        title,
        Lookup(state.users.names[1 : state.users.modelled]),
        Lookup([f"{one}\t{title.get(one, '')}" for one in known]),
        tuple(tables.events["item_id"].value_counts().index[:POPULAR].astype(str)),
    )


def describe(
    domain: str,
    tables: Tables,
    tasks: Mapping[str, Task],
    types: Mapping[str, TaskType],
    state: State,
) -> dict[str, Any]:
    """What a page must know to ask and to show: the questions of tasks, and what events hold.

    Returns:
        ``questions``: by task, ``text``, ``form``, ``view`` and what ``_number`` says;
        ``values``: by event column, and ``labels``: by label that follows from no value, the same
        and ``choices`` of a class.
    """
    questions = {
        name: {
            "text": task.text or name,
            "form": TASK_TYPES.forms[task.type].name.lower(),
            "view": task.view,
            **_number(domain, task.label, tables),
        }
        for name, task in tasks.items()
    }
    columns = [*state.encoder.event.columns]
    columns += [c for c, _ in state.rules.labels.values() if c not in columns]
    given = {"next_item", *state.rules.labels}
    labels = {
        task.label: {
            "form": questions[name]["form"],
            "text": questions[name]["text"],
            "choices": [*types[name].class_names][:CHOICES],
            **_number(domain, task.label, tables),
        }
        for name, task in tasks.items()
        if task.label not in given and TASK_TYPES.forms[task.type] in TOLD
    }
    return {
        "questions": questions,
        "values": {name: _number(domain, name, tables) for name in dict.fromkeys(columns)},
        "labels": labels,
    }


def _number(domain: str, column: str, tables: Tables) -> dict[str, Any]:
    """Unit and usual range of a column of numbers, in the unit; only the unit of others."""
    found = next((t[column] for t in (tables.events, tables.examples) if column in t), None)
    own = unit(domain, column)
    if found is None or not pd.api.types.is_numeric_dtype(found) or not found.notna().any():
        return {"unit": own.name}
    known = found.dropna().to_numpy(dtype="float64")
    low, high = np.quantile(known, [0.0, 0.99])
    high = known.max() if not own.logarithm else high
    values = np.unique(known[:10_000])
    step = next((s for s in (1.0, 0.5) if not np.mod(values, s).any()), None)
    if own.logarithm:
        low, high, step = np.expm1(low), np.expm1(high), None
    return {
        "unit": own.name, "logarithm": own.logarithm,
        "least": float(low), "most": float(high), "step": step,
    }  # fmt: skip
