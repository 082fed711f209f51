"""How many cores there are to share."""

from __future__ import annotations

import os


def available() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def granted() -> int:
    """Cores that this process should keep busy: ``MTREC_WORKERS`` or all that it may use.

    ``make repro`` sets the variable where several domains share the machine.
    """
    given = os.environ.get("MTREC_WORKERS", "")
    return int(given) if given.isdigit() else available()
