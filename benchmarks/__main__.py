"""``make bench``: run protocols, write their rows, then the report."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.harness import results
from benchmarks.harness.ask import NotMade
from benchmarks.harness.machine import machine
from benchmarks.harness.results import Row
from benchmarks.report import page
from mtrec.scale import commands

ROOT = Path(__file__).resolve().parents[1]
ALONE = ("step_cost", "speed", "scaling", "profile", "own_data")  # what other work would prolong
READ = ("cold", "joint", "profile")  # whose figures stand in reports/, measured wherever
PARTS = (
    "rating", "like", "topn", "ecommerce", "next_basket", "joint", "step_cost", "cold", "speed",
    "scaling", "own_data", "profile", "prompts", "served", "full_pool",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; an expected error ends as one sentence on standard error and status 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", help="a part, a protocol, or a pattern such as rating_*")
    parser.add_argument("--page", action="store_true", help="write the report alone, run nothing")
    parser.add_argument("--workers", type=int, help="protocols at a time, each in a process")
    parser.add_argument("--ray", metavar="ADDRESS", help="divide the protocols on this Ray cluster")
    parser.add_argument("--no-page", action="store_true", help="write rows, and leave the report")
    chosen = parser.parse_args(arguments)
    try:
        wanted = {} if chosen.page else select(protocols(), chosen.only)
        if chosen.workers is None and not chosen.ray:
            run(ROOT, wanted, not chosen.no_page)
            return 0
        apart = {name: one for name, one in wanted.items() if name.partition("/")[0] in ALONE}
        status = beside([name for name in wanted if name not in apart], chosen.workers, chosen.ray)
        run(ROOT, apart)
        return status
    except (ValueError, OSError, KeyError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f"bench: {message}", file=sys.stderr)
        return 1


def run(
    root: Path, chosen: Mapping[str, Callable[[Path], Sequence[Row]]], report: bool = True
) -> None:
    """Run protocols and write ``benchmarks/results.json`` and ``reports/benchmarks``.

    Args:
        root: of the repository.
        chosen: see :func:`protocols`.
        report: whether to write the latter.
    """
    file = root / "benchmarks" / "results.json"
    for name, measure in chosen.items():
        print(f"bench: {name}", flush=True)
        try:
            rows = measure(root)
        except NotMade as error:
            print(f"bench: {name} is left out, its rows stay as they are. {error}", flush=True)
            continue
        where = "" if name.partition("/")[0] in READ else machine()
        results.add(file, results.stamped(rows, root, where))
    if report:
        page.write(root, results.read(file))


def beside(names: Sequence[str], workers: int | None, ray: str | None) -> int:
    """Run protocols side by side, a process and a core each; return the status of one that failed.

    Args:
        names: ``part/protocol`` of each.
        workers: at a time; one, or what the cluster has, if None.
        ray: address of a cluster; this machine's processes if None.

    Raises:
        OSError: nobody answers at the address.
        ValueError: the cluster cannot be used, or there are no workers.
    """
    asked = [("--only", name.partition("/")[2], "--no-page") for name in names]
    return max(commands.run(asked, ROOT, ray, workers, "benchmarks"), default=0)


def protocols() -> dict[str, Callable[[Path], Sequence[Row]]]:
    """Every protocol by ``part/name``; a part is a module of ``benchmarks.protocols``."""
    found: dict[str, Callable[[Path], Sequence[Row]]] = {}
    for part in PARTS:
        module = import_module(f"benchmarks.protocols.{part}")
        found |= {f"{part}/{name}": run for name, run in module.PROTOCOLS.items()}
    return found


def select(
    known: Mapping[str, Callable[[Path], Sequence[Row]]], only: str | None
) -> dict[str, Callable[[Path], Sequence[Row]]]:
    """Protocols whose part, name or pattern was asked for; all if None.

    Raises:
        ValueError: nothing has that name.
    """
    if only is None:
        return dict(known)
    chosen = {
        name: run for name, run in known.items()
        if any(fnmatch.fnmatch(part, only) for part in name.split("/"))
    }  # fmt: skip
    if not chosen:
        raise ValueError(f"ONLY={only}: no such benchmark; there are {', '.join(known)}.")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
