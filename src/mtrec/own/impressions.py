"""What was shown and what was clicked, in one cell: ``N1-0 N7-1`` becomes a row for each item."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from mtrec.own.table import FileError, Limits

ONE = r"[^\s,;]+-[01]"
CELL = rf"^{ONE}(?:[ ,;]{ONE})*$"
MOSTLY = 0.95
LOOKED = 2_000  # cells


def spread(name: str, table: pa.Table, limits: Limits) -> tuple[pa.Table, list[str]]:
    """A table with a row per item shown, and a column that says which was clicked.

    Raises:
        FileError: there would be too many rows.

    Example:
        >>> shown = pa.table({"user": ["u", "v"], "shown": ["a-0 b-1", "c-1"]})
        >>> spread("events.tsv", shown, Limits())[0].to_pylist()[1]
        {'user': 'u', 'shown': 'b', 'shown_clicked': '1'}
    """
    for at, column in enumerate(table.column_names):
        known = table[column].slice(0, LOOKED).drop_null()
        if not len(known) or not pc.mean(pc.match_substring_regex(known, CELL)).as_py() > MOSTLY:
            continue
        if not pc.any(pc.match_substring_regex(known, r"[ ,;]")).as_py():
            continue
        parts = pc.split_pattern_regex(table[column].combine_chunks(), r"[ ,;]")
        shown = pc.list_flatten(parts)
        if len(shown) > limits.rows:
            raise FileError(
                f"{name}: column '{column}' holds {len(shown):,} items (limit {limits.rows:,}); "
                "take a part of the file."
            )
        rows = table.take(pc.list_parent_indices(parts))
        rows = rows.set_column(at, column, pc.utf8_slice_codeunits(shown, 0, -2))
        clicked = pc.utf8_slice_codeunits(shown, -1, None)
        note = (
            f"{len(table):,} lists of items shown, column {column}, became {len(rows):,} rows; "
            f"column {column}_clicked says which were clicked"
        )
        return rows.append_column(f"{column}_clicked", clicked), [note]
    return table, []
