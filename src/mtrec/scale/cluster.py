"""The same pieces of work on a Ray cluster, which has engine, scheduler and retries.

Ray comes with ``make scale``. Its workers need this package in the same versions and the
repository's folder at the same path, as a shared disk gives it.
"""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from mtrec.scale import lean
from mtrec.scale.processes import DEATHS, ONE_CORE, Open, Work

PATIENCE = 10  # seconds for a first answer
NOBODY = (
    "no Ray cluster answers at {} ({}). Start one with `ray start --head`, or leave --ray out to "
    "use this machine's cores."
)


def on_ray(
    opens: Open, pieces: Sequence[int], workers: int | None, address: str
) -> Iterator[tuple[int, bytes]]:
    """See :func:`mtrec.scale.engine.do`; a machine that joins late gets what is left.

    Args:
        opens: loads what does the work, once per process of the cluster.
        pieces: their numbers.
        workers: pieces at a time; as many as the cluster has cores, and as many waiting, if None.
        address: ``ray://host:10001``, ``host:6379`` on a machine of the cluster, or ``auto``.

    Raises:
        OSError: nobody answers there, or processes die again and again.
        ValueError: Ray is not installed, or the cluster has other versions than this machine.
        Exception: what the work raised.
    """
    ray = connect(address)
    try:
        task = ray.remote(num_cpus=1, max_retries=DEATHS)(_do)
        packed, left = pickle.dumps(opens), [*reversed(pieces)]
        flying: list[Any] = []
        while left or flying:
            most = workers or 2 * int(ray.cluster_resources().get("CPU", 1))
            while left and len(flying) < most:
                flying.append(task.remote(packed, left.pop()))
            done, flying = ray.wait(flying)
            for one in done:
                yield _result(ray, one)
    finally:
        ray.shutdown()


def connect(address: str) -> Any:
    """Ray, connected.

    Raises:
        OSError: nobody answers.
        ValueError: Ray is not installed, or the cluster is of another version.
    """
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # one of several will do
    try:
        import ray
    except ImportError:
        raise ValueError(
            "--ray needs Ray, which is not installed here: `make scale` adds it to .venv."
        ) from None
    _knock(address)
    try:
        ray.init(
            address, log_to_driver=False, logging_level="ERROR",
            runtime_env={"env_vars": ONE_CORE}, ignore_reinit_error=True,
        )  # fmt: skip
    except Exception as error:  # of many kinds, some with pages of advice
        first = " ".join(str(error).split())
        if "ersion" in first:
            raise ValueError(
                f"the cluster at {address} is of another version ({first:.160}). Start it from an "
                "environment made of the same requirements-scale.lock."
            ) from None
        raise OSError(NOBODY.format(address, type(error).__name__)) from None
    return ray


def _knock(address: str) -> None:
    """Hear at once whether somebody listens; Ray itself tries for minutes.

    Raises:
        OSError: nobody does.
        ValueError: it is no address.
    """
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(
            f"--ray {address}: no address of a cluster; give ray://host:10001, host:6379 or auto."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise OSError(NOBODY.format(address, error)) from None


def _result(ray: Any, reference: Any) -> tuple[int, bytes]:
    """What a task returned.

    Raises:
        OSError: its process died again and again.
        Exception: what it raised.
    """
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ImportError):
            raise ValueError(
                f"a machine of the cluster lacks what the work needs ({error.cause}). Give it this "
                "repository's environment, at the same path."
            ) from None
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise OSError(
            f"a piece of work was lost {DEATHS} times ({type(error).__name__}). Look into Ray's "
            "dashboard for the reason; what is done is kept, and the same command goes on."
        ) from None


def _do(packed: bytes, piece: int) -> tuple[int, bytes]:
    """A piece, in a process of the cluster."""
    return piece, _opened(packed)(piece)


@lru_cache(maxsize=1)
def _opened(packed: bytes) -> Work:
    """What does the work, loaded when its process does its first piece."""
    return lean.loaded(pickle.loads(packed))
