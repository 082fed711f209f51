"""``mtrec new``: from files to a domain that the pipeline runs."""

from __future__ import annotations

import keyword
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mtrec.config import ConfigError, find_root, read_params
from mtrec.domains import DOMAINS
from mtrec.own import block, files, jsonlines
from mtrec.own.draft import Answers, Draft, Source, draft
from mtrec.own.findings import Finding, as_lines, lines
from mtrec.own.inspect import Inspection
from mtrec.own.propose import Proposal
from mtrec.own.summary import keep_out_of_git
from mtrec.paths import Paths

Talk = Callable[[Callable[[Answers], Draft], Answers], Draft]
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Made:
    """What was made: the folder of the copies, why the proposal is as it is, and what it leaves."""

    domain: str
    folder: Path
    inspection: Inspection
    proposal: Proposal
    notes: pd.DataFrame
    findings: tuple[Finding, ...]

    def report(self) -> str:
        """Everything a reader should see in a terminal."""
        parts = [
            "Columns\n" + lines(self.inspection.frame()),
            "Tasks\n" + lines(self.proposal.tasks),
        ]
        if len(self.notes):
            parts.append("Notes\n" + lines(self.notes))
        parts.append(as_lines("files", self.findings))
        parts.append(
            f"Copied to {self.folder.parent.name}/{self.domain}/ and written to params.yaml: read "
            f"domains.{self.domain} there and change what is wrong.\n"
            f"Next:  mtrec check {self.domain}\n"
            f"       make repro DOMAIN={self.domain}"
        )
        return "\n\n".join(parts)


def new(
    domain: str, paths: Mapping[str, Path | None], roles: Mapping[str, str | None],
    force: bool = False, start: Path | None = None, time_unit: str | None = None,
    repeats: str | None = None, talk: Talk | None = None,
) -> Made:  # fmt: skip
    """Inspect files, copy them to ``own/<domain>/`` and write a block into ``params.yaml``.

    Both appear, or neither does.

    Args:
        domain: name of the new domain.
        paths: ``events``, and perhaps ``items`` and ``users``.
        roles: columns of events named for ``user_id``, ``item_id``, ``timestamp``, ``rating``;
            ``-`` for none.
        force: replace a domain of that name that was made this way.
        start: a folder in the repository (default: the working folder).
        time_unit: how times are to be read, if it is not to be found out.
        repeats: ``keep`` (the default) those of user and item (and time), or ``collapse`` them.
        talk: makes the draft in a conversation.

    Raises:
        ConfigError: the name cannot be used, or ``params.yaml`` is wrong.
        FileError: a file cannot be used, or a role cannot be found.
    """
    root = find_root(start)
    folder = root / "own" / domain
    _check_name(domain, root, folder, force)
    source = Source.read(paths)
    seed = read_params(root / "params.yaml").seed

    def make(answers: Answers) -> Draft:
        return draft(domain, source, answers, seed)

    answers = Answers(roles, time_unit, repeats)
    found = talk(make, answers) if talk else make(answers)
    params = root / "params.yaml"
    text = params.read_bytes().decode("utf-8")
    if force:
        text = block.remove(text, domain)
    locations = Paths(root, domain)
    with _Copies(folder, source.contents), _Reference(locations.reference):
        block.replace(params, block.insert(text, found.proposal.block))
    keep_out_of_git(root / "reports" / domain)
    notes = [(table, note) for table, read in source.tables.items() for note in read.notes]
    notes += [("proposal", note) for note in found.proposal.notes]
    if locations.trained.exists():
        notes.append(("model", f"models/{domain} was trained on the old files and still answers; "
                      f"`make repro DOMAIN={domain}` trains it anew"))  # fmt: skip
    table = pd.DataFrame(notes, columns=["file", "note"])
    return Made(domain, folder, found.inspection, found.proposal, table, found.findings)


def _check_name(domain: str, root: Path, folder: Path, force: bool) -> None:
    if not NAME.fullmatch(domain) or keyword.iskeyword(domain):
        raise ConfigError(
            f"{domain[:60]!r} cannot name a domain; use a lower-case letter and then letters, "
            "digits and underscores, at most 40."
        )
    if domain in DOMAINS:
        raise ConfigError(f"'{domain}' is built in; choose another name.")
    known = read_params(root / "params.yaml").domains
    if domain in known and known[domain].module != "own":
        raise ConfigError(f"'{domain}' is in params.yaml and not your own data; choose another.")
    if (domain in known or folder.exists()) and not force:
        raise ConfigError(f"'{domain}' exists; add --force to replace it, or choose another name.")
    if (root / "own").is_symlink() or folder.is_symlink():
        raise ConfigError(f"own/{domain}: a symbolic link; make it a folder.")


class _Reference:
    """An empty reference of results, which stage evaluation wants; an error takes it away again."""

    def __init__(self, file: Path):
        self.file, self.made = file, not file.exists()

    def __enter__(self) -> None:
        if self.made:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text("{}\n", encoding="utf-8")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and self.made:
            self.file.unlink(missing_ok=True)


class _Copies:
    """Copies of the files in ``folder`` from the end of the block on; an error restores it."""

    def __init__(self, folder: Path, contents: Mapping[str, bytes]):
        self.folder, self.contents = folder, contents
        self.partial = folder.with_name(folder.name + ".partial")
        self.old = folder.with_name(folder.name + ".old")

    def __enter__(self) -> None:
        for leftover in (self.partial, self.old):
            shutil.rmtree(leftover, ignore_errors=True)
        self.partial.mkdir(parents=True)
        try:
            for table, content in self.contents.items():
                (self.partial / f"{table}.{_suffix(content)}").write_bytes(content)
            if self.folder.exists():
                os.replace(self.folder, self.old)
            os.replace(self.partial, self.folder)
        except BaseException:
            self._restore()
            raise

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._restore()
        shutil.rmtree(self.old, ignore_errors=True)

    def _restore(self) -> None:
        shutil.rmtree(self.partial, ignore_errors=True)
        if self.old.exists():
            os.replace(self.old, self.folder)


def _suffix(content: bytes) -> str:
    """``csv``, ``jsonl`` or ``parquet``, perhaps with ``.gz``, by what the bytes are."""
    packed = content.startswith(files.GZIP)
    inner = content
    if packed:
        inner = files.unpack_start(content, len(files.PARQUET))
    kind = "parquet" if inner.startswith(files.PARQUET) else "csv"
    if kind == "csv" and jsonlines.is_json(files.unpack_start(content, 1_000) if packed else inner):
        kind = "jsonl"
    return f"{kind}.gz" if packed else kind
