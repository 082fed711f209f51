"""Texts that came after training -> what the model makes of them.

A text is read by the language model that read the texts of the data, its vectors are reduced as
theirs were, and the result is put in a spare row of the model's tables of items. Reading takes a
tenth of a second and its first time some more, so it is done beside the requests.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mtrec.features import words
from mtrec.features.fields import Field
from mtrec.models.spare import put_item, with_spare_items
from mtrec.text.embed import Projection, reading, runner

if TYPE_CHECKING:
    from mtrec.models.model import MultiTaskModel
    from mtrec.models.reader import TextReader
    from mtrec.settings import EmbedSettings, Reader

Array = np.ndarray
ROOM = 2048  # items that came after training and have a text
TYPED = 8  # texts of one request: their rows are used again by the next
KEPT = 1024  # texts whose vectors are remembered


@dataclass(frozen=True)
class Read:
    """What was made of a text.

    Attributes:
        vectors: by feature of items, ``(components,)`` each.
        reading: what each task reads in it, ``(tasks, width)``; None without a reader.
    """

    vectors: Mapping[str, Array]
    reading: Array | None


class Texts:
    """Reads texts of items for a model.

    Args:
        model: a trained model.
        fields: of its items.
        vectors: what notebook 02 saved.
        settings: of the language model.
        reader: settings of the model's readers, if it has any.
        raw: folder of the language model's weights.

    Attributes:
        model: the same model with spare rows.
        pool: the one thread that may call :meth:`read`.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        fields: tuple[Field, ...],
        vectors: Mapping[str, Array],
        settings: EmbedSettings,
        reader: Reader | None,
        raw: Path,
    ):
        self.model = with_spare_items(model, ROOM + TYPED)
        self.pool = ThreadPoolExecutor(1, "texts")
        self._fields, self._settings, self._raw = fields, settings, raw
        self._projection = (
            Projection(vectors["items_mean"], vectors["items_axes"])
            if "items_axes" in vectors and any(f.kind == "text" for f in fields)
            else None
        )
        self._reader: TextReader | None = self.model.readers.get("item")
        self._tokens = reader.max_tokens if reader is not None else 0
        self._known: OrderedDict[str, Read] = OrderedDict()
        self._run: Callable | None = None
        self._read_states: Callable | None = None

    def read(self, text: str) -> Read:
        """Read one text, or remember what was read in it.

        Raises:
            WeightsError: the language model is not there.
            ValueError: the text is blank.
        """
        text = text.strip()
        if not text:
            raise ValueError("text: it is blank; leave it out")
        if text not in self._known:
            self._known[text] = self._read(text)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        return self._known[text]

    def _read(self, text: str) -> Read:
        vectors = {}
        for field in self._fields:
            if field.kind == "text" and self._projection is not None:
                self._run = self._run or runner(self._settings, self._raw)
                vectors[field.name] = self._projection(self._run([text]))[0]
            elif field.kind == "words" and field.fitted is not None:
                vectors[field.name] = words.transform(field.fitted, [text])[0]
        return Read(vectors, None if self._reader is None else self._reading(text))

    def _reading(self, text: str) -> Array:
        """What the tasks read in a text, from its tokens' states as the cache would hold them."""
        if self._read_states is None:
            settings = self._settings.model_copy(update={"max_tokens": self._tokens})
            self._read_states = reading(settings, self._raw, lambda states, padding: states)
        _, states, lengths = next(self._read_states([text]))
        length = int(lengths[0])
        states = states[0][:length].astype("float16")
        segments = np.zeros(length, "int32")
        assert self._reader is not None
        found = self._reader.read(states, segments, np.array([length], "int32"), training=False)
        return np.asarray(found)[0]

    def put(self, place: int, read: Read) -> Array:
        """Put what was read in a spare row; the first :data:`TYPED` are for texts of requests.

        Returns:
            The state ``(width,)`` that rankings compare.
        """
        return put_item(self.model, place, read.vectors, read.reading)

    def row(self, place: int) -> int:
        """The model's row of a spare place."""
        return last_row(self.model) - place


def last_row(model: MultiTaskModel) -> int:
    """The last of the model's rows of items."""
    return int(model.get_layer("item_encoder").fields[0]["rows"]) - 1
