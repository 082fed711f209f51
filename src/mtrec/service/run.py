"""``mtrec serve``: load a domain, replay its log, and answer until told to stop."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn

from mtrec import cores
from mtrec.config import experiment
from mtrec.files import SUMS
from mtrec.fusion import store
from mtrec.paths import Paths, find_root
from mtrec.service.app import make_app
from mtrec.service.bundle import Bundle, open_bundle
from mtrec.service.keys import LOOPBACK, key_for
from mtrec.service.live import Live
from mtrec.service.log import EventLog
from mtrec.service.metrics import Metrics
from mtrec.serving import manifest

PATIENCE = 10  # seconds that open requests have to end


def serve(domain: str, host: str, port: int, folder: Path | None = None) -> None:
    """Answer requests for a domain until SIGTERM or SIGINT.

    Args:
        domain: its name in ``params.yaml``.
        host: to listen on; others than this machine's own need a key.
        port: to listen on.
        folder: of the log of events; ``build/service/<domain>`` if None.

    Raises:
        ValueError: the domain is unknown, its model not whole, or a key is missing.
        OSError: there is no model, another service holds the log, or the log is damaged.
    """
    key = key_for(host, os.environ)
    cores.keep_to_one_core()
    root = find_root()
    paths = experiment(domain, root).paths
    log = EventLog(folder or root / "build" / "service" / domain, say=_say)
    bundle = open_bundle(domain, root)
    _seal(paths)
    live = Live(bundle, log, Metrics(), newer(domain, root, bundle))
    _say(
        f"{domain}: model {bundle.answers.version}, {live.replayed:,} events replayed; "
        f"http://{host}:{port} (pages for programs: /docs)"
    )
    own = () if key else {*LOOPBACK, host}  # who has the key may come by any name
    app = make_app(live, key, hosts=own)
    collect_once()
    uvicorn.run(
        app, host=host, port=port, log_level="warning", access_log=False,
        timeout_graceful_shutdown=PATIENCE, server_header=False,
    )  # fmt: skip


def collect_once() -> None:
    """Let the garbage collector look at what is loaded for the last time.

    It would otherwise go through all objects of the model's graph now and then, a tenth of a second
    in which nobody is answered.
    """
    gc.collect()
    gc.freeze()


def newer(domain: str, root: Path, first: Bundle) -> Callable[[], Bundle | None]:
    """A function that loads the newest model, once its files have stayed the same for one look."""
    paths = Paths(root, domain)
    current = _marks(paths)
    last, fused = current, _is_whole(paths.fusion)
    failed: tuple[tuple, Exception] | None = None

    def look() -> Bundle | None:
        nonlocal current, last, fused, failed
        found = _marks(paths)
        settled, last = found == last, found
        if found == current or not settled or not found:
            return None
        if fused and not _is_whole(paths.fusion):
            return None  # its stage is at work
        if failed is not None and failed[0] == found:
            raise failed[1]
        try:
            bundle = open_bundle(domain, root)
        except Exception as error:
            failed = found, error
            raise
        current, fused, failed = found, _is_whole(paths.fusion), None
        return bundle

    return look


def _is_whole(fusion: Path) -> bool:
    return (fusion / store.CHOICES).is_file() and (fusion / SUMS).is_file()


def _marks(paths: Paths) -> tuple:
    """What tells one training's files from another's, without reading them."""
    folders = (paths.trained, paths.fusion, paths.tables)
    files = [file for folder in folders for file in folder.glob("*")]
    try:
        return tuple(sorted((str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in files))
    except FileNotFoundError:  # one is being replaced
        return ()


def _seal(paths: Paths) -> None:
    """Write the manifest where there is none and may be one."""
    if manifest.manifest_path(paths).is_file():
        return
    try:
        manifest.seal(paths)
    except OSError as error:
        _say(f"{manifest.manifest_path(paths)}: not written ({error.strerror}).")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
