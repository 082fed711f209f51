"""The four tables that every data set becomes, and their checks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from mtrec.registry import TASK_TYPES, Form

SPLITS = ("train", "validation", "test")
ID = pa.Column(str, unique=True, nullable=False)
TIME = pa.Column("datetime64[ms]", nullable=False)


class SchemaError(ValueError):
    """A table breaks the data contract; the message names table, column, value and the mend."""


@dataclass(frozen=True)
class Tables:
    """One data set, ready to be learnt from.

    Attributes:
        users: ``user_id`` (unique str), feature columns, optional ``text``.
        items: ``item_id`` (unique str), feature columns, optional ``text``.
        events: ``user_id``, ``item_id``, ``timestamp`` and numeric columns: what happened.
        examples: ``user_id``, ``item_id`` (either may be missing), ``timestamp``, ``split``,
            ``cold_user``, ``cold_item``, label columns (missing where unknown) and context columns
            known strictly before ``timestamp``.
        account: what was dropped, repaired or derived, one row per step.
    """

    users: pd.DataFrame
    items: pd.DataFrame
    events: pd.DataFrame
    examples: pd.DataFrame
    account: pd.DataFrame


class Account:
    """Collects one line per cleaning step, for the reader of notebook 01."""

    def __init__(self) -> None:
        self._rows: list[tuple] = []

    def add(self, table: str, step: str, kind: str, rows: int, of: int, why: str) -> None:
        """Note that ``step`` touched ``rows`` of ``of`` rows (dropped, repaired, kept, derived)."""
        self._rows.append((table, step, kind, int(rows), int(of), why))

    def drop(self, frame: pd.DataFrame, bad: pd.Series, table: str, step: str, why: str):
        """Return ``frame`` without the ``bad`` rows and note how many they were."""
        self.add(table, step, "dropped", bad.sum(), len(frame), why)
        return frame[~bad]

    def frame(self) -> pd.DataFrame:
        """All lines: table, step, kind, rows, of, why."""
        return pd.DataFrame(self._rows, columns=["table", "step", "kind", "rows", "of", "why"])


def require_columns(frame: pd.DataFrame, columns: list[str], file: str) -> None:
    """Check that a raw file has its columns.

    Raises:
        SchemaError: one is missing.
    """
    missing = [column for column in columns if column not in frame]
    if missing:
        raise SchemaError(
            f"{file}: column '{missing[0]}' is missing "
            f"(found: {', '.join(map(str, frame.columns))}). "
            "Fetch the file again with `make repro`, or rename the column."
        )


def validate(tables: Tables, labels: Mapping[str, str]) -> Tables:
    """Check the four tables and the label columns.

    Args:
        tables: the tables.
        labels: type of each label column (``binary``, ``regression``, …).

    Raises:
        SchemaError: a column is missing or has a wrong type or value, an id is unknown, or a
            split is empty.
    """
    text = {"text": pa.Column(str, nullable=True, required=False)}
    ids = {
        "user_id": pa.Column(str, pa.Check.isin(set(tables.users.get("user_id", [])))),
        "item_id": pa.Column(str, pa.Check.isin(set(tables.items.get("item_id", [])))),
    }
    optional = {name: replace_nullable(column) for name, column in ids.items()}
    schemas = {
        "users": pa.DataFrameSchema({"user_id": ID, **text}),
        "items": pa.DataFrameSchema({"item_id": ID, **text}),
        "events": pa.DataFrameSchema({**ids, "timestamp": TIME}),
        "examples": pa.DataFrameSchema(
            {
                **optional,
                "timestamp": pa.Column("datetime64[ms]", nullable=True),
                "split": pa.Column(str, pa.Check.isin(SPLITS)),
                "cold_user": pa.Column(bool),
                "cold_item": pa.Column(bool),
                **{name: _label(kind) for name, kind in labels.items()},
            }
        ),
    }
    for name, schema in schemas.items():
        _check(name, schema, getattr(tables, name))
    for split in SPLITS:
        if not (tables.examples["split"] == split).any():
            raise SchemaError(
                f"examples: the {split} split is empty; expected rows in each of "
                f"{', '.join(SPLITS)}. Mend the split settings of the domain in params.yaml."
            )
    return tables


def replace_nullable(column: pa.Column) -> pa.Column:
    """The same column, with missing values allowed."""
    return pa.Column(column.dtype, column.checks, nullable=True)


def _label(kind: str) -> pa.Column:
    form = TASK_TYPES.forms[kind]
    if form is Form.BIT:
        return pa.Column(float, pa.Check.isin([0.0, 1.0]), nullable=True)
    if form in (Form.NUMBER, Form.LEVEL):
        return pa.Column(float, pa.Check.in_range(-1e12, 1e12), nullable=True)
    if form is Form.SET:
        lists = pa.Check(
            lambda s: s.dropna().map(lambda v: isinstance(v, list)), name="lists of str"
        )
        return pa.Column(object, lists, nullable=True)
    return pa.Column(str, nullable=True)


def _check(name: str, schema: pa.DataFrameSchema, frame: pd.DataFrame) -> None:
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        case = error.failure_cases.iloc[0]
        column = case["column"] if pd.notna(case["column"]) else case["failure_case"]
        raise SchemaError(
            f"{name}: column '{column}': check '{case['check']}' failed, found "
            f"{case['failure_case']} ({len(error.failure_cases)} such cases). "
            f"Mend make_tables of the domain, or the raw file it reads."
        ) from None


def write(tables: Tables, folder: Path) -> None:
    """Write ``users.parquet`` … and ``account.csv``; same tables give the same bytes.

    The folder appears whole or not at all.
    """
    temporary = folder.with_name(folder.name + ".partial")
    temporary.mkdir(parents=True, exist_ok=True)
    for field in fields(Tables):
        frame = getattr(tables, field.name).reset_index(drop=True)
        if field.name == "account":
            frame.to_csv(temporary / "account.csv", index=False)
        else:
            frame.to_parquet(temporary / f"{field.name}.parquet", engine="pyarrow", index=False)
    if folder.exists():
        for old in folder.iterdir():
            old.unlink()
        folder.rmdir()
    os.replace(temporary, folder)


def read(folder: Path) -> Tables:
    """Read what :func:`write` wrote.

    Raises:
        FileNotFoundError: a file is missing.
    """
    frames = {}
    for field in fields(Tables):
        file = folder / (
            f"{field.name}.csv" if field.name == "account" else f"{field.name}.parquet"
        )
        if not file.is_file():
            raise FileNotFoundError(
                f"{file}: no such file; run notebook 01 (`make repro`) to make the tables first."
            )
        frames[field.name] = pd.read_csv(file) if file.suffix == ".csv" else _read_parquet(file)
    return Tables(**frames)


def _read_parquet(file: Path) -> pd.DataFrame:
    frame = pd.read_parquet(file)
    for column in frame:
        if frame[column].dtype == object:  # Arrow gives lists back as arrays
            frame[column] = frame[column].map(list, na_action="ignore")
    return frame
