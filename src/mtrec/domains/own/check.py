"""``mtrec check``: everything that is wrong with a domain, built-in or one's own, at once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from mtrec.config import experiment
from mtrec.domains.own import domain as own
from mtrec.domains.own.check_files import check_files, read_all
from mtrec.domains.own.check_tables import check_tables
from mtrec.domains.own.check_unused import check_unused
from mtrec.domains.own.findings import Finding
from mtrec.paths import ConfigError


def check(domain: str, start: Path | None = None, now: pd.Timestamp | None = None) -> list[Finding]:
    """Say what is wrong with a domain: its settings, its files, and the tables made of them.

    Args:
        domain: name in ``params.yaml``.
        start: a folder in the repository (default: the working folder).
        now: later times are in the future (default: the clock, UTC).
    """
    now = now or pd.Timestamp(datetime.now(UTC).replace(tzinfo=None))
    try:
        run = experiment(domain, start)
    except ConfigError as error:
        what, _, mend = str(error).removeprefix("params.yaml: ").partition(". ")
        return [Finding("error", "params.yaml", "", what, mend)]
    findings: list[Finding] = []
    raw = None
    if run.domain.module == "own":
        frames, names, findings = read_all(run.raw)
        findings += check_files(frames, names, run.domain.data, now)
        findings += check_unused(frames, names, run.domain.data, run.domain.features)
        if len(frames) < len(names) or "events" not in frames:
            return findings
        raw = own.of_frames(frames)
    try:
        raw = raw or run.module.load_raw(run.raw)
        tables = run.module.make_tables(raw, run.domain.data, run.seed)
    except (ValueError, KeyError, OSError) as error:
        if not any(finding.level == "error" for finding in findings):
            text = str(error.args[0] if isinstance(error, KeyError) else error)
            what, _, mend = text.partition(". ")
            findings.append(Finding("error", domain, "", what, mend))
        return findings
    findings += check_tables(tables, run.domain)
    return list(dict.fromkeys(findings))
