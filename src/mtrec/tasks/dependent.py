"""A yes that needs another yes first, learnt from all rows: bought, given clicked."""

from __future__ import annotations

from keras import ops


def product_logit(logits, parent_logits):
    r"""Logit of the product of two probabilities, in logits alone.

    .. math:: \sigma^{-1}\left(\sigma(a)\,\sigma(b)\right) = -\log(e^{-a} + e^{-b} + e^{-a-b})

    Args:
        logits: of the task given its parent, any shape.
        parent_logits: of the parent, same shape.

    Example:
        >>> round(float(product_logit(0.0, 0.0)), 4)  # 1/2 times 1/2: odds of 1 to 3
        -1.0986
    """
    a, b = ops.convert_to_tensor(logits), ops.convert_to_tensor(parent_logits)
    return -ops.logsumexp(ops.stack([-a, -b, -a - b]), axis=0)


def entire_space_loss(labels, parent_labels, logits, parent_logits):
    r"""Logistic loss of "parent and task", on every row whose parent label is known.

    .. math:: -\log p \;\text{if both labels are 1}, \quad -\log(1-p) \;\text{otherwise}, \qquad
        p = p_{\text{parent}}\; p_{\text{task} \mid \text{parent}}

    A task learnt only where its parent is 1 sees a selected sample, few rows of it, and is then
    asked about all rows. Here every row counts, also in the gradient of the parent's head.

    Limits. What is right is the product: where the parent's model is too simple, the task's own
    probability takes up its error and is no longer the one among rows with parent 1; without
    such error that probability is identified only where the parent is 1 now and then, and says
    nothing of what would have happened to a row had its parent been forced to 1 (Wang et al. 2022
    show both, and correct by propensities).

    Args:
        labels: 0/1 of the task; anything where the parent is 0, ``(batch,)``.
        parent_labels: 0/1 of the parent, ``(batch,)``.
        logits: of the task given its parent, ``(batch, 1)``.
        parent_logits: of the parent, ``(batch, 1)``.

    Returns:
        Loss per row, ``(batch,)``. Mask rows whose parent label is unknown, and rows with parent 1
        whose own label is unknown.

    Source: Ma et al. 2018, "Entire Space Multi-Task Model", https://arxiv.org/abs/1804.07931,
    eq. 3; limits: Wang et al. 2022, "ESCM2", https://arxiv.org/abs/2204.05125, section 3.
    """
    both = ops.convert_to_tensor(parent_labels) * ops.convert_to_tensor(labels)
    product = product_logit(logits[:, 0], parent_logits[:, 0])
    return ops.binary_crossentropy(both, product, from_logits=True)
