"""Who may ask: everybody on this machine, or whoever has the key."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping

VARIABLE = "MTREC_API_KEY"
LEAST = 16  # characters
LOOPBACK = ("localhost", "127.0.0.1", "::1")  # names of this machine


def key_for(host: str, environment: Mapping[str, str]) -> str | None:
    """The key that requests must bring; None if they need none.

    Args:
        host: to listen on.
        environment: of the process.

    Raises:
        ValueError: others than this machine could ask, and there is no key, or a short one.
    """
    key = environment.get(VARIABLE) or None
    if key is None and not is_loopback(host):
        raise ValueError(
            f"--host {host} lets other machines ask, which needs a key: set {VARIABLE} to "
            f"{LEAST} characters or more, and send it with each request as X-API-Key."
        )
    if key is not None and len(key) < LEAST:
        raise ValueError(f"{VARIABLE} has {len(key)} characters; give it {LEAST} or more.")
    return key


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_allowed(key: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a request brings the key; takes as long for a nearly right one as for another."""
    if key is None:
        return True
    given = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
    return hmac.compare_digest(given.encode("latin-1", "replace"), key.encode())
