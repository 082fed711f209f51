"""One compiled step (forward, the balancer's weights, gradients, update) and a run of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from mtrec.balancing import Balancer
from mtrec.training.lazy import LazyAdamW
from mtrec.training.objective import NO_LABEL, Losses


def compile_step(
    model: keras.Model,
    optimizer: Any,
    balancer: Balancer,
    losses: Losses,
    gradients_on: str,
    l2: float = 0.0,
) -> Callable[[dict, tf.Tensor], tf.Tensor]:
    r"""Function from all data and the row numbers of a batch to losses ``(tasks,)``.

    A method that combines gradients has its weights on what tasks share; towers, heads and the
    task-owned parts of the shared layer follow their own losses.

    Args:
        model: model from index batches to logits by task.
        optimizer: built Keras optimiser.
        balancer: weighs the tasks.
        losses: see :func:`mtrec.training.objective.training_losses`.
        gradients_on: what the Gram matrix is taken on: ``representation`` (the input of the
            shared layer, at about the cost of one backward pass) or ``weights`` (all shared
            weights, at one backward pass per task).
        l2: weight of the penalty :math:`\frac12 \sum w^2`, in units of the tasks' mean weight.
            Unlike the optimiser's decay it passes through the moments of Adam, so that weights
            with small gradients, such as embeddings of rare ids, shrink most.
    """
    probe = with_seam(model)
    shared, private, upper = (list(part) for part in divided(model))
    variables = [*shared, *private, *upper]
    lazy = isinstance(optimizer, LazyAdamW)

    @tf.function(autograph=False)  # its translation of Python would take as long as the trace
    def step(data: dict, rows: tf.Tensor) -> tf.Tensor:
        batch = tf.nest.map_structure(lambda values: tf.gather(values, rows), data)
        with tf.GradientTape(persistent=True) as tape:
            logits, representation, seam = probe(batch["inputs"], training=True)
            means, counts = losses(batch, logits)
            extra = [*probe.losses]  # such as the load balance of gates
        stacked, present = tf.stack(means), tf.stack(counts) > 0
        above = [tape.gradient(mean, [*seam, *upper]) for mean in means]
        at_seam = [gradients[: len(seam)] for gradients in above]
        gram = None
        if balancer.needs == "gradients":
            sources = shared if gradients_on == "weights" else [representation]
            gram = gram_matrix([below(tape, seam, task, sources) for task in at_seam])
        weights = tf.unstack(tf.stop_gradient(balancer.weigh(stacked, gram, present)), len(means))
        on_heads = weights if balancer.weighs_heads else [1.0] * len(weights)
        found = below(tape, seam, weighted(at_seam, weights), shared, extra, lazy)
        found += below(tape, seam, weighted(at_seam, on_heads), private, extra)
        found += complete(
            weighted([gradients[len(seam) :] for gradients in above], on_heads), upper
        )
        if l2:
            # A balancer may scale all losses alike, or turn one against its own gradient.
            scale = l2 * tf.reduce_mean(tf.abs(tf.stack(weights)))
            own = scale if balancer.weighs_heads else l2
            scales = [scale] * len(shared) + [own] * (len(private) + len(upper))
            found = penalised(found, variables, scales)
        optimizer.apply(found, variables)
        if balancer.observes:
            after, _ = losses(batch, probe(batch["inputs"], training=True)[0])
            balancer.observe(tf.stack(after), present)
        return tf.where(present, stacked, NO_LABEL)

    return step


def compile_steps(
    step: Callable[[dict, tf.Tensor], tf.Tensor], tasks: int, data: dict, batch: int
) -> Callable[[dict, tf.Tensor], tf.Tensor]:
    """Function from all data and batches ``(n, batch)`` to losses ``(n, tasks)``, traced once.

    TensorFlow runs the loop over the batches: the same updates as of single calls, bit by bit,
    without a call from Python for each.

    Args:
        step: see :func:`compile_step`.
        tasks: their number.
        data: what the function will be given.
        batch: rows of a step.
    """
    given = tf.nest.map_structure(lambda values: tf.TensorSpec(values.shape, values.dtype), data)
    signature = (given, tf.TensorSpec((None, batch), tf.int32))

    @tf.function(input_signature=signature, autograph=False)
    def steps(data: dict, order: tf.Tensor) -> tf.Tensor:
        def body(at: tf.Tensor, losses: tf.TensorArray) -> tuple:
            return at + 1, losses.write(at, step(data, order[at]))

        count = tf.shape(order)[0]
        empty = tf.TensorArray(tf.float32, size=count, element_shape=(tasks,))
        _, losses = tf.while_loop(lambda at, _: at < count, body, (0, empty))
        return losses.stack()

    return steps


def compile_evaluation(model: keras.Model, losses: Losses) -> Callable:
    """Function from all data and row numbers to summed losses and counts, ``(tasks,)`` each."""

    @tf.function(reduce_retracing=True, autograph=False)
    def evaluate(data: dict, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch = tf.nest.map_structure(lambda values: tf.gather(values, rows), data)
        sums, counts = losses(batch, model(batch["inputs"], training=False))
        return tf.stack(sums), tf.stack(counts)

    return evaluate


def with_seam(model: keras.Model) -> keras.Model:
    """The same model with two more outputs, between which the balancer's weights act.

    These are the input of the shared layer, and the seam: a list of all that towers and heads read
    of what tasks share (a tower's input each, the states of the catalogue that a head ranks). The
    dear part of a backward pass, the heads, is then gone through once per task, whatever weights
    the balancer finds in between.
    """
    seam = []
    for task in model.output:
        seam.append(model.get_layer(f"{task}_tower").input)
        head = model.get_layer(f"{task}_head").input
        seam += head[1:] if isinstance(head, list | tuple) else []
    return keras.Model(model.input, (model.output, model.get_layer("shared").input, seam))


def divided(model: keras.Model) -> tuple[list, list, list]:
    """Trainable variables: shared by tasks, a task's own in the shared layer, towers and heads."""
    layers = [
        model.get_layer(f"{task}_{part}") for task in model.output for part in ("tower", "head")
    ]
    upper = [variable for layer in layers for variable in layer.trainable_variables]
    private = [variable for variable in model.get_layer("shared").private if variable.trainable]
    names = {id(variable) for variable in [*private, *upper]}
    return [v for v in model.trainable_variables if id(v) not in names], private, upper


def split_variables(model: keras.Model) -> tuple[list, list]:
    """Trainable variables that several tasks share, and those that one task owns."""
    shared, private, upper = divided(model)
    return shared, [*private, *upper]


def below(
    tape: Any,
    seam: list,
    gradients: list,
    sources: list,
    extra: Sequence[Any] = (),
    sparse: bool = False,
) -> list:
    """Carry gradients at the seam on to ``sources``; zeros where none reaches one.

    Args:
        tape: persistent, of the forward pass.
        seam: see :func:`with_seam`.
        gradients: one per tensor of the seam, None where there is none.
        sources: variables or tensors below it.
        extra: losses that are added as they are.
        sparse: whether the gradient of a table holds only the rows that were read
            (``tf.IndexedSlices``).
    """
    if not sources:
        return []
    pairs = [pair for pair in zip(seam, gradients, strict=True) if pair[1] is not None]
    targets = [*(at for at, _ in pairs), *extra]
    outer = [*(gradient for _, gradient in pairs), *map(tf.ones_like, extra)]
    found = tape.gradient(targets, sources, output_gradients=outer)
    return complete(found, sources, sparse)


def complete(gradients: list, sources: list, sparse: bool = False) -> list:
    """Zeros instead of None, and whole arrays instead of ``tf.IndexedSlices`` unless ``sparse``."""
    return [
        tf.zeros_like(source) if gradient is None
        else gradient if sparse else tf.convert_to_tensor(gradient)
        for gradient, source in zip(gradients, sources, strict=True)
    ]  # fmt: skip


def weighted(per_task: list[list], weights: Sequence[Any]) -> list:
    """Weighted sum of the tasks' gradients, a list each; None where no task has one."""
    sums: list[Any] = []
    for parts in zip(*per_task, strict=True):
        pairs = [pair for pair in zip(parts, weights, strict=True) if pair[0] is not None]
        terms = [tf.cast(weight, gradient.dtype) * gradient for gradient, weight in pairs]
        sums.append(sum(terms[1:], terms[0]) if terms else None)
    return sums


def gram_matrix(per_task: list[list]) -> Any:
    """Inner products of task gradients, each a list of arrays: ``(tasks, tasks)`` float32."""
    total = 0.0
    for parts in zip(*per_task, strict=True):
        flat = tf.stack([tf.reshape(tf.cast(part, tf.float32), [-1]) for part in parts])
        total += tf.matmul(flat, flat, transpose_b=True)
    return total


def penalised(gradients: list, variables: list, scales: list) -> list:
    r"""Gradients with those of :math:`\frac s2 \sum w^2` added, a scale :math:`s` per variable."""
    parts = zip(gradients, variables, scales, strict=True)
    return [gradient + scale * variable for gradient, variable, scale in parts]
