"""Pieces of work on processes of this machine.

It does not matter which process does a piece, or how often one dies: the piece that it had goes to
the next.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import cast

from mtrec.scale import lean

Work = Callable[[int], bytes]
Open = Callable[[], Work]
DEATHS = 5  # in a row, with no piece done in between, are no accident
ONE_CORE = {  # of a worker: there are as many workers as cores to use
    name: "1" for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS",
                           "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MTREC_WORKERS")
}  # fmt: skip


def on_processes(opens: Open, pieces: Sequence[int], workers: int) -> Iterator[tuple[int, bytes]]:
    """See :func:`mtrec.scale.engine.do`; memory holds one result per worker."""
    todo, deaths = deque(pieces), 0
    crew: dict[Connection, tuple[multiprocessing.process.BaseProcess, int]] = {}
    try:
        while todo or crew:
            while todo and len(crew) < workers:
                connection, process = _start(opens)
                crew[connection] = (process, todo[0])
                _send(connection, todo.popleft())
            for connection in cast("list[Connection]", wait([*crew])):
                process, piece = crew.pop(connection)
                try:
                    found = connection.recv()
                except (EOFError, OSError):  # it died
                    todo.appendleft(piece)
                    deaths += 1
                    _end(connection, process)
                    if deaths == DEATHS:
                        raise OSError(_died(process.exitcode)) from None
                    continue
                if isinstance(found, BaseException):
                    _end(connection, process)
                    raise found
                deaths = 0
                if todo:
                    crew[connection] = (process, todo[0])
                    _send(connection, todo.popleft())
                else:
                    _end(connection, process)
                yield piece, found
    finally:
        for connection, (process, _) in crew.items():
            _end(connection, process)


def _start(opens: Open) -> tuple[Connection, multiprocessing.process.BaseProcess]:
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, opens, os.getpid()), daemon=True)
    with _environment(ONE_CORE):
        process.start()
    theirs.close()
    return ours, process


def _end(connection: Connection, process: multiprocessing.process.BaseProcess) -> None:
    connection.close()
    process.kill()
    process.join()


def _send(connection: Connection, piece: int) -> None:
    """Hand over a piece; of a worker that is dead, :func:`on_processes` hears when it asks."""
    with suppress(OSError):
        connection.send(piece)


def _died(status: int | None) -> str:
    why = "killed, as for want of memory" if status == -9 else f"exit status {status}"
    return (
        f"workers died {DEATHS} times without a piece done ({why}). Ask for fewer --workers, or "
        "give the machine more memory; what is done is kept."
    )


def _work(connection: Connection, opens: Open, parent: int) -> None:
    """A worker: do one piece after another until nobody asks for more."""
    end_with_parent()
    if os.getppid() != parent:  # it has ended before that
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # banners; errors go the other way
    try:
        work = lean.loaded(opens)
        while True:
            piece = connection.recv()
            connection.send(work(piece))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return  # the command has ended
    except BaseException as error:
        connection.send(error if isinstance(error, (ValueError, OSError)) else _told(error))


def end_with_parent(by: signal.Signals = signal.SIGKILL) -> None:
    """Ask Linux to end this process when the one that started it ends, however that ends."""
    if sys.platform == "linux":
        set_signal_of_parents_death = 1
        ctypes.CDLL(None).prctl(set_signal_of_parents_death, by)


def _told(error: BaseException) -> RuntimeError:
    """The error as any process can read it."""
    return RuntimeError(f"{type(error).__name__}: {error}")


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
