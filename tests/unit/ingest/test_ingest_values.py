"""The typing table of the contract, row by row: what a JSON value becomes in a column of each type, or that it does not."""

import pytest

from gateway.core.errors import InvalidRequest
from gateway.ingest.transport import plain
from gateway.ingest.unfit import Unfit
from gateway.ingest.values import converter, default_json
from gateway.schema.types import parse_type

# type | JSON text → canonical value …; "Q" is a refusal. Nothing is ever rounded, wrapped or guessed.
Q = object()
TABLE = {
    "UInt8": {"0": 0, "255": 255, "256": Q, "-1": Q, "1.0": Q, "1e2": Q, '"5"': Q, "true": 1, "false": 0, "[]": Q, "{}": Q},
    "Int8": {"-128": -128, "127": 127, "128": Q, "true": Q, "-0": 0, "null": Q},
    "Int32": {"2147483647": 2**31 - 1, "2147483648": Q, '"1"': Q},
    "Int64": {"9223372036854775807": 2**63 - 1, "9223372036854775808": Q, '"-5"': -5, '"5.0"': Q, '"007"': Q, '" 5"': Q, '"٣"': Q},
    "UInt64": {"18446744073709551615": 2**64 - 1, "18446744073709551616": Q, '"18446744073709551615"': 2**64 - 1, '"1_0"': Q},
    "UInt128": {"5": "5", str(2**128 - 1): str(2**128 - 1), str(2**128): Q, "-1": Q, '"12"': "12", "1.0": Q},
    "Int128": {"1111111111111111": "01111111111111111", "-111111111111111": "-0111111111111111", "1" * 17: "1" * 17},
    "Int256": {"1" * 32: "0" + "1" * 32, str(-(2**255)): str(-(2**255)), str(2**255): Q, "9" * 5000: Q},
    "Float64": {"1": 1.0, "0.1": 0.1, "1e400": Q, "-1e400": Q, "1e-400": 0.0, '"1"': Q, "true": Q, str(2**53): 2.0**53, str(2**53 + 1): Q,
                str(2**60): 2.0**60, "9007199254740993.0": 2.0**53, "-0": 0.0},
    "Float32": {"16777216": 2.0**24, "16777217": Q, "16777217.5": 16777217.5, "3.5e38": Q, "0.1": 0.1},
    "Decimal(9, 2)": {"1": "1", "1.5": "1.5", "1.50": "1.5", "1.500": "1.5", "1.005": Q, "1234567": "1234567", "12345678": Q, '"1.25"': "1.25",
                      '"x"': Q, '"NaN"': Q, '"Infinity"': Q, '"1_0"': Q, '" 1"': Q, "1e3": "1000", "1.5e-1": "0.15", "1e-3": Q, "true": Q,
                      "-0.00": "-0", "1e999": Q, '"1e99999"': Q},
    "Decimal(76, 0)": {"9" * 76: "9" * 76, "9" * 77: Q},
    "String": {'"x"': "x", "1.10": "1.10", "1e5": "1e5", "true": "true", '{"a": 1}': '{"a": 1}', "[1, 2]": "[1, 2]", "null": Q, '"\\u0000"': "\0",
               '"\\ud83d\\ude00"': "\U0001f600"},
    "FixedString(3)": {'"abc"': "abc", '"abcd"': Q, '"é"': "é", '"éé"': Q, "123": "123", "1234": Q},
    "Bool": {"true": True, "false": False, "1": True, "0": False, "2": Q, "1.0": Q, '"Yes"': True, '"off"': False, '"DISABLED"': False, '"T"': True,
             '"maybe"': Q, '"1"': True},
    "UUID": {'"00112233-4455-6677-8899-AABBCCDDEEFF"': "00112233-4455-6677-8899-AABBCCDDEEFF", '"0011"': Q, "5": Q,
             '"{00112233-4455-6677-8899-aabbccddeeff}"': Q},
    "IPv4": {'"1.2.3.4"': "1.2.3.4", '"1.2.3"': Q, '"01.2.3.4"': Q, "16909060": Q},
    "IPv6": {'"::1"': "0000:0000:0000:0000:0000:0000:0000:0001", '"1.2.3.4"': "0000:0000:0000:0000:0000:ffff:0102:0304", '"fe80::1%eth0"': Q, '"x"': Q},
    "Enum8('a' = 1, 'b' = -2)": {'"a"': "a", "-2": "b", "3": Q, '"c"': Q, '"1"': Q, "1.0": Q},
    "Date": {'"1970-01-01"': 0, '"2149-06-06"': 65535, '"2149-06-07"': Q, '"1969-12-31"': Q, '"2026-02-29"': Q, '"2026-1-1"': Q, "86400": 1, "86401": Q,
             '"1970-01-02T00:00:00Z"': 1, '"1970-01-02T00:00:01Z"': Q, '"20260101"': Q, "true": Q},
    "Date32": {'"1900-01-01"': -25567, '"1899-12-31"': Q, '"2299-12-31"': 120529, '"2300-01-01"': Q},
    "Array(UInt8)": {"[]": [], "[1,2]": [1, 2], "[1,null]": Q, "[256]": Q, "null": Q, "1": Q, '"[1]"': Q, "[true]": [1]},
    "Array(Nullable(String))": {"[1,null,{}]": ["1", None, "{}"]},
    "Array(Array(Int8))": {"[[1],[]]": [[1], []], "[1]": Q},
    "Map(String, UInt8)": {"{}": {}, '{"a":1,"b":2}': {"a": 1, "b": 2}, '{"a":1,"a":2}': {"a": 2}, '{"a":null}': Q, '{"a":300}': Q, "[]": Q},
    "Map(UInt8, String)": {'{"5":"x"}': {5: "x"}, '{"05":"x"}': Q, '{"256":"x"}': Q, '{"":"x"}': Q, '{"true":"x"}': Q, '{"5 ":1}': Q},
    "Map(Date, UInt8)": {'{"1970-01-02":1}': {1: 1}, '{"x":1}': Q, '{"1970-01-02":1,"1970-01-02T00:00:00Z":2}': Q},
    "Map(LowCardinality(String), Nullable(Decimal(3, 1)))": {'{"a":1.5,"b":null}': {"a": "1.5", "b": None}},
    "Map(Enum8('a' = 1), Bool)": {'{"a":1}': {"a": True}, '{"b":1}': Q},
    "Tuple(a UInt8, b Nullable(String))": {'{"a":1,"b":"x","c":0}': {"a": 1, "b": "x"}, '{"a":1}': {"a": 1, "b": None}, '{"b":"x"}': Q,
                                           '[1,"x"]': {"a": 1, "b": "x"}, "[1]": Q, "[1,2,3]": Q, '"x"': Q},
    "Tuple(UInt8, String)": {'[1,"x"]': {"1": 1, "2": "x"}, '{"1":1,"2":"x"}': Q},
    "Nested(a UInt8, b String)": {'[{"a":1,"b":"x"}]': [{"a": 1, "b": "x"}], '{"a":[1],"b":["x"]}': Q},
    "Point": {"[1.5, 2]": {"1": 1.5, "2": 2.0}, "[1]": Q},
    "Polygon": {"[[[1,2],[3,4]]]": [[{"1": 1.0, "2": 2.0}, {"1": 3.0, "2": 4.0}]]},
    "SimpleAggregateFunction(sum, UInt64)": {"5": 5, "-5": Q},
    "LowCardinality(Nullable(String))": {'"x"': "x", "null": None},
    "Nullable(UInt8)": {"null": None, "5": 5, "256": Q},
}  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "expected"), [(k, t, e) for k, row in TABLE.items() for t, e in row.items()])
def test_the_typing_table(kind, text, expected):
    convert = converter(plain(parse_type(kind)))
    if expected is Q:
        with pytest.raises(Unfit):
            convert(text.encode())
    else:
        assert repr(convert(text.encode())) == repr(expected)


@pytest.mark.parametrize("kind", TABLE)
def test_every_type_has_a_default_that_fits_it(kind):
    kind = plain(parse_type(kind))
    converter(kind)(default_json(kind))


@pytest.mark.parametrize(
    "kind",
    [
        "AggregateFunction(sum, UInt64)",
        "Variant(String, UInt8)",
        "Dynamic",
        "BFloat16",
        "Time",
        "Time64(3)",
        "Geometry",
        "Array(Dynamic)",
    ],
)
def test_a_type_that_json_cannot_fill_is_refused(kind):
    with pytest.raises(InvalidRequest, match="cannot be filled from JSON"):
        plain(parse_type(kind))


@pytest.mark.parametrize("kind", ["Map(Array(String), UInt8)", "Map(Tuple(String), UInt8)"])
def test_a_map_needs_keys_that_text_can_spell(kind):
    with pytest.raises(InvalidRequest, match="keys of type"):
        converter(plain(parse_type(kind)))


@pytest.mark.parametrize(
    ("kind", "text", "detail"),
    [
        ("Array(UInt8)", "[1,300]", "element 2, '300', is not UInt8 (out of range)"),
        ("Map(String, UInt8)", '{"a":"x"}', "the value of 'a', 'x', is not UInt8"),
        ("Tuple(a UInt8)", "{}", "element 'a' is missing"),
        ("Decimal(5, 2)", "1.005", "more than 2 digits after the point"),
        ("Float64", str(2**53 + 1), "it cannot be stored exactly"),
        ("FixedString(2)", '"éé"', "longer than 2 bytes"),
        ("DateTime", '"1969-12-31T23:59:59Z"', "out of range"),
    ],
)
def test_a_refusal_says_what_is_wrong(kind, text, detail):
    with pytest.raises(Unfit) as refused:
        converter(plain(parse_type(kind)))(text.encode())
    assert str(refused.value) == detail
