"""Work for processes that are killed: quick, and it leaves a note of every piece begun."""

import hashlib
import os
import time
from functools import partial


def open_work(folder):
    return partial(work, folder)


def work(folder, piece):
    (folder / f"{piece}-{os.getpid()}").touch()
    time.sleep(0.02)
    return hashlib.sha256(bytes(piece)).digest()


def open_deadly(folder):
    return deadly


def deadly(piece):
    os._exit(7)


def open_nothing(folder):
    raise FileNotFoundError(f"{folder}: no such model.")
