r"""A training step on Keras' JAX backend, whose batch is divided over the devices of all processes.

The arithmetic is that of :func:`mtrec.training.step.compile_step`, on the whole batch: means over
its labels, the Gram matrix :math:`G_{st} = \langle g_s, g_t \rangle` over its rows. XLA divides the
work by the rows and adds up what the processes have found. A step is two compiled functions with
the balancer between them, which TensorFlow computes in every process from the same few numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mtrec.models.model import MultiTaskModel
from mtrec.scale.objective import Batch, Objective
from mtrec.training.parts import cut, divide
from mtrec.training.tops import answers

ROWS = "rows"  # the one axis of the mesh
NO_CLASS = -1  # of a row that is added: no other row's negative in a sampled softmax
Values = list[jax.Array]


class State(NamedTuple):
    """What a step changes.

    Attributes:
        trained: values of the trained variables: shared, then owned.
        optimizer: of the optimiser's variables.
        seeds: of the states of generators, from which dropout is drawn.
    """

    trained: Values
    optimizer: Values
    seeds: Values


class Own(NamedTuple):
    """What the loss of a task reads, by position.

    Attributes:
        tops: tasks whose towers and heads it goes through.
        above: variables of these.
        states: the tasks' states.
        below: what they have of what lies below the shared layer, such as states of catalogues.
    """

    tops: tuple[str, ...]
    above: tuple[int, ...]
    states: tuple[int, ...]
    below: tuple[int, ...]


class Found(NamedTuple):
    """What the first half of a step hands to the second.

    Attributes:
        to_below: from gradients at the outputs of what lies below the shared layer to its weights.
        to_shared: from gradients at the states to the shared layer's weights and its input.
        above: gradients of each task on the variables that it owns, by position.
        states: gradients of each task at the tasks' states, by position.
        below: gradients of each task at what it has of what lies below.
        zeros: arrays like states, like what lies below, and like the layer's own losses.
    """

    to_below: Any
    to_shared: Any
    above: list[dict[int, jax.Array]]
    states: list[dict[int, jax.Array]]
    below: list[dict[int, jax.Array]]
    zeros: tuple[list, list, list]


class Steps:
    """The compiled functions of one training.

    Args:
        model: trained on a mesh; its own variables keep their values.
        optimizer: built for the trained variables, shared, then owned.
        losses: of its tasks.
        mesh: of all devices, with the one axis ``ROWS``.
        rows: of a batch.
        gradients_on: what the Gram matrix is taken on, ``representation`` or ``weights``; None
            where none is wanted.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        optimizer: keras.optimizers.Optimizer,
        losses: Objective,
        mesh: Mesh,
        rows: int,
        gradients_on: str | None,
    ):
        self.parts, self.variables, self.optimizer = cut(model), divide(model), optimizer
        self.losses, self.gradients_on = losses, gradients_on
        self.trained = [*self.variables.shared, *self.variables.owned]
        known = {id(variable) for variable in self.trained}
        rest = [variable for variable in model.variables if id(variable) not in known]
        self.seeds = [one for one in rest if one.name == "seed_generator_state"]
        self.fixed = [one for one in rest if one.name != "seed_generator_state"]
        self._own = _own(model, losses, self.variables.above)
        self.mesh, self.rows = mesh, rows
        self.padded = -(-rows // mesh.size) * mesh.size
        # Rows that are added to make the batch divisible count in no loss; but experts' load has
        # no mask, and is computed on what is cut off, whose parts differ in size.
        self._cuts = self.padded != rows and bool(getattr(model.shared, "load_balance", 0.0))
        everywhere = self.everywhere
        self.forward = jax.jit(self._forward)
        self.update = jax.jit(self._update, out_shardings=everywhere, donate_argnums=(0, 1))
        self.again = jax.jit(self._again, out_shardings=everywhere)
        self.judge = jax.jit(self._judge, out_shardings=everywhere)

    @property
    def everywhere(self) -> NamedSharding:
        """Every device holds the whole."""
        return NamedSharding(self.mesh, PartitionSpec())

    def spread(self, values: Sequence[Any]) -> Values:
        """Give arrays, the same in every process, to all devices."""
        return [self._place(np.asarray(value)) for value in values]

    def state(self) -> State:
        """The present values of the variables, on all devices."""
        variables = (self.trained, self.optimizer.variables, self.seeds)
        return State(*(self.spread(some) for some in variables))

    def keep(self, state: State) -> None:
        """Write values back into the variables of this process."""
        variables = [self.trained, self.optimizer.variables, self.seeds]
        for some, values in zip(variables, state, strict=True):
            for variable, value in zip(some, values, strict=True):
                variable.assign(np.asarray(value))

    def batch(self, data: Batch, rows: np.ndarray, length: int) -> dict[str, dict[str, jax.Array]]:
        """The batch of some rows; each process reads the rows of its own devices alone.

        Args:
            data: arrays of all rows.
            rows: numbers of the batch's rows.
            length: rows that are made of these; the masks of those that are added are 0.
        """
        where = NamedSharding(self.mesh, PartitionSpec(ROWS))
        share = length // jax.process_count()
        mine = slice(jax.process_index() * share, (jax.process_index() + 1) * share)
        filled = np.concatenate([rows, np.repeat(rows[:1], length - len(rows))])[mine]
        counts = (np.arange(length) < len(rows))[mine]

        def place(group: str, values: np.ndarray) -> jax.Array:
            own = values[filled]
            if group == "masks":
                own = own * counts
            if group == "labels" and own.ndim == 1 and np.issubdtype(own.dtype, np.integer):
                own = np.where(counts, own, NO_CLASS)
            return jax.make_array_from_process_local_data(where, own)

        return {
            group: {name: place(group, values) for name, values in arrays.items()}
            for group, arrays in data.items()
        }

    def _place(self, value: np.ndarray) -> jax.Array:
        return jax.make_array_from_callback(value.shape, self.everywhere, lambda at: value[at])

    def _forward(
        self, trained: Values, seeds: Values, fixed: Values, batch: Batch
    ) -> tuple[jax.Array, jax.Array, jax.Array | None, Found, Values]:
        """Losses ``(tasks,)``, counts of labels, Gram matrix, what led there, and new seeds."""
        batch = self._whole(batch)
        below, middle, private, above = self._divided(trained)

        def lower(values: Values) -> tuple[list, Values]:
            found, _, after = self._run(
                self.variables.below, values, seeds, fixed,
                lambda: self.parts.below(batch["inputs"], training=True),
            )  # fmt: skip
            return found, after

        (representation, *tables), to_below, seeds_below = jax.vjp(lower, below, has_aux=True)

        def middle_of(values: Values, owned: Values, read: jax.Array) -> tuple[tuple, Values]:
            found, extra, after = self._run(
                [*self.variables.middle, *self.variables.private], [*values, *owned], seeds_below,
                fixed, lambda: self.parts.shared(read, training=True),
            )  # fmt: skip
            return (found, extra), after

        (states, extra), to_shared, seeds = jax.vjp(
            middle_of, middle, private, representation, has_aux=True
        )
        zeros = jax.tree.map(jnp.zeros_like, (states, tables, extra))
        means, counts, drawn, grads = [], [], [], []
        for name, own in self._own.items():
            mean, back, (count, after) = jax.vjp(
                self._loss(name, own, seeds, fixed, batch),
                *([values[i] for i in at] for values, at in zip(
                    (above, states, tables), own[1:], strict=True)),
                has_aux=True,
            )  # fmt: skip
            means.append(mean)
            counts.append(count)
            drawn.append(after)
            found = back(jnp.ones_like(mean))
            grads.append(
                [dict(zip(at, one, strict=True)) for at, one in zip(own[1:], found, strict=True)]
            )
        seeds = [jnp.stack(one).max(axis=0) for one in zip(*drawn, strict=True)]
        owned, at_states, at_below = ([one[i] for one in grads] for i in range(3))
        result = Found(to_below, to_shared, owned, at_states, at_below, zeros)
        gram = self._gram(result) if self.gradients_on else None
        stacked, labels = jnp.stack(means), jnp.stack(counts)
        stacked, labels, gram = jax.lax.with_sharding_constraint(
            (stacked, labels, gram), self.everywhere
        )
        return stacked, labels, gram, result, seeds

    def _loss(self, name: str, own: Own, seeds: Values, fixed: Values, batch: Batch) -> Callable:
        """A task's loss as a function of what it reads."""
        tops = {task: self.parts.above[task] for task in own.tops}

        def loss(values: Values, states: list, below: list) -> tuple[jax.Array, tuple]:
            variables = [self.variables.above[i] for i in own.above]
            logits, _, after = self._run(variables, values, seeds, fixed, lambda: answers(
                tops, states, below, batch["inputs"], None, True))  # fmt: skip
            mean, count = self.losses.mean(name, batch, logits)
            return mean, (count, after)

        return loss

    def _update(
        self,
        trained: Values,
        optimizer: Values,
        found: Found,
        weights: jax.Array,
        on_heads: jax.Array,
        penalties: jax.Array,
    ) -> tuple[Values, Values]:
        """New values of trained variables and of the optimiser's.

        Args:
            trained: values before.
            optimizer: values before.
            found: of the first half.
            weights: of the tasks on what they share, ``(tasks,)``.
            on_heads: of the tasks on what each owns, ``(tasks,)``.
            penalties: factors of all weights that are shared, and owned, ``(2,)``.
        """
        shared = self._to_shared(found, _weighted(found.states, weights),
                                 _weighted(found.below, weights), 1.0)  # fmt: skip
        states = _filled(_weighted(found.states, on_heads), found.zeros[0])
        _, private, _ = found.to_shared((states, [one + 1.0 for one in found.zeros[2]]))
        above = _weighted(found.above, on_heads)
        *_, before = self._divided(trained)
        gradients = [*shared, *private, *(
            above.get(i, jnp.zeros_like(value)) for i, value in enumerate(before))]  # fmt: skip
        ends = len(self.variables.shared)
        gradients = [
            gradient + penalties[0 if i < ends else 1] * value
            for i, (gradient, value) in enumerate(zip(gradients, trained, strict=True))
        ]
        return tuple(self.optimizer.stateless_apply(optimizer, gradients, trained))

    def _again(
        self, trained: Values, seeds: Values, fixed: Values, batch: Batch
    ) -> tuple[jax.Array, Values]:
        """Losses of a batch after the step, ``(tasks,)``, and new seeds."""
        batch = self._whole(batch)
        logits, after = self._logits(trained, seeds, fixed, batch, True)
        return jnp.stack([self.losses.mean(name, batch, logits)[0] for name in self._own]), after

    def _judge(
        self, trained: Values, seeds: Values, fixed: Values, batch: Batch
    ) -> tuple[jax.Array, jax.Array]:
        """Summed validation losses and counts of labels, ``(tasks,)`` each."""
        logits, _ = self._logits(trained, seeds, fixed, batch, False)
        sums = [self.losses.held(name, batch, logits) for name in self._own]
        return jnp.stack([one for one, _ in sums]), jnp.stack([count for _, count in sums])

    def _logits(
        self, trained: Values, seeds: Values, fixed: Values, batch: Batch, training: bool
    ) -> tuple[Mapping[str, jax.Array], Values]:
        def whole() -> Mapping[str, jax.Array]:
            representation, *tables = self.parts.below(batch["inputs"], training=training)
            states = self.parts.shared(representation, training=training)
            inputs = batch["inputs"]
            return answers(self.parts.above, states, tables, inputs, None, training)

        logits, _, after = self._run(self.trained, trained, seeds, fixed, whole)
        return logits, after

    def _run(
        self, variables: Sequence, values: Values, seeds: Values, fixed: Values, call: Callable
    ) -> tuple[Any, list, Values]:
        """What a call gives with given values, the losses of its layers, and new seeds."""
        pairs = [*zip(variables, values, strict=True), *zip(self.seeds, seeds, strict=True),
                 *zip(self.fixed, fixed, strict=True)]  # fmt: skip
        with keras.StatelessScope(pairs, collect_losses=True) as scope:
            found = call()
        return found, list(scope.losses), [scope.get_current_value(one) for one in self.seeds]

    def _gram(self, found: Found) -> jax.Array:
        """Inner products of task gradients ``(tasks, tasks)`` float32, 0 where not finite."""
        per_task = []
        for states, below in zip(found.states, found.below, strict=True):
            if self.gradients_on == "weights":
                per_task.append(self._to_shared(found, states, below, 0.0))
            else:
                filled = _filled(states, found.zeros[0])
                per_task.append([found.to_shared((filled, found.zeros[2]))[2]])
        total = jnp.zeros((), "float32")
        for parts in zip(*per_task, strict=True):
            stacked = jnp.stack(parts).astype("float32")
            axes = tuple(range(1, stacked.ndim))
            total += jax.lax.dot_general(
                stacked, stacked, ((axes, axes), ((), ())), precision=jax.lax.Precision.HIGHEST
            )
        return jnp.where(jnp.isfinite(total), total, 0.0)

    def _to_shared(self, found: Found, states: dict, below: dict, extra: float) -> Values:
        """Gradients at the seam, and of the layer's own losses, on all shared variables."""
        filled = _filled(states, found.zeros[0])
        losses = [one + extra for one in found.zeros[2]]
        middle, _, representation = found.to_shared((filled, losses))
        (lower,) = found.to_below([representation, *_filled(below, found.zeros[1])])
        return [*lower, *middle]

    def _whole(self, batch: Batch) -> Batch:
        return jax.tree.map(lambda x: x[: self.rows], batch) if self._cuts else batch

    def _divided(self, trained: Values) -> list[Values]:
        """Values of the variables below, in the middle, private and above."""
        parts, left = [], list(trained)
        for some in (self.variables.below, self.variables.middle, self.variables.private):
            parts.append(left[: len(some)])
            left = left[len(some) :]
        return [*parts, left]


def _own(model: MultiTaskModel, losses: Objective, above: Sequence) -> dict[str, Own]:
    """What each task's loss reads."""
    names, place, at = list(model.tasks), {}, 0
    for name, part in model.tasks.items():
        width = len(part.tables) + len(part.reads)
        place[name], at = range(at, at + width), at + width
    number = {id(variable): i for i, variable in enumerate(above)}
    found = {}
    for name in names:
        tops = losses.reads(name)
        owned = [layer for task in tops for layer in model.owned[task]]
        variables = {id(v): None for layer in owned for v in layer.trainable_variables}
        found[name] = Own(
            tops, tuple(number[one] for one in variables), tuple(names.index(t) for t in tops),
            tuple(i for task in tops for i in place[task]),
        )  # fmt: skip
    return found


def _weighted(per_task: Sequence[Mapping[int, jax.Array]], weights: jax.Array) -> dict:
    """Weighted sum of the tasks' gradients, by position."""
    total: dict[int, jax.Array] = {}
    for number, some in enumerate(per_task):
        for i, gradient in some.items():
            term = weights[number].astype(gradient.dtype) * gradient
            total[i] = total[i] + term if i in total else term
    return total


def _filled(gradients: Mapping[int, jax.Array], zeros: list) -> list:
    """Gradients in order, zeros where there is none."""
    return [gradients.get(i, zero) for i, zero in enumerate(zeros)]
