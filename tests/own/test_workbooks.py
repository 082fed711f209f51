"""Excel workbooks and zip archives: read as one expects, or refused in one clear sentence."""

import io
import zipfile
from datetime import datetime, timedelta

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mtrec.domains.own import files, workbook
from mtrec.domains.own.draft import Source
from mtrec.domains.own.table import FileError, Limits
from tests.own.workbooks import Formula, sheet
from tests.own.workbooks import workbook as made

HEADER = ["customer", "sku", "sold at", "stars"]


def sold(count=40, first=0):
    start = datetime(2024, 1, 1, 10, 30)
    return [
        [n % 7 + 1, f"{n % 5:04d}", start + timedelta(hours=5 * n), n % 5 + 1]
        for n in range(first, first + count)
    ]


def read(content, name=None):
    found, notes = workbook.as_csv("shop.xlsx", content, name)
    return files.parse("shop.xlsx", found).frame, notes


def test_ids_keep_zeros_that_are_text_numbers_lose_their_point_and_times_are_iso(attempt):
    content = made({"Sales": [HEADER, *sold(400)]})
    frame, notes = read(content)
    assert frame.iloc[1].tolist() == ["2", "0001", "2024-01-01T15:30:00", "2"]
    assert notes == ["an Excel workbook, sheet 'Sales': kept as CSV"]
    tried = attempt(content)
    assert tried.role("timestamp") == ["sold_at"]
    assert len(tried.tables.examples) == 400
    assert set(tried.tables.items["item_id"]) == {f"{n:04d}" for n in range(5)}


def test_the_header_is_found_below_titles_and_empty_rows_and_beside_empty_columns():
    rows = [["Report of January"], [], ["made", "by hand"], [], HEADER, *sold(), ["Total", 120]]
    frame, notes = read(made({"Sales": sheet(rows, left=2, above=3)}))
    assert list(frame) == ["customer", "sku", "sold_at", "stars"]
    assert len(frame) == 40
    assert "a line above the table was left out: 'Report of January'" in notes


def test_a_formula_is_its_saved_result_and_one_without_is_refused():
    rows = [[*row[:3], Formula(row[3])] for row in sold()]
    assert read(made({"S": [HEADER, *rows]}))[0]["stars"].tolist() == [
        str(n % 5 + 1) for n in range(40)
    ]
    rows[3][3] = Formula("#N/A", error=True)
    frame, notes = read(made({"S": [HEADER, *rows]}))
    assert pd.isna(frame["stars"][3])
    assert "1 cells hold errors such as #N/A: taken as missing" in notes
    rows[4][3] = Formula()
    with pytest.raises(FileError, match="1 formulas have no saved result; open it in Excel"):
        read(made({"S": [HEADER, *rows]}))


def test_sheets_with_one_header_are_one_table_and_of_others_one_must_be_named():
    years = {"2023": [HEADER, *sold(30)], "2024": [HEADER, *sold(20, 30)], "Notes": [["hello"]]}
    frame, notes = read(made(years))
    assert len(frame) == 50
    assert notes == ["an Excel workbook, sheet '2023' and '2024': kept as CSV",
                     "sheets that were left out: 'Notes'"]  # fmt: skip
    both = made({"Sales": [HEADER, *sold()], "Goods": [["sku", "title"], ["0001", "A pen"]]})
    with pytest.raises(FileError, match=r"2 sheets hold tables .*such as \"shop.xlsx#Sales\""):
        read(both)
    assert read(both, "Goods")[0]["title"].tolist() == ["A pen"]
    with pytest.raises(FileError, match="no sheet 'Good'.*found: 'Sales', 'Goods'"):
        read(both, "Good")


def test_a_hidden_sheet_is_left_out_unless_it_is_named():
    book = made({"Sales": [HEADER, *sold()], "Old": [["a", "b"], [1, 2]]}, hidden=("Old",))
    frame, notes = read(book)
    assert list(frame)[0] == "customer"
    assert "sheets that were left out: 'Old'" in notes
    assert read(book, "Old")[0].to_dict("list") == {"a": ["1"], "b": ["2"]}


def test_events_and_items_may_be_sheets_of_one_workbook(tmp_path):
    goods = [["sku", "title"], *([f"{n:04d}", f"Thing {n}"] for n in range(5))]
    (tmp_path / "shop.xlsx").write_bytes(made({"Sales": [HEADER, *sold()], "Goods": goods}))
    source = Source.read(
        {"events": tmp_path / "shop.xlsx#Sales", "items": tmp_path / "shop.xlsx#Goods"}
    )
    assert {name: len(frame) for name, frame in source.frames.items()} == {"events": 40, "items": 5}
    assert source.contents["events"].startswith(b"sep=,\n")


def test_ids_of_more_digits_than_excel_keeps_are_named_as_rounded(attempt):
    rows = [[n % 7 + 1, 1234567890123450000 + 10**6 * (n % 5), n % 5 + 1] for n in range(40)]
    with pytest.raises(FileError, match="ids that were rounded"):
        attempt(made({"S": [["user", "item", "rating"], *rows]}))


def test_numbers_with_commas_quotes_and_newlines_in_cells_stay_one_cell():
    rows = [[1, 'say "hi", you; or|not', 0.1], [2, "two\nlines", 1e-7], [3, " x ", -5]]
    frame, _ = read(made({"S": [["user", "item", "price"], *rows]}))
    assert frame["item"].tolist() == ['say "hi", you; or|not', "two\nlines", "x"]
    assert frame["price"].astype(float).tolist() == [0.1, 1e-7, -5]


def test_one_far_cell_is_refused_before_it_takes_all_memory():
    far = sheet([HEADER, *sold()]).replace("</sheetData>", '<row r="1048576"><c r="ALL1048576">'
                                           "<v>1</v></c></row></sheetData>")  # fmt: skip
    with pytest.raises(FileError, match="down to row 1,048,576 and column 1,000 are too many"):
        read(made({"S": far}))
    wide = sheet([HEADER, *sold()]).replace("</sheetData>", '<row r="99"><c r="XFD99"><v>1</v></c>'
                                            "</row></sheetData>")  # fmt: skip
    with pytest.raises(FileError, match="column 16,384 are too many"):
        read(made({"S": wide}))


def test_a_workbook_that_unpacks_to_too_much_or_holds_no_table_is_refused():
    content = made({"S": [HEADER, *sold(500)]})
    with pytest.raises(FileError, match="unpacks to more than 2,000 bytes"):
        workbook.as_csv("shop.xlsx", content, limits=Limits(bytes=2_000))
    for rows in ([], [["only"], ["one"]], [HEADER]):
        with pytest.raises(FileError, match="no sheet holds a header line, rows and two columns"):
            read(made({"S": rows}))


BOOK = made({"S": [HEADER, *sold(5)]})


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(BOOK) - 1), st.binary(min_size=1, max_size=3), st.booleans())
@example(len(BOOK) - 4, b"\x01", False)  # the directory begins before the file does
def test_a_damaged_workbook_is_read_or_refused_and_nothing_else(at, other, cut):
    content = BOOK[:at] if cut else BOOK[:at] + other + BOOK[at + len(other) :]
    try:
        workbook.as_csv("shop.xlsx", content)
    except FileError as error:
        assert str(error).startswith("shop.xlsx: ")


PLAIN = sheet([HEADER, *sold(5)])


@pytest.mark.parametrize("place", ['r="ABCDEFG2"', "r='A99999999'", 'r = "B9999999"'])
def test_a_cell_at_the_end_of_the_world_is_refused_before_memory_is_asked_for(place):
    assert PLAIN.count('r="B2"') == 1
    with pytest.raises(FileError, match="are too many; delete those far from the table"):
        read(made({"S": PLAIN.replace('r="B2"', place)}))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(PLAIN)), st.sampled_from(["<", ">", '"', "99999999999", "-1", "", "A",
       "<c>", 't="s"', "&x;", "</row>", 's="9"']), st.integers(0, 20))  # fmt: skip
def test_a_workbook_with_odd_xml_is_read_or_refused_and_nothing_else(at, other, lost):
    content = made({"S": PLAIN[:at] + other + PLAIN[at + lost :]})
    try:
        read(content)
    except FileError as error:
        assert str(error).startswith("shop.xlsx: ")


@settings(max_examples=60, deadline=None)
@example([(0, 0.0, ""), (0, 0.0, "\n0,,")])
@given(st.lists(st.tuples(
    st.integers(-(10**14), 10**14), st.floats(-1e12, 1e12), st.text("abcé,;|\"'\n 0", max_size=8),
), min_size=2, max_size=6))  # fmt: skip
def test_every_cell_comes_out_as_it_went_in(rows):
    rows = [[n, number, f"x{text}y"] for n, number, text in rows]
    found, _ = read(made({"S": [["number", "float", "text"], *rows]}))
    assert found["number"].astype("int64").tolist() == [row[0] for row in rows]
    assert found["float"].astype(float).tolist() == [row[1] for row in rows]
    assert found["text"].tolist() == [row[2] for row in rows]


def test_the_only_file_in_a_zip_archive_is_read_and_several_are_named(tmp_path):
    def archive(**members):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, text in members.items():
                packed.writestr(f"{name}.csv", text)
        return out.getvalue()

    path = tmp_path / "ml.zip"
    path.write_bytes(archive(ratings="user,item\n1,2\n3,4\n"))
    source = Source.read({"events": path})
    assert source.frames["events"]["item"].tolist() == ["2", "4"]
    assert source.tables["events"].notes == ("the only file in a zip archive: ratings.csv",)
    path.write_bytes(archive(a="x", b="y"))
    with pytest.raises(FileError, match=r"a zip archive of 2 files \('a.csv', 'b.csv'\); unpack"):
        Source.read({"events": path})
    path.write_bytes(archive(a="x" * 100)[:-30])
    with pytest.raises(FileError, match="damaged or locked zip archive"):
        Source.read({"events": path})
    with pytest.raises(FileError, match="unpacks to more than 50 bytes"):
        files.from_zip("ml.zip", archive(a="x" * 100), Limits(bytes=50))
