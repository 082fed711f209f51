"""Pieces of work on processes of this machine, or with an address on those of a Ray cluster.

A piece is a number; its result is bytes that depend on the number alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mtrec.scale.processes import Open, on_processes


def do(
    opens: Open, pieces: Sequence[int], workers: int | None, ray: str | None = None
) -> Iterator[tuple[int, bytes]]:
    """Do pieces of work; yield each with its result, in the order in which they come.

    Args:
        opens: loads what does the work, once per process; it travels there as a pickle.
        pieces: their numbers.
        workers: processes; 1, or what the cluster has, if None.
        ray: address of a Ray cluster; this machine's processes if None.

    Raises:
        OSError: workers die again and again, or nobody answers at the address.
        ValueError: the cluster cannot be used, or there are no workers.
        Exception: what the work raised.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"--workers is {workers}; give 1 or more.")
    if ray is None:
        return on_processes(opens, pieces, workers or 1)
    from mtrec.scale.cluster import on_ray

    return on_ray(opens, pieces, workers, ray)
