"""What a worker need not do before its first piece of work."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
UNUSED = ("matplotlib", "sklearn")  # Keras draws with one and wraps the other, where they are


def loaded(opens: Callable[[], T]) -> T:
    """What ``opens`` loads, which is kept until the process ends: none of it is garbage.

    Looking for garbage among millions of new objects takes a tenth of the time of loading.
    """
    looked = gc.isenabled()
    gc.disable()
    try:
        return opens()
    finally:
        gc.freeze()
        if looked:
            gc.enable()


def import_keras() -> None:
    """Import Keras without packages that it can do without.

    Who imports these later has them; Keras' own drawings and wrappers of scikit-learn stay without.
    """
    with _hidden(UNUSED):
        import keras  # noqa: F401  (for those that import it next)


@contextmanager
def _hidden(packages: tuple[str, ...]) -> Iterator[None]:
    """Let packages that were not imported yet seem not to be installed."""
    absent = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None, as Python has it
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
