"""Fit: what is missing, what is null, what is left to ClickHouse, and what the quarantine keeps."""

import msgspec
import pyarrow as pa
import pytest

from gateway.core.errors import InvalidRequest, TooLarge
from gateway.ingest import lines
from gateway.ingest.fit import Fitter
from gateway.ingest.groups import Group
from gateway.schema.columns import parse_schema
from gateway.schema.quarantine import quarantine_columns

NOW = 1_767_607_200.123456  # 2026-01-05 10:00:00
NONE = frozenset()


def fitter(schema):
    return Fitter(parse_schema(schema))


def fit(schema, *rows):
    return fitter(schema).fit_ndjson("\n".join(rows).encode(), NOW, "01IMPORT")


def quarantined(schema, *rows):
    """Quarantined rows as dicts."""
    made = fitter(schema)
    fitted = made.fit_ndjson("\n".join(rows).encode(), NOW, "01IMPORT")
    names = made.quarantine_schema.names
    return [dict(zip(names, row, strict=True)) for row in zip(*fitted.quarantine_columns, strict=True)]


def test_the_example_of_the_contract():
    fitted = fit(
        "id UInt32 `json:$.id`, amount Float32 `json:$.amount`",
        '{"id": 1, "amount": 9.5}',
        '{"id": 2, "amount": "9.5"}',
        '{"id": 3, "amount": 1, "note": "ignored"}',
    )
    assert (fitted.rows, fitted.quarantined) == (2, 1)
    assert fitted.groups == [Group(NONE, [[1, 3], [9.5, 1.0]])]


# column | missing | null | (what it holds, or: Q quarantine, D left to the DEFAULT in Arrow, O left out of the insert)
RULES = [
    ("Int32", "Q", "Q"),
    ("Nullable(Int32)", None, None),
    ("LowCardinality(Nullable(String))", None, None),
    ("Int32 DEFAULT 5", "D", "D"),
    ("String DEFAULT upper('x')", "D", "D"),
    ("LowCardinality(String) DEFAULT 'x'", "D", "D"),
    ("Nullable(Int32) DEFAULT 5", 5, None),
    ("Nullable(Int32) DEFAULT 2 + 3", "O", None),
    ("Nullable(Int8) DEFAULT 300", "O", None),
    ("Nullable(String) DEFAULT 'x'", "x", None),
    ("Nullable(String) DEFAULT 'it\\'s'", "O", None),
    ("UUID DEFAULT generateUUIDv4()", "O", "O"),
    ("Decimal(9, 2) DEFAULT 1", "O", "O"),
    ("Decimal(9, 2) DEFAULT '1.50'", "1.5", "1.5"),
    ("Enum8('a' = 1) DEFAULT 'a'", "a", "a"),
    ("Enum8('a' = 1) DEFAULT 1", "O", "O"),
    ("IPv4 DEFAULT '0.0.0.0'", "0.0.0.0", "0.0.0.0"),
    ("UInt128 DEFAULT 1", "1", "1"),
    ("Array(Int32)", "Q", "Q"),
    ("Array(Int32) DEFAULT [1]", "O", []),
    ("Array(Int32) DEFAULT []", [], []),
    ("Map(String, Int32) DEFAULT map('a', 1)", "O", "O"),
    ("Map(String, Int32) DEFAULT map()", {}, {}),
    ("Tuple(a Int32) DEFAULT tuple(1)", "O", "O"),
    ("JSON", "Q", "Q"),
    ("JSON DEFAULT '{}'", "{}", "{}"),
    ("JSON DEFAULT '{\"a\":1}'", "O", "O"),
    ("DateTime DEFAULT now()", 1_767_607_200, 1_767_607_200),
    ("DateTime DEFAULT NOW('Europe/Madrid')", 1_767_607_200, 1_767_607_200),
    ("DateTime DEFAULT now64(3)", 1_767_607_200, 1_767_607_200),
    ("DateTime DEFAULT today()", 1_767_571_200, 1_767_571_200),
    ("DateTime DEFAULT now() - 1", "D", "D"),
    ("DateTime64(3) DEFAULT now64()", 1_767_607_200_123, 1_767_607_200_123),
    ("DateTime64(6) DEFAULT now64(3)", 1_767_607_200_123_000, 1_767_607_200_123_000),
    ("DateTime64(6) DEFAULT now64(6, 'UTC')", 1_767_607_200_123_456, 1_767_607_200_123_456),
    ("DateTime64(3) DEFAULT now()", 1_767_607_200_000, 1_767_607_200_000),
    ("Nullable(DateTime) DEFAULT now()", 1_767_607_200, None),
    ("Date DEFAULT today()", 20_458, 20_458),
    ("Date DEFAULT now()", 20_458, 20_458),
    ("Date DEFAULT today('Asia/Tokyo')", "D", "D"),
    ("String DEFAULT now()", "D", "D"),
]


@pytest.mark.parametrize("present", ["missing", "null"])
@pytest.mark.parametrize("odd", [False, True], ids=["fast", "exact"])
@pytest.mark.parametrize(("column", "missing", "null"), RULES)
def test_the_rules_for_missing_and_null(column, missing, null, present, odd):
    expected = missing if present == "missing" else null
    kind, _, default = column.partition(" DEFAULT ")
    schema = f"a String `json:$.a`, x {kind} `json:$.x`" + (f" DEFAULT {default}" if default else "")
    row = f'{{"a":{5 if odd else chr(34) + "5" + chr(34)}' + (',"x":null}' if present == "null" else "}")

    fitted = fit(schema, row)

    if expected == "Q":
        assert (fitted.rows, fitted.quarantined) == (0, 1)
    elif expected == "O":
        assert fitted.groups == [Group(frozenset({1}), [["5"]])]
    else:
        assert fitted.groups == [Group(NONE, [["5"], [None if expected == "D" else expected]])]


def test_rows_that_omit_different_columns_are_in_different_groups():
    schema = "n UInt8 `json:$.n`, u UUID `json:$.u` DEFAULT generateUUIDv4(), o Nullable(String) `json:$.o` DEFAULT upper('x')"
    u = '"00112233-4455-6677-8899-aabbccddeeff"'
    fitted = fit(
        schema,
        f'{{"n":1,"u":{u},"o":"a"}}',
        '{"n":2,"o":null}',
        '{"n":3}',
        f'{{"n":4,"u":{u},"o":"b"}}',
        '{"n":5,"o":"c"}',
    )
    assert [(group.omitted, group.columns) for group in fitted.groups] == [
        (NONE, [[1, 4], [u[1:-1]] * 2, ["a", "b"]]),
        (frozenset({1}), [[2, 5], [None, "c"]]),
        (frozenset({1, 2}), [[3]]),
    ]
    assert fitted.rows == 5


def test_a_row_that_would_omit_every_column_is_quarantined():
    """There would be nothing to insert."""
    schema = "u UUID `json:$.u` DEFAULT generateUUIDv4(), o Nullable(String) `json:$.o` DEFAULT upper('x')"
    fitted = fit(schema, "{}", '{"o":null}')
    assert (fitted.rows, fitted.quarantined) == (1, 1)
    assert fitted.groups == [Group(frozenset({0}), [[None]])]


def test_a_row_that_omits_columns_and_does_not_fit_says_why():
    schema = "u UUID `json:$.u` DEFAULT generateUUIDv4(), i Nullable(Int8) `json:$.i` DEFAULT 1 + 1"
    (row,) = quarantined(schema, '{"i":300}')
    assert row["c__error"] == ["value '300' on column 'i' is not Int8: out of range"]


def test_without_any_jsonpath_columns_are_read_by_name():
    made = fitter("id UInt8, `user-id` String DEFAULT 'x', v UInt8 MATERIALIZED id")
    assert [column.name for column in made.columns] == ["id", "user-id"]
    assert made.fit_ndjson(b'{"id":1,"user-id":"a"}', NOW, "").groups[0].columns == [[1], ["a"]]


def test_with_some_jsonpaths_the_other_columns_are_left_to_their_default():
    made = fitter("id UInt8 `json:$.id`, at DateTime DEFAULT now(), v UInt8")
    assert made.arrow_schema().names == ["id"]


def test_a_schema_that_json_cannot_fill_is_refused_at_once():
    with pytest.raises(InvalidRequest, match="none has a JSONPath"):
        fitter("v UInt8 MATERIALIZED 1")
    with pytest.raises(InvalidRequest, match="cannot be filled from JSON"):
        fitter("v AggregateFunction(sum, UInt64) `json:$.v`")
    with pytest.raises(InvalidRequest, match="quote"):
        fitter("v UInt8 `json:$['a\"b']`")


PATHS = [
    ("$.a", "Int8", '{"a":1}', 1),
    ("$.a.b.c", "Int8", '{"a":{"b":{"c":1}}}', 1),
    ("$.event-data.event", "String", '{"event-data":{"event":"open"}}', "open"),
    ("$['a b']", "Int8", '{"a b":1}', 1),
    ("$.a.b", "Nullable(Int8)", '{"a":5}', None),
    ("$.a.b", "Nullable(Int8)", '{"a":null}', None),
    ("$.a.b", "Nullable(Int8)", '{"a":{"b":1},"a":{}}', None),
    ("$.A", "Nullable(Int8)", '{"a":1}', None),
    ("$.a", "Int8", '{"a":"x","a":1}', 1),
    ("$.a", "Int8", '{"\\u0061":1}', 1),
    ("$", "String", ' {"a": 1}\r', '{"a": 1}'),
    ("$", "JSON", '{"a": 1, "a": 2}', '{"a":2}'),
    ("$.t", "Array(String)", '{"t":["x"]}', ["x"]),
    ("$.t[:]", "Array(String)", '{"t":["x",1]}', ["x", "1"]),
    ("$.t[:]", "String", '{"t":[1, "x"]}', '[1, "x"]'),
    ("$.t[:].k", "String", '{"t":[{"k":1},{},{"k":"x"}]}', '[1,null,"x"]'),
    ("$.i[:].k", "Array(Nullable(Int8))", '{"i":[{"k":1},{},{"k":null},5]}', [1, None, None, None]),
    ("$.i[:].k", "Array(Int8)", '{"i":[{"k":1},{}]}', [1, 0]),
    ("$.i[:].k", "Array(Date32)", '{"i":[{}]}', [-25567]),
    ("$.i[:].s[:].k", "Array(Array(Int8))", '{"i":[{"s":[{"k":1},{}]},{},{"s":[]}]}', [[1, 0], [], []]),
    ("$.i[:].k", "Array(Array(Int8))", '{"i":[{"k":[1]},{}]}', [[1], []]),
    ("$.i[:]", "Nested(a UInt8, b String)", '{"i":[{"a":1,"b":"x"}]}', [{"a": 1, "b": "x"}]),
    ("$.i[:]", "Array(JSON)", '{"i":[{"a":1},{}]}', ['{"a":1}', "{}"]),
]


@pytest.mark.parametrize(("path", "kind", "row", "value"), PATHS)
def test_a_path_finds_its_value(path, kind, row, value):
    assert fit(f"x {kind} `json:{path}`", row).groups[0].columns == [[value]]


@pytest.mark.parametrize(
    ("path", "kind", "row"),
    [
        ("$.i[:].k", "Array(Int8)", '{"i":[{"k":null}]}'),
        ("$.i[:]", "Array(Int8)", '{"i":5}'),
        ("$.i[:].k", "Array(Int8)", '{"i":{"k":1}}'),
        ("$.a.b", "Int8", '{"a":5}'),
    ],
)
def test_a_path_that_finds_nothing_that_fits_is_a_reason(path, kind, row):
    assert fit(f"x {kind} `json:{path}`", row).quarantined == 1


def test_a_parent_its_child_and_the_same_path_twice():
    schema = "p String `json:$.p`, a Int8 `json:$.p.a`, again JSON `json:$.p`, c Nullable(Int8) `json:$.p.b.c`"
    rows = ['{"p": {"a": 1}}', '{"p":{"a":2,"b":{"c":3}}}']
    expected = [['{"a": 1}', '{"a":2,"b":{"c":3}}'], [1, 2], ['{"a":1}', '{"a":2,"b":{"c":3}}'], [None, 3]]
    assert fit(schema, *rows).groups[0].columns == expected


def test_a_quarantined_row_keeps_every_column_every_reason_and_the_line():
    schema = "id UInt8 `json:$.id`, s String `json:$.s`, o Nullable(String) `json:$.o`, f Float32 `json:$.f`, at DateTime DEFAULT now()"
    line = '{"id": 300, "s": "é", "o": {"k": [1]}, "extra": true}'
    assert quarantined(schema, line) == [
        {
            "c__error_column": ["id", "f"],
            "c__error": [
                "value '300' on column 'id' is not UInt8: out of range",
                (
                    "Strict type checking failed. Object does not have column 'f', you should send a value or recreate the table "
                    "with a Nullable column type. While accessing jsonpath '$.f'"
                ),
            ],
            "c__import_id": "01IMPORT",
            "id": "300",
            "s": "é",
            "o": '{"k": [1]}',
            "f": None,
            "at": None,
            "insertion_date": 1_767_607_200,
            "c__raw": line,
        }
    ]


def test_the_texts_of_the_contract():
    schema = "abslevel Float32 `json:$.abslevel`, site_uuid UUID `json:$.payload.site_uuid`"
    (row,) = quarantined(schema, '{"abslevel":""}')
    assert row["c__error"] == [
        "value '' on column 'abslevel' is not Float32",
        (
            "Strict type checking failed. Object does not have column 'site_uuid', you should send a value or recreate the table with a "
            "Nullable column type. While accessing jsonpath '$.payload.site_uuid'"
        ),
    ]


def test_the_quarantine_has_the_columns_of_its_table():
    schema = parse_schema("id UInt8 `json:$.id`, c__error String, insertion_date DateTime")
    assert Fitter(schema).quarantine_schema.names == [column.name for column in quarantine_columns(schema)]


def test_messages_and_values_in_the_quarantine_are_bounded():
    long = "x" * 200_000
    (row,) = quarantined("id UInt8 `json:$.id`, s String `json:$.s`", f'{{"id":"{long}","s":"{long}"}}')
    assert len(row["c__error"][0]) < 200
    assert len(row["s"]) == len(row["id"]) == 65_536
    assert len(row["c__raw"]) > 400_000


def test_the_quarantine_columns_are_what_arrow_and_msgpack_take():
    made = fitter("id UInt8 `json:$.id`, s String `json:$.s`")
    fitted = made.fit_ndjson(b'{"id":-1}\nx\n{"id":1,"s":"ok"}\n\xff{}', NOW, "")
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(fitted.quarantine_columns))
    table = pa.table(
        [pa.array(values, field.type) for values, field in zip(kept, made.quarantine_schema, strict=True)],
        schema=made.quarantine_schema,
    )
    assert table.num_rows == fitted.quarantined == 3
    assert table.column("c__import_id").to_pylist() == [None] * 3


def test_a_row_that_the_database_refused_is_quarantined_with_its_values():
    made = fitter(
        "id UInt8 `json:$.id`, t DateTime64(9) `json:$.t`, m Map(String, Array(UInt8)) `json:$.m`, o Nullable(Int8) `json:$.o`"
    )
    group = made.fit_ndjson(b'{"id":1,"t":"2026-01-05 10:00:00.123456789","m":{"a":[1]}}', NOW, "").groups[0]
    schema = made.arrow_schema(group.omitted)
    row = pa.table(
        [pa.array(values, field.type) for values, field in zip(group.columns, schema, strict=True)], schema=schema
    )

    columns = made.quarantine.refused(row, "Code: 27", NOW)

    found = {name: values[0] for name, values in zip(made.quarantine_schema.names, columns, strict=True)}
    assert (found["c__error_column"], found["c__error"], found["id"], found["o"]) == (["$"], ["Code: 27"], "1", None)
    assert found["t"].startswith("2026-01-05 10:00:00.123456789")
    assert found["m"] == '{"a":[1]}'


def test_json_bodies_hold_an_object_or_an_array_of_them():
    made = fitter("a UInt8 `json:$.a`, r String `json:$`")
    assert made.fit_json(b'\xef\xbb\xbf{\n "a": 1\n}\n', NOW, "").groups[0].columns == [[1], ['{\n "a": 1\n}']]
    assert made.fit_json(b' [{"a": 1}, {"a":2}]', NOW, "").groups[0].columns == [[1, 2], ['{"a": 1}', '{"a":2}']]
    mixed = made.fit_json(b'[{"a": 1}, 5, {"a": "x"}]', NOW, "")
    assert (mixed.rows, mixed.quarantined) == (1, 2)


@pytest.mark.parametrize(
    "body", [b"", b" \n", b"[]", b"3", b'"x"', b"[1, 2]", b"[{]", b'{"a":1}\n{"a":2}', b"null", b"[" * 10**5]
)
def test_a_json_body_of_which_nothing_can_be_read_is_refused(body):
    with pytest.raises(InvalidRequest):
        fitter("a UInt8 `json:$.a`").fit_json(body, NOW, "")


@pytest.mark.parametrize(
    "body", [b"", b"\n\n", b"\xef\xbb\xbf", b" \t\r\n ", b"x", b"3\n[1]\nnull", b"{\n", b"\x1f\x8b\x08\x00\xff\xfe"]
)
def test_an_ndjson_body_of_which_nothing_can_be_read_is_refused(body):
    with pytest.raises(InvalidRequest):
        fitter("a UInt8 `json:$.a`").fit_ndjson(body, NOW, "")


@pytest.mark.parametrize(
    "line", [b'{"a":1,"x":"\\ud83d"}', b'{"a":1,"x":"\xff"}', b'{"a":1,"x":' + b"[" * 5000 + b"]" * 5000 + b"}"]
)
def test_json_that_cannot_be_stored_is_quarantined_even_alone(line):
    """In a field that nobody reads, too: the line as a whole is what was sent."""
    fitted = fitter("a UInt8 `json:$.a`").fit_ndjson(line, NOW, "")
    assert (fitted.rows, fitted.quarantined) == (0, 1)


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (b'{"a":1}', 1), (b'{"a":1}\n', 1), (b'{"a":1}\r\n{"a":2}\r\n', 2), (b'\xef\xbb\xbf{"a":1}\n\n  \n{"a":2}', 2), (b' {"a" : 1 } \t', 1),
    ],
)  # fmt: skip
def test_newlines_blanks_and_marks_make_no_rows(body, rows):
    fitted = fitter("a UInt8 `json:$.a`").fit_ndjson(body, NOW, "")
    assert (fitted.rows, fitted.quarantined) == (rows, 0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[1]", "Invalid JSON: the line is not an object"),
        (b"{", "Invalid JSON: Input data was truncated"),
        (b'{"a":1},', "Invalid JSON: trailing characters (byte 8)"),
        (b'{"a":"\\ud83d"}', "Invalid JSON: half of a surrogate pair in an escape"),
        (b'{"a":"\xff"}', "Invalid JSON: the line is not valid UTF-8"),
        (b'{"a":' + b"[" * 5000, "Invalid JSON: nested too deeply"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(line, reason):
    made = fitter("a UInt8 `json:$.a`")
    fitted = made.fit_ndjson(b'{"a":1}\n' + line, NOW, "")
    row = dict(zip(made.quarantine_schema.names, [values[0] for values in fitted.quarantine_columns], strict=True))
    assert (fitted.rows, row["c__error_column"], row["c__error"], row["a"]) == (1, ["$"], [reason], None)
    assert row["c__raw"] == line.decode(errors="backslashreplace")


def test_order_is_kept_whatever_path_a_row_takes():
    rows = [f'{{"n":{n},"s":{n if n % 3 else chr(34) + str(n) + chr(34)}}}' for n in range(200)]
    rows[50] = '{"n":-1}'
    assert fit("n UInt16 `json:$.n`, s String `json:$.s`", *rows).groups[0].columns[0] == [
        n for n in range(200) if n != 50
    ]


def test_a_body_has_a_bound_of_lines():
    made = fitter("a Nullable(UInt8) `json:$.a`")
    with pytest.raises(TooLarge):
        made.fit_ndjson(b"{}\n" * (lines.LINES_MAX + 1), NOW, "")
