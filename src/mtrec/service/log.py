"""An append-only log of events: what was accepted is on disk, each once, however a process ended.

A folder holds ``snapshot.log``, the events of segments that were compacted, and numbered segments,
the newest of which is written to. A file is a line that names its format, then records: length and
CRC-32 of the payload, four bytes each in little-endian order, and the payload, one event in JSON.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mtrec.files import whole

MAGIC = b"mtrec events 1\n"
HEAD = struct.Struct("<II")
LARGEST = 1 << 20  # bytes of a payload; a longer one can only be damage
SEGMENT = re.compile(r"events-(\d{8})\.log")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Event = dict[str, Any]


class LogError(OSError):
    """The log cannot be used; the message says why and what to do."""


class NotStored(OSError):
    """Events could not be written, and are not accepted.

    Attributes:
        full: whether there is no room left.
    """

    def __init__(self, message: str, full: bool = False):
        super().__init__(message)
        self.full = full


class EventLog:
    """The log of one folder, held by one process.

    Args:
        folder: of the log, made if need be.
        rotate: bytes after which a segment is closed and a new one begun.
        compact: closed segments that are merged into the snapshot when they are as many.
        say: told what was repaired, in one sentence each.

    Attributes:
        refused: why nothing can be written, if so.
        hold: whether no segment is merged for now, because another thread reads them.

    Raises:
        LogError: another process holds the log, or a record is damaged.
    """

    def __init__(
        self,
        folder: Path,
        rotate: int = 64 << 20,
        compact: int = 4,
        say: Callable[[str], None] = print,
    ):
        self.folder, self._rotate, self._compact, self._say = folder, rotate, compact, say
        self.refused: str | None = None
        self.hold = False
        self._file: int | None = None
        self._end = 0
        self._lock: int | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            self.refused = f"{folder}: events cannot be kept here ({error.strerror})"
        if self._lock is not None:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._lock)
                raise LogError(
                    f"{folder}: another service writes to this log; stop it, or give this one a "
                    "log of its own with --log."
                ) from None

    def replay(self) -> Iterator[Event]:
        """All events in the order in which they were accepted; a torn end is cut off.

        Raises:
            LogError: a record is damaged that others follow.
        """
        files = [f for f in (self.folder / "snapshot.log",) if f.is_file()]
        done = 0
        if files:
            first = next(_records(files[0], files[0].stat().st_size), (b"{}", 0))[0]
            done = json.loads(first)["compacted"]
        segments = [path for number, path in self._segments() if number > done]
        if self.refused is None:
            for number, path in self._segments():
                if number <= done:  # merged before a crash kept it from being deleted
                    path.unlink()
        for place, path in enumerate([*files, *segments]):
            last = place == len(files) + len(segments) - 1 and path in segments
            size = path.stat().st_size
            whole_to = len(MAGIC) if size >= len(MAGIC) else 0
            records = _records(path, size)
            if path in files:
                whole_to = next(records)[1]
            for payload, end in records:
                whole_to = end
                yield json.loads(payload)
            if size != whole_to and not (size == 0 and last):
                self._torn(path, whole_to, size, last)

    def files(self) -> list[tuple[Path, int]]:
        """What :meth:`read` may read while more is written: files, and how far they are whole."""
        found = [self.folder / "snapshot.log", *(path for _, path in self._segments())]
        return [(path, path.stat().st_size) for path in found if path.is_file()]

    @staticmethod
    def read(files: Sequence[tuple[Path, int]]) -> Iterator[Event]:
        """Events of what :meth:`files` found; the log must not be compacted meanwhile."""
        for path, size in files:
            for payload, end in _records(path, size):
                if end > size:
                    break
                event = json.loads(payload)
                if "compacted" not in event:
                    yield event

    def _torn(self, path: Path, end: int, size: int, last: bool) -> None:
        """Cut an unfinished record off the newest segment.

        Raises:
            LogError: it is no unfinished record: a segment follows, or whole records do.
        """
        if not last or _whole_after(path, end):
            raise LogError(
                f"{path}: the record at byte {end:,} of {size:,} is damaged, and others follow. "
                "Restore the file from a copy, or move the folder away to begin without its events."
            )
        if self.refused is None:
            os.truncate(path, end)
        self._say(
            f"{path}: the last record was not finished when the service ended; its "
            f"{size - end:,} bytes were cut off, and nobody was told that it was accepted."
        )

    def append(self, events: Sequence[Event]) -> None:
        """Write events; when this returns they are on the disk.

        Raises:
            NotStored: they are not, and will not be there after a restart.
        """
        if self.refused is not None:
            raise NotStored(self.refused)
        data = b"".join(map(_record, events))
        try:
            if self._file is None:
                self._open()
            self._write(data)
        except OSError as error:
            self._forget()
            raise NotStored(
                f"{self.folder}: the event could not be written ({error.strerror}); it is not "
                "accepted. Make room or mend the disk, then send it again.",
                error.errno in FULL,
            ) from None
        if self._end >= self._rotate:
            self._close_segment()

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        os.fsync(self._file)
        self._end += len(data)

    def _open(self) -> None:
        """Go on with the newest segment, or begin one."""
        segments = self._segments()
        if segments:
            path = segments[-1][1]
        else:
            path = self.folder / f"events-{self._compacted() + 1:08d}.log"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._end = os.fstat(self._file).st_size
        if self._end == 0:
            self._write(MAGIC)
            _sync_folder(self.folder)

    def _forget(self) -> None:
        """After a failed write: cut off what of it got into the file, or begin no other write."""
        if self._file is None:
            return
        try:
            os.ftruncate(self._file, self._end)
            os.fsync(self._file)
        except OSError as error:
            self.refused = (
                f"{self.folder}: a failed write could not be undone ({error.strerror}); mend the "
                "disk and start the service again"
            )

    def _close_segment(self) -> None:
        """Begin a new segment, and merge old ones if they are many."""
        self.close_file()
        closed = self._segments()
        number = closed[-1][0]
        path = self.folder / f"events-{number + 1:08d}.log"
        try:
            path.write_bytes(b"")
            if len(closed) >= self._compact and not self.hold:
                self.compact(number)
        except OSError as error:  # all events are safe; the old segment is simply gone on with
            self._say(f"{self.folder}: the log could not be compacted ({error.strerror}).")

    def compact(self, upto: int) -> None:
        """Merge the segments up to a number, all of them closed, into the snapshot."""
        old = self.folder / "snapshot.log"
        merged = [(n, path) for n, path in self._segments() if n <= upto]
        with whole(old) as temporary, temporary.open("wb") as target:
            target.write(MAGIC + _record({"compacted": upto}))
            for source in [*([old] if old.is_file() else []), *(path for _, path in merged)]:
                for place, (payload, _) in enumerate(_records(source, source.stat().st_size)):
                    if place or source != old:  # the first record of a snapshot is about it
                        target.write(HEAD.pack(len(payload), zlib.crc32(payload)) + payload)
            target.flush()
            os.fsync(target.fileno())
        _sync_folder(self.folder)
        for _, path in merged:
            path.unlink()

    def _compacted(self) -> int:
        """Number of the last segment in the snapshot."""
        path = self.folder / "snapshot.log"
        if not path.is_file():
            return 0
        return json.loads(next(_records(path, path.stat().st_size))[0])["compacted"]

    def _segments(self) -> list[tuple[int, Path]]:
        found = []
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if match := SEGMENT.fullmatch(path.name):
                found.append((int(match[1]), path))
        return sorted(found)

    def close_file(self) -> None:
        """Close the segment that is written to; the next write opens the newest one."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def close(self) -> None:
        """Let go of the log."""
        self.close_file()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _record(event: Event) -> bytes:
    payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    return HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def _records(path: Path, size: int) -> Iterator[tuple[bytes, int]]:
    """Payloads of whole records and where each ends, up to the first that is not whole.

    Raises:
        LogError: the file is no log.
    """
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
        if start != MAGIC:
            if MAGIC.startswith(start):
                return
            raise LogError(f"{path}: no log of events; move it away.")
        end = len(MAGIC)
        while len(head := file.read(HEAD.size)) == HEAD.size:
            length, check = HEAD.unpack(head)
            payload = file.read(length) if 0 < length <= min(LARGEST, size) else b""
            if len(payload) != length or not length or zlib.crc32(payload) != check:
                return
            end += HEAD.size + length
            yield payload, end


def _whole_after(path: Path, start: int) -> bool:
    """Whether a whole record begins anywhere after a place in a file: then that one is damaged."""
    with path.open("rb") as file:
        file.seek(start)
        data = file.read()
    for at in range(1, len(data) - HEAD.size):
        length, check = HEAD.unpack_from(data, at)
        body = at + HEAD.size
        if not 2 <= length <= len(data) - body or data[body : body + 1] != b"{":
            continue
        if zlib.crc32(data[body : body + length]) == check:
            return True
    return False


def _sync_folder(folder: Path) -> None:
    """Make names of new files last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
