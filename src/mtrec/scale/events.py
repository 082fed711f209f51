"""Events that do not fit in memory: sorted, split in time, and with what was known before each.

DuckDB streams them from disk to disk and spills what exceeds the memory that it may use. The result
is that of :func:`mtrec.tables.split.temporal` and :func:`mtrec.tables.past.running`, row for row.
It comes with ``make scale``.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtrec.files import whole

READ = """
CREATE TABLE rated AS SELECT * FROM (
  SELECT CAST({user} AS VARCHAR) AS user_id, CAST({item} AS VARCHAR) AS item_id,
         CAST(round(CAST({time} AS DOUBLE) * 1000) AS BIGINT) AS ms,
         CAST({value} AS DOUBLE) AS value, row_number() OVER () AS place
  FROM raw
) {once}
"""
ONCE = "QUALIFY row_number() OVER (PARTITION BY user_id, item_id ORDER BY place) = 1"
FROM_PLACE = "SELECT ms FROM rated ORDER BY ms LIMIT 1 OFFSET {}"
EXAMPLES = """
SELECT user_id, item_id, CAST(make_timestamp(ms * 1000) AS TIMESTAMP_MS) AS timestamp, value,
       CASE WHEN ms < {validation} THEN 'train' WHEN ms < {test} THEN 'validation'
            ELSE 'test' END AS split,
       count(value) OVER past_user AS user_count, avg(value) OVER past_user AS user_mean,
       count(value) OVER past_item AS item_count, avg(value) OVER past_item AS item_mean
FROM rated
WINDOW past_user AS (PARTITION BY user_id ORDER BY ms
                     RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
       past_item AS (PARTITION BY item_id ORDER BY ms
                     RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
{order}
"""
EVENTS = """
SELECT user_id, item_id, CAST(make_timestamp(ms * 1000) AS TIMESTAMP_MS) AS timestamp, value
FROM rated ORDER BY user_id, ms, place
"""


@dataclass(frozen=True)
class Columns:
    """Where things are in the raw events.

    Attributes:
        user: column of the user's id.
        item: column of the item's id.
        time: column of the time, in seconds since 1970.
        value: column of a number: a rating, a price, or 1.
    """

    user: str = "user_id"
    item: str = "item_id"
    time: str = "timestamp"
    value: str = "rating"


def prepare(
    source: Path | str,
    out: Path,
    columns: Columns | None = None,
    shares: tuple[float, float] = (0.1, 0.1),
    once: bool = False,
    ordered: bool = True,
    memory: str = "8GB",
    threads: int | None = None,
) -> int:
    """Write ``events.parquet`` and ``examples.parquet``.

    Args:
        source: Parquet or text file of events with a header, or a pattern of several.
        out: folder of the results, and of what does not fit in memory on the way.
        columns: where things are.
        shares: of validation and test, the last in time.
        once: whether a user meets an item once; the first row then stays.
        ordered: whether examples are to be in the order of ``source``, which costs a sort.
        memory: that may be used, such as ``8GB``.
        threads: as many as there are cores if None.

    Returns:
        Number of events.

    Raises:
        OSError: ``source`` cannot be read, or the disk is full.
        ValueError: a column is missing or holds what is none of its kind, or DuckDB is missing.
    """
    try:
        import duckdb
    except ImportError:
        raise ValueError("events out of memory need DuckDB: `make scale` adds it.") from None
    work = out / "work"
    shutil.rmtree(work, ignore_errors=True)  # of one that was killed
    work.mkdir(parents=True)
    try:
        with duckdb.connect(str(work / "events.duckdb")) as database:
            database.execute("SET enable_progress_bar = false")
            database.execute(f"SET memory_limit = '{memory}'")
            database.execute(f"SET temp_directory = '{_text(str(work))}'")
            if threads:
                database.execute(f"SET threads = {int(threads)}")
            rows = _write(database, str(source), out, columns or Columns(), shares, once, ordered)
    except duckdb.IOException as error:
        raise OSError(f"{source}: {_first(error)}") from None
    except duckdb.OutOfMemoryException as error:
        raise OSError(f"{out}: neither memory nor disk is enough ({_first(error)}).") from None
    except duckdb.Error as error:
        raise ValueError(f"{source}: {_first(error)}") from None
    finally:
        shutil.rmtree(work)
    return rows


def _write(
    database: Any, source: str, out: Path, columns: Columns, shares: tuple[float, float],
    once: bool, ordered: bool,
) -> int:  # fmt: skip
    read = database.read_parquet if source.endswith(".parquet") else database.read_csv
    read(source).create_view("raw")
    names = {name: '"' + value.replace('"', '""') + '"' for name, value in vars(columns).items()}
    database.execute(READ.format(**names, once=ONCE if once else ""))
    rows = database.execute("SELECT count(*) FROM rated").fetchone()[0]
    if not rows:
        raise ValueError(f"{source}: no events.")
    validation, test = (
        database.execute(FROM_PLACE.format(min(rows - 1, round(rows * share)))).fetchone()[0]
        for share in (1 - sum(shares), 1 - shares[1])
    )
    order = "ORDER BY place" if ordered else ""
    examples = EXAMPLES.format(validation=validation, test=test, order=order)
    for name, query in {"events": EVENTS, "examples": examples}.items():
        with whole(out / f"{name}.parquet") as temporary:
            database.execute(f"COPY ({query}) TO '{_text(str(temporary))}' (FORMAT parquet)")
    return rows


def _text(value: str) -> str:
    """A value between the quotes of an SQL string."""
    return value.replace("'", "''")


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
