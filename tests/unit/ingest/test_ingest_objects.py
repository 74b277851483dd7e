"""JSON columns: what goes to ClickHouse is taken whole and comes back the same; what would not is refused."""

import pytest

from gateway.core.errors import InvalidRequest
from gateway.ingest.transport import plain
from gateway.ingest.unfit import Unfit
from gateway.ingest.values import converter
from gateway.schema.types import parse_type

JSON = converter(plain(parse_type("JSON")))
TYPED = converter(
    plain(
        parse_type("JSON(a UInt8, b.c DateTime, d Decimal(20, 19), l Array(Date), n Nullable(Int128), t DateTime64(3))")
    )
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", "{}"),
        ('{"a": 1, "a": 2}', '{"a":2}'),
        ('{"a": {"b": 1}, "a": {"c": 1}}', '{"a":{"c":1}}'),
        ('"{\\"a\\": 1}"', '{"a":1}'),
        (
            '{"a": 18446744073709551615, "b": -9223372036854775808}',
            '{"a":18446744073709551615,"b":-9223372036854775808}',
        ),
        ('{"a.b": 1, "a": {"c": 2}}', '{"a.b":1,"a":{"c":2}}'),
        ('{"a": [9007199254740992, 0.5]}', '{"a":[9007199254740992,0.5]}'),
        ('{"a": [null, 1]}', '{"a":[null,1]}'),
        ('{"a": "x\\u0000y"}', '{"a":"x\\u0000y"}'),
    ],
)
def test_an_object_is_written_anew(text, expected):
    assert JSON(text.encode()) == expected


@pytest.mark.parametrize(
    "text",
    [
        "[]", "1", '"x"', '"[]"', "null", "true", '"{"', '"{} {}"',
        '{"a": 1e400}', '{"a": 18446744073709551616}', '{"a": [{"b": -9223372036854775809}]}',
        '{"a": [9007199254740993]}', '{"a": [null]}', '{"a": [[1], null]}', '{"a": [{}, null]}',
        '{"a.b": 1, "a": {"b": 2}}', '{"k": [{"a.b": 1, "a": {"b": 2}}]}', '{"a": {"b.c": 1, "b": {"c": 2}}}',
        '{"k": ' + "[" * 600 + "]" * 600 + "}", '{"k":' * 600 + "1" + "}" * 600, '{"a":' * 5000 + "1" + "}" * 5000,
    ],
)  # fmt: skip
def test_what_the_engine_would_refuse_or_change_is_refused(text):
    with pytest.raises(Unfit):
        JSON(text.encode())


def test_typed_paths_are_checked_and_written_for_the_engine():
    found = TYPED(
        b'{"a":5,"b":{"c":"2026-01-05T10:00:00Z"},"d":1.1234567890123456789,"l":["2026-01-05"],"n":7,"t":1767607200123,"f":1.10}'
    )
    assert found == (
        '{"a":5,"b":{"c":1767607200},"d":"1.1234567890123456789","l":["2026-01-05"],"n":7,"t":"2026-01-05 10:00:00.123Z","f":1.10}'
    )
    assert TYPED(b'{"b.c":0,"n":null}') == '{"b.c":0,"n":null}'


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ('{"a":300}', "'300' at 'a' is not UInt8 (out of range)"),
        ('{"a":1.5}', "'1.5' at 'a' is not UInt8"),
        ('{"a":null}', "'null' at 'a' is not UInt8"),
        ('{"b":{"c":"x"}}', "'x' at 'b.c' is not DateTime"),
        ('{"b.c":"x"}', "'x' at 'b.c' is not DateTime"),
        ('{"l":["x"]}', "'[\"x\"]' at 'l' is not Array(Date) (element 1, 'x', is not Date)"),
        ('{"f":1e400}', "a number is out of range"),
    ],
)
def test_what_does_not_fit_a_typed_path_is_refused(text, detail):
    with pytest.raises(Unfit) as refused:
        TYPED(text.encode())
    assert str(refused.value) == detail


def test_a_typed_path_of_a_type_that_cannot_be_checked_is_refused_at_once():
    with pytest.raises(InvalidRequest, match="typed path"):
        converter(plain(parse_type("JSON(m Map(String, UInt8))")))
