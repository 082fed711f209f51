"""``mtrec embed``: what the language model says of a domain's texts, by many processes.

The cache of :mod:`mtrec.text` keeps texts in blocks, named by texts, model and settings. A block is
a piece of work: a process loads the model once, reads one block after another, and sends the files.
So they are the same whoever made them, and a command that was stopped goes on with what is missing.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from mtrec import cores, progress
from mtrec.config import Experiment, experiment
from mtrec.files import whole
from mtrec.scale import engine, lean
from mtrec.scale.processes import Work
from mtrec.settings import EmbedSettings
from mtrec.tables import schema
from mtrec.tables.schema import Tables

SIDES = ("users", "items")


@dataclass(frozen=True)
class Block:
    """Texts that the cache keeps together.

    Attributes:
        name: of their files, without ending.
        tokens: whether a state per token is wanted; else a vector per text.
        settings: of the language model.
        texts: distinct and sorted.
    """

    name: str
    tokens: bool
    settings: EmbedSettings
    texts: tuple[str, ...]

    @property
    def last(self) -> str:
        """The file that is written last."""
        return f"{self.name}{'.starts.npz' if self.tokens else '.npy'}"


def prepare(
    domain: str, workers: int | None = None, ray: str | None = None, root: Path | None = None
) -> int:
    """Fill the cache with what the stages will ask of the texts of a domain with tables.

    Args:
        domain: name of the domain.
        workers: processes; as many as there are cores if None.
        ray: address of a Ray cluster, if it should do the work.
        root: root of the repository; found from the working folder if None.

    Returns:
        How many texts were read.

    Raises:
        ValueError: unknown domain, an option out of range, the cluster cannot be used.
        OSError: there are no tables or no weights, nobody answers at the address, or the disk is
            full.
    """
    run = experiment(domain, root)
    blocks = blocks_of(run, schema.read(run.paths.tables))
    many = workers if ray or workers is not None else cores.granted()
    return fill(run.paths.cache, blocks, run.paths.raw, many, ray)


def fill(
    place: Path,
    blocks: Sequence[Block],
    raw: Path,
    workers: int | None = None,
    ray: str | None = None,
) -> int:
    """Have those blocks read that a cache lacks; see :func:`prepare`.

    Args:
        place: folder of the cache.
        blocks: of texts.
        raw: folder of the raw data, where the weights lie.
        workers: processes; 1, or what the cluster has, if None.
        ray: address of a Ray cluster, if it should do the work.

    Returns:
        How many texts were read.
    """
    blocks = [one for one in blocks if not (place / one.last).is_file()]
    texts = sum(len(one.texts) for one in blocks)
    opens = partial(open_reading, blocks, raw)
    with progress.task("reading", texts, unit="text", lines=True) as bar:
        for number, found in engine.do(opens, range(len(blocks)), workers, ray):
            for name, content in pickle.loads(found):
                with whole(place / name, shared=True) as temporary:
                    temporary.write_bytes(content)
            bar.advance(len(blocks[number].texts))
    return texts


def blocks_of(run: Experiment, tables: Tables) -> list[Block]:
    """Blocks of the texts of users, items and tasks; what has few texts is left to the stages."""
    columns = {side: _column(getattr(tables, side)) for side in SIDES}
    words = [task.text or name for name, task in run.domain.tasks.items()]
    both = sorted({*words, *(text for one in columns.values() for text in one)})
    found = [*_cut(both, False, run.task_embedding, run.paths.raw)]
    if reader := run.model_building.reader:
        settings = run.task_embedding.model_copy(update={"max_tokens": reader.max_tokens})
        for side in reader.sides:
            found += _cut(columns[side], True, settings, run.paths.raw)
    return found


def _column(table: pd.DataFrame) -> list[str]:
    return sorted(set(table["text"].dropna())) if "text" in table else []


def _cut(texts: Sequence[str], tokens: bool, settings: EmbedSettings, raw: Path) -> Iterator[Block]:
    from mtrec.text import embed, states
    from mtrec.text.backbone import weights_identity

    without = {"components", "pooling"} if tokens else {"components"}
    chosen, weights = settings.model_dump(exclude=without), weights_identity(settings.preset, raw)
    identity = ["states", states.METHOD] if tokens else [embed.METHOD]
    for at in range(0, len(texts), embed.SHARD):
        part = texts[at : at + embed.SHARD]
        name = embed.key(part, [*identity, chosen, weights])
        yield Block(name, tokens, settings, tuple(part))


def open_reading(blocks: Sequence[Block], raw: Path) -> Work:
    """What reads a block by number and gives its files; see :func:`mtrec.scale.engine.do`."""
    lean.import_keras()
    from mtrec.text import embed, states

    readers: dict[bool, Callable] = {False: cache(embed.runner), True: cache(states._runner)}

    def work(number: int) -> bytes:
        block = blocks[number]
        found = readers[block.tokens](block.settings, raw)(block.texts)
        with TemporaryDirectory() as folder:
            file = Path(folder) / f"{block.name}.npy"
            states._write(file, found) if block.tokens else np.save(file, found)
            files = sorted(Path(folder).iterdir(), key=lambda one: one.name == block.last)
            return pickle.dumps([(one.name, one.read_bytes()) for one in files])

    return work
