"""Parquet -> text cells, batch by batch, so that no compression can surprise."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mtrec.data.identifiers import EXACT
from mtrec.own import cells
from mtrec.own.table import FileError, Limits, Table

BATCH = 8192  # rows read at a time
LIST_SEPARATOR = "|"


def parse(name: str, content: bytes, limits: Limits) -> Table:
    """Read Parquet; every value becomes its text, a list its elements joined by ``|``.

    Raises:
        FileError: damaged, a limit exceeded, or no usable column.
    """
    try:
        table, notes = _read(name, content, limits)
    except FileError:
        raise
    except Exception as error:  # whatever a stranger's bytes provoke in the reader
        raise FileError(
            f"{name}: damaged Parquet ({type(error).__name__}); write the file again."
        ) from None
    if not table.num_rows:
        raise FileError(f"{name}: no rows; add rows.")
    return cells.finish(name, table, table.column_names, notes, limits)


def _read(name: str, content: bytes, limits: Limits) -> tuple[pa.Table, list[str]]:
    file = pq.ParquetFile(pa.BufferReader(content))
    if file.metadata.num_rows > limits.rows:
        raise FileError(f"{name}: more than {limits.rows:,} rows; split it or take a part.")
    schema = file.schema_arrow
    if len(schema) > limits.columns:
        raise FileError(f"{name}: {len(schema):,} columns (limit {limits.columns:,}); drop some.")
    usable = [field.name for field in schema if _usable(field.type)]
    notes = [
        f"column {cells.quote(field.name)} of type {field.type} was left out"
        for field in schema
        if field.name not in usable
    ]
    if not usable:
        raise FileError(f"{name}: no column of text, numbers, times or lists; write some.")
    batches, size = [], 0
    for batch in file.iter_batches(batch_size=BATCH, columns=usable, use_threads=False):
        text = pa.RecordBatch.from_arrays([_text(column) for column in batch.columns], names=usable)
        size += text.nbytes
        if size > limits.bytes:
            raise FileError(
                f"{name}: unpacks to more than {limits.bytes:,} bytes; split it or take a part."
            )
        batches.append(text)
    plain = pa.schema([(column, pa.string()) for column in usable])
    return pa.Table.from_batches(batches, schema=plain), notes


def _usable(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.types.is_primitive(kind.value_type) or _is_text(kind.value_type)
    return (
        pa.types.is_primitive(kind)
        or pa.types.is_decimal(kind)
        or _is_text(kind)
        or kind == pa.binary(16)
        or isinstance(kind, pa.UuidType)
    )


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _text(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if isinstance(column.type, pa.UuidType):
        column = column.storage
    if column.type == pa.binary(16):
        return pa.array([v and str(uuid.UUID(bytes=v)) for v in column.to_pylist()], pa.string())
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        inner = column.cast(pa.list_(pa.string()))
        return pc.binary_join(inner, LIST_SEPARATOR)
    found = column.cast(pa.string())
    if pa.types.is_floating(column.type):
        found = _whole(column, found)
    return pc.if_else(pc.is_in(found, pa.array([*cells.EMPTY, "nan"])), None, found)


def _whole(column: pa.Array, found: pa.Array) -> pa.Array:
    """Whole numbers without point or exponent, as far as a float keeps them apart."""
    exact = pc.and_(pc.less(pc.abs(column), EXACT), pc.equal(pc.floor(column), column))
    exact = pc.fill_null(exact, False)
    whole = pc.if_else(exact, column, 0).cast(pa.int64()).cast(pa.string())
    return pc.if_else(exact, whole, found)
