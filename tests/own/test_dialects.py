"""Files in the dialects that people have them in: read, or refused with the real cause."""

import csv
import gzip
import io
import json
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtrec.domains.own import files
from mtrec.domains.own.cells import EMPTY, MISSING
from mtrec.domains.own.table import FileError


def read(folder, content, name="events.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return files.read(path)


def rows(found):
    frame = found.frame.astype("object")
    return frame.where(frame.notna(), None).to_numpy().tolist()


def said(found, text):
    return any(text in note for note in found.notes)


TWO = [["u1", "i1", "3"], ["u2", "i2", "4"]]


@pytest.mark.parametrize(
    ("content", "expected", "note"),
    [
        ("user::item::r\nu1::i1::3\nu2::i2::4\n", TWO, "delimiter: ::"),
        ("sep=;\nuser;item;r\nu1;i1;3\nu2;i2;4\n", TWO, "delimiter: semicolon"),
        ('"sep=|"\nuser|item|r\nu1|i1|3\nu2|i2|4\n', TWO, "delimiter: bar"),
        ("user^item^r\nu1^i1^3\nu2^i2^4\n", TWO, "delimiter: caret"),
        ("user\x01item\x01r\nu1\x01i1\x013\nu2\x01i2\x014\n", TWO, "delimiter: control A"),
        ("user item r\nu1 i1   3\nu2 i2 4\n", TWO, "delimiter: spaces"),
        ("# made by hand\n# in May\nuser,item,r\nu1,i1,3\nu2,i2,4\n", TWO, "2 comment lines"),
        ("Sales of May\n\nuser,item,r\nu1,i1,3\nu2,i2,4\n", TWO, "above the table was left out"),
        ("Sales, May\nuser,item,r\nu1,i1,3\nu2,i2,4\n", TWO, "above the table was left out"),
        ("user,item,r\nu1,i1,3\nu2,i2,4\nTotal,,7\n", TWO, "a last row of totals was left out"),
        ("user,item,r\nu1,i1,3\nu2,i2,4\nTotal: 2\n", TWO, "comments or totals and were left out"),
        ("user|item|r\n----+---+--\nu1|i1|3\nu2|i2|4\n(2 rows)\n", TWO, "2 lines are comments"),
        ("user,item,r\nu1,i1,3\n,,\nu2,i2,4\n,,\n", TWO, "2 rows are empty and were left out"),
        ("user,item,r\nu1,i1,3\n# a word\nu2,i2,4\n", TWO, "'# a word'"),
    ],
)
def test_a_dialect_is_read_and_what_is_no_row_is_counted(tmp_path, content, expected, note):
    found = read(tmp_path, content)
    assert list(found.frame) == ["user", "item", "r"]
    assert rows(found) == expected
    assert said(found, note)


@pytest.mark.parametrize(
    ("line", "cell"),
    [
        ('u1,i1,"he said \\"hi, you\\""', 'he said "hi, you"'),
        ('u1,i1,5" disk', '5" disk'),
        ('u1,i1,"Hello', '"Hello'),
        ('u1,i1,"two ""marks"" here"', 'two "marks" here'),
        ('u1,i1,"a\nb, c"', "a\nb, c"),
    ],
)
def test_quotes_of_any_kind_neither_swallow_rows_nor_divide_cells(tmp_path, line, cell):
    more = "".join(f"u{n},i{n},plain {n}\n" for n in range(2, 60))
    found = read(tmp_path, f"user,item,note\n{line}\n{more}")
    assert len(found.frame) == 59
    assert found.frame["note"][0] == cell


def test_two_lone_quotes_do_not_make_one_cell_of_the_rows_between(tmp_path):
    lines = [f"u{n},i{n},plain" for n in range(50)]
    lines[5], lines[40] = 'u5,i5,"open', 'u40,i40,close"'
    found = read(tmp_path, "user,item,note\n" + "\n".join(lines))
    assert len(found.frame) == 50
    assert said(found, "quotes are part of cells")


@pytest.mark.parametrize(
    "line", ["A{n:03d}XZQ,{m:010d},{s}.0,16000{n:05d}", "u{n},i{m}", "{n}\t{m}\t{s}",
             "{n}::{m}::{s}::16000{n:05d}", "5{n:03d};2017-07-14;{m}", "1516{n:05d},Game {m},play",
             "{n},2020-01-02 10:00:00,{m}"],
)  # fmt: skip
def test_a_file_without_header_loses_no_row(tmp_path, line):
    lines = [line.format(n=n % 40, m=n % 23, s=n % 5 + 1) for n in range(200)]
    found = read(tmp_path, "\n".join(lines))
    assert len(found.frame) == 200
    assert list(found.frame)[:2] == ["column_1", "column_2"]
    assert said(found, "no header line: columns are called column_1 to column_")


@pytest.mark.parametrize(
    "header", ["who,what,how", "user,item,2019", "A,B,C", "usuario,pelicula,nota", "x1,x2,x3"]
)
def test_a_header_is_kept_where_rows_differ_from_it(tmp_path, header):
    lines = [f"{n % 9},{n % 7},{n % 5}.5" for n in range(100)]
    found = read(tmp_path, header + "\n" + "\n".join(lines))
    assert len(found.frame) == 100
    assert not said(found, "no header line")


@pytest.mark.parametrize(
    ("content", "names", "first"),
    [
        ("#user,item\nu1,i1\nu2,i2\n", ["user", "item"], ["u1", "i1"]),
        ("# user item\nu1\ti1\nu2\ti2\n", ["user", "item"], ["u1", "i1"]),
        ('"user","item"\n"1","u1","i1"\n"2","u2","i2"\n', ["column_1", "user", "item"],
         ["1", "u1", "i1"]),
        ("user,item\nu1,i1,\nu2,i2,\nu3,i2,\n", ["user", "item", "column_3"], ["u1", "i1", None]),
        (",user,item\n0,u1,i1\n1,u2,i2\n", ["column_1", "user", "item"], ["0", "u1", "i1"]),
    ],
)  # fmt: skip
def test_headers_in_comments_or_one_name_short_are_understood(tmp_path, content, names, first):
    found = read(tmp_path, content)
    assert list(found.frame) == names
    assert rows(found)[0] == first


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("form", ["lines", "list", "python"])
def test_json_is_read_numbers_as_written_and_nests_are_noted(tmp_path, form, pack):
    objects = [
        {"user": "u1", "n": 3.0, "big": 12345678901234567891, "tags": ["a", "b"], "ok": True},
        {"user": "u2\nx", "extra": {"deep": 1}, "n": None, "tags": []},
    ]
    text = {
        "lines": "\n".join(map(json.dumps, objects)) + "\n",
        "list": json.dumps(objects),
        "python": "\n".join(map(repr, objects)),
    }[form]
    content = gzip.compress(text.encode()) if pack else text.encode()
    found = read(tmp_path, content, "events.json")
    assert rows(found) == [
        ["u1", "3.0", "12345678901234567891", "a|b", "true"], ["u2\nx", None, None, None, None],
    ]  # fmt: skip
    assert said(found, "1 values of 'extra' are objects or lists of them and were left out")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1, "b": 2}\n{"a": 1, "b":\n', "line 2 is not a whole JSON object"),
        ('{"a": 1}\n[1]\n', "line 2 is not a whole JSON object"),
        ('[{"a": 1}, {"a": 2}', "a JSON list that cannot be read"),
        ('[{"a": 1}, 2]', "object 2 is not a whole JSON object"),
        ("{'a': open('x')}\n", "line 1 is not a whole JSON object"),
        ('{"a": ' + "[" * 100_000 + "\n", "line 1 is not a whole JSON object"),
    ],
)
def test_broken_json_is_named_by_its_line_and_nothing_is_run(tmp_path, content, message):
    with pytest.raises(FileError, match=message):
        read(tmp_path, content, "events.json")


TITLES = {
    "cp1250": ["Książka o miłości", "Wiedźmin: Ostatnie życzenie", "Śmierć pięknych saren",
               "Příliš žluťoučký kůň", "Osudy dobrého vojáka Švejka"],
    "cp1251": ["Война и мир", "Преступление и наказание", "Мастер и Маргарита"],
    "koi8_r": ["Война и мир", "Преступление и наказание", "Мастер и Маргарита"],
    "cp1252": ["Les Misérables", "À la recherche du temps perdu", "O coração das trevas, São Paulo",
               "Memórias póstumas", "Não há razão", "Señor Ñandú", "Brød og smør", "Gut gegen Böse",
               "Crème brûlée – 5 €"],
    "cp1253": ["Ζορμπάς", "Ο Χριστός ξανασταυρώνεται", "Η Οδύσσεια"],
    "cp1254": ["Kürk Mantolu Madonna", "İnce Memed", "Çalıkuşu", "Şu Çılgın Türkler"],
    "cp1255": ["מלחמה ושלום", "החטא ועונשו", "שיר השירים"],
    "gb18030": ["红楼梦", "西游记", "水浒传"],
    "big5": ["紅樓夢", "西遊記", "水滸傳"],
    "shift_jis": ["千と千尋の神隠し", "ノルウェイの森"],
    "euc_jp": ["千と千尋の神隠し", "ノルウェイの森", "海辺のカフカ", "こころ", "雪国"],
    "euc_kr": ["채식주의자", "엄마를 부탁해"],
}  # fmt: skip


@pytest.mark.parametrize("encoding", TITLES)
def test_titles_come_out_as_they_were_written_whatever_the_encoding(tmp_path, encoding):
    titles = [TITLES[encoding][n % len(TITLES[encoding])] for n in range(100)]
    text = "item,title,year\n" + "".join(f'{n},"{t}",1999\n' for n, t in enumerate(titles))
    assert read(tmp_path, text.encode(encoding)).frame["title"].tolist() == titles


@pytest.mark.parametrize(
    "title", ["Amélie", "Señor Ñandú", "Brød og smør", "À bientôt", "naïve", "Noël", "El Niño"]
)
def test_one_accent_in_an_english_file_is_western(tmp_path, title):
    text = "item,title\n" + "".join(f"{n},A plain title {n}\n" for n in range(50)) + f"99,{title}\n"
    assert read(tmp_path, text.encode("cp1252")).frame["title"].iloc[-1] == title


@pytest.mark.parametrize(
    ("encoding", "text", "called"),
    [
        ("gbk", "用户编号,商品编号,评分\n用户一,红色的故事,4\n用户二,山的故事,5\n", "GBK"),
        ("big5", "用戶,商品\n王小明,紅樓夢與三國演義\n李大華,水滸傳的故事\n", "Big5"),
        ("shift_jis", "ユーザー,商品\n太郎,りんごの本\n花子,日本の歴史\n", "Shift JIS"),
        ("euc_kr", "사용자,상품\n홍길동,한국의 역사 이야기\n김철수,책\n", "EUC-KR"),
        ("cp1251", "пользователь,товар\nиван,книга о войне\nмария,мир\n", "Windows-1251"),
        ("cp1252", "name,n\nAmélie,1\nMüller,2\nJosé,3\n", "Windows-1252"),
    ],
)
def test_files_of_other_countries_are_read_and_their_headers_named(
    tmp_path, encoding, text, called
):
    found = read(tmp_path, text.encode(encoding))
    lines = [line.split(",") for line in text.splitlines()]
    assert rows(found) == lines[1:]
    assert said(found, f"read as {called}")
    assert said(found, repr(lines[0][0])) or found.frame.columns[0] == lines[0][0]


def test_chinese_names_find_roles_stand_in_messages_and_can_be_given(attempt, log):
    frame = pd.DataFrame({"用户编号": [f"用户{n}" for n in log["user"]],
                          "商品编号": [f"商品{n}" for n in log["item"]], "评分": log["stars"],
                          "时间": pd.to_datetime(log["second"], unit="s")})  # fmt: skip
    items = pd.DataFrame({"商品编号": [f"商品{n}" for n in range(60)],
                          "类别": np.resize(["电影", "图书"], 60)})  # fmt: skip
    found = attempt(frame.to_csv(index=False).encode("gbk"), items)
    assert found.tasks() == {"next_item": "ranking", "rating": "regression", "like": "binary",
                             "next_column_2": "multiclass"}  # fmt: skip
    shown = found.made.inspection.frame()["column"].tolist()
    assert "column_1 (用户编号)" in shown
    assert "类别" in found.block["tasks"]["next_column_2"]["text"]
    again = attempt(frame.rename(columns={"商品编号": "甲", "用户编号": "乙"}), None, None,
                    user_id="乙", item_id="甲")  # fmt: skip
    assert again.role("item_id") == ["column_2"]
    with pytest.raises(FileError, match="found: column_1 .乙., column_2 .甲."):
        attempt(frame.rename(columns={"商品编号": "甲", "用户编号": "乙"}))


def test_lists_of_what_was_shown_become_rows_with_clicks(tmp_path):
    lines = [f"{n}\tU{n % 9}\tN1-0 N2-1 N3-0" for n in range(20)]
    found = read(tmp_path, "id\tuser_id\timpressions\n" + "\n".join(lines))
    assert len(found.frame) == 60
    assert found.frame["impressions"].tolist()[:3] == ["N1", "N2", "N3"]
    assert found.frame["impressions_clicked"].tolist()[:3] == ["0", "1", "0"]
    assert said(found, "20 lists of items shown, column impressions, became 60 rows")


WORD = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")),
               min_size=1, max_size=6)  # fmt: skip
CELL = st.one_of(WORD, st.integers(-999, 10**12).map(str), st.floats(-9, 9).map(str), st.just(""),
                 st.sampled_from(["2020-01-02", "a,b", 'say "x"', "x;y", "a\nb"]))  # fmt: skip


@settings(max_examples=250, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(
    st.integers(2, 5).flatmap(
        lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1,
                               max_size=20)),
    st.sampled_from(",;\t|"), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]), st.booleans(),
)  # fmt: skip
def test_what_pandas_reads_is_read_alike(tmp_path, cells, mark, encoding, end, quoted):
    names = ["user_id", "item_id", "rating", "other", "more"][: len(cells[0])]
    out = io.StringIO()
    quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    csv.writer(out, delimiter=mark, lineterminator=end, quoting=quoting).writerows([names, *cells])
    content = out.getvalue().encode(encoding)
    known = pd.read_csv(io.BytesIO(content), sep=mark, encoding=encoding, dtype=str,
                        keep_default_na=False, skip_blank_lines=False)  # fmt: skip
    expected = [row for row in known.to_numpy().tolist() if any(row)]
    strange = {cell for row in expected for cell in row} & {*MISSING, *EMPTY[1:]}
    if strange or any(row[0].lstrip().lower().startswith(("total", "sum")) for row in expected):
        return
    lines = content.decode(encoding).splitlines()
    inside = any(end in cell for row in expected for cell in row for end in "\r\n")
    if inside and {len(line.split(mark)) for line in lines} == {len(names)}:
        return  # as even where quotes are part of cells: nobody can say which is meant
    if not expected:
        return
    found = read(tmp_path, content)
    assert list(found.frame) == names
    assert [[cell or "" for cell in row] for row in rows(found)] == expected


def test_a_million_rows_take_well_under_a_minute_of_computing(tmp_path):
    number = np.arange(300_000)
    frame = pd.DataFrame({"user_id": number % 9_000, "item_id": number % 700, "rating": number % 5,
                          "timestamp": 1_600_000_000 + number, "note": "a few words"})  # fmt: skip
    path = tmp_path / "events.csv"
    frame.to_csv(path, index=False)
    began = time.process_time()
    assert len(files.read(path).frame) == len(frame)
    assert time.process_time() - began < 0.3 * 20  # 0.4 s on the machine it was written on
