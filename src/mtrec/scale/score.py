"""``mtrec score``: the best items of every user of a domain, in one Parquet file.

Users are divided into parts, whose size depends on the domain alone. A part that is done lies in
``<file>.parts``; so a command that was stopped, at whatever moment, goes on where it was. At the
end the parts, in order, become row groups of the file. The file's bytes depend on model and
options, not on how many processes made it, or where.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from mtrec import cores, progress
from mtrec.config import experiment
from mtrec.files import digests, whole, write_text
from mtrec.lock import only_run
from mtrec.paths import Paths, find_root
from mtrec.scale import engine, lean
from mtrec.scale.processes import Work
from mtrec.serving import manifest

FORMAT = 1  # raised where the same model and options give another file
PARTS = 64  # of a domain at least, so that processes end together, and
LEAST, MOST = 16, 4096  # users of a part
KNOWN, TABLES = "encoder.json", "encoder.npz"  # of a trained model: users and items, their tables


@dataclass(frozen=True)
class Job:
    """Lists that are wanted.

    Attributes:
        domain: its name.
        paths: of the domain.
        out: the file.
        k: items per user.
        among: items that compete where no task ranks items.
        users: of the domain.
        model: version of the trained models.
    """

    domain: str
    paths: Paths
    out: Path
    k: int
    among: int
    users: int
    model: str

    @property
    def size(self) -> int:
        """Users of a part: a power of two."""
        return min(MOST, max(LEAST, 1 << max(self.users // PARTS, 1).bit_length() - 1))

    @property
    def parts(self) -> range:
        """Numbers of the parts."""
        return range(-(-self.users // self.size))

    @property
    def folder(self) -> Path:
        """Where parts lie until all are there."""
        return self.out.with_name(f"{self.out.name}.parts")

    def part(self, number: int) -> Path:
        """File of a part."""
        return self.folder / f"{number:06}.parquet"

    @property
    def identity(self) -> dict[str, str]:
        """What a part depends on."""
        known = {"format": FORMAT, "domain": self.domain, "model": self.model, "k": self.k,
                 "among": self.among, "users": self.users, "part": self.size}  # fmt: skip
        return {name: str(value) for name, value in known.items()}


def score(
    domain: str,
    out: Path,
    k: int = 10,
    workers: int | None = None,
    ray: str | None = None,
    among: int = 2000,
    root: Path | None = None,
) -> int:
    """Write the lists of all users.

    Args:
        domain: name of the domain.
        out: the Parquet file: ``user_id``, ``rank`` from 1, ``item_id``, ``score`` by which items
            are ordered, and a column per task as of ``Recommender.score``.
        k: items per user; fewer where a user has met the others.
        workers: processes; as many as there are cores if None.
        ray: address of a Ray cluster, if it should do the work.
        among: items that compete, those met most of late, in a domain without a task that ranks.
        root: root of the repository; found from the working folder if None.

    Returns:
        How many users the file has lists of.

    Raises:
        ValueError: unknown domain, an option out of range, a model that was changed.
        OSError: there is no trained model, the file cannot be written, or the disk is full.
    """
    for name, value in {"k": k, "workers": workers, "among": among}.items():
        if value is not None and value < 1:
            raise ValueError(f"--{name} is {value}; give 1 or more.")
    job = plan(domain, out, k, among, root)
    with _writing(job):
        job.folder.mkdir(parents=True, exist_ok=True)
        with only_run(job.folder / "lock"):
            _prepare(job)
            _make(job, workers if ray or workers else cores.granted(), ray)
            _join(job)
        shutil.rmtree(job.folder)
    return job.users


def plan(domain: str, out: Path, k: int, among: int, root: Path | None = None) -> Job:
    """What there is to do.

    Raises:
        ValueError: unknown domain, or a model that was changed.
        OSError: there is no trained model, or the file cannot be one.
    """
    paths = Paths(root or find_root(), domain)
    if not (paths.trained / KNOWN).is_file():
        paths = experiment(domain, root).paths  # says what is wrong with the name or the settings
    version = manifest.check(paths).version
    if paths.fusion.is_dir():
        fused = json.dumps(digests(paths.fusion), sort_keys=True)
        version += "-" + hashlib.sha256(fused.encode()).hexdigest()[:12]
    if out.is_dir():
        raise OSError(f"{out}: a folder; name a file in it, such as {out / 'lists.parquet'}.")
    return Job(domain, paths, out, k, among, users_of(paths.trained), version)


def users_of(trained: Path) -> int:
    """How many users a model knows, by the length of a table of theirs.

    Their ids, which may be gigabytes, are the workers' to read; here they are read only if users
    have no table.
    """
    with zipfile.ZipFile(trained / TABLES) as archive:
        for name in archive.namelist():
            if name.startswith("user/") and name.count("/") == 1:
                with archive.open(name) as file:
                    newer = np.lib.format.read_magic(file) > (1, 0)
                    header = (
                        np.lib.format.read_array_header_2_0
                        if newer
                        else (np.lib.format.read_array_header_1_0)
                    )
                    return header(file)[0][0] - 1  # the first row is of nobody
    known = json.loads((trained / KNOWN).read_text(encoding="utf-8"))
    return len(known["user"]["ids"])


def open_lists(domain: str, root: Path, k: int, size: int, among: int) -> Work:
    """Load what makes the lists of a domain; see :class:`mtrec.scale.lists.Lists`."""
    lean.import_keras()
    from mtrec.fusion import product  # TensorFlow comes with them, to workers alone
    from mtrec.scale.lists import Lists

    return Lists(product.load(domain, root), k, size, among)


def _prepare(job: Job) -> None:
    """Delete what an earlier command left if it was about something else."""
    said, wanted = job.folder / "about.json", json.dumps(job.identity, indent=1)
    if not said.is_file() or said.read_text(encoding="utf-8") != wanted:
        for old in [*job.folder.glob("*.parquet"), *job.folder.glob("*.partial")]:
            old.unlink()
        write_text(said, wanted)


def _make(job: Job, workers: int | None, ray: str | None) -> None:
    """Make the parts that are not there."""
    missing = [number for number in job.parts if not job.part(number).is_file()]
    done = min(job.users, (len(job.parts) - len(missing)) * job.size)
    opens = partial(open_lists, job.domain, job.paths.root, job.k, job.size, job.among)
    with progress.task("scoring", job.users, unit="user", done=done, lines=True) as bar:
        for number, content in engine.do(opens, missing, workers, ray):
            with whole(job.part(number)) as temporary:
                temporary.write_bytes(content)
            bar.advance(min(job.size, job.users - number * job.size))


def _join(job: Job) -> None:
    """Write the parts into one file, a row group each."""
    schema = pq.read_schema(job.part(0)).with_metadata(job.identity)
    with whole(job.out) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for number in job.parts:
            writer.write_table(pq.read_table(job.part(number)).cast(schema))


@contextmanager
def _writing(job: Job) -> Iterator[None]:
    """Say in a sentence what the disk refuses."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(
                f"{job.out}: the disk is full. Make room and give the same command again, which "
                f"goes on with the parts that are in {job.folder.name}; or name a file elsewhere."
            ) from None
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise OSError(
                f"{job.out}: cannot be written ({os.strerror(error.errno).lower()}). Name a file "
                "in a folder of yours."
            ) from None
        raise
