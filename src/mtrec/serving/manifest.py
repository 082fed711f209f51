"""Whether a model folder is the one that was trained: whole, or refused.

Training leaves in the folder ``SHA256SUMS``, the digest of every file as ``sha256sum --check``
reads it. Beside the folder, a manifest ``models/<domain>.manifest.json`` repeats them with the
commit and the hash of the data; ``mtrec seal`` writes it, and ``mtrec serve`` when there is none.
The stage ``training`` does not: a commit cannot be named before it is made, and loading never
writes, since a stage that loads a model would otherwise leave a file that is none of its outputs.
``dvc.lock`` is no judge: who trains in JupyterLab, or on another processor, has another model, and
a good one.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from mtrec.files import SUMS, digests, write_text
from mtrec.paths import Paths
from mtrec.serving import signature

LINE = re.compile(r"([0-9a-f]{64})  ([^/\\]+)")
MEND = "Restore the folder: `dvc checkout {folder}`, or `make repro DOMAIN={domain}`."


class DamagedError(ValueError):
    """A model folder is not the one that was trained; the message names the file."""


@dataclass(frozen=True)
class Manifest:
    """What a model folder holds.

    Attributes:
        files: SHA-256 by name.
        data: MD5 of the tables that it was trained on, as ``dvc.lock`` has it; empty without.
        commit: of the repository when the manifest was made; empty without.
        fusion: SHA-256 of the list of files that the fusion's folder holds; empty without.
    """

    files: dict[str, str]
    data: str
    commit: str
    fusion: str = ""

    @property
    def version(self) -> str:
        """A short name of exactly these files."""
        listed = json.dumps([*sorted(self.files.items()), *([self.fusion] if self.fusion else [])])
        return hashlib.sha256(listed.encode()).hexdigest()[:12]


def manifest_path(paths: Paths) -> Path:
    """The manifest of a domain's model folder."""
    return paths.trained.with_name(f"{paths.domain}.manifest.json")


def check(paths: Paths) -> Manifest:
    """Compare a model folder with what is known of it, and with a key if one is given.

    Where the environment names a public key (:mod:`mtrec.serving.signature`), the manifest must be
    signed for it and name exactly these files.

    Returns:
        What the folder holds. Where nothing lists its files (models made in Python), nothing is
        compared.

    Raises:
        FileNotFoundError: there is no such folder.
        DamagedError: a file differs, is missing, or does not belong there.
        SignatureError: a key is given, and the model is not signed for it.
    """
    found = check_files(paths)
    if key := signature.wanted():
        _check_signed(paths, found.files, read(paths), key)
    return found


def check_files(paths: Paths) -> Manifest:
    """:func:`check` without a look at signatures."""
    folder = paths.trained
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such model. Run `make repro`, or `dvc pull` from a remote that has it."
        )
    mend = MEND.format(folder=folder.relative_to(paths.root), domain=paths.domain)
    found, listed, kept = digests(folder), _listed(folder, mend), read(paths)
    if listed and kept is not None and kept.files != listed:
        kept = None  # of an earlier training
    _compare(folder, found, listed or (kept.files if kept else found), mend)
    data, commit = (kept.data, kept.commit) if kept else ("", "")
    return Manifest(found, data, commit, _fusion(paths))


def _check_signed(paths: Paths, found: dict[str, str], kept: Manifest | None, key: Path) -> None:
    signature.verify(manifest_path(paths), key)
    if kept is None or kept.files != found or kept.fusion != _fusion(paths):
        raise DamagedError(
            f"{manifest_path(paths)}: is signed, but not for the files that are there; restore "
            f"them, or sign them with `mtrec seal {paths.domain} --key PRIVATE.pem`."
        )


def check_list(folder: Path, mend: str) -> None:
    """Compare a folder with the list that was written into it; nothing where there is none.

    Args:
        folder: of files alone.
        mend: how to restore it, a sentence.

    Raises:
        DamagedError: a file differs, is missing, or does not belong there.
    """
    if known := _listed(folder, mend):
        _compare(folder, digests(folder), known, mend)


def _compare(folder: Path, found: dict[str, str], known: dict[str, str], mend: str) -> None:
    for name in sorted(found.keys() | known.keys()):
        if found.get(name) != known.get(name):
            said = (
                "does not belong there" if name not in known
                else "is missing" if name not in found
                else "is not the one that was trained: its SHA-256 differs"
            )  # fmt: skip
            raise DamagedError(f"{folder / name}: {said}. {mend}")


def read(paths: Paths) -> Manifest | None:
    """The manifest, if there is one.

    Raises:
        DamagedError: it cannot be read.
    """
    file = manifest_path(paths)
    if not file.is_file():
        return None
    try:
        return Manifest(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise DamagedError(
            f"{file}: damaged. Delete it, and `mtrec seal {paths.domain}` makes it anew."
        ) from None


def seal(paths: Paths, key: Path | None = None) -> Manifest:
    """Write the manifest of a folder that is whole as far as is known, and sign it with a key.

    Raises:
        DamagedError: see :func:`check`.
        SignatureError: the key cannot be read.
    """
    found = check_files(paths)
    made = Manifest(found.files, _data(paths), _commit(paths.root), _fusion(paths))
    write_text(manifest_path(paths), json.dumps(asdict(made), indent=1) + "\n")
    if key is not None:
        signature.sign(manifest_path(paths), key)
    return made


def _fusion(paths: Paths) -> str:
    """SHA-256 of the list of the fusion's files, which its loading compares with them."""
    file = paths.fusion / SUMS
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def _listed(folder: Path, mend: str) -> dict[str, str]:
    """What ``SHA256SUMS`` says; empty if there is no such file."""
    file = folder / SUMS
    if not file.is_file():
        return {}
    lines = file.read_bytes().decode("utf-8", "replace").splitlines()
    found = [LINE.fullmatch(line) for line in lines]
    if not found or None in found:
        raise DamagedError(f"{file}: damaged. {mend}")
    return {line[2]: line[1] for line in found if line}


def _data(paths: Paths) -> str:
    """MD5 of the tables in ``dvc.lock``; empty where it has none."""
    import yaml  # a request, under JAX, needs none

    file = paths.root / "dvc.lock"
    if not file.is_file():
        return ""
    stages = yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader).get("stages", {})
    known = stages.get(f"training@{paths.domain}", {}).get("deps", ())
    place = str(paths.tables.relative_to(paths.root))
    return next((one["md5"] for one in known if one["path"] == place), "")


def _commit(root: Path) -> str:
    """The commit of the repository, empty if it is none."""
    done = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""
