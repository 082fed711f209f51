"""Softmax over the items of the batch, corrected for their popularity."""

from __future__ import annotations

from keras import ops

NONE = -1e9  # logit of an item that is not drawn


def sampled_softmax_loss(labels, logits, log_popularity):
    r"""Estimate of the full softmax loss from the other items of the batch.

    The items of the other rows are draws from popularity :math:`Q`. Weighted by
    :math:`1/Q` (the "logQ correction"), those that differ from the row's own item :math:`y`
    estimate the rest of the softmax's denominator without bias:

    .. math:: \log\left(1 + e^{-z_y}\, \frac{1-Q_y}{n} \sum_{j:\, y_j \ne y}
        \frac{e^{z_{y_j}}}{Q_{y_j}} \right)

    with :math:`n` terms in the sum. Without the correction popular items, drawn more often, would
    be pushed down. The row's own item is not drawn but always there, so it is not corrected
    (Yi et al. correct it, too, which leaves a bias against rare items).

    This head scores the whole catalogue anyway; the loss shows what a catalogue too large for that
    has to live with, and saves no time here.

    Args:
        labels: positions in the catalogue, ``(batch,)``; -1 where unknown: no row's negative.
        logits: ``(batch, items)``.
        log_popularity: logarithm of each item's share of the training labels, ``(items,)``.

    Returns:
        Loss per row, ``(batch,)``; 0 where no other item is in the batch.

    Source: Yi et al. 2019, https://doi.org/10.1145/3298689.3346996, eq. 4-5; Khrylchenko et al.
    2025, https://arxiv.org/abs/2507.09331.
    """
    labels, logits = ops.convert_to_tensor(labels), ops.convert_to_tensor(logits)
    log_q = ops.convert_to_tensor(log_popularity, dtype=logits.dtype)
    item = ops.maximum(labels, 0)
    own = ops.take_along_axis(logits, item[:, None], axis=1)[:, 0]
    others = ops.take(logits - log_q, item, axis=1)  # (batch, batch): item of row j in row i
    drawn = ops.logical_and(labels[None, :] >= 0, item[None, :] != item[:, None])
    count = ops.maximum(ops.sum(ops.cast(drawn, logits.dtype), axis=1), 1.0)
    rest = ops.logsumexp(ops.where(drawn, others, NONE), axis=1) - ops.log(count)
    rest = rest + ops.log1p(-ops.exp(ops.take(log_q, item)))
    return ops.softplus(rest - own)
