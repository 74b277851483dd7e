"""Text: the fast way gives what the exact way alone gives, and both mean what the same value means in an event."""

import csv
import io

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.errors import InvalidRequest
from gateway.imports import csvlines, csvrecords
from gateway.imports.csvfile import SampleStream, csv_blocks, infer_file, whole_lines
from gateway.imports.dialect import Dialect, DialectOptions, guess_dialect
from gateway.ingest.fit import Fitter
from gateway.ingest.texts import TextFitter
from gateway.schema.columns import parse_schema

NOW = 1_767_607_200.123456
SLOW = list(HealthCheck)

TYPES = """
    Int8 ; UInt8 ; Int16 ; Nullable(Int32) ; Int64 ; UInt64 DEFAULT 9 ; Nullable(UInt128) ; Float32 ; Nullable(Float64) ;
    Float64 DEFAULT 2.5 ; Decimal(12, 3) ; Decimal(3, 3) ; Nullable(Decimal(5, 0)) ; String ; Nullable(String) ;
    LowCardinality(Nullable(String)) ; String DEFAULT 'x' ; FixedString(4) ; Nullable(FixedString(2)) ; Bool ;
    Nullable(Bool) ; UUID ; UUID DEFAULT generateUUIDv4() ; Nullable(IPv4) ; IPv6 DEFAULT '::' ;
    Enum8('a' = 1, 'N' = 2, ' ' = 3, '' = 4) ; Nullable(Enum8('a' = 1, '7' = 2)) ; Date ; Date DEFAULT today() ;
    Nullable(Date32) ; DateTime ; DateTime DEFAULT now() ; DateTime('Europe/Madrid') ; DateTime64(3) ;
    Nullable(DateTime64(9)) ; DateTime64(1) DEFAULT 0 ; Array(String) ; Array(Nullable(Int16)) DEFAULT [1] ;
    Map(String, UInt8) ; Tuple(UInt8, Nullable(String)) ; JSON DEFAULT '{}' ; Array(DateTime64(3)) DEFAULT []
"""
COLUMNS = [kind.strip() for kind in TYPES.split(";")]

# What is right for some column and nearly right for another.
TEXTS = r"""
    0 -0 +0 1 -1 7 007 +5 -07 5. .5 -.5 . - + 1.0 1.10 1.50 1e3 1E3 1e-3 1e400 1e-400 -0.0 0x1F 1_000 1,5 1,2 ١ nan NaN inf
    -inf Infinity 127 128 255 256 -128 -129 32768 65535 2147483647 2147483648 16777216 16777217 9007199254740992
    9007199254740993 9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616 3.5e38 0.1 999.999
    0.123 0.1234 0.1230 99999 123456789.999 1234567890 340282366920938463463374607431768211455 true True TRUE tRue false
    T F Y N Yes no on OFF enabled a 2 3 4 abcd abcde éé ééé ab abc 00112233-4455-6677-8899-AABBCCDDEEFF
    00112233445566778899aabbccddeeff {00112233-4455-6677-8899-aabbccddeeff} 1.2.3.4 01.2.3.4 ::1 ::ffff:1.2.3.4 fe80::1%e
    2026-01-05 2026-02-30 20260105 20260105100000 86400 86401 1767607200 1767607200123 1767607200.5 2026-01-05T10:00:00Z
    2026-01-05T10:00:00.123Z 2026-01-05T10:00:00.123456789+01:30 2026-03-29T02:30:00 1899-12-31 2299-12-31T23:59:59.999Z
    2106-02-07T06:28:16Z 2026-01-05T00:00:00Z 2026-01-05T10:00:00z 2026-1-5 NA NULL null Null None \N \\N N n [] [1] [1,2]
    ["a","b"] ['a','b'] ['it''s','a\'b'] [1,'a'] [null] [NULL] [1 ]] [ [[1]] {"a":1} {'a':1} {"a":256} {"a":1,"a":2} {}
    (1,'a') (1,NULL) [1,null] (1 {"a":1e400} {"a" ["2026-01-05"] ['\q'] "a" 'a' [1],[2] 1],[1
"""
ODD = ["", " ", "  ", " 5", "5 ", "\t5", "\n5", "a b", " a", "2026-01-05 10:00:00", " 2026-01-05 ", "2026-01-05 10:00:00.5",
       "a\nb", "\u00a05", "\u2003", "'", "''", '"', "[1, 2]", "( 1 , 'a' )", "9" * 400, "0." + "1" * 5000, "[" * 3000, "\0"]  # fmt: skip
cell = st.sampled_from(TEXTS.split() + ODD) | st.text(max_size=4).filter(str.isprintable) | st.none()


def fitters(columns):
    schema = parse_schema(", ".join(f"c{n} {kind}" for n, kind in enumerate(columns)))
    fast, exact = TextFitter(schema), TextFitter(schema)
    for cells in exact._cells:
        cells._fast = None
    return fast, exact


FAST, EXACT = fitters(COLUMNS)


def outcome(fitter, columns, names):
    """Everything the rows became, as text: so that 1, 1.0 and True, 0.0 and -0.0 differ."""
    lines = [b"%d" % number for number in range(len(columns[0]))]
    fitted = fitter.fit(columns, names, NOW, "import", lines)
    assert fitted.rows + fitted.quarantined == len(lines)
    return repr((fitted.groups, fitted.rows, fitted.quarantined, fitted.quarantine_columns))


@pytest.mark.parametrize("kind", COLUMNS)
def test_both_ways_agree_on_every_text_alone_and_among_its_like(kind):
    fast, exact = fitters([kind])
    accepted = 0
    for text in [*TEXTS.split(), *ODD, None]:
        one = outcome(fast, [[text]], ["c0"])
        assert one == outcome(exact, [[text]], ["c0"]), text
        many = fast.fit([[text] * 60], ["c0"], NOW, "", [b""] * 60)
        assert many.rows in {0, 60}
        accepted += many.rows // 60
        if many.rows:
            assert repr([group.columns for group in many.groups]) == repr(
                [
                    [column * 60 for column in group.columns]
                    for group in fast.fit([[text]], ["c0"], NOW, "", [b""]).groups
                ]
            )
    assert accepted


@settings(max_examples=200, deadline=None, suppress_health_check=SLOW)
@given(st.data())
def test_both_ways_agree_on_any_rows(data):
    count = data.draw(st.integers(1, 80))
    columns = [data.draw(st.lists(cell, min_size=count, max_size=count)) if count < 6 else
               [data.draw(cell)] * count for _ in COLUMNS]  # fmt: skip
    for _ in range(data.draw(st.integers(0, 5))):
        columns[data.draw(st.integers(0, len(COLUMNS) - 1))][data.draw(st.integers(0, count - 1))] = data.draw(cell)
    kept = data.draw(st.sets(st.integers(0, len(COLUMNS) - 1), max_size=3))
    names = [f"c{n}" for n in range(len(COLUMNS)) if n not in kept]
    columns = [column for n, column in enumerate(columns) if n not in kept]
    assert outcome(FAST, columns, names) == outcome(EXACT, columns, names)


@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
@given(st.data())
def test_columns_that_mostly_fit_give_the_same_rows_both_ways(data):
    """The halves: a few bad cells among many good ones."""
    count = data.draw(st.integers(20, 200))
    fast, exact = fitters(
        ["Int32", "Nullable(Float64)", "DateTime64(3)", "String DEFAULT 'x'", "UUID DEFAULT generateUUIDv4()"]
    )
    good = ["5", "0.5", "2026-01-05T10:00:00.123Z", "x", "00112233-4455-6677-8899-aabbccddeeff"]
    columns = [[text] * count for text in good]
    for _ in range(data.draw(st.integers(0, 12))):
        columns[data.draw(st.integers(0, 4))][data.draw(st.integers(0, count - 1))] = data.draw(cell)
    names = [f"c{n}" for n in range(5)]
    assert outcome(fast, columns, names) == outcome(exact, columns, names)


SAME = {
    "Int8": "0 1 -1 -0 127 128 -128 -129 1.0 1e2", "UInt8": "0 255 256 true false", "Int64": "9223372036854775807 9223372036854775808",
    "UInt64": "18446744073709551615 18446744073709551616", "Float32": "0.1 -0 -0.0 16777217 3.5e38 1e-46", "Float64": "9007199254740993 1e308 1e309 0.1",
    "Decimal(5, 2)": "1.5 1.50 1.505 1e2 999.99 1000 -0", "UInt256": f"{2**256 - 1} {2**256} 1234567890123456", "DateTime": "1767607200 1767607200.9 -1",
    "Date": "86400 86401", "DateTime64(3)": "1767607200123 -0.5 1767607200.12345", "Array(Int16)": "[1,2] [] [1.5]", "Map(String,UInt8)": '{"a":1} {"a":300}',
    "JSON": '{"a":{"b":[1,2]}} {"a":18446744073709551616}',
}  # fmt: skip


@pytest.mark.parametrize("kind", SAME)
def test_a_number_or_a_structure_means_what_it_means_in_an_event(kind):
    schema = parse_schema(f"c {kind}")
    for text in SAME[kind].split():
        event = Fitter(schema).fit_ndjson(b'{"c":%s}' % text.encode(), NOW, "")
        row = TextFitter(schema).fit([[text]], ["c"], NOW, "", [b""])
        assert repr((event.groups, event.rows)) == repr((row.groups, row.rows)), text
        if event.quarantined:
            assert event.quarantine_columns[1] == row.quarantine_columns[1]


FAMILIES = [
    "0;1;-1;32767;32768;2147483648", "9223372036854775807;9223372036854775808;-1", "1.5;2;-0.25;.5;5.;1e3", "1.5;9007199254740993",
    f"{2**255};{10**70};{'9' * 100}", "1e400;1", "007;1", "+5;5", "2026-01-05;1970-01-01", "2026-01-05;1899-01-01",
    "2026-01-05 10:00:00;2026-01-05T10:00:00Z", "2026-01-05T10:00:00.123Z;2026-01-05T10:00:00", "2300-01-01T00:00:00Z;2026-01-05T10:00:00",
    "[1,2];[];[300]", "['a','b'];[]", '["2026-01-05"];[]', "[1.5,2];[16777217]", "[1];x", "[null];[1]", "[[1]];[1]", "[1", "true;false",
    "a;b c;é;it's;\"q\";a,b;x\ny", "20260105;20260106", " 5;6 ", "1 ;x", "nan;1", "N;Y", "NA;1", "NA;x", "NA;2026-01-05", "(1,2);[1]",
]  # fmt: skip
absent = st.sampled_from(["", "NA", "\\N", "NULL", "N", " "])


@st.composite
def tables(draw):
    """Records whose columns have something in common, and a header."""
    families = draw(st.lists(st.sampled_from(FAMILIES), min_size=1, max_size=5))
    gaps = [draw(st.booleans()) for _ in families]
    count = draw(st.integers(1, 12))
    columns = [
        draw(
            st.lists(
                st.sampled_from(family.split(";")) | (absent if gap else st.nothing()), min_size=count, max_size=count
            )
        )
        for family, gap in zip(families, gaps, strict=True)
    ]
    header = draw(st.lists(st.sampled_from(["id", "ID", "a b", "a_b", "", "é", "from", "1x", "x, y", "_row_exists", "a"]),
                           min_size=len(families), max_size=len(families)))  # fmt: skip
    return header, list(zip(*columns, strict=True))


def written(rows, **given):
    sink = io.StringIO()
    csv.writer(sink, **given).writerows(rows)
    return sink.getvalue().encode()


@settings(max_examples=300, deadline=None, suppress_health_check=SLOW)
@given(tables(), st.booleans(), st.booleans(), st.booleans())
def test_a_file_fits_the_columns_inferred_from_it(table, has_header, wide, guessing):
    header, rows = table
    data = written([header, *rows] if has_header else rows)
    dialect = Dialect(has_header=has_header)
    inferred = infer_file(SampleStream(data), dialect, wide=wide, guessing=guessing)
    schema = parse_schema(inferred.schema().sql_schema())
    assert inferred.text.split(", ") == [column.text for column in inferred.columns]
    blocks = list(csv_blocks(SampleStream(data), schema, dialect, 0.0, ""))
    blank = 0 if len(rows[0]) > 1 else sum(not row[0].strip() and row[0] != "" for row in rows)
    assert sum(block.fitted.quarantined for block in blocks) == 0, [
        block.fitted.quarantine_columns[:2] for block in blocks
    ]
    assert sum(block.fitted.rows + block.empty_lines for block in blocks) == len(rows)
    assert sum(block.empty_lines for block in blocks) <= blank


@pytest.fixture(params=[None, (7, 3), (64, 2), (1, 1)])
def pieces(request, monkeypatch):
    """Pieces and batches so small that every border is met."""
    if request.param:
        monkeypatch.setattr(csvlines, "_PIECE_BYTES", request.param[0])
        monkeypatch.setattr(csvrecords, "_RECORDS_MAX", request.param[1])


fields = st.text(st.sampled_from('ab,;"\n\r\\N é😀|\t'), max_size=5)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(
    st.lists(st.tuples(fields, fields, fields), min_size=1, max_size=8),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n", "\r", "||\n", "^^"]),
    st.sampled_from(["utf-8", "utf-16", "utf-16-le"]),
)
def test_what_a_writer_wrote_is_read_to_the_letter(pieces, rows, delimiter, newline, encoding):
    data = written(rows, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL).decode().encode(encoding)
    dialect = Dialect(delimiter=delimiter, newline=newline, encoding=encoding)
    schema = parse_schema("a String, b String, c String")
    blocks = list(csv_blocks(SampleStream(data), schema, dialect, 0.0, ""))
    found = [row for block in blocks for group in block.fitted.groups for row in zip(*group.columns, strict=True)]
    assert found == rows
    assert [block.number for block in blocks] == list(range(len(blocks)))
    assert blocks == list(csv_blocks(SampleStream(data), schema, dialect, 0.0, ""))


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(st.lists(st.tuples(fields, fields), min_size=1, max_size=8))
def test_a_backslash_that_escapes_takes_nothing_away(pieces, rows):
    data = written(rows, escapechar="\\", doublequote=False, quoting=csv.QUOTE_ALL, lineterminator="\n")
    schema = parse_schema("a String, b String")
    blocks = list(csv_blocks(SampleStream(data), schema, Dialect(escapechar="\\"), 0.0, ""))
    found = [row for block in blocks for group in block.fitted.groups for row in zip(*group.columns, strict=True)]
    assert found == rows


PARTS = [
    b"a",
    b"1",
    b",",
    b'"',
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b" ",
    b"\\",
    b"\\N",
    b'""',
    b"\xef\xbb\xbf",
    b"\n\n",
]


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(
    st.lists(st.sampled_from(PARTS), max_size=40).map(b"".join),
    st.booleans(),
    st.sampled_from(["", "\\"]),
    st.sampled_from(["utf-8", "cp1252", "gbk"]),
)
def test_every_record_of_any_file_is_accounted_for(pieces, data, has_header, escapechar, encoding):
    schema = parse_schema("a String, b Nullable(Int32)")
    dialect = Dialect(has_header=has_header, escapechar=escapechar, encoding=encoding)

    def read():
        return list(csv_blocks(SampleStream(data), schema, dialect, 0.0, ""))

    try:
        blocks = read()
    except InvalidRequest:
        if not has_header:
            raise
        return
    for block in blocks:
        fitted = block.fitted
        assert block.lines == fitted.rows + fitted.quarantined + block.empty_lines
        assert block.invalid_lines <= fitted.quarantined
        for group in fitted.groups:
            for value in group.columns[0]:
                assert "\0" not in value
                assert value == value.encode().decode()
    assert blocks == read()


@settings(max_examples=200, deadline=None, suppress_health_check=SLOW)
@given(st.lists(st.sampled_from([*PARTS, b";", b"\t", b"x,y\n"]), max_size=30).map(b"".join), st.booleans())
def test_a_dialect_is_guessed_of_anything_and_can_be_read_with(data, is_cut):
    dialect = guess_dialect(data, DialectOptions(), is_cut=is_cut)
    assert msgspec.json.encode(dialect.wire())
    infer_file(SampleStream(whole_lines(data, dialect)), Dialect(delimiter=dialect.delimiter, newline=dialect.newline))
