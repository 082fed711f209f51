"""What the tasks of a model read in the texts of a row's user and item."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from mtrec.features.assemble import Assembly
from mtrec.models.below import Tensors
from mtrec.models.reader import TextReader
from mtrec.settings import Reader


class Readings:
    """A reader for each side that is read, shared by the tasks that see its texts.

    Args:
        assembly: features, and what each task sees.
        tasks: of the model.
        task_vectors: the language model's vectors of their texts ``(tasks, width)``; without them
            nothing is read.
        inputs: of the model.
        settings: of readers; None for a model without.
    """

    def __init__(
        self,
        assembly: Assembly,
        tasks: Sequence[str],
        task_vectors: np.ndarray | None,
        inputs: Tensors,
        settings: Reader | None,
    ):
        self._filled: list[tuple[TextReader, np.ndarray]] = []
        self._read: dict[str, list[keras.KerasTensor]] = {task: [] for task in tasks}
        if settings is None or task_vectors is None:
            return
        for name in settings.inputs.values():
            own = [task for task in tasks if "text" in getattr(assembly.seen[task], name)]
            if not own:
                continue
            vectors = task_vectors[[tasks.index(task) for task in own]]
            reader = TextReader(
                len(getattr(assembly.encoder, name).ids),
                len(own),
                vectors.shape[1],
                **settings.model_dump(exclude={"sides", "max_tokens"}),
                name=f"{name}_reader",
            )
            found = reader(inputs[name])
            for at, task in enumerate(own):
                self._read[task].append(found[:, at])
            self._filled.append((reader, vectors))

    def of(self, task: str) -> list[keras.KerasTensor]:
        """What a task reads, ``(batch, width)`` for each side whose texts it sees."""
        return self._read[task]

    def fill(self) -> None:
        """Give readers the vectors of the tasks' texts."""
        for reader, vectors in self._filled:
            reader.text.assign(vectors)
