"""A trained model that answers requests."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import pandas as pd

from mtrec.explain import lazily
from mtrec.features import assemble, links
from mtrec.features.events import Events
from mtrec.features.offsets import input_name
from mtrec.features.state import LAST_STATE
from mtrec.models import twins
from mtrec.models.model import MultiTaskModel
from mtrec.models.predict import Forward, compile_forward, predict
from mtrec.models.store import load_model
from mtrec.paths import Paths, find_root
from mtrec.serving import archive, manifest
from mtrec.serving.catalogue import Catalogue, open_catalogue
from mtrec.tables import identifiers

if TYPE_CHECKING:
    from mtrec.explain.reasons import Explainer, Explanation

SIDES = ("user", "item")


class RequestWarning(UserWarning):
    """Part of a request was not understood: ids that are unknown, or columns that are not used."""


@dataclass(frozen=True, repr=False)
class Recommender:
    """The joint model of a domain with the latest state of its users and items.

    Attributes:
        domain: name of the domain.
        assembly: features and task types.
        model: the joint model.
        events: the last events of each user.
        met: rows of each user and item that met before, ``(pairs, 2)``, by user; empty without a
            task that ranks items.
        context: latest known context columns by side: ``user`` and ``item``, indexed by id.
        now: time of the latest event; requests are answered as of then.
        offsets: what users and items now add to the running means, by task with an offset:
            ``(users + 1, outputs)`` and ``(items + 1, outputs)``.
    """

    domain: str
    assembly: assemble.Assembly
    model: MultiTaskModel
    events: Events
    context: dict[str, pd.DataFrame]
    now: pd.Timestamp
    met: np.ndarray
    offsets: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def __repr__(self) -> str:
        """One line: the arrays would be megabytes in a cell."""
        users, items = (len(getattr(self.assembly.encoder, side).ids) for side in SIDES)
        tasks = ", ".join(self.assembly.types)
        return (
            f"{type(self).__name__}({self.domain!r}: {tasks}; {users:,} users, {items:,} items, "
            f"as of {self.now})"
        )

    def score(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """Score pairs of users and items.

        Args:
            pairs: ``user_id`` and ``item_id``; either may be missing in a row (user-view tasks
                need no item, item-view tasks no user). Context columns, if given, replace the
                latest known ones. Unknown ids are treated as new users and items, other columns
                are not used; a :class:`RequestWarning` says how many or which. Ids may be numbers.

        Returns:
            One column per binary or regression task (probability; value in the label's units),
            ``<task>`` with the most probable class or level for multi-class and ordinal tasks, and
            for multi-label tasks a list of labels with probability of at least 0.5. Ranking tasks
            are answered by :meth:`recommend`. Index as in ``pairs``. ``attrs["unknown"]`` counts
            unknown ids by column.

        Raises:
            KeyError: a column is missing.
        """
        unused = [str(column) for column in pairs if column not in self.columns]
        if unused:
            warnings.warn(
                f"pairs: not used: {', '.join(unused)} (used: {', '.join(self.columns)}); rename "
                "a column if it is one of these, or leave it out",
                RequestWarning,
                stacklevel=2,
            )
        predictions = self.predict(pairs)
        columns = {
            name: kind.answers(predictions[name])
            for name, kind in self.assembly.types.items()
            if not kind.candidates
        }
        answers = pd.DataFrame(columns, index=pairs.index)
        answers.attrs["unknown"] = self._unknown(self._ids(pairs))
        return answers

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a request that are used: ids, and what is known of them at the moment."""
        known = self.assembly.encoder.contexts.values()
        return ("user_id", "item_id", *(name for scaler in known for name in scaler.columns))

    def predict(self, pairs: pd.DataFrame) -> dict[str, np.ndarray]:
        """Raw predictions by task: probabilities, values, or scores over the catalogue."""
        for column in ("user_id", "item_id"):
            if column not in pairs:
                raise KeyError(
                    f"pairs: column '{column}' is missing (found: {', '.join(map(str, pairs))}). "
                    "Add it; its values may be missing."
                )
        if pairs.empty:
            one = self.predict(pd.DataFrame({"user_id": [None], "item_id": [None]}))
            return {name: found[:0] for name, found in one.items()}
        inputs = self.assembly.encoder.inputs(self.rows(pairs), self.events)
        inputs |= self.head_inputs(inputs["user"], inputs["item"])
        logits = predict(self.model, inputs, forward=self._forward)
        return {
            name: keras.ops.convert_to_numpy(kind.predict(logits[name]))
            for name, kind in self.assembly.types.items()
        }

    def recommend(self, user_id: str, k: int = 10) -> pd.DataFrame:
        """The ``k`` items that the first task ranking items puts on top, of those not met before.

        Candidates are those of the evaluation, see :func:`mtrec.features.candidates.left_out`.

        The first request encodes the catalogue and compiles the query, see
        :class:`mtrec.serving.catalogue.Catalogue`; later ones take milliseconds.

        Returns:
            ``item_id`` and ``score``, best first; fewer than ``k`` where fewer are left. Items of
            the same score are in the order of the catalogue.

        Raises:
            ValueError: the domain has no task that ranks items, or ``k`` is below 1.
        """
        if k < 1:
            raise ValueError(f"k is {k}; ask for one item or more.")
        asked = self._ids(pd.DataFrame({"user_id": [user_id], "item_id": [None]}, dtype="object"))
        ids, scores = self.catalogue.recommend(asked["user_id"].iloc[0], k)
        answer = pd.DataFrame({"item_id": ids, "score": scores})
        answer.attrs["unknown"] = self._unknown(asked)
        return answer

    def explain(
        self, user_id: str | None, item_id: str | None = None, tasks: Sequence[str] | None = None
    ) -> Explanation:
        """Why the joint model says what it says of a user and an item, task by task.

        The first request compiles; later ones take some tens of milliseconds.

        Args:
            user_id: who is asked for; None or an unknown id is answered as a new user.
            item_id: what is asked about; None for tasks that see the user alone. Rankings explain
                this candidate, or the best one if it is None.
            tasks: names; all if None.

        Returns:
            Contributions of features and past events, what would change without one of them, and
            a sentence for each task, see :class:`mtrec.explain.reasons.Explanation`.

        Raises:
            ValueError: a task is unknown, or Keras does not run on TensorFlow.

        Example:
            >>> model.explain("42", "50", tasks=["like"])  # doctest: +SKIP
            like: 78 %, against 55 % for the reference input; raised by running mean (+0.75) and …
        """
        pairs = pd.DataFrame({"user_id": [user_id], "item_id": [item_id]}, dtype="object")
        inputs = self.assembly.encoder.inputs(self.rows(pairs), self.events)
        inputs |= self.head_inputs(inputs["user"], inputs["item"])
        self._explainer.require(tasks)
        self._unknown(self._ids(pairs))
        return self._explainer.explain(inputs, tasks, self.met_by(int(inputs["user"][0])))

    @cached_property
    def _explainer(self) -> Explainer:
        return lazily.explainer(self.model, self.assembly, self.events)

    @cached_property
    def catalogue(self) -> Catalogue:
        """The items of the first task that ranks items, ready for requests."""
        return open_catalogue(self)

    @cached_property
    def _known(self) -> dict[str, pd.Index]:
        """Ids that training knows, by side."""
        return {side: pd.Index(getattr(self.assembly.encoder, side).ids) for side in SIDES}

    @cached_property
    def _bare(self) -> dict[str, dict[str, str]]:
        """Ids that begin with a zero, by what is left of them without it, by side."""
        return {
            side: {name.lstrip("0"): name for name in known if name[:1] == "0"}
            for side, known in self._known.items()
        }

    def _ids(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """The ids of a request as training has them."""
        columns = {f"{side}_id": known for side, known in self._known.items()}
        return pd.DataFrame({c: identifiers.asked(pairs[c], known) for c, known in columns.items()})

    def _unknown(self, rows: pd.DataFrame) -> dict[str, int]:
        """How many ids of a request are unknown, by column; a warning says so."""
        counts = {}
        for side, known in self._known.items():
            ids = rows[f"{side}_id"].dropna()
            strange = ids[known.get_indexer(ids) < 0]
            counts[f"{side}_id"] = len(strange)
            if len(strange):
                bare = self._bare[side]
                lost = next((name for name in strange if name in bare), None)
                hint = f"; is {lost!r} the {bare[lost]!r} that lost its zeros?" if lost else ""
                warnings.warn(
                    f"{len(strange):,} of {len(ids):,} {side} ids are unknown (for example "
                    f"{strange.iloc[0]!r}) and are answered as new{hint}",
                    RequestWarning,
                    stacklevel=3,
                )
        return counts

    @cached_property
    def _forward(self) -> Forward:
        return compile_forward(self.model)

    def met_by(self, user: int) -> np.ndarray:
        """Rows of the items that a user (by row, 0 if unknown) met before."""
        first, last = np.searchsorted(self.met[:, 0], [user, user + 1])
        return self.met[first:last, 1]

    def head_inputs(self, user: np.ndarray, item: np.ndarray) -> dict[str, np.ndarray]:
        """What heads read directly for rows of users and items, by the model's input."""
        found = {}
        for name, (of_user, of_item) in self.offsets.items():
            means = self.assembly.offsets[name].total(of_item[item], of_user[user])
            logits = self.assembly.types[name].logits(means)
            found[input_name(name)] = logits.astype("float32")
        for name in links.linked(self.assembly.types):  # a request is no training row
            found[links.input_name(name)] = np.zeros(len(user), dtype="int32")
        return found

    def rows(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """Pairs with the time of the request and their context columns, the latest if not given."""
        rows = self._ids(pairs).assign(timestamp=self.now)
        for side, scaler in self.assembly.encoder.contexts.items():
            for column in scaler.columns:
                if column in pairs:
                    rows[column] = pairs[column]
                elif side in self.context:
                    rows[column] = rows[f"{side}_id"].map(self.context[side][column])
                else:
                    rows[column] = np.nan
        return rows


def load(domain: str, root: Path | None = None) -> Recommender:
    """Load the trained joint model of a domain.

    Args:
        domain: name of the domain, as in ``params.yaml``.
        root: root of the repository; found from the working folder if None.

    Raises:
        FileNotFoundError: the domain was not trained yet.
        ValueError: the model folder is not the one that was trained, or holds what no model needs.
    """
    paths = Paths(root or find_root(), domain)
    manifest.check(paths)
    return open_folder(domain, paths.trained)


def open_folder(domain: str, folder: Path) -> Recommender:
    """Load the model in a folder, whosever it is.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, or holds what no model needs.
    """
    archive.check_folder(folder)
    model = load_model(folder / f"{twins.JOINT}.keras")
    return load_state(domain, folder, model, assemble.load(folder))


def load_state(
    domain: str, folder: Path, model: MultiTaskModel, assembly: assemble.Assembly
) -> Recommender:
    """A model with the state that :func:`mtrec.features.state.save_state` left in a folder."""
    with np.load(folder / f"{LAST_STATE}.npz") as arrays:
        events = Events(*(arrays[name] for name in ("user", "item", "time", "features")))
        met = arrays["met"]
        context = {
            side: pd.DataFrame(
                arrays[f"{side}_context"],
                index=arrays[f"{side}_context_ids"],
                columns=list(scaler.columns),
            )
            for side, scaler in assembly.encoder.contexts.items()
            if f"{side}_context" in arrays
        }
        offsets = {
            name: (arrays[f"{name}_offset_user"], arrays[f"{name}_offset_item"])
            for name in assembly.offsets
        }
    now = pd.Timestamp(int(events.time.max()) + 1000, unit="ms")
    return Recommender(domain, assembly, model, events, context, now, met, offsets)
