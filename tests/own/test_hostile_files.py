"""Any bytes give a table or one sentence; nothing that a file holds is ever run."""

import csv
import gzip
import io
import os
import pickle
import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from mtrec.domains.own import files
from mtrec.domains.own.dialect import TOTAL
from mtrec.domains.own.table import FileError, Limits

SMALL = Limits(bytes=100_000, rows=1_000, columns=20, field=1_000)
TAME = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def packed(content):
    """Without the time, which would be part of a test's name: each process must see the same."""
    return gzip.compress(content, mtime=0)


def write(folder, content, name="events.csv"):
    path = folder / name
    path.write_bytes(content)
    return path


def parquet(frame):
    out = io.BytesIO()
    frame.to_parquet(out)
    return out.getvalue()


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def one_sentence(error):
    text = str(error)
    assert text
    assert "\n" not in text
    assert text.endswith(".")
    return True


MAGIC = [b"", b"PAR1", b"\x1f\x8b\x08\x00", b"\x80\x04", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf",
         b"PK\x03\x04", b"a,b\n", b'a,b\n"', b"a\tb\n", b"\xff\xfe\x00\x00"]  # fmt: skip


@TAME
@given(st.sampled_from(MAGIC), st.binary(max_size=400), st.booleans())
@example(b"a,b\n", b"\r\r\n\x0b,\x1c", False)
@example(b"", "a,b\n\u2028,\u0085\n".encode(), False)
def test_any_bytes_give_a_table_or_one_sentence(tmp_path, magic, rest, packed):
    content = magic + rest
    path = write(tmp_path, gzip.compress(content) if packed else content)
    try:
        frame = files.read(path, SMALL).frame
    except FileError as error:
        assert one_sentence(error)
    else:
        assert len(frame) >= 1
        assert len(frame.columns) >= 1
        assert all(frame[name].dtype == "str" for name in frame)


@TAME
@given(st.data())
def test_damaged_parquet_gives_a_table_or_one_sentence(tmp_path, data):
    frame = pd.DataFrame({"user": ["a", "b"] * 20, "n": range(40), "l": [[1.0], [2.0, 3.0]] * 20})
    content = bytearray(parquet(frame))
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[at] = data.draw(st.integers(0, 255))
    keep = data.draw(st.integers(1, len(content)))
    path = write(tmp_path, bytes(content[:keep]), "events.parquet")
    try:
        files.read(path, SMALL)
    except FileError as error:
        assert one_sentence(error)


CELL = st.text(st.characters(blacklist_categories=("Cs", "Cc"), max_codepoint=0x2FFFF), max_size=12)


@TAME
@given(
    st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=12),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.booleans(),
)
def test_what_a_csv_writer_wrote_is_read_back_cell_by_cell(
    tmp_path, rows, delimiter, encoding, pack
):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([("user", "item", "note"), *rows])
    content = out.getvalue().encode(encoding)
    path = write(tmp_path, gzip.compress(content) if pack else content)
    missing = {"", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "\\N"}
    expected = [[None if cell in missing else cell for cell in row] for row in rows]
    expected = [
        row for row, cells in zip(expected, rows, strict=True) if any(set(cells) - {"", "\\N"})
    ]
    if not expected:
        with pytest.raises(FileError, match="no rows"):
            files.read(path)
        return
    assume(not TOTAL.match(next(filter(None, expected[-1]), "")))  # left out, with a note
    found = files.read(path).frame
    assert list(found) == ["user", "item", "note"]
    assert [[None if pd.isna(c) else c for c in row] for row in found.to_numpy()] == expected


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["events.csv", "events.pkl", "events.parquet", "events.pkl.gz"])
def test_a_pickle_never_runs_whatever_its_name_and_protocol(tmp_path, protocol, name):
    trap = tmp_path / "sprung"
    content = pickle.dumps(Trap(trap), protocol=protocol)
    path = write(tmp_path, gzip.compress(content) if name.endswith("gz") else content, name)
    with pytest.raises(FileError):
        files.read(path)
    assert not trap.exists()
    pickle.loads(content)  # the trap works
    assert trap.exists()


def test_a_pickle_within_a_parquet_file_never_runs(tmp_path):
    trap = tmp_path / "sprung"
    content = pickle.dumps(Trap(trap))
    schema = pa.schema(
        [pa.field("a", pa.string(), metadata={
            b"ARROW:extension:name": b"arrow.py_extension_type",
            b"ARROW:extension:metadata": content,
        }), pa.field("b", pa.binary())],
        metadata={b"pandas": content},
    )  # fmt: skip
    table = pa.table([pa.array(["x"]), pa.array([content])], schema=schema)
    pq.write_table(table, tmp_path / "events.parquet")
    found = files.read(tmp_path / "events.parquet")
    assert found.frame.to_dict("list") == {"a": ["x"]}
    assert "'b' of type binary was left out" in found.notes[0]
    assert not trap.exists()


def test_a_directory_a_link_a_pipe_and_nothing_are_refused(tmp_path):
    real = write(tmp_path, b"a,b\n1,2\n", "real.csv")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to(real)
    os.mkfifo(tmp_path / "pipe.csv")
    write(tmp_path, b"", "empty.csv")
    write(tmp_path, b"a,b\n", "header.csv")
    write(tmp_path, gzip.compress(b" \n"), "blank.csv.gz")
    for name, reason in {
        "folder.csv": "a directory", "link.csv": "a symbolic link", "pipe.csv": "not a regular",
        "empty.csv": "empty", "header.csv": "no rows", "none.csv": "no such file",
        "blank.csv.gz": "empty", "x\0y.csv": "not a path",
    }.items():  # fmt: skip
        with pytest.raises(FileError, match=reason):
            files.read(tmp_path / name)


def test_a_link_put_in_place_after_the_check_is_not_followed_either(tmp_path, monkeypatch):
    write(tmp_path, b"a,b\n1,2\n", "real.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    monkeypatch.setattr("pathlib.Path.is_symlink", lambda path: False)
    with pytest.raises(FileError, match="cannot be opened"):
        files.read(tmp_path / "link.csv")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_may_end_in_any_of_three_ways(tmp_path, end):
    found = files.read(write(tmp_path, end.join([b"a,b", b'"x', b'y",2', b"3,4", b""])))
    assert found.frame.to_dict("list") == {"a": ["x\ny", "3"], "b": ["2", "4"]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a,b\n1,2\n3\n", "line 3 has 1 fields, but the header has 2"),
        (b'a,b\n"x\ny",1\n\n\n2,3,4\n', "line 6 has 3 fields"),
        (b"ab\n12\n", "one column; separate columns by comma"),
        (b"a:b:c\n1:2:3\n", "one column"),
        (b"a,b\n\x001,2\n", "line 2 holds a NUL byte"),
        ("a,b\n1,2\n".encode("utf-16-le"), "NUL byte; it is binary or UTF-16 without"),
        (b"a,b\n" + bytes(range(1, 9)) * 3 + b",1\n", "a binary file"),
        (b"a,b\nx\x81,1\n", "neither UTF-8 nor Windows-1252"),
        (b"\xff\xfea,b", "its byte-order mark says UTF-16-LE, but it is not"),
        (b"a,b\n" + b"x" * 1001 + b",1\n", "1,001 characters .limit 1,000."),
        (b"a,b\n" + b"1,2\n" * 1001, "more than 1,000 rows"),
        (b",".join(b"c%d" % n for n in range(21)) + b"\n", "21 columns .limit 20."),
        (b"a,b\n" + b"1,2\n" * 30_000, "larger than 100,000 bytes"),
        (b"a,A ,a\n1,2,3\n", "two columns are called 'a'"),
        (packed(b"a,b\n1,2\n")[:-9], "gzip file that ends early"),
        (packed(b"a,b\n1,2\n") + b"more", "other bytes follow"),
        (packed(packed(b"a,b\n1,2\n")), "gzip within gzip"),
        (b"\x1f\x8b\x08" + b"\0" * 7 + b"\xff" * 9, "damaged gzip"),
        (b"PK\x03\x04....", "a zip archive"),
        (b"\x80\x05rest", "a pickle"),
    ],
)
def test_what_is_wrong_is_named_in_one_sentence(tmp_path, content, reason):
    with pytest.raises(FileError, match=reason) as caught:
        files.read(write(tmp_path, content), SMALL)
    assert one_sentence(caught.value)
    assert str(caught.value).startswith("events.csv: ")


def test_an_unclosed_quote_over_megabytes_is_named_and_not_read_as_a_cell(tmp_path):
    path = write(tmp_path, b'a,b\n"' + b"x,y\nx\n" * 3_000_000)
    with pytest.raises(FileError, match="quote|line 2"):
        files.read(path)


def test_a_gzip_bomb_stops_at_the_limit_in_little_memory(tmp_path):
    import tracemalloc

    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b"0" * (1 << 20)) for _ in range(200)) + packer.flush()
    path = write(tmp_path, bomb, "events.csv.gz")
    assert len(bomb) < 1 << 18
    tracemalloc.start()
    with pytest.raises(FileError, match="unpacks to more than 1,000,000 bytes"):
        files.read(path, Limits(bytes=1_000_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_a_parquet_bomb_stops_at_the_limit(tmp_path):
    wide = pd.DataFrame({"a": np.repeat(["x" * 900], 900), "b": "y"})
    path = write(tmp_path, parquet(wide), "events.parquet")
    assert path.stat().st_size < 50_000
    with pytest.raises(FileError, match="unpacks to more than 100,000 bytes"):
        files.read(path, SMALL)


def test_formulas_are_counted_and_stay_text(tmp_path):
    content = b"name,n\n=1+1,-5\n@SUM(A1),+49 170\n\"+1+cmd|' /C calc'!A0\",-1.5e3\n-,1\n"
    found = files.read(write(tmp_path, content))
    assert found.frame["name"].tolist() == ["=1+1", "@SUM(A1)", "+1+cmd|' /C calc'!A0", "-"]
    assert found.notes == ("3 cells look like formulas (first in column name): kept as plain text",)


def test_encodings_other_than_utf8_are_read_and_noted(tmp_path):
    text = "name,n\nCafé déjà,1\n"
    assert files.read(write(tmp_path, text.encode())).notes == ()
    for encoding, note in {"cp1252": "read as Windows-1252", "utf-16": "read as UTF-16-LE"}.items():
        found = files.read(write(tmp_path, text.encode(encoding)))
        assert found.frame["name"].tolist() == ["Café déjà"]
        assert note in found.notes[0]


def test_parquet_values_of_any_type_become_their_text(tmp_path):
    import uuid

    some = uuid.UUID(int=7)
    table = pa.table(
        {
            "n": pa.array([1, None], pa.int32()),
            "f": pa.array([1.5, 2.0]),
            "flag": pa.array([True, False]),
            "day": pa.array([0, 86_400_000], pa.timestamp("ms", "UTC")),
            "tags": pa.array([["a", "b"], []]),
            "kind": pa.array(["x", "NA"]).dictionary_encode(),
            "id": pa.array([some.bytes, some.bytes], pa.binary(16)),
        }
    )
    pq.write_table(table, tmp_path / "events.parquet")
    found = files.read(tmp_path / "events.parquet").frame.astype("object")
    rows = found.where(found.notna(), None).to_dict("list")
    assert rows["n"] == ["1", None]
    assert [float(value) for value in rows["f"]] == [1.5, 2.0]
    assert rows["flag"] == ["true", "false"]
    assert [value[:10] for value in rows["day"]] == ["1970-01-01", "1970-01-02"]
    assert rows["tags"][0] == "a|b"
    assert rows["kind"] == ["x", None]
    assert rows["id"] == [str(some)] * 2
