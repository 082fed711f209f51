"""One compiled step (forward, the balancer's weights, gradients, update) and a run of them."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from mtrec.balancing import Balancer
from mtrec.models.model import MultiTaskModel
from mtrec.training.augmentation import Augmenter
from mtrec.training.lazy import LazyAdamW
from mtrec.training.objective import NO_LABEL, Losses
from mtrec.training.parts import Forward, complete, cut, divide, weighted
from mtrec.training.penalty import penalty_scale


def compile_step(
    model: MultiTaskModel,
    optimizer: keras.optimizers.Optimizer,
    balancer: Balancer,
    losses: Losses,
    gradients_on: str,
    l2: float = 0.0,
    augmenter: Augmenter | None = None,
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
        l2: weight of the penalty :math:`\frac12 \sum w^2`, in units of the tasks' mean weight
            within bounds (:func:`mtrec.training.penalty.penalty_scale`). Unlike the optimiser's
            decay it passes through the moments of Adam, so that weights with small gradients,
            such as embeddings of rare ids, shrink most.
        augmenter: changes batches at random, if any.
    """
    parts, variables = cut(model), divide(model)
    lazy = isinstance(optimizer, LazyAdamW)

    @tf.function(autograph=False)  # its translation of Python would take as long as the trace
    def step(data: dict, rows: tf.Tensor) -> tf.Tensor:
        batch = tf.nest.map_structure(lambda values: tf.gather(values, rows), data)
        drawn = mixing = None
        if augmenter is not None:
            drawn = augmenter.at(optimizer.iterations)
            batch = {**batch, "inputs": drawn.inputs(batch["inputs"])}
            mixing = drawn.mixing(batch["masks"])
        run = Forward(parts, variables, batch["inputs"], batch["masks"], drawn, mixing)
        with run.above:
            means, counts = losses(batch, run.logits)
            if mixing is not None:
                means = mixing.loss(means, losses(mixing.others(batch), run.logits)[0])
        stacked, present = tf.stack(means), tf.stack(counts) > 0
        per_task = [run.to_seam(mean) for mean in means]
        at_seam = [gradients for gradients, _ in per_task]
        gram = _gram(run, at_seam, gradients_on) if balancer.needs == "gradients" else None
        weights = tf.unstack(tf.stop_gradient(balancer.weigh(stacked, gram, present)), len(means))
        on_heads = weights if balancer.weighs_heads else [1.0] * len(weights)
        found = [
            *run.to_shared(weighted(at_seam, weights), lazy),
            *run.to_private(weighted(at_seam, on_heads)),
            *complete(weighted([own for _, own in per_task], on_heads), variables.above),
        ]
        if l2:
            scale = l2 * penalty_scale(tf.stack(weights), gram)
            own = scale if balancer.weighs_heads else l2
            scales = [scale] * len(variables.shared) + [own] * len(variables.owned)
            found = penalised(found, [*variables.shared, *variables.owned], scales)
        optimizer.apply(found, [*variables.shared, *variables.owned])
        if balancer.observes:
            again = Forward(parts, variables, batch["inputs"], batch["masks"], drawn, mixing)
            after, _ = losses(batch, again.logits)
            if mixing is not None:
                after = mixing.loss(after, losses(mixing.others(batch), again.logits)[0])
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


def compile_evaluation(model: MultiTaskModel, losses: Losses) -> Callable:
    """Function from all data and row numbers to summed losses and counts, ``(tasks,)`` each."""
    parts = cut(model)

    @tf.function(reduce_retracing=True, autograph=False)
    def evaluate(data: dict, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch = tf.nest.map_structure(lambda values: tf.gather(values, rows), data)
        sums, counts = losses(batch, parts.predict(batch["inputs"], batch["masks"]))
        return tf.stack(sums), tf.stack(counts)

    return evaluate


def _gram(run: Forward, at_seam: list[list], gradients_on: str) -> tf.Tensor:
    """Gram matrix of task gradients where the settings want it, 0 where it is not finite.

    A solver would fail on NaN; the losses of the epoch tell which task it came from.
    """
    to = run.to_shared if gradients_on == "weights" else run.to_representation
    gram = gram_matrix([to(gradients) for gradients in at_seam])
    return tf.where(tf.math.is_finite(gram), gram, 0.0)


def gram_matrix(per_task: list[list]) -> tf.Tensor:
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
