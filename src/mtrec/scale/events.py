"""Events that do not fit in memory: sorted, split in time, and with what was known before each.

DuckDB streams them from disk to disk and spills what exceeds the memory that it may use. The result
is that of :func:`mtrec.tables.split.temporal` and :func:`mtrec.tables.past.running`, row for row,
and of the encoder's vocabularies and statistics (:mod:`mtrec.features.fields`). DuckDB comes with
``make scale``.
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
IDS = """
SELECT side, id, events, CASE WHEN known THEN row_number() OVER (PARTITION BY side, known
                                                                 ORDER BY id) ELSE 0 END AS code
FROM (SELECT *, events >= {least} AS known FROM (
  SELECT 'user' AS side, user_id AS id, count(*) AS events FROM rated WHERE ms < {validation}
  GROUP BY user_id
  UNION ALL
  SELECT 'item', item_id, count(*) FROM rated WHERE ms < {validation} GROUP BY item_id
)) ORDER BY side, id
"""
STATISTIC = """
SELECT '{name}' AS name, coalesce(avg({value}), 0) AS mean,
       coalesce(nullif(stddev_pop({value}), 0), 1) AS deviation
FROM read_parquet('{examples}') WHERE split = 'train'
"""
PAST = {  # as domains have it: numbers of events are logarithms
    f"{side}_{what}": f"ln(1 + {side}_count)" if what == "count" else f"{side}_{what}"
    for side in ("user", "item") for what in ("count", "mean")
}  # fmt: skip


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
    min_count: int | None = None,
) -> int:
    """Write ``events.parquet`` and ``examples.parquet``, and what an encoder learns if asked.

    That is ``ids.parquet``, the training events and the code of each user and item (0: unknown),
    and ``statistics.parquet``, mean and deviation of the past's columns over training rows.

    Args:
        source: Parquet or text file of events with a header, or a pattern of several.
        out: folder of the results, and of what does not fit in memory on the way.
        columns: where things are.
        shares: of validation and test, the last in time.
        once: whether a user meets an item once; the first row then stays.
        ordered: whether examples are to be in the order of ``source``, which costs a sort.
        memory: that may be used, such as ``8GB``.
        threads: as many as there are cores if None.
        min_count: training events below which an id is unknown; no encoder if None.

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
            given = columns or Columns()
            rows = _write(database, str(source), out, given, shares, once, ordered, min_count)
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
    once: bool, ordered: bool, min_count: int | None,
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
    queries = {"events": EVENTS, "examples": examples}
    if min_count is not None:
        written = _text(str(out / "examples.parquet"))
        queries["ids"] = IDS.format(least=int(min_count), validation=validation)
        queries["statistics"] = " UNION ALL ".join(
            STATISTIC.format(name=name, value=value, examples=written)
            for name, value in PAST.items()
        )
    for name, query in queries.items():
        with whole(out / f"{name}.parquet") as temporary:
            database.execute(f"COPY ({query}) TO '{_text(str(temporary))}' (FORMAT parquet)")
    return rows


def _text(value: str) -> str:
    """A value between the quotes of an SQL string."""
    return value.replace("'", "''")


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
