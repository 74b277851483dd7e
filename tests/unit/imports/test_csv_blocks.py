"""CSV files → blocks: which field goes to which column, and what becomes of what is not CSV."""

import itertools
import tracemalloc

import pytest

from gateway.core.errors import InvalidRequest
from gateway.imports import csvlines, csvrecords
from gateway.imports.csvfile import SampleStream, csv_blocks, infer_file
from gateway.imports.dialect import Dialect
from gateway.schema.columns import parse_schema

SCHEMA = "id Int32, name String, n Nullable(Int32)"


def read(data, schema=SCHEMA, **given):
    """Return rows, quarantined lines with their reasons, and the blocks."""
    blocks = list(csv_blocks(SampleStream(data), parse_schema(schema), Dialect(**given), 1_767_607_200.0, "import-1"))
    rows, refused = [], []
    for block in blocks:
        for group in block.fitted.groups:
            rows += zip(*group.columns, strict=True)
        if block.fitted.quarantined:
            columns = block.fitted.quarantine_columns
            refused += zip(columns[-1], columns[0], columns[1], strict=True)
    return rows, refused, blocks


def refused_lines(data, **given):
    return [(line, reasons[0]) for line, _columns, reasons in read(data, **given)[1]]


def test_without_a_header_fields_go_by_position():
    assert read(b"1,Ada,5\n2,Bob,\n")[0] == [(1, "Ada", 5), (2, "Bob", None)]


def test_with_a_header_fields_go_by_name_and_unknown_ones_are_ignored():
    rows, _, blocks = read(b"n,extra,name,id\n5,x,Ada,1\n,y,Bob,2\n", has_header=True)
    assert rows == [(1, "Ada", 5), (2, "Bob", None)]
    assert [(block.lines, block.empty_lines, block.invalid_lines) for block in blocks] == [(2, 0, 0)]


def test_a_header_also_names_columns_as_they_were_called_when_made_of_it():
    schema = "Dep_Time Int32, id Int32, id_2 Int32"
    assert read(b" Dep Time ,id,id\n1,2,3\n", schema, has_header=True)[0] == [(1, 2, 3)]


def test_columns_without_a_field_get_their_default_or_refuse_the_row():
    rows, refused, _ = read(
        b"id\n1\n", "id Int32, at DateTime DEFAULT now(), d String DEFAULT 'x', n Nullable(Int8)", has_header=True
    )
    assert (rows, refused) == ([(1, 1_767_607_200, None, None)], [])
    ((line, columns, reasons),) = read(b"id\n1\n", has_header=True)[1]
    assert (line, columns) == ("1", ["name"])
    assert "no field for column 'name'" in reasons[0]


def test_by_position_the_last_columns_may_be_left_out_if_rows_may_be_without_them():
    schema = "id Int32 `json:$.id`, name String `json:$.name`, at DateTime DEFAULT now()"
    assert read(b"1,Ada\n2,Bob\n", schema)[0] == [(1, "Ada", 1_767_607_200), (2, "Bob", 1_767_607_200)]
    assert refused_lines(b"1,Ada\n2,Bob\n", schema=SCHEMA.replace("Nullable(Int32)", "Int32")) == [
        ("1,Ada", "The record has 2 fields, 3 expected"), ("2,Bob", "The record has 2 fields, 3 expected"),
    ]  # fmt: skip


def test_every_column_is_fed_with_or_without_a_path_but_not_computed_ones():
    schema = "id Int32 `json:$.a.b`, name String, twice Int32 MATERIALIZED id * 2, j JSON `json:$`"
    assert read(b'1,Ada,"{""a"": 1}"\n', schema)[0] == [(1, "Ada", '{"a":1}')]
    assert read(b"id,name,twice,j\n1,Ada,9,{}\n", schema, has_header=True)[0] == [(1, "Ada", "{}")]


def test_a_header_that_names_no_column_refuses_the_file():
    with pytest.raises(InvalidRequest, match=r"\(who, what\) names no column of the Data Source \(id, name, n\)"):
        read(b"who,what\n1,2\n", has_header=True)


def test_a_column_that_text_cannot_fill_refuses_the_file_that_has_it():
    schema = "id Int32, s AggregateFunction(sum, Int32)"
    assert read(b"1\n", schema)[0] == [(1,)]
    with pytest.raises(InvalidRequest, match="cannot be filled"):
        read(b"id,s\n1,x\n", schema, has_header=True)


def test_a_ragged_record_is_an_invalid_line_and_in_quarantine():
    rows, refused, (block,) = read(b"1,Ada,5\n2,Bob\n3,Eve,7,8\n4,Zoe,\n")
    assert [row[0] for row in rows] == [1, 4]
    assert refused == [
        ("2,Bob", ["$"], ["The record has 2 fields, 3 expected"]),
        ("3,Eve,7,8", ["$"], ["The record has 4 fields, 3 expected"]),
    ]
    assert (block.lines, block.invalid_lines, block.fitted.quarantined) == (4, 2, 2)


def test_a_value_that_does_not_fit_is_in_quarantine_with_its_column_and_line():
    _, refused, (block,) = read(b'1,Ada,5\nx,"B, b",99999999999\n')
    assert refused == [
        ('x,"B, b",99999999999', ["id", "n"], ["value 'x' on column 'id' is not Int32", "value '99999999999' on column 'n' is not Int32: out of range"])
    ]  # fmt: skip
    assert (block.invalid_lines, block.fitted.quarantined) == (0, 1)
    assert [column[0] for column in block.fitted.quarantine_columns[2:6]] == ["import-1", "x", "B, b", "99999999999"]


def test_blank_lines_are_no_rows():
    rows, refused, (block,) = read(b"\n1,Ada,\n  \n\r\n2,Bob,\n\n")
    assert (len(rows), refused, block.lines, block.empty_lines) == (2, [], 6, 4)


def test_a_quoted_field_may_hold_anything():
    rows, refused, _ = read('1,"a,b ""c""\r\nd\n",5\r\n2,"é\t😀",\r\n'.encode())
    assert (rows, refused) == ([(1, 'a,b "c"\r\nd\n', 5), (2, "é\t😀", None)], [])


def test_a_quote_that_is_never_closed_refuses_the_lines_from_there_on_one_by_one():
    rows, refused, blocks = read(b'1,Ada,5\n2,"Bob,6\n3,Eve,7\n')
    assert rows == [(1, "Ada", 5)]
    assert [line for line, _, _ in refused] == ['2,"Bob,6', "3,Eve,7"]
    assert {reasons[0] for _, _, reasons in refused} == {"A quoted field is not closed before the end of the file"}
    assert sum(block.lines for block in blocks) == 3
    assert sum(block.invalid_lines for block in blocks) == 2


def test_text_behind_a_closing_quote_is_refused_and_not_joined():
    assert [line for line, _ in refused_lines(b'1,"a"b,5\n2,x"y,5\n3,"z",5\n')] == ['1,"a"b,5']
    assert [line for line, _ in refused_lines(b'1,"a\n2,b,5\n3,"c",5\n4,d,5\n')] == ['1,"a', "2,b,5", '3,"c",5']


def test_nul_characters_and_bytes_that_are_no_text_are_refused_with_a_hint():
    refused = refused_lines(b"1,a\0b,5\n2,\xff,5\n3,\xc3\xa9,5\n")
    assert [line for line, _ in refused] == ["1,a\0b,5", "2,\\xff,5"]
    assert "NUL" in refused[0][1]
    assert "not text in utf-8; name its charset" in refused[1][1]


def test_other_charsets_are_read_when_named_and_their_bad_bytes_refused():
    assert read("1,Größe €,5\n".encode("cp1252"), encoding="cp1252")[0] == [(1, "Größe €", 5)]
    assert read("1,日本,5\r\n".encode("shift_jis"), encoding="shift_jis")[0] == [(1, "日本", 5)]
    assert read("\ufeff1,日本,5\n".encode("utf-16"), encoding="utf-16")[0] == [(1, "日本", 5)]
    assert len(refused_lines(b"1,\x81\x8d,5\n2,ok,5\n", encoding="cp1252")) == 1
    with pytest.raises(InvalidRequest, match="not text in utf-16"):
        read(b"\xff\xfe1\x00,\x00\x00\xd8a\x00\n\x00", encoding="utf-16")


@pytest.mark.parametrize("escapechar", ["", "\\"])
def test_null_is_spelled_as_an_empty_field_or_backslash_n(escapechar):
    schema = "a Nullable(Int32), b Nullable(String), c String, d Int32 DEFAULT 7"
    rows = read(b"\\N,\\N,\\N,\\N\n,,,\nN,N,N,N\n", schema, escapechar=escapechar)[0]
    assert rows == [(None, None, "\\N", None), (None, None, "", None), (None, "N", "N", None)]


def test_a_byte_order_mark_is_not_part_of_the_first_field():
    assert read(b"\xef\xbb\xbfid,name,n\n1,Ada,5\n", has_header=True)[0] == [(1, "Ada", 5)]
    assert read(b"\xef\xbb\xbf1,Ada,5\n")[0] == [(1, "Ada", 5)]


def test_the_header_may_span_lines_and_stand_behind_blank_ones():
    rows, refused, (block,) = read(
        b'\n\nid,"my\nname",n\n1,Ada,5\n', "id Int32, my_name String, n Int8", has_header=True
    )
    assert (rows, refused, block.lines) == ([(1, "Ada", 5)], [], 1)


@pytest.mark.parametrize("data", [b'id,"na"me,n\n1,a,5\n', b'id,"name\n', b"id,na\xffme,n\n1,a,5\n"])
def test_a_header_that_cannot_be_read_refuses_the_file(data):
    with pytest.raises(InvalidRequest, match="header"):
        read(data, has_header=True)


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"id,name,n", b"id,name,n\n"])
def test_a_file_without_records_has_no_rows(data):
    rows, refused, blocks = read(data, has_header=True)
    assert (rows, refused, sum(block.lines for block in blocks)) == ([], [], 0)


class Endless:
    """A file that goes on for a gigabyte, made as it is read."""

    def __init__(self, start, rest, size=1 << 30):
        self.position = 0
        self._left = size
        self._parts = itertools.chain([start], itertools.repeat(rest))
        self._data = b""

    def read(self, size):
        size = min(size, self._left)
        while len(self._data) < size:
            self._data += next(self._parts)
        found, self._data = self._data[:size], self._data[size:]
        self.position += len(found)
        self._left -= len(found)
        return found


@pytest.mark.parametrize(
    ("start", "rest", "sentence"),
    [
        (b"1,a,5\n", b"x" * 65_536, "Line 2 is longer than"),
        (b'1,a,5\n2,"', b"never closed\n" * 5000, "quoted field in line 2 is not closed"),
    ],
)
def test_a_record_without_end_refuses_the_file_early(start, rest, sentence):
    stream = Endless(start, rest)
    with pytest.raises(InvalidRequest, match=sentence):
        list(csv_blocks(stream, parse_schema(SCHEMA), Dialect(), 0.0, ""))
    assert stream.position < 64 << 20


def test_memory_does_not_grow_with_the_file(monkeypatch):
    monkeypatch.setattr(csvlines, "_PIECE_BYTES", 16 << 10)
    monkeypatch.setattr(csvrecords, "_CHARS_MAX", 128 << 10)
    stream = Endless(b"", b"12345,some name or other,67\n" * 2000, 4 << 20)
    blocks = csv_blocks(stream, parse_schema(SCHEMA), Dialect(), 0.0, "")
    rows = 0
    next(blocks)
    tracemalloc.start()
    try:
        for number, block in enumerate(blocks, 1):
            assert block.number == number
            rows += block.fitted.rows
            assert block.fitted.rows <= 65_536
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows > 100_000
    assert peak < 4 << 20


def test_many_columns_make_small_blocks():
    schema = ", ".join(f"c{n} Nullable(Int8)" for n in range(400))
    _, _, blocks = read((b"," * 399 + b"\n") * 12_000, schema)
    assert sum(block.fitted.rows for block in blocks) == 12_000
    assert max(block.fitted.rows for block in blocks) * 400 <= 2_000_000
    assert [block.number for block in blocks] == list(range(len(blocks)))


def test_a_file_that_is_inferred_in_part_gets_wide_types():
    data = b"id,x\n" + b"1,0.5\n" * 500_000 + b"3000000000,1e300\n"
    dialect = Dialect(has_header=True)
    assert infer_file(SampleStream(data), dialect).text == "id Int64, x Float64"
    assert infer_file(SampleStream(data), dialect, bytes_max=1000).text == "id Nullable(Int64), x Nullable(Float64)"
