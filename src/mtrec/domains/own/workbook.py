"""An Excel workbook -> the bytes of a CSV file, which is what is inspected and kept.

Values are those that were saved: of a formula its last result. Numbers without a fraction lose
their ``.0``, times become ISO 8601, and ids that were stored as text keep their zeros.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, time, timedelta
from pathlib import Path
from statistics import mode

from python_calamine import CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from mtrec.domains.own.cells import quote
from mtrec.domains.own.files import BROKEN, ZIP
from mtrec.domains.own.table import LIMITS, FileError, Limits

MEMBER = b"xl/workbook.xml"
ABOVE = 20  # rows in which the header is looked for
LOOKED = 200  # rows that say how many cells are usual
DIGITS = 1e15  # Excel keeps fifteen: a larger number was rounded
CELLS = 64_000_000  # from the first to the last row and column, empty ones included: some 2 GB
PLACE = re.compile(rb"\br\s*=\s*[\"']([A-Za-z]{0,7})([0-9]{0,9})")  # of a row or a cell
LETTERS = 26
NEVER = re.compile(rb"(?:</f>|<f\b[^>]*/>)\s*(?:<v\s*/>|<v></v>)?\s*</c>")
Row = list[str]


def is_workbook(content: bytes) -> bool:
    """Whether bytes are a workbook of Excel 2007 or later."""
    return content.startswith(ZIP) and MEMBER in content


def divide(path: Path) -> tuple[Path, str | None]:
    """A file, and the sheet that is named behind it.

    Example:
        >>> divide(Path("shop.xlsx#Sales"))
        (PosixPath('shop.xlsx'), 'Sales')
        >>> divide(Path("shop.csv"))
        (PosixPath('shop.csv'), None)
    """
    file, mark, sheet = str(path).rpartition("#")
    if mark and file.lower().endswith((".xlsx", ".xlsm")) and not path.exists():
        return Path(file), sheet
    return path, None


def as_csv(
    name: str, content: bytes, sheet: str | None = None, limits: Limits = LIMITS
) -> tuple[bytes, list[str]]:
    """The table of a workbook as CSV, and notes on what was left out.

    Sheets with the same header are one table; of different ones the user must name one.

    Args:
        name: of the file.
        content: its bytes.
        sheet: the sheet to read; the only one that holds a table, if none is named.
        limits: bytes of what it unpacks to.

    Raises:
        FileError: damaged, too large, no table or several, or formulas without results.
    """
    notes = _examined(name, content, limits)
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        known = [found for found in book.sheets_metadata if found.typ == SheetTypeEnum.WorkSheet]
        if sheet is None:
            known = [found for found in known if found.visible == SheetVisibleEnum.Visible]
        read = [found.name for found in known if sheet in (None, found.name)]
        sheets = {title: _table(book, title, notes) for title in read}
    except BaseException as error:  # the reader's own panic is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        raise _damaged(name, error) from None
    if sheet is not None and not read:
        names = ", ".join(quote(found.name) for found in known)
        raise FileError(f"{name}: there is no sheet {quote(sheet)} (found: {names}); name one.")
    tables = {title: rows for title, rows in sheets.items() if rows}
    if not tables:
        raise FileError(f"{name}: no sheet holds a header line, rows and two columns; add them.")
    headers = {tuple(rows[0]) for rows in tables.values()}
    titles = [quote(title) for title in tables]
    if len(headers) > 1:
        raise FileError(
            f"{name}: {len(tables)} sheets hold tables ({', '.join(titles)}); name the one that is "
            f'meant, such as "{name}#{next(iter(tables))}".'
        )
    notes.insert(0, f"an Excel workbook, sheet {' and '.join(titles)}: kept as CSV")
    left = [quote(found.name) for found in book.sheets_metadata if found.name not in tables]
    if left:
        notes.append(f"sheets that were left out: {', '.join(left)}")
    return _written(name, list(tables.values()), limits), notes


def _examined(name: str, content: bytes, limits: Limits) -> list[str]:
    """Notes on errors in cells, after every check that a reader in trust would not make."""
    errors = 0
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > limits.bytes:
                raise FileError(
                    f"{name}: unpacks to more than {limits.bytes:,} bytes; save it as CSV."
                )
            for member in archive.infolist():
                with archive.open(member) as part:
                    found = part.read(member.file_size + 1)  # more than it says is an error
                if not member.filename.startswith("xl/worksheets/"):
                    continue
                columns, rows = {b""}, {b"0"}
                for place in PLACE.finditer(found):
                    columns.add(place[1])
                    rows.add(place[2] or b"0")
                height, width = max(map(int, rows)), max(map(_number, columns))
                if width > limits.columns or height * max(width, LETTERS) > CELLS:
                    raise FileError(
                        f"{name}: cells down to row {height:,} and column {width:,} are too many; "
                        "delete those far from the table, or save it as CSV."
                    )
                if never := len(NEVER.findall(found)):
                    raise FileError(
                        f"{name}: {never:,} formulas have no saved result; open it in Excel or "
                        "LibreOffice and save it again."
                    )
                errors += found.count(b' t="e"')
    except FileError:
        raise
    except BROKEN as error:
        raise _damaged(name, error) from None
    return [f"{errors:,} cells hold errors such as #N/A: taken as missing"] if errors else []


def _damaged(name: str, error: BaseException) -> FileError:
    return FileError(
        f"{name}: a damaged workbook ({type(error).__name__}); save it again, or as CSV."
    )


def _number(letters: bytes) -> int:
    """The number of a column: 27 for ``AA``."""
    number = 0
    for letter in letters.upper():
        number = number * LETTERS + letter - 64
    return number


def _table(book: CalamineWorkbook, title: str, notes: list[str]) -> list[Row]:
    """A sheet's header and rows as text, or nothing if it holds no table."""
    found = (list(map(_text, row)) for row in book.get_sheet_by_name(title).iter_rows())
    rows = [row for row in found if any(row)]
    used = [at for at in range(len(rows[0]) if rows else 0) if any(row[at] for row in rows)]
    if len(used) < 2 or len(rows) < 2:
        return []
    if len(used) < len(rows[0]):
        rows = [[row[at] for at in used] for row in rows]
    counts = [sum(map(bool, row)) for row in rows[:LOOKED]]
    first = next(n for n, count in enumerate(counts) if count > mode(counts) / 2)
    for row in rows[: min(first, ABOVE)]:
        notes.append(f"a line above the table was left out: {quote(' '.join(filter(None, row)))}")
    rows = rows[min(first, ABOVE) :]
    rows[0] = [" ".join(cell.split()) for cell in rows[0]]
    return rows if len(rows) > 1 else []


def _text(cell: object) -> str:
    """A cell as text."""
    if isinstance(cell, float):
        if cell.is_integer():
            return str(int(cell)) if abs(cell) < DIGITS else f"{cell:.15e}".replace("e", "E")
        return repr(cell)
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, date | time):  # a moment is a date, too
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return str(cell.total_seconds())
    return str(cell).strip()


def _written(name: str, tables: Sequence[list[Row]], limits: Limits) -> bytes:
    """Tables below each other, with one header and a first line that names the delimiter."""

    def rows() -> Iterator[Row]:
        yield tables[0][0]
        for table in tables:
            yield from table[1:]

    text = io.StringIO()
    text.write("sep=,\n")
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows())
    found = text.getvalue().encode("utf-8")
    if len(found) > limits.bytes:
        raise FileError(f"{name}: more than {limits.bytes:,} bytes as CSV; take a part.")
    return found
