r"""A model as a function of how much of each embedded input is there.

With :math:`x` what a row's features are embedded as and :math:`\bar x` the baseline, the model is
asked at :math:`\bar x + a (x - \bar x)`, :math:`a \in [0, 1]` for each feature and past event. So
:math:`a = 1` is the row, :math:`a = 0` the baseline, one zero the row without that feature, and
:math:`\partial z / \partial a` what integrated gradients integrate.

The baseline is the mean over past events of what the features of their users and items are embedded
as: an average user, item and, in each place of the history that is taken, an average past event at
that moment; average context, the running mean of nobody, no links.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from mtrec.explain.players import HISTORY, make_players
from mtrec.features.assemble import Assembly
from mtrec.features.events import Events
from mtrec.features.links import KINDS as LINKS
from mtrec.features.links import input_name as link_name
from mtrec.features.offsets import input_name
from mtrec.features.visibility import Visible, group
from mtrec.models.encoders import PLAIN, EntityEncoder
from mtrec.models.history import HistoryEncoder
from mtrec.models.model import MultiTaskModel, TaskPart
from mtrec.registry import Form

Array = np.ndarray
Tensors = dict[str, Any]
CHUNK = 4096  # rows of a table at a time
OUT = 1e9  # taken off the logit of a candidate that is not to count


@dataclass(frozen=True)
class Rows:
    """Embedded rows, ready to be asked about.

    Attributes:
        x: what each part of a row is embedded as, ``(n, slots, ...)`` each.
        base: the baseline, of the same shapes.
        fixed: what is not divided: rows of users, places of the history that are taken.
        which: what each task is asked about, ``(n, tasks)``: a class, a label or a candidate.
    """

    x: Tensors
    base: Tensors
    fixed: Tensors
    which: Any


class Trunk:
    """A trained joint model with its baseline.

    Args:
        model: trained; its weights are read when it is asked.
        assembly: of its domain.
        events: past events, over which the baseline is the mean.

    Attributes:
        players: features and past events.
        tasks: names, in the order of the model.
        units: of each task's label in one unit of its logit, see :func:`unit`.
    """

    def __init__(self, model: MultiTaskModel, assembly: Assembly, events: Events):
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                "explanations need TensorFlow for gradients (Keras runs on "
                f"{keras.backend.backend()}); unset KERAS_BACKEND and load the model again."
            )
        self.model, self.assembly, self.tasks = model, assembly, tuple(model.output)
        self.players = make_players(assembly, model)
        self.units = [unit(assembly.types[task]) for task in self.tasks]
        self._seen, _ = group({task: assembly.seen[task] for task in self.tasks})
        self._normalise = model.get_layer("normalise")
        self._history = next((o for o in model.layers if isinstance(o, HistoryEncoder)), None)
        self._tails = {task: _Tail(model, task) for task in self.tasks}
        self._base = _baseline(model, assembly, events)
        self._compiled: dict[str, Any] = {}

    # -- rows --------------------------------------------------------------------------------

    def embed(self, inputs: Mapping[str, Array], which: Mapping[str, Array]) -> Rows:
        """Embed rows of the model's inputs.

        Args:
            inputs: the model's, ``n`` rows each.
            which: what each task is asked about, ``(n,)`` each; 0 where none is given.
        """
        asked = {task: which.get(task, np.zeros(len(inputs["user"]))) for task in self.tasks}
        asked = {task: tf.constant(values, tf.int32) for task, values in asked.items()}
        inputs = {name: tf.convert_to_tensor(values) for name, values in inputs.items()}
        if "embed" not in self._compiled:
            specs = [tf.nest.map_structure(_spec, one) for one in (inputs, asked)]
            self._compiled["embed"] = tf.function(
                self._embed, input_signature=specs, autograph=False
            )
        return Rows(*self._compiled["embed"](inputs, asked))

    def _embed(self, inputs: Tensors, asked: Tensors) -> tuple[Tensors, Tensors, Tensors, Any]:
        x: Tensors = {}
        encoders, slots = self.model.encoders, self.players.slots
        for side in ("user", "item"):
            if side in slots:
                x[side] = terms(encoders[side], inputs[side])
        if HISTORY in slots:
            past = ops.reshape(inputs["history_items"], (-1,))
            items = ops.sum(terms(encoders["item"], past), axis=1)
            items = ops.reshape(items, (-1, inputs["history_items"].shape[1], items.shape[-1]))
            x[HISTORY] = ops.concatenate([items, inputs["history_events"]], axis=-1)
        for side in self.assembly.encoder.contexts:
            x[f"{side}_context"] = inputs[f"{side}_context"]
        for side, reader in self.model.readers.items():
            x[f"{side}_read"] = reader(inputs[side])
        for task, tail in self._tails.items():
            if task in self.assembly.offsets:
                x[f"{task}_offset"] = inputs[input_name(task)]
            if f"{task}_candidate" in slots:
                side = str(self.assembly.types[task].candidates).removesuffix("s")
                x |= tail.candidate(encoders[side], inputs, asked[task])
        x = {part: ops.cast(x[part], "float32") for part in slots}
        base = {part: self._base[part] for part in slots}
        base = {part: ops.zeros_like(x[part]) + base[part] for part in slots}
        if HISTORY in slots:  # an average event, at the moment of this one
            moments = [base[HISTORY][..., :-1], x[HISTORY][..., -1:]]
            base[HISTORY] = ops.concatenate(moments, axis=-1)
        fixed = {"user": inputs["user"], "known": inputs["history_items"] > 0}
        fixed |= {n: inputs[n] for n in map(link_name, self.tasks) if n in inputs}
        return x, base, fixed, ops.stack([asked[task] for task in self.tasks], axis=1)

    # -- questions ---------------------------------------------------------------------------

    def values(self, rows: Rows, at: Array, task: Array, there: Array) -> Array:
        """The logit of tasks with parts of rows there, ``(m,)``; see :func:`logit`.

        Args:
            rows: embedded.
            at: which of the rows is asked about, ``(m,)``.
            task: place of the task that is asked, ``(m,)``.
            there: how much of each player is there, ``(m, players)``.
        """
        return self._ask("values", rows, at, task, there).numpy()

    def slopes(self, rows: Rows, at: Array, task: Array, there: Array) -> tuple[Array, Array]:
        """The same, and its derivative by each player's coefficient, ``(m, players)``."""
        values, slopes = self._ask("slopes", rows, at, task, there)
        return values.numpy(), slopes.numpy()

    def whole(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], Array | None]:
        """Logits by task of the whole model, and weights of experts ``(n, tasks, experts)``.

        The weights are None for a shared layer without gates.
        """
        if "whole" not in self._compiled:
            outputs = [self.model.output, self.model.representation]
            function = keras.Function(self.model.input, outputs)
            gates = getattr(self.model.shared, "gate", None)

            def run(inputs: Tensors) -> tuple[Tensors, Any]:
                logits, hidden = function(inputs)
                return logits, None if gates is None else gates(hidden)

            specs = {name: _spec(tensor) for name, tensor in self.model.input.items()}
            self._compiled["whole"] = tf.function(run, input_signature=[specs], autograph=False)
        given = {name: tf.convert_to_tensor(inputs[name]) for name in self.model.input}
        logits, weights = self._compiled["whole"](given)
        found = {name: values.numpy() for name, values in logits.items()}
        return found, None if weights is None else weights.numpy()

    def _ask(self, kind: str, rows: Rows, at: Array, task: Array, there: Array) -> Any:
        ints = [tf.constant(v, tf.int32) for v in (at, task)]
        if kind not in self._compiled:
            specs = tf.nest.map_structure(_spec, (rows.x, rows.base, rows.fixed, rows.which))
            more = [tf.TensorSpec((None,), tf.int32)] * 2
            more.append(tf.TensorSpec((None, self.players.count), tf.float32))
            function = self._values if kind == "values" else self._slopes
            self._compiled[kind] = tf.function(
                function, input_signature=[*specs, *more], autograph=False
            )
        there = tf.constant(there, tf.float32)
        return self._compiled[kind](rows.x, rows.base, rows.fixed, rows.which, *ints, there)

    def _slopes(self, x, base, fixed, which, at, task, there):
        with tf.GradientTape() as tape:
            tape.watch(there)
            values = self._values(x, base, fixed, which, at, task, there)
        return values, tape.gradient(values, there)

    def _values(self, x, base, fixed, which, at, task, there):
        mixed = {}
        for part, columns in self.players.slots.items():
            own, none = ops.take(x[part], at, axis=0), ops.take(base[part], at, axis=0)
            share = ops.take(there, columns, axis=1)
            share = ops.reshape(share, (-1, len(columns), *[1] * (len(own.shape) - 2)))
            mixed[part] = none + share * (own - none)
        fixed = {name: ops.take(values, at, axis=0) for name, values in fixed.items()}
        which = ops.take(which, at, axis=0)
        history = None
        if self._history is not None:
            history = self._history(mixed[HISTORY], fixed["known"])
        hidden = ops.stack([self._state(mixed, history, seen) for seen in self._seen], axis=1)
        hidden = self._normalise(hidden)
        states = ops.unstack(self.model.shared(hidden, training=False), axis=1)
        total = tf.zeros_like(there[:, 0])
        for number, (name, tail) in enumerate(self._tails.items()):
            own = tf.where(task == number)[:, 0]  # towers and heads see the rows of their task
            parts = {part: tf.gather(mixed[part], own) for part in tail.reads_of(mixed)}
            known = {name: tf.gather(values, own) for name, values in fixed.items()}
            logits, hidden = tail(tf.gather(states[number], own), parts, known)
            asked, kind = tf.gather(which[:, number], own), self.assembly.types[name]
            value = tail.value(logits, hidden, parts, asked, kind)
            total = tf.tensor_scatter_nd_update(total, own[:, None], value)
        return total

    def _state(self, mixed: Tensors, history: Any, seen: Visible) -> Any:
        """What :meth:`mtrec.models.below.Below.state` makes, of mixed parts."""
        user, item = (self._sum(mixed, side, getattr(seen, side)) for side in ("user", "item"))
        if seen.history:
            user = user + history
        product = user * item if seen.joint else ops.zeros_like(user)
        if seen.user_context:
            user = user + self._context(mixed, "user", seen.user_context)
        if seen.item_context:
            item = item + self._context(mixed, "item", seen.item_context)
        if seen.joint_context:
            product = product + self._context(mixed, "joint", seen.joint_context)
        return ops.concatenate([user, item, product], axis=-1)

    def _sum(self, mixed: Tensors, side: str, visible: tuple[str, ...]) -> Any:
        encoder = self.model.encoders.get(side)
        fields = [] if encoder is None else [one["name"] for one in encoder.fields]
        some = [mixed[side][:, at] for at, name in enumerate(fields) if name in visible]
        if some:
            return sum(some[1:], some[0])
        width = self.model.representation.shape[-1] // 3
        return ops.zeros((ops.shape(next(iter(mixed.values())))[0], width), "float32")

    def _context(self, mixed: Tensors, side: str, columns: tuple[str, ...]) -> Any:
        name = f"{side}_context"
        return self.model.encoders[name](mixed[name], visible=list(columns))


class _Tail:
    """From a task's state to its logits, and to the one logit that is explained."""

    def __init__(self, model: MultiTaskModel, task: str):
        part: TaskPart = model.tasks[task]
        self.task, self.inputs, self.head = task, part.inputs, part.head
        read = [part.state, *part.tables, *part.reads, *(model.input[n] for n in part.inputs)]
        self._function = keras.Function(read, [part.logits, part.hidden])
        self._tables: list[Any] = []
        if part.tables:
            blank = {
                key: np.zeros((1, *value.shape[1:]), value.dtype)
                for key, value in model.input.items()
            }
            found = keras.Function(model.input, [*part.tables])(blank)
            self._tables = [tf.convert_to_tensor(one) for one in found]
        self._reads = [_place(model, tensor) for tensor in part.reads]

    def reads_of(self, mixed: Tensors) -> list[str]:
        """Embedded parts that the task reads past the shared layer."""
        read = {f"{side}_read" for side, _ in self._reads}
        return [part for part in mixed if part in read or part.startswith(f"{self.task}_")]

    def __call__(self, state: Any, mixed: Tensors, fixed: Tensors) -> tuple[Any, Any]:
        """Logits ``(m, outputs)`` and what the head reads first ``(m, units)``."""
        offset = input_name(self.task)
        direct = [mixed[f"{self.task}_offset"] if name == offset else fixed[name]
                  for name in self.inputs]  # fmt: skip
        reads = [mixed[f"{side}_read"][:, at] for side, at in self._reads]
        logits, hidden = self._function([state, *self._tables, *reads, *direct])
        return logits, hidden

    def candidate(self, encoder: EntityEncoder, inputs: Tensors, which: Any) -> Tensors:
        """Embedded parts of the candidates that a ranking task is asked about."""
        found = {
            f"{self.task}_candidate": terms(encoder, which + 1),
            f"{self.task}_bias": ops.take(self.head.bias, which)[:, None],
        }
        if hasattr(self.head, "evidence"):
            counts = self.head.evidence(inputs["user"], inputs[link_name(self.task)])
            chosen = ops.one_hot(which, counts[0].shape[-1], dtype="float32")
            own = [ops.log1p(ops.sum(kind * chosen, axis=-1)) for kind in counts]
            found[f"{self.task}_links"] = ops.stack(own, axis=1)
        return found

    def value(self, logits: Any, hidden: Any, mixed: Tensors, which: Any, kind: Any) -> Any:
        """The one logit that is explained, see :func:`logit`."""
        if f"{self.task}_candidate" not in mixed:
            return logit(logits, which, kind)
        state = ops.sum(mixed[f"{self.task}_candidate"], axis=1)
        query = ops.matmul(hidden, self.head.query) / state.shape[-1] ** 0.5
        own = ops.sum(query * state, axis=-1) + mixed[f"{self.task}_bias"][:, 0]
        if f"{self.task}_links" in mixed:
            weights = ops.matmul(hidden, self.head.kinds[:-1]) + self.head.kinds[-1]
            own += self.head.SPEED * ops.sum(weights * mixed[f"{self.task}_links"], axis=-1)
        return own - _others(logits, which)


def logit(logits: Any, which: Any, kind: Any) -> Any:
    """The one number of a task's logits that is explained, ``(m,)``.

    Yes or no, and each label of a set: its logit. Numbers: in units of the label where predictions
    are linear in logits, else the first logit. Levels: the mean over thresholds, which differ by
    constants. Classes and candidates: log-odds against all others together.

    Args:
        logits: ``(m, outputs)``.
        which: class, label or candidate, ``(m,)``.
        kind: the task type.
    """
    if kind.form is Form.LEVEL:
        return ops.mean(logits, axis=-1)
    if kind.form is Form.SET:
        return ops.sum(logits * ops.one_hot(which, logits.shape[-1], dtype=logits.dtype), axis=-1)
    if kind.form in (Form.CLASS, Form.RANK):
        chosen = ops.one_hot(which, logits.shape[-1], dtype=logits.dtype)
        return ops.sum(logits * chosen, axis=-1) - _others(logits, which)
    return logits[:, 0] * unit(kind)


def unit(kind: Any) -> float:
    """How many units of the label one unit of the logit is; 1 where that is not constant."""
    linear = kind.form is Form.NUMBER and kind.outputs == 1
    return float(getattr(kind, "deviation", 1.0)) if linear else 1.0


def _others(logits: Any, which: Any) -> Any:
    chosen = ops.one_hot(which, logits.shape[-1], dtype=logits.dtype)
    return ops.logsumexp(logits - OUT * chosen, axis=-1)


def terms(encoder: EntityEncoder, rows: Any) -> Any:
    """What each feature adds to the states of some rows, ``(n, features, width)``."""
    terms = []
    for one, table, projection in zip(
        encoder.fields, encoder.tables, encoder.projections, strict=True
    ):
        values = table(rows)
        if one["kind"] not in PLAIN:
            values = encoder.vectors[one["name"]](values)
        terms.append(projection(values))
    if not terms:
        return ops.zeros((ops.shape(rows)[0], 0, encoder.width), "float32")
    return ops.stack(terms, axis=1)


def _place(model: MultiTaskModel, tensor: keras.KerasTensor) -> tuple[str, int]:
    """Which reader's output a task's reading was cut from, and where."""
    cut = tensor._keras_history.operation
    node = cut._inbound_nodes[tensor._keras_history.node_index]
    source = node.input_tensors[0]._keras_history.operation
    side = next(name for name, reader in model.readers.items() if reader is source)
    return side, int(node.arguments.args[1][1])


def _baseline(model: MultiTaskModel, assembly: Assembly, events: Events) -> Tensors:
    """The reference input, ``(1, slots, ...)`` each: an average user with an average item.

    Means of embeddings are no row that was ever seen, so the answer for them is not the average
    answer, and can be far from the base rate.
    """
    encoder = assembly.encoder
    sides = {"user": encoder.user, "item": encoder.item}
    found: Tensors = {}
    shares = {s: _shares(getattr(events, s), len(side.ids)) for s, side in sides.items()}
    for side in sides.keys() & model.encoders.keys():
        found[side] = _mean(lambda rows, s=side: terms(model.encoders[s], rows), shares[side])
    if "item" in found:
        usual = events.features[1:].sum(axis=0) / max(len(events.features) - 1, 1)
        event = [found["item"].sum(axis=1), usual[None], np.zeros((1, 1))]
        found[HISTORY] = np.concatenate(event, axis=-1)[:, None]
    for side, scaler in encoder.contexts.items():
        found[f"{side}_context"] = np.zeros((1, len(scaler.columns), 2))
    for side, reader in model.readers.items():
        found[f"{side}_read"] = _mean(reader, shares[side])
    for task, head in model.heads.items():
        kind = assembly.types[task]
        if task in assembly.offsets:
            zero = np.zeros((1, len(assembly.offsets[task].mean)))
            found[f"{task}_offset"] = kind.logits(assembly.offsets[task].total(zero, zero))
        if kind.candidates and hasattr(head, "query"):
            side = kind.candidates.removesuffix("s")
            found[f"{task}_candidate"] = found[side]
            found[f"{task}_bias"] = np.mean(head.bias).reshape(1, 1)
            found[f"{task}_links"] = np.zeros((1, len(LINKS)))
    return {part: tf.constant(values, tf.float32) for part, values in found.items()}


def _shares(rows: Array, size: int) -> Array:
    """Share of the past events that each row has, ``(size + 1,)``; all alike without events."""
    counts = np.bincount(rows[1:], minlength=size + 1).astype("float64")
    counts[0] = 0.0
    if not counts.sum():
        counts[1:] = 1.0
    return counts / max(counts.sum(), 1.0)


def _mean(embedded: Any, shares: Array) -> Array:
    """Mean of what rows are embedded as, ``(1, ...)``."""
    rows, total = np.flatnonzero(shares), None
    for start in range(0, len(rows), CHUNK):
        some = rows[start : start + CHUNK]
        found = ops.convert_to_numpy(embedded(some.astype("int32"))).astype("float64")
        part = np.tensordot(shares[some], found, axes=1)
        total = part if total is None else total + part
    if total is None:  # nobody is known
        total = np.zeros(ops.convert_to_numpy(embedded(np.zeros(1, "int32"))).shape[1:])
    return total[None]


def _spec(tensor: Any) -> tf.TensorSpec:
    return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)
