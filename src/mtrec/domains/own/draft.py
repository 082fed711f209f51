"""From files and answers to a domain that can be trained, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from mtrec.domains.own import domain as own
from mtrec.domains.own import files, workbook
from mtrec.domains.own.check_files import check_files
from mtrec.domains.own.check_tables import check_tables, untrainable
from mtrec.domains.own.check_unused import check_unused
from mtrec.domains.own.findings import Finding
from mtrec.domains.own.inspect import Inspection, inspect
from mtrec.domains.own.propose import Proposal, propose
from mtrec.domains.own.settings import Settings
from mtrec.domains.own.table import Table
from mtrec.settings import Domain


@dataclass(frozen=True)
class Source:
    """Files that were given: their names, bytes and cells."""

    names: Mapping[str, str]
    contents: Mapping[str, bytes]
    tables: Mapping[str, Table]

    @classmethod
    def read(cls, paths: Mapping[str, Path | None]) -> Source:
        """Read ``events``, and perhaps ``items`` and ``users``.

        A workbook becomes CSV, a zip archive the one file in it. A sheet is named behind its file:
        ``shop.xlsx#Sales``.

        Raises:
            FileError: a file cannot be used.
        """
        names: dict[str, str] = {}
        contents: dict[str, bytes] = {}
        tables: dict[str, Table] = {}
        for table, given in paths.items():
            if given is None:
                continue
            path, sheet = workbook.divide(given)
            content = files.raw_bytes(path)
            if workbook.is_workbook(content):
                content, notes = workbook.as_csv(path.name, content, sheet)
            else:
                content, notes = files.from_zip(path.name, content)
            read = files.parse(path.name, content)
            names[table], contents[table] = path.name, content
            tables[table] = replace(read, notes=(*notes, *read.notes))
        return cls(names, contents, tables)

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """Text cells by table."""
        return {table: found.frame for table, found in self.tables.items()}


@dataclass(frozen=True)
class Answers:
    """What the user says about the files, by flags or when asked.

    Attributes:
        roles: columns of events for ``user_id``, ``item_id``, ``timestamp``, ``rating``; ``-`` for
            none.
        time_unit: how times are to be read.
        repeats: ``keep`` or ``collapse``; ``keep`` if nothing was said.
    """

    roles: Mapping[str, str | None] = field(default_factory=dict)
    time_unit: str | None = None
    repeats: str | None = None

    def but(self, key: str, value: str) -> Answers:
        """The same with one answer: to ``time_unit``, ``repeats`` or a role."""
        if key == "repeats":
            return replace(self, repeats=value)
        if key == "time_unit":
            return replace(self, time_unit=value)
        return replace(self, roles={**self.roles, key: value})


@dataclass(frozen=True)
class Draft:
    """A domain that could be made, why it is as it is, and what it leaves."""

    source: Source
    answers: Answers
    inspection: Inspection
    proposal: Proposal
    findings: tuple[Finding, ...]


def draft(domain: str, source: Source, answers: Answers, seed: int) -> Draft:
    """Propose a domain for files, without the tasks that its rows cannot train.

    Args:
        domain: its name.
        source: the files.
        answers: what the user said.
        seed: of the split.

    Raises:
        FileError: a role cannot be found or played.
    """
    frames = source.frames
    inspection = inspect(frames, dict(answers.roles), answers.time_unit)

    def proposed(left: Mapping[str, str]) -> tuple[Proposal, list[Finding], dict[str, str]]:
        proposal = propose(domain, frames, inspection, answers.repeats or "keep", left)
        settings = _settings(domain, proposal)
        found, reasons = _findings(settings, source, seed)
        return proposal, found, reasons

    proposal, findings, reasons = proposed({})
    if reasons and len(reasons) < len(proposal.tasks):
        proposal, findings, _ = proposed(reasons)
    return Draft(source, answers, inspection, proposal, tuple(dict.fromkeys(findings)))


def _settings(domain: str, proposal: Proposal) -> Domain:
    block = yaml.safe_load("domains:\n" + proposal.block)["domains"][domain]
    made = Domain.model_validate(block)
    return made.model_copy(update={"data": Settings.model_validate(block["data"])})


def _findings(domain: Any, source: Source, seed: int) -> tuple[list[Finding], dict[str, str]]:
    """What ``mtrec check`` will say, and the tasks that cannot be trained, each with the reason."""
    frames, now = source.frames, pd.Timestamp(datetime.now(UTC).replace(tzinfo=None))
    found = [*check_files(frames, source.names, domain.data, now)]
    found += check_unused(frames, source.names, domain.data, domain.features)
    try:
        tables = own.make_tables(own.of_frames(frames), domain.data, seed)
    except ValueError as error:
        what, _, mend = str(error).partition(". ")
        return [*found, Finding("error", "events", "", what, mend)], {}
    wrong = [*check_tables(tables, domain)]
    errors = any(finding.level == "error" for finding in wrong)
    return [*found, *wrong], untrainable(tables, domain) if errors else {}
