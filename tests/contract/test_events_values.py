"""Values: what is sent to a column of every type → what a query gives back, or a row in quarantine; nothing in between.

Source: datasources.md §7, the typing table.
All rows of a type go in one request, are read back through /v0/sql, and each is a test of its own.
"""

from decimal import Decimal, InvalidOperation

import orjson
import pytest

from tests.support.gateway import Gateway

Q = "quarantined"

# What is stored, as `toString` shows it, for the JSON text that is sent; a list of texts is quarantined.
Table = dict[str, tuple[dict[str, str], list[str]]]

_NOT_NUMBERS = ['"x"', '""', "{}", "[]", "[1]", "null"]
_FRACTIONS = ["1.5", "1.0", "1e3", "1E2", "-0.1"]
_UUID = "0f6c2b1e-9d1a-4c3b-8f2e-7a6b5c4d3e2f"


def _integer(low: int, high: int) -> tuple[dict[str, str], list[str]]:
    """Small integers: strict."""
    stored = {str(each): str(each) for each in (0, 1, low, high, low + 1, high - 1)}
    return {**stored, "-0": "0"}, [str(low - 1), str(high + 1), '"5"', "false", *_FRACTIONS, *_NOT_NUMBERS, str(2**64)]


def _big_integer(low: int, high: int) -> tuple[dict[str, str], list[str]]:
    """Integers of 64 bits and more: also from strings of digits."""
    stored, refused = _integer(low, high)
    texts = {f'"{each}"': str(each) for each in (0, 5, low, high)}
    refused = [each for each in refused if each != '"5"' and not low <= _number(each) <= high]
    return {**stored, **texts}, [*refused, '"5.0"', '" 5"', '"1e3"', '"+5"', '"0x5"', f'"{high + 1}"', *_FRACTIONS]


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("inf")


SCALARS: Table = {
    **{f"Int{bits}": _integer(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32)},
    **{f"UInt{bits}": _integer(0, 2**bits - 1) for bits in (16, 32)},
    "UInt8": (
        {**_integer(0, 255)[0], "true": "1", "false": "0"},
        [each for each in _integer(0, 255)[1] if each != "false"],
    ),
    **{f"Int{bits}": _big_integer(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (64, 128, 256)},
    **{f"UInt{bits}": _big_integer(0, 2**bits - 1) for bits in (64, 128, 256)},
    "Float64": (
        {
            "0": "0",
            "-0.0": "-0",
            "1": "1",
            "1.5": "1.5",
            "1e3": "1000",
            "-2.5E-3": "-0.0025",
            "0.1": "0.1",
            "9007199254740992": "9007199254740992",
            "1.7976931348623157e308": "1.7976931348623157e308",
        },
        ["9007199254740993", "18446744073709551615", "1e400", "-1e400", '"1.5"', '"NaN"', "true", *_NOT_NUMBERS],
    ),
    "Float32": (
        {"0": "0", "1": "1", "1.5": "1.5", "0.1": "0.1", "16777216": "16777216", "3.4e38": "3.4e38"},
        ["16777217", "1e39", "1e400", '"9.5"', "false", *_NOT_NUMBERS],
    ),
    "Decimal(10, 2)": (
        {
            "1": "1",
            "1.5": "1.5",
            "-99999999.99": "-99999999.99",
            '"1.25"': "1.25",
            '"12"': "12",
            "1.500": "1.5",
            "1e3": "1000",
        },
        ["100000000", "1.005", '"1.005"', '"1,5"', '" 1"', "true", "1e400", '"NaN"', *_NOT_NUMBERS],
    ),
    "Decimal(76, 38)": (
        {
            "0.1": "0.1",
            "12345678901234567890.12345678901234567890": "12345678901234567890.1234567890123456789",
            '"99999999999999999999999999999999999999.5"': "99999999999999999999999999999999999999.5",
        },
        ["1e38", '"1e39"', "1e-39", *_NOT_NUMBERS],
    ),
    "Decimal32(4)": ({"12345.6789": "12345.6789"}, ["123456", "0.00001"]),
    "Bool": (
        {
            **dict.fromkeys(
                ("true", "1", '"true"', '"True"', '"T"', '"Y"', '"Yes"', '"On"', '"Enabled"', '"1"'), "true"
            ),
            **dict.fromkeys(("false", "0", '"false"', '"F"', '"N"', '"No"', '"Off"', '"Disable"', '"0"'), "false"),
        },
        ["2", "-1", "1.0", '"2"', '"maybe"', *_NOT_NUMBERS],
    ),
    "String": (
        {
            '"a"': "a",
            '""': "",
            '" a "': " a ",
            '"1"': "1",
            '"\\u0000b"': "\0b",
            '"é\\ud83d\\ude00"': "é😀",
            '"\\"\\\\\\/\\b\\f\\n\\r\\t"': '"\\/\b\f\n\r\t',
            '"\u2028"': "\u2028",
            '"null"': "null",
            '"\\\\N"': "\\N",
            "1": "1",
            "1.50": "1.50",
            "1e400": "1e400",
            "18446744073709551616": "18446744073709551616",
            "true": "true",
            "false": "false",
            "{}": "{}",
            '[1, "a"]': '[1, "a"]',
            '{"b": [null, 1.0]}': '{"b": [null, 1.0]}',
        },
        ["null"],
    ),
    "LowCardinality(String)": ({'"a"': "a", "1": "1", "true": "true", '{"a":1}': '{"a":1}'}, ["null"]),
    "FixedString(4)": ({'"abcd"': "abcd", '"éé"': "éé", "1234": "1234"}, ['"abcde"', '"ééa"', "12345", "null"]),
    "UUID": (
        {f'"{_UUID}"': _UUID, f'"{_UUID.upper()}"': _UUID},
        [f'"{_UUID}0"', f'"{_UUID[:-1]}"', '"0f6c"', "1", "true", *_NOT_NUMBERS],
    ),
    "IPv4": ({'"192.168.0.1"': "192.168.0.1"}, ['"192.168.0.256"', '"192.168.1"', '"::1"', "1", *_NOT_NUMBERS]),
    "IPv6": (
        {'"2001:db8::1"': "2001:db8::1", '"2001:0DB8::0001"': "2001:db8::1", '"1.2.3.4"': "::ffff:1.2.3.4"},
        ['"2001:db8::g"', '":::"', "1", *_NOT_NUMBERS],
    ),
    "Enum8('a' = 1, 'b' = -2)": (
        {'"a"': "a", '"b"': "b", "1": "a", "-2": "b"},
        ['"c"', '"A"', "2", "true", *_NOT_NUMBERS],
    ),
    "Enum16('one' = 1000)": ({'"one"': "one", "1000": "one"}, ['"two"', "1"]),
    "Date": (
        {
            '"2026-01-05"': "2026-01-05",
            '"1970-01-01"': "1970-01-01",
            '"2149-06-06"': "2149-06-06",
            "1767571200": "2026-01-05",
        },
        ['"1969-12-31"', '"2149-06-07"', '"2026-02-30"', '"2026-13-01"', '"05/01/2026"', "true", *_NOT_NUMBERS],
    ),
    "Date32": (
        {'"2026-01-05"': "2026-01-05", '"1900-01-01"': "1900-01-01", '"2299-12-31"': "2299-12-31"},
        ['"1899-12-31"', '"2300-01-01"', '"2026-02-29"', "false", *_NOT_NUMBERS],
    ),
    "DateTime": (
        {
            '"2026-01-05 10:00:00"': "2026-01-05 10:00:00",
            '"2026-01-05T10:00:00"': "2026-01-05 10:00:00",
            '"2026-01-05T10:00:00Z"': "2026-01-05 10:00:00",
            '"2026-01-05T10:00:00.987Z"': "2026-01-05 10:00:00",
            '"2026-01-05 10:00:00.123456789"': "2026-01-05 10:00:00",
            '"2026-01-05T10:00:00+02:00"': "2026-01-05 08:00:00",
            '"2026-01-05T00:30:00-05:30"': "2026-01-05 06:00:00",
            '"2106-02-07 06:28:15"': "2106-02-07 06:28:15",
            "1767607200": "2026-01-05 10:00:00",
            "0": "1970-01-01 00:00:00",
        },
        [
            *('"2106-02-07 06:28:16"', '"1969-12-31 23:59:59"', '"2026-01-05 25:00:00"', '"2026-01-05 23:60:00"'),
            *('"2026-02-30 00:00:00"', '"yesterday"', '"2026-01-05T10:00:00+99:00"', "-1", "true", *_NOT_NUMBERS),
        ],
    ),
    "DateTime('Europe/Madrid')": (
        {
            '"2026-01-05 10:00:00"': "2026-01-05 10:00:00",
            '"2026-01-05T10:00:00Z"': "2026-01-05 11:00:00",
            '"2026-07-05T10:00:00Z"': "2026-07-05 12:00:00",
            "1767607200": "2026-01-05 11:00:00",
        },
        ['"2026-03-29 02:30:00"', *_NOT_NUMBERS],
    ),
    "DateTime64(3)": (
        {
            '"2024-01-23T10:30:00.123Z"': "2024-01-23 10:30:00.123",
            '"2024-01-23T10:30:00.123456"': "2024-01-23 10:30:00.123",
            '"2024-01-23 10:30:00"': "2024-01-23 10:30:00.000",
            '"2024-01-23 10:30:00.5"': "2024-01-23 10:30:00.500",
            '"1969-12-31T23:59:59.999Z"': "1969-12-31 23:59:59.999",
            '"1900-01-01 00:00:00"': "1900-01-01 00:00:00.000",
            "1767607200123": "2026-01-05 10:00:00.123",
            "1767607200.5": "2026-01-05 10:00:00.500",
        },
        ['"1899-12-31 23:59:59"', '"2300-01-01 00:00:00"', '"2024-01-23T10:30:00.Z"', "false", *_NOT_NUMBERS],
    ),
    "DateTime64(6)": ({'"2024-01-23T10:30:00.123456"': "2024-01-23 10:30:00.123456"}, ['"2024-01-23T10:30"']),
    "DateTime64(9)": (
        {
            '"2024-01-23 10:30:00.123456789"': "2024-01-23 10:30:00.123456789",
            '"2262-01-01"': "2262-01-01 00:00:00.000000000",
        },
        ['"2263-01-01"', '"2024-01-23 10:30:00.1234567890"'],
    ),
    "Nullable(Int32)": ({"1": "1", "null": "NULL"}, ['"1"', "1.5", "2147483648"]),
    "Nullable(String)": ({'"null"': "null", "null": "NULL", '""': ""}, []),
    "Nullable(DateTime64(3))": ({'"2026-01-05"': "2026-01-05 00:00:00.000", "null": "NULL"}, ['""']),
    "Nullable(Decimal(10, 2))": ({"1.25": "1.25", "null": "NULL"}, ["1.255"]),
    "Nullable(UUID)": ({f'"{_UUID}"': _UUID, "null": "NULL"}, ['""']),
    "LowCardinality(Nullable(String))": ({'"a"': "a", "null": "NULL"}, []),
}

# Types whose path is not `$.v` or which hold others.
NESTED: dict[tuple[str, str], tuple[dict[str, str], list[str]]] = {
    ("Array(String)", "$.v[:]"): (
        {'["a", "b"]': "['a','b']", "[]": "[]", "[1, true]": "['1','true']", '[["a"]]': "['[\"a\"]']"},
        ['"a"', "1", "true", "{}", "null", '["a", null]'],
    ),
    ("Array(Int64)", "$.v[:]"): ({'[1, "9223372036854775807"]': "[1,9223372036854775807]"}, ["[1.5]", "[9223372036854775808]", '["x"]']),
    ("Array(Nullable(UInt8))", "$.v[:]"): ({"[1, null, 255]": "[1,NULL,255]"}, ["[256]", "[-1]", "[[1]]"]),
    ("Array(Array(UInt8))", "$.v[:]"): ({"[[1], [], [2, 3]]": "[[1],[],[2,3]]"}, ["[1]", "[[256]]"]),
    ("Array(DateTime64(3))", "$.v[:]"): ({'["2026-01-05T10:00:00.123Z"]': "['2026-01-05 10:00:00.123']"}, ['["x"]', "[null]"]),
    ("Array(String)", "$.v[:].k"): ({'[{"k": "a"}, {"k": "b", "x": 1}]': "['a','b']", "[]": "[]"}, ['{"k": "a"}', '"a"']),
    ("Array(Nullable(String))", "$.v[:].k"): ({'[{"k": "a"}, {}, {"k": null}]': "['a',NULL,NULL]"}, []),
    ("Array(Array(UInt8))", "$.v[:].k[:]"): ({'[{"k": [1, 2]}, {"k": []}]': "[[1,2],[]]"}, ['[{"k": [256]}]']),
    ("Array(Map(String, String))", "$.v[:]"): ({'[{"a": "b"}, {}]': "[{'a':'b'},{}]"}, ["[1]"]),
    ("Map(String, String)", "$.v"): (
        {'{"a": "b"}': "{'a':'b'}", "{}": "{}", '{"a": 1}': "{'a':'1'}", '{"a": "1", "a": "2"}': "{'a':'2'}"},
        ['"x"', "1", "true", "[]", "null", '{"a": null}'],
    ),
    ("Map(LowCardinality(String), Float64)", "$.v"): ({'{"a": 1.5}': "{'a':1.5}"}, ['{"a": "1.5"}', '{"a": 1e400}']),
    ("Map(UInt8, String)", "$.v"): ({'{"1": "a"}': "{1:'a'}"}, ['{"256": "a"}', '{"x": "a"}']),
    ("Map(String, Array(Int32))", "$.v"): ({'{"a": [1, 2]}': "{'a':[1,2]}"}, ['{"a": 1}', '{"a": ["1"]}']),
    ("Tuple(a UInt8, b String)", "$.v"): ({'{"a": 1, "b": "x"}': "(1,'x')", '[1, "x"]': "(1,'x')"}, ['{"a": 256, "b": ""}', '"x"', "[1]"]),
}  # fmt: skip

# A JSON column keeps objects; what comes back is compared as JSON. No null members, and `a.b` is `a` → `b`.
OBJECTS: dict[str, str] = {
    "{}": "{}",
    '{"a": 1, "b": "x", "c": true, "d": 1.5}': '{"a": 1, "b": "x", "c": true, "d": 1.5}',
    '{"a": {"b": {"c": [1, 2, 3]}}}': '{"a": {"b": {"c": [1, 2, 3]}}}',
    '{"a": [{"b": 1}, {"b": 2}]}': '{"a": [{"b": 1}, {"b": 2}]}',
    '{"a": 9223372036854775807, "b": 18446744073709551615}': '{"a": 9223372036854775807, "b": 18446744073709551615}',
    '{"a": "9223372036854775808"}': '{"a": "9223372036854775808"}',
    '{"a": "2026-01-05 10:00:00.5"}': '{"a": "2026-01-05 10:00:00.5"}',
    '{"a": "2026-01-05", "b": "20260105", "c": "2026-01-05T10:00:00Z"}': '{"a": "2026-01-05", "b": "20260105", "c": "2026-01-05T10:00:00Z"}',
    '{"a": ["20200101"]}': '{"a": ["20200101"]}',
    '{"a": [true, 1]}': '{"a": [true, 1]}',
    '{"a": [1, "x"]}': '{"a": [1, "x"]}',
    '{"a": "é\\u0000\\ud83d\\ude00"}': '{"a": "é\\u0000\\ud83d\\ude00"}',
    '{"a": "1", "b": "true", "c": "null"}': '{"a": "1", "b": "true", "c": "null"}',
    '{"a": 1, "a": 2}': '{"a": 2}',
    '{"a.b": 1}': '{"a": {"b": 1}}',
    '"{\\"a\\": 1}"': '{"a": 1}',
}  # fmt: skip
NOT_OBJECTS = [
    "1",
    '"x"',
    "true",
    "[]",
    '[{"a": 1}]',
    "null",
    '{"a": 18446744073709551616}',
    '{"a": 1e400}',
    '{"a.b": 1, "a": {"b": 2}}',
]


def _rows(table: dict[tuple[str, str], tuple[dict[str, str], list[str]]]) -> list[tuple[str, str, str, str]]:
    return [
        (kind, path, text, expected)
        for (kind, path), (stored, refused) in table.items()
        for text, expected in (*stored.items(), *((each, Q) for each in dict.fromkeys(refused)))
    ]


ALL = {**{(kind, "$.v"): rows for kind, rows in SCALARS.items()}, **NESTED}
TABLE = _rows(ALL)


@pytest.mark.parametrize("kind, path, text, expected", TABLE, ids=[f"{row[0]}-{row[2]}"[:80] for row in TABLE])
def test_a_value_is_stored_as_it_was_sent_or_quarantined(results, kind, path, text, expected):
    stored, refused = ALL[kind, path]

    found = results.of(kind, path, [*stored, *refused])[text]

    if kind.startswith("Float") and Q not in {found, expected}:
        assert float(found) == float(expected)
    else:
        assert (found.rstrip("\0") if kind.startswith("FixedString") else found) == expected


@pytest.fixture(scope="module")
def objects(gateway: Gateway) -> str:
    return gateway.create_datasource("n UInt32 `json:$.n`, v JSON `json:$.v`")


@pytest.mark.parametrize("number, text", list(enumerate(OBJECTS)))
def test_an_object_in_a_json_column_comes_back_as_it_was(gateway, objects, number, text):
    # One insert each: what the engine makes of an object must not depend on those beside it.
    assert gateway.post_events(objects, f'{{"n": {number}, "v": {text}}}'.encode(), wait="true").counts == (200, 1, 0)

    (row,) = gateway.sql(f"SELECT toString(v) AS v FROM {objects} WHERE n = {number}")

    assert _exact(orjson.loads(row["v"])) == _exact(orjson.loads(OBJECTS[text]))


@pytest.mark.parametrize("text", NOT_OBJECTS)
def test_what_is_no_object_is_not_for_a_json_column(results, text):
    assert results.of("JSON", "$.v", NOT_OBJECTS)[text] == Q


def _exact(value: object) -> object:
    """`value` such that 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_exact(item) for item in value]
    return type(value), value
