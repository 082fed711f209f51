r"""Low-rank changes of a language model's upper blocks, learnt while everything else stays.

A kernel :math:`W` of a block, seen as a matrix ``(in, out)``, is read as

.. math:: W + \tfrac{\alpha}{r}\, A B, \qquad A \in R^{in \times r},\; B \in R^{r \times out},

with :math:`B = 0` at first, so that the model begins as it was, to the bit. The kernels themselves
are never written, and blocks below the adapted ones need not run: their states are computed once
and kept.

Source: Hu et al. 2022, "LoRA", https://arxiv.org/abs/2106.09685, equation 3.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from mtrec.files import save_arrays
from mtrec.text.backbone import LanguageModel, block_outputs
from mtrec.text.weights import WeightsError

Array = np.ndarray
TARGETS = ("query", "value")  # as in the paper's experiments


@dataclass(frozen=True)
class Kernel:
    """A kernel that is changed.

    Attributes:
        path: ``block_9/query``: its block, counted from 1, and its layer's name.
        variable: of the language model.
        shape: of it as a matrix ``(in, out)``.
    """

    path: str
    variable: keras.Variable
    shape: tuple[int, int]


class _Base:
    """The frozen part, out of sight of Keras, which would save and train it."""

    def __init__(self, model: LanguageModel, below: int, blocks: int, targets: Sequence[str]):
        outputs, inputs = block_outputs(model.backbone), model.backbone.input
        given = [outputs[below - 1], inputs["padding_mask"]]
        self.upper = keras.Model(given, outputs[below + blocks - 1])
        self.kernels = list(_kernels(model, below, blocks, targets))


class Adapters(keras.layers.Layer):
    """The blocks of a language model above cached states, with adapters.

    Args:
        model: the language model, decoder or encoder.
        below: blocks that are not run; states after them come in.
        blocks: number of adapted blocks above these.
        rank: of a change.
        alpha: a change is multiplied by ``alpha / rank``.
        targets: names of the layers whose kernels are changed.
        seed: of the start.

    Raises:
        ValueError: the model has too few blocks, or no such layers.

    Example:
        ``Adapters(model, below=4, blocks=4)`` runs blocks 5 to 8 on states after block 4.
    """

    def __init__(
        self,
        model: LanguageModel,
        below: int,
        blocks: int = 4,
        rank: int = 8,
        alpha: float = 16.0,
        targets: Sequence[str] = TARGETS,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not 1 <= below <= model.layers - blocks or blocks < 1:
            raise ValueError(
                f"adapters: blocks {below + 1} to {below + blocks} of a model that has "
                f"{model.layers}. Adapt at least one, and leave at least the first below them."
            )
        self.rank, self.alpha, self._base = rank, alpha, _Base(model, below, blocks, targets)
        self.down, self.up = [], []
        for number, kernel in enumerate(self._base.kernels):
            start = keras.initializers.HeUniform(seed + number)
            name, (rows, columns) = kernel.path.replace("/", "_"), kernel.shape
            self.down.append(self.add_weight((rows, rank), start, name=f"{name}_down"))
            self.up.append(self.add_weight((rank, columns), "zeros", name=f"{name}_up"))
        self.built = True

    def call(self, states: Any, padding: Any) -> Any:
        """States after the adapted blocks, ``(batch, length, width)``.

        Args:
            states: after the blocks below, ``(batch, length, width)``.
            padding: true at real tokens, ``(batch, length)``.
        """
        changed = [
            (kernel.variable, ops.convert_to_tensor(kernel.variable) + change)
            for kernel, change in zip(self._base.kernels, self._changes(), strict=True)
        ]
        with keras.StatelessScope(state_mapping=changed):
            return self._base.upper([states, ops.cast(padding, "int32")], training=False)

    def _changes(self) -> list[Any]:
        """What is added to each kernel, in its shape and type."""
        scale = self.alpha / self.rank
        return [
            ops.cast(
                ops.reshape(scale * ops.matmul(down, up), kernel.variable.shape),
                kernel.variable.dtype,
            )
            for kernel, down, up in zip(self._base.kernels, self.down, self.up, strict=True)
        ]

    def merge(self) -> None:
        """Add the changes to the language model's kernels and begin anew with none."""
        for kernel, change in zip(self._base.kernels, self._changes(), strict=True):
            kernel.variable.assign(kernel.variable + change)
        for up in self.up:
            up.assign(ops.zeros_like(up))

    def arrays(self) -> dict[str, Array]:
        """The adapters by the path of the layer they belong to.

        Keras would number them in the order of layers, which restored some into wrong ones
        (https://github.com/keras-team/keras-hub/issues/2701).
        """
        found = {"alpha": np.array(self.alpha)}
        for kernel, down, up in zip(self._base.kernels, self.down, self.up, strict=True):
            found[f"{kernel.path}/down"] = ops.convert_to_numpy(down)
            found[f"{kernel.path}/up"] = ops.convert_to_numpy(up)
        return found

    def assign(self, arrays: dict[str, Array], where: str = "adapters") -> None:
        """Take what :meth:`arrays` returned.

        Raises:
            WeightsError: they are of other layers or sizes.
        """
        mine = self.arrays()
        other = [
            name for name in sorted(mine.keys() | arrays.keys())
            if name not in mine or name not in arrays or arrays[name].shape != mine[name].shape
        ]  # fmt: skip
        if other or float(arrays["alpha"]) != self.alpha:
            raise WeightsError(
                f"{where}: adapters of another model, of other blocks or of another rank (first "
                f"difference: {(other or ['alpha'])[0]}). Name those that were trained with it."
            )
        for kernel, down, up in zip(self._base.kernels, self.down, self.up, strict=True):
            down.assign(arrays[f"{kernel.path}/down"])
            up.assign(arrays[f"{kernel.path}/up"])

    def save(self, path: Path) -> None:
        """Write the adapters; the file appears whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        save_arrays(path, self.arrays())

    def load(self, path: Path) -> None:
        """Read what :meth:`save` wrote.

        Raises:
            WeightsError: the file is missing or damaged, or of other adapters.
        """
        try:
            with np.load(path) as found:
                arrays = {name: found[name] for name in found.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise WeightsError(
                f"{path}: no readable adapters ({type(error).__name__}: {error}). Train them anew."
            ) from error
        self.assign(arrays, str(path))


def _kernels(
    model: LanguageModel, below: int, blocks: int, targets: Sequence[str]
) -> Iterator[Kernel]:
    """Kernels of the targeted layers of some blocks."""
    layers = list(_blocks(model.backbone.transformer_layers))
    if len(layers) != model.layers:
        raise ValueError(
            "adapters: blocks of this model share their weights and cannot be changed one by one. "
            "Name a preset of another architecture."
        )
    for number in range(below + 1, below + blocks + 1):
        inner = layers[number - 1]._flatten_layers(include_self=False)
        found = {
            layer.name: layer.kernel for layer in inner
            if layer.name in targets and getattr(layer, "kernel", None) is not None
        }  # fmt: skip
        if missing := [name for name in targets if name not in found]:
            raise ValueError(
                f"adapters: block {number} has no layer '{missing[0]}' with a kernel. Name layers "
                "that it has."
            )
        for name in targets:
            shape = tuple(found[name].shape)
            # a kernel (in, heads, size), or of an attention's output (heads, size, out)
            rows = int(np.prod(shape[:-1])) if name == "attention_output" else shape[0]
            columns = int(np.prod(shape)) // rows
            yield Kernel(f"block_{number}/{name}", found[name], (rows, columns))


def _blocks(layers: Sequence[Any]) -> Iterator[keras.layers.Layer]:
    for layer in layers:
        if isinstance(layer, list):
            yield from _blocks(layer)
        else:
            yield layer
