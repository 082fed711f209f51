"""A stranger's files in a repository of their own: what `new` and `check` make of them."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mtrec.config import experiment
from mtrec.own.check import check
from mtrec.own.new import Made, new

ROOT = Path(__file__).resolve().parents[2]
NOW = pd.Timestamp("2026-01-01")
ROWS = 600


@dataclass
class Tried:
    """What came of files: the proposal, what `check` says, and the tables."""

    made: Made
    block: dict
    findings: list
    tables: object

    def role(self, kind, table="events"):
        return [column.name for column in self.made.inspection.named(table, kind)]

    def tasks(self):
        return {name: task["type"] for name, task in self.block["tasks"].items()}

    def lines(self, level):
        return [finding.line() for finding in self.findings if finding.level == level]

    def said(self, text):
        """Whether both `new` and `check` say ``text``."""
        notes = [*self.made.notes["note"], *(f.line() for f in self.made.findings)]
        return any(text in n for n in notes) and any(text in f.line() for f in self.findings)


@pytest.fixture
def attempt(tmp_path):
    """Run `new` and `check` on files, given as text, bytes or tables; no error may be left."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)

    def tried(events, items=None, users=None, errors=False, time_unit=None, **roles):
        paths = {}
        for name, content in {"events": events, "items": items, "users": users}.items():
            if content is not None:
                paths[name] = tmp_path / f"{name}.txt"
                content = content.to_csv(index=False) if hasattr(content, "columns") else content
                content = content.encode() if isinstance(content, str) else content
                paths[name].write_bytes(content)
        made = new("shop", paths, roles, True, tmp_path, time_unit)
        findings = check("shop", tmp_path, NOW)
        assert errors or not [f for f in findings if f.level == "error"], findings
        block = yaml.safe_load("domains:\n" + made.proposal.block)["domains"]["shop"]
        run = experiment("shop", tmp_path)
        tables = run.module.make_tables(run.module.load_raw(run.raw), run.domain.data, 0)
        return Tried(made, block, findings, tables)

    return tried


@pytest.fixture
def log():
    """Columns of made-up events in the order of time: ``user``, ``item``, ``second``, ``stars``."""
    rng = np.random.default_rng(0)
    return pd.DataFrame({
        "user": rng.integers(0, 90, ROWS), "item": rng.integers(0, 60, ROWS),
        "second": np.sort(rng.integers(1_600_000_000, 1_630_000_000, ROWS)),
        "stars": rng.integers(1, 6, ROWS), "yes": rng.integers(0, 2, ROWS),
    })  # fmt: skip
