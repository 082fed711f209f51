"""Do tasks pull the shared weights the same way, and does a step for one help another?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from mtrec.studies.workbench import Workbench, fit
from mtrec.training.objective import training_losses
from mtrec.training.parts import complete, divide
from mtrec.training.step import gram_matrix

Probe = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
COLUMNS = ["epoch", "probe", "task", "other", "cosine", "affinity"]


class GradientWatch:
    r"""After each epoch: gradient cosines and inter-task affinity on a few training batches.

    .. math:: \cos_{st} = \frac{\langle g_s, g_t\rangle}{\lVert g_s\rVert\,\lVert g_t\rVert},
              \qquad Z_{s \to t} = 1 - \frac{L_t(\theta - \eta\, g_s)}{L_t(\theta)}

    with gradients on the weights that tasks share. A positive affinity says that a step for
    :math:`s` lowers the loss of :math:`t`. Dropout is off, so that one batch is compared with
    itself.

    Args:
        bench: shared parts of the training that is watched.
        names: its tasks.
        probes: number of batches.
        seed: of the batches.

    Source: Fifty et al. 2021, "Efficiently Identifying Task Groupings for Multi-Task Learning",
    https://arxiv.org/abs/2109.04617 (eq. 1); the cosine as in Yu et al. 2020.
    """

    def __init__(self, bench: Workbench, names: Sequence[str], probes: int, seed: int):
        self.bench, self.names = bench, list(names)
        batch = min(bench.settings.batch_size, len(bench.training))
        rng = np.random.default_rng(seed)
        self.batches = [
            rng.choice(len(bench.training), batch, replace=False) for _ in range(probes)
        ]
        self.rows: list[tuple] = []
        self._probe: Probe | None = None

    def __call__(self, model: keras.Model, epoch: int) -> None:
        """Measure the weights as they are."""
        self._probe = self._probe or self._compile(model)
        for number, rows in enumerate(self.batches):
            gram, affinity = (part.numpy() for part in self._probe(tf.constant(rows, tf.int32)))
            norm = np.sqrt(np.diag(gram))
            with np.errstate(invalid="ignore", divide="ignore"):
                cosine = gram / np.outer(norm, norm)  # NaN for a task without labels in the batch
            self.rows += [
                (epoch, number, s, t, cosine[i, j], affinity[i, j])
                for i, s in enumerate(self.names)
                for j, t in enumerate(self.names)
            ]

    def table(self) -> pd.DataFrame:
        """``epoch``, ``probe``, ``task``, ``other``, ``cosine``, ``affinity``."""
        return pd.DataFrame(self.rows, columns=COLUMNS)

    def _compile(self, model: keras.Model) -> Probe:
        bench = self.bench
        types = {name: bench.assembly.types[name] for name in self.names}
        losses = training_losses(
            types, bench.assembly.scales, dict.fromkeys(self.names, 1.0), {}, bench.training
        )
        shared = divide(model).shared
        rate = bench.settings.learning_rate
        part = bench.training
        masks = {name: mask.astype("float32") for name, mask in part.masks.items()}
        data = tf.nest.map_structure(
            tf.constant, {"inputs": part.inputs, "labels": part.labels, "masks": masks}
        )

        @tf.function(autograph=False)
        def probe(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch = tf.nest.map_structure(lambda values: tf.gather(values, rows), data)
            with tf.GradientTape(persistent=True) as tape:
                means, _ = losses(batch, model(batch["inputs"], training=False))
            before = tf.stack(means)
            gradients = [complete(tape.gradient(mean, shared), shared) for mean in means]
            original = [tf.identity(tf.convert_to_tensor(variable)) for variable in shared]
            affinities = []
            for own in gradients:
                for variable, value, gradient in zip(shared, original, own, strict=True):
                    variable.assign(value - rate * gradient)
                after, _ = losses(batch, model(batch["inputs"], training=False))
                affinities.append(1.0 - tf.math.divide_no_nan(tf.stack(after), before))
            for variable, value in zip(shared, original, strict=True):
                variable.assign(value)
            known = tf.where(before > 0, 1.0, np.nan)
            return gram_matrix(gradients), tf.stack(affinities) * known * known[:, None]

        return probe


def watch_training(bench: Workbench, probes: int, seed: int) -> GradientWatch:
    """Train the joint model of all tasks once, and watch its gradients."""
    names = tuple(bench.assembly.types)
    watch = GradientWatch(bench, names, probes, seed)
    list(fit(bench, names, [seed], watch=watch))
    return watch
