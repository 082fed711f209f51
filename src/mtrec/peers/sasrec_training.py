r"""Training of SASRec: the next item of each event, by cross-entropy over the whole catalogue.

Each user's sequence begins with row 0, so that what comes first is learnt, too. In each epoch it is
cut anew into windows of at most :data:`LENGTH` events, the first cut by chance. Windows of like
length share a batch, so that little is computed of what is not there.

Source: Klenitskiy and Vasilev 2023, "Turning Dross Into Gold Loss: is BERT4Rec really better than
SASRec?", https://arxiv.org/abs/2309.07602, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain, count, islice

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from mtrec.features.events import Events
from mtrec.peers import attention

Array = np.ndarray
LENGTH, WIDTH, BLOCKS = 50, 48, 2
RATE = 6e-3  # of Adam
STEPS = (50, 200)  # of an epoch: as many as one pass takes, within these
EVENTS = (250, 2000)  # of a batch: smaller ones where one pass would take few steps
AVERAGED = 0.98  # momentum of the average over steps, which is what is kept
SMOOTH = 1.0  # events added to each item's count, of which the bias begins as the logarithm
Batch = tuple[Array, Array]


def epochs(
    events: Events, items: int, dropout: float, most: int, seed: int
) -> Iterator[dict[str, Array]]:
    """Weights as of :func:`mtrec.peers.attention.begin`, before training and after each epoch.

    Args:
        events: to learn from, by user and time; those without user or item are left out.
        items: size of the catalogue.
        dropout: share of units dropped.
        most: epochs.
        seed: of weights, windows and dropout.
    """
    user, item = (
        part[(events.user > 0) & (events.item > 0)] for part in (events.user, events.item)
    )
    length = min(LENGTH, np.bincount(user).max(initial=1))  # a later position would not be trained
    weights = attention.begin(items, length, WIDTH, BLOCKS, seed)
    counts = np.bincount(item, minlength=items + 1)[1:] + SMOOTH
    weights["bias"] = np.log(counts / counts.mean()).astype("float32")
    yield weights
    if not len(item):
        return
    rng = np.random.default_rng(seed)
    variables = {name: keras.Variable(values) for name, values in weights.items()}
    trained = list(variables.values())
    optimizer = keras.optimizers.Adam(RATE, beta_2=0.98, use_ema=True, ema_momentum=AVERAGED)
    optimizer.build(trained)
    step = compile_step(variables, optimizer, dropout, seed)
    size = int(np.clip(len(item) / STEPS[0], *EVENTS))
    steps = int(np.clip(len(item) / size, *STEPS))
    stream = chain.from_iterable(batches(user, item, length, size, rng) for _ in count())
    for _ in range(most):
        for given, wanted in islice(stream, steps):
            step(given, wanted)
        last = [ops.convert_to_numpy(one).copy() for one in trained]
        optimizer.finalize_variable_values(trained)
        yield {name: ops.convert_to_numpy(one).copy() for name, one in variables.items()}
        for one, values in zip(trained, last, strict=True):
            one.assign(values)


def batches(
    user: Array, item: Array, most: int, size: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """One pass over all events: windows of sequences in batches, in random order.

    Args:
        user: of each event, ``(n,)``, sorted.
        item: of each event in the order of time, ``(n,)``.
        most: events of a window, at most.
        size: events of a batch, about.
        rng: cuts the windows and shuffles them.

    Yields:
        What is given and what comes next, ``(windows, length)`` int32 each, 0 where nothing comes.
    """
    first = np.append(True, user[1:] != user[:-1])
    given = np.where(first, 0, np.append(0, item[:-1]))
    starts = np.flatnonzero(first)
    counts = np.diff(np.append(starts, len(user)))
    shift = np.where(counts >= most, rng.integers(0, most, len(counts)), 0)
    place = np.arange(len(user)) - np.repeat(starts - shift, counts)
    starts = np.flatnonzero(first | (place % most == 0))
    lengths = np.diff(np.append(starts, len(user)))
    order = np.lexsort((rng.random(len(starts)), lengths))
    number = np.cumsum(lengths[order]) // size
    parts = np.split(order, np.flatnonzero(np.diff(number)) + 1)
    for part in rng.permutation(len(parts)):
        begin, length = starts[parts[part]][:, None], lengths[parts[part]][:, None]
        column = np.arange(length.max())
        real, at = column < length, np.minimum(begin + column, len(user) - 1)
        before, after = (np.where(real, of[at], 0).astype("int32") for of in (given, item))
        yield before, after


def compile_step(
    variables: Mapping[str, keras.Variable],
    optimizer: keras.optimizers.Optimizer,
    dropout: float,
    seed: int,
) -> Callable[[Array, Array], tf.Tensor]:
    """Function from a batch of :func:`batches` to its mean loss, which moves the weights.

    Args:
        variables: weights as of :func:`mtrec.peers.attention.begin`.
        optimizer: built for them.
        dropout: share of units dropped.
        seed: of dropout.
    """
    trained = list(variables.values())
    seeds = keras.random.SeedGenerator(seed)
    rows = tf.TensorSpec((None, None), tf.int32)

    @tf.function(input_signature=[rows, rows], autograph=False)
    def step(given: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            found = attention.states(
                ops, variables, given, lambda x: keras.random.dropout(x, dropout, seed=seeds)
            )
            state, item = tf.boolean_mask(found, wanted > 0), tf.boolean_mask(wanted, wanted > 0)
            table, bias = variables["table"].value, variables["bias"].value
            own = tf.reduce_sum(state * tf.gather(table, item), axis=1) + tf.gather(bias, item - 1)
            loss = tf.reduce_mean(log_sum(state, table[1:], bias) - own)
        optimizer.apply(tape.gradient(loss, [one.value for one in trained]), trained)
        return loss

    return step


@tf.custom_gradient
def log_sum(state: tf.Tensor, table: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    r"""Logarithm of the sum of :math:`\exp(s \cdot t_j + b_j)` over all items, ``(n,)``.

    It is most of the cost; written out, gradient included, it reads the scores of the catalogue
    half as often as TensorFlow's own cross-entropy.

    Args:
        state: ``(n, width)``.
        table: ``(items, width)``.
        bias: ``(items,)``.
    """
    wide = tf.concat([state, tf.ones_like(state[:, :1])], axis=1)
    whole = tf.concat([table, bias[:, None]], axis=1)
    scores = tf.matmul(wide, whole, transpose_b=True)
    top = tf.reduce_max(scores, axis=1, keepdims=True)
    powers = tf.exp(scores - top)
    total = tf.reduce_sum(powers, axis=1, keepdims=True)

    def gradient(above: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        scale = above[:, None] / total
        of_items = tf.matmul(powers, wide * scale, transpose_a=True)
        return tf.matmul(powers, table) * scale, of_items[:, :-1], of_items[:, -1]

    return tf.squeeze(tf.math.log(total) + top, axis=1), gradient
