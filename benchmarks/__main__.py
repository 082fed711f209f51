"""``make bench``: run protocols, write their rows, then the report."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from mtrec.bench import report, results
from mtrec.bench.results import Row
from mtrec.bench.systems import NotMade

PARTS = (
    "rating", "like", "topn", "ecommerce", "next_basket", "joint", "step_cost", "cold", "speed",
    "scaling", "own_data", "profile",
)  # fmt: skip


def main(root: Path, only: str | None = None) -> None:
    """Run the protocols and write ``benchmarks/results.json`` and ``reports/benchmarks``.

    Args:
        root: of the repository.
        only: name of a part, or of a protocol, or a pattern such as ``rating_*``; all if None.

    Raises:
        ValueError: nothing has that name.
    """
    chosen = select(protocols(), only)
    file = root / "benchmarks" / "results.json"
    for name, run in chosen.items():
        print(f"bench: {name}", flush=True)
        try:
            rows = run(root)
        except NotMade as error:
            print(f"bench: {name} is left out, its rows stay as they are. {error}", flush=True)
            continue
        results.add(file, results.stamped(rows, root))
    report.write(root, results.read(file))


def protocols() -> dict[str, Callable[[Path], Sequence[Row]]]:
    """Every protocol by ``part/name``; a part is a module of ``mtrec.bench.protocols``."""
    found: dict[str, Callable[[Path], Sequence[Row]]] = {}
    for part in PARTS:
        module = import_module(f"mtrec.bench.protocols.{part}")
        found |= {f"{part}/{name}": run for name, run in module.PROTOCOLS.items()}
    return found


def select(
    known: Mapping[str, Callable[[Path], Sequence[Row]]], only: str | None
) -> dict[str, Callable[[Path], Sequence[Row]]]:
    """Protocols whose part, name or pattern was asked for."""
    if only is None:
        return dict(known)
    chosen = {
        name: run for name, run in known.items()
        if any(fnmatch.fnmatch(part, only) for part in name.split("/"))
    }  # fmt: skip
    if not chosen:
        raise ValueError(f"ONLY={only}: no such benchmark; there are {', '.join(known)}.")
    return chosen
