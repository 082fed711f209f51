"""Why the joint model says what it says of one user and item."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from keras import ops

from mtrec.explain import units
from mtrec.explain.path import integrate
from mtrec.explain.similar import Alike
from mtrec.explain.trunk import Trunk, logit
from mtrec.explain.words import sentence
from mtrec.models.twins import JOINT
from mtrec.registry import Form

Array = np.ndarray
Inputs = Mapping[str, Array]
Tokens = Callable[[str, int], Mapping[str, Sequence[tuple[str, float]]]]
NEAREST = 5  # similar items that are named
MOST_TOKENS = 12


@dataclass(frozen=True)
class Reason:
    """Why a task says what it says.

    Attributes:
        task: its name.
        of: the class, label or candidate that is explained, if there are several.
        prediction: probability, value in the label's units, or expected level.
        base: the same of the baseline, the reference input; it is not the average answer.
        logit: what contributions add up to, with that of the baseline: in units of the label where
            predictions are linear in logits, else log-odds.
        base_logit: of the baseline.
        groups: ``group``, ``kind``, ``contribution`` by integrated gradients, and ``occlusion``,
            what is lost when this group alone is the reference's; the largest first.
        history: ``item``, perhaps ``title``, ``contribution`` and ``occlusion``, what is lost when
            this event alone had not happened; the newest first.
        tokens: ``token`` and ``weight``, where the task reads a text; the largest first.
        experts: ``expert`` and ``weight``, where the shared layer has gates.
        counterfactual: the past event without which most would change, and what would be said.
        rank: of the candidate among those that the user has not met, in rankings.
        members: weights of the systems that answer this task in ``mtrec.load``, if not the joint
            model alone does.
        sentence: all that in words.
    """

    task: str
    of: str | None
    prediction: float
    base: float
    logit: float
    base_logit: float
    groups: list[dict[str, Any]]
    history: list[dict[str, Any]]
    tokens: list[dict[str, Any]] | None = None
    experts: list[dict[str, Any]] | None = None
    counterfactual: dict[str, Any] | None = None
    rank: int | None = None
    members: dict[str, float] | None = None
    sentence: str = ""


@dataclass(frozen=True, repr=False)
class Explanation:
    """Why all asked tasks say what they say of one user and item.

    Attributes:
        tasks: a reason each.
        similar: ``items`` that are most like the one asked about, and past events by their
            likeness to it, ``history``.
        notes: what was not known of the user or item, a sentence each.
    """

    tasks: dict[str, Reason]
    similar: dict[str, list[dict[str, Any]]]
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        """The sentences."""
        return "\n".join([*(one.sentence for one in self.tasks.values()), *self.notes])

    def table(self, task: str) -> pd.DataFrame:
        """Contributions of groups to a task's answer, the largest first."""
        return pd.DataFrame(self.tasks[task].groups)

    def shared_with(self, members: Mapping[str, Mapping[str, float]]) -> Explanation:
        """The same where other systems answer, too: each reason says what part it is.

        Args:
            members: weights of the systems that answer each task.
        """
        found = dict(self.tasks)
        for name, weights in members.items():
            if set(weights) == {JOINT}:
                continue
            own = sorted(weights.items(), key=lambda one: -one[1])
            listed = ", ".join(f"{member} {weight:.2f}" for member, weight in own)
            more = f" This explains the joint model; {name} is answered by {own[0][0]} instead."
            if len(own) > 1 or JOINT in weights:
                more = f" This explains the joint model, one of those who answer: {listed}."
            one = found[name]
            found[name] = replace(one, members=dict(own), sentence=one.sentence + more)
        return replace(self, tasks=found)

    def plain(self) -> dict[str, Any]:
        """As JSON has it; what a task has not is left out."""
        tasks = {}
        for name, reason in self.tasks.items():
            own = asdict(reason)
            del own["task"]
            tasks[name] = {key: value for key, value in own.items() if value is not None}
        return {"tasks": tasks, "similar": self.similar, "notes": self.notes}


class Explainer:
    """Explains answers of a joint model; made once, since it compiles when it is first asked.

    Args:
        trunk: the model with its baseline.
        titles: of items by id, if they have any.
        tokens: words that each task looks at in the text of a user's or item's row, if texts are
            at hand.
    """

    def __init__(
        self, trunk: Trunk, titles: Mapping[str, str] | None = None, tokens: Tokens | None = None
    ):
        self.trunk, assembly = trunk, trunk.assembly
        self.types, self.encoder, self.seen = assembly.types, assembly.encoder, assembly.seen
        self._titles, self._tokens = titles or {}, tokens
        self._alike: Alike | None = None

    def require(self, tasks: Sequence[str] | None) -> tuple[str, ...]:
        """The tasks that are asked about; all if None.

        Raises:
            ValueError: one is unknown.
        """
        known = self.trunk.tasks
        for name in tasks or ():
            if name not in known:
                raise ValueError(f"tasks: there is no '{name:.64}' (known: {', '.join(known)}).")
        return tuple(dict.fromkeys(tasks)) if tasks else known

    def explain(
        self, inputs: Inputs, tasks: Sequence[str] | None = None, met: Array | None = None
    ) -> Explanation:
        """Why tasks say what they say of one row.

        Args:
            inputs: the model's, of one row.
            tasks: names; all if None.
            met: rows of items that the user met before, which do not compete in rankings.

        Raises:
            ValueError: a task is unknown.
        """
        asked = self.require(tasks)
        user, item = int(inputs["user"][0]), int(inputs["item"][0])
        places = np.flatnonzero(inputs["history_items"][0] > 0)[::-1]  # newest first
        logits, gates = self.trunk.whole(without_each(inputs))
        met = np.zeros(0, "int64") if met is None else met
        out = {name: self._out(name, user, met) for name in asked}
        which = {name: self._which(name, logits[name][0], item, out[name]) for name in asked}
        shares = self._shares(inputs, asked, which)
        found, read = {}, self._read(user, item)
        for name in asked:
            others = logit(ops.convert_to_tensor(logits[name]), which[name], self.types[name])
            reason = self._reason(name, which[name], shares[name], logits[name],
                                  np.asarray(others), inputs, places, out[name])  # fmt: skip
            reason = replace(reason, tokens=read.get(name),
                             experts=_experts(gates, self.trunk.tasks.index(name)))  # fmt: skip
            found[name] = replace(reason, sentence=sentence(reason, self.types[name]))
        return Explanation(found, self._similar(item, inputs, places), self._notes(inputs, places))

    # -- parts -------------------------------------------------------------------------------

    def _which(self, name: str, logits: Array, item: int, out: Array) -> int:
        kind = self.types[name]
        if kind.candidates == "items" and item:
            return item - 1
        return units.most_likely(kind, logits, out)

    def _out(self, name: str, user: int, met: Array) -> Array:
        kind = self.types[name]
        if not kind.candidates:
            return np.zeros(0, "int64")
        rows = met if kind.candidates == "items" else np.array([user])
        return rows[rows > 0] - 1

    def _shares(self, inputs: Inputs, asked: Sequence[str], which: Mapping[str, int]) -> dict:
        """Of each task: contributions by player, values with one group at its baseline, ends."""
        trunk, groups = self.trunk, self.trunk.players.groups
        targets = {name: np.array([value]) for name, value in which.items()}
        rows = trunk.embed(inputs, targets)
        task = np.array([trunk.tasks.index(name) for name in asked])
        paths = integrate(trunk, rows, np.zeros(len(task), int), task)
        there = np.ones((len(groups), trunk.players.count), "float32")
        for number, group in enumerate(groups):
            there[number, list(group.columns)] = 0.0
        tasks, there = np.repeat(task, len(groups)), np.tile(there, (len(task), 1))
        left = trunk.values(rows, np.zeros(len(tasks), int), tasks, there)
        left = left.reshape(len(task), len(groups))
        return {
            name: (paths.players[n], left[n], paths.value[n], paths.base[n])
            for n, name in enumerate(asked)
        }

    def _reason(
        self, name: str, which: int, shares: tuple, logits: Array, others: Array,
        inputs: Inputs, places: Array, out: Array,
    ) -> Reason:  # fmt: skip
        kind, players = self.types[name], self.trunk.players
        own, left, value, base = shares
        by_group = players.by_group(own)
        groups: list[dict[str, Any]] = [
            {"group": group.name, "kind": group.kind, "contribution": float(by_group[n]),
             "occlusion": float(value - left[n])}
            for n, group in enumerate(players.groups)
            if by_group[n] or value - left[n]
        ]  # fmt: skip
        groups.sort(key=lambda one: -abs(one["contribution"]))
        sees = self.seen[name].history
        history = [
            {**self._named(int(inputs["history_items"][0, place])),
             "contribution": float(own[players.history[place]]),
             "occlusion": float(others[0] - others[1 + place])}
            for place in places if sees
        ]  # fmt: skip
        said = units.worth(kind, logits, which)
        return Reason(
            name, units.of_what(kind, which), float(said[0]),
            units.worth_at(kind, logits[0], which, (base - value) / self._unit(name)),
            float(value), float(base), groups, history,
            counterfactual=self._counterfactual(kind, which, logits, said, history, places, out),
            rank=int(units.rank_of(logits[:1], which, out)[0]) if kind.candidates else None,
        )  # fmt: skip

    def _unit(self, name: str) -> float:
        return self.trunk.units[self.trunk.tasks.index(name)]

    def _counterfactual(
        self, kind: Any, which: int, logits: Array, said: Array, history: list[dict],
        places: Array, out: Array,
    ) -> dict[str, Any] | None:  # fmt: skip
        """The past event without which the answer would change most."""
        if not history:
            return None
        worst = int(np.argmax([abs(one["occlusion"]) for one in history]))
        own = {key: history[worst][key] for key in ("item", "title") if key in history[worst]}
        there = 1 + places[worst]
        found = {**own, "prediction": float(said[0]), "prediction_without": float(said[there])}
        if kind.form is Form.RANK:
            ranks = units.rank_of(logits[[0, there]], which, out)
            found |= {"rank": int(ranks[0]), "rank_without": int(ranks[1])}
        return found

    def _named(self, row: int) -> dict[str, str]:
        name = str(self.encoder.item.ids[row - 1])
        title = self._titles.get(name)
        return {"item": name, **({"title": title} if title else {})}

    def _read(self, user: int, item: int) -> dict[str, list[dict[str, Any]]]:
        """Words that tasks looked at in the texts of the row, by task."""
        found: dict[str, list[tuple[str, float]]] = {}
        if self._tokens is not None:
            for side, row in (("user", user), ("item", item)):
                if row and side in self.trunk.model.readers:
                    for name, words in self._tokens(side, row).items():
                        found.setdefault(name, []).extend(words)
        return {
            name: [
                {"token": token, "weight": float(weight)}
                for token, weight in sorted(words, key=lambda one: -one[1])[:MOST_TOKENS]
            ]
            for name, words in found.items()
        }

    def _similar(self, item: int, inputs: Inputs, places: Array) -> dict[str, list[dict]]:
        if not item:
            return {"items": [], "history": []}
        if self._alike is None:
            encoder = self.trunk.model.encoders["item"]
            self._alike = Alike(encoder, len(self.encoder.item.ids))
        rows, likeness = self._alike.nearest(item, NEAREST)
        past = inputs["history_items"][0, places]
        own = self._alike.of(item, past)
        order = np.argsort(-own, kind="stable")[:NEAREST]
        return {
            "items": [{**self._named(int(r)), "similarity": float(s)}
                      for r, s in zip(rows, likeness, strict=True)],
            "history": [{**self._named(int(past[n])), "similarity": float(own[n])} for n in order],
        }  # fmt: skip

    def _notes(self, inputs: Inputs, places: Array) -> list[str]:
        found = []
        if not inputs["user"][0]:
            found.append(
                "The model knows no such user: what it learnt for unknown ones, context and "
                "history speak for him."
            )
        if not inputs["item"][0]:
            found.append(
                "The model knows no such item, or none was named: what it learnt for unknown ones "
                "and context speak for it."
            )
        if not len(places):
            found.append("No past event of the user is known, so history has no share.")
        if inputs["item"][0] and not self._has_text("item", int(inputs["item"][0])):
            found.append("The item has no text, so text says only that there is none.")
        return found

    def _has_text(self, side: str, row: int) -> bool:
        """Whether a row has a text, where its side has texts at all."""
        fields = [one for one in getattr(self.encoder, side).fields if one.name == "text"]
        return all(bool(one.table[row]) for one in fields)


def without_each(inputs: Inputs) -> dict[str, Array]:
    """A row, and then the row without each of its past events in turn, ``(1 + length, ...)`` each.

    Events before the one that is taken out move up one place.
    """
    length = inputs["history_items"].shape[1]
    found = {name: np.repeat(values, 1 + length, axis=0) for name, values in inputs.items()}
    for place in np.flatnonzero(inputs["history_items"][0] > 0):
        for name in ("history_items", "history_events"):
            own = found[name][1 + place]
            own[1 : place + 1] = inputs[name][0][:place]
            own[0] = 0
    return found


def _experts(gates: Array | None, task: int) -> list[dict[str, Any]] | None:
    if gates is None:
        return None
    own = gates[0, task]
    order = np.argsort(-own, kind="stable").tolist()
    return [{"expert": number + 1, "weight": float(own[number])} for number in order]
