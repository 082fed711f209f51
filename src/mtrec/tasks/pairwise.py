"""Bayesian personalised ranking: the item must beat each other item."""

from __future__ import annotations

from keras import ops


def pairwise_loss(labels, logits):
    r"""Mean over all other items of the logistic loss of the difference.

    .. math:: -\frac{1}{N-1} \sum_{j \ne y} \log\sigma(z_y - z_j)

    BPR samples one negative item :math:`j` per step, uniformly. Since the head scores the whole
    catalogue anyway, this is the exact expectation over that draw: same gradient on average, no
    noise. Like a full softmax, it counts items that the user took at another time as negatives.

    Args:
        labels: positions in the catalogue, ``(batch,)``.
        logits: ``(batch, items)``.

    Returns:
        Loss per row, ``(batch,)``.

    Source: Rendle et al. 2009, https://arxiv.org/abs/1205.2618, eq. 4, without its prior.
    """
    labels, logits = ops.convert_to_tensor(labels), ops.convert_to_tensor(logits)
    items = logits.shape[-1]
    other = ops.cast(labels[:, None] != ops.arange(items, dtype=labels.dtype), logits.dtype)
    own = ops.take_along_axis(logits, labels[:, None], axis=1)
    return ops.sum(other * ops.softplus(logits - own), axis=-1) / (items - 1)
