"""Detached Ed25519 signatures of a manifest: who made a model, not only whether it is whole.

Source: RFC 8032. Keys are PEM files, as ``openssl genpkey -algorithm ed25519`` makes them.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mtrec.files import write_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

PUBLIC_KEY = "MTREC_PUBLIC_KEY"  # the environment variable that names a public key


class SignatureError(ValueError):
    """A signature or key is missing, or is not the one that is wanted."""


def signature_path(file: Path) -> Path:
    """The signature of a file."""
    return file.with_name(f"{file.name}.sig")


def wanted(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The public key that models must be signed for; None where no key is given."""
    given = environment.get(PUBLIC_KEY, "")
    return Path(given) if given else None


def sign(file: Path, private: Path) -> None:
    """Write the signature of a file beside it.

    Raises:
        SignatureError: the key cannot be read.
    """
    made = _private(private).sign(file.read_bytes())
    write_text(signature_path(file), base64.b64encode(made).decode() + "\n")


def verify(file: Path, public: Path) -> None:
    """Refuse a file that was not signed with the private part of a key.

    Raises:
        SignatureError: there is no signature, it is another one, or the key cannot be read.
    """
    from cryptography.exceptions import InvalidSignature

    key, beside = _public(public), signature_path(file)
    if not beside.is_file():
        raise SignatureError(
            f"{beside}: there is no signature, and {PUBLIC_KEY} asks for one; make it with "
            "`mtrec seal DOMAIN --key PRIVATE.pem`."
        )
    try:
        key.verify(base64.b64decode(beside.read_bytes(), validate=False), file.read_bytes())
    except (InvalidSignature, binascii.Error):
        raise SignatureError(
            f"{beside}: is not the signature of {file.name} by the key {public}; do not use this "
            "model, or seal it anew if you made it."
        ) from None


def _private(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise _unreadable(path, "private", error) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _unreadable(path, "private", None)
    return key


def _public(path: Path) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _unreadable(path, "public", error) from None
    if not isinstance(key, Ed25519PublicKey):
        raise _unreadable(path, "public", None)
    return key


def _unreadable(path: Path, kind: str, error: Exception | None) -> SignatureError:
    why = f" ({error.strerror})" if isinstance(error, OSError) else ""
    return SignatureError(
        f"{path}: is no {kind} Ed25519 key in PEM without a password{why}; make one with "
        "`openssl genpkey -algorithm ed25519`."
    )
