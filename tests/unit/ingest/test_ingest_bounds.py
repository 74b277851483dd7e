"""Hostile lines: linear time, no crash, and the neighbours are stored."""

import time

import pytest

from gateway.ingest.fit import Fitter
from gateway.schema.columns import parse_schema

SCHEMA = """
    n UInt8 `json:$.n`, f Nullable(Float64) `json:$.f`, i Nullable(Int64) `json:$.i`, b Nullable(UInt256) `json:$.b`,
    d Nullable(Decimal(76, 38)) `json:$.d`, s Nullable(String) `json:$.s`, t Nullable(DateTime64(9)) `json:$.t`,
    j Nullable(JSON) `json:$.j`, a Array(Nullable(String)) `json:$.a[:].k` DEFAULT [], p Nullable(Int8) `json:$.j.x.y`
"""
KEYS = ["f", "i", "b", "d", "s", "t", "j", "a", "ignored"]
FITTER = Fitter(parse_schema(SCHEMA))
GOOD = b'{"n":1}'


def hostile(size):
    """Texts of about `size` bytes."""
    digits = b"9" * size
    return {
        "brackets": b"[" * size,
        "closed brackets": b"[" * (size // 2) + b"]" * (size // 2),
        "braces": b'{"k":' * (size // 5),
        "closed braces": b'{"k":' * (size // 6) + b"1" + b"}" * (size // 6),
        "digits": digits,
        "digits in a string": b'"' + digits + b'"',
        "fraction": b"0." + digits,
        "zeros": b"0." + b"0" * size + b"1",
        "exponent": b"1e" + digits,
        "zeros and exponent": b"0." + b"0" * size + b"1e" + str(size).encode(),
        "escapes": b'"' + b"\\u0041" * (size // 6) + b'"',
        "backslashes": b'"' + b"\\\\" * (size // 2) + b'"',
        "empty arrays": b"[" + b"[]," * (size // 3) + b"[]]",
        "empty objects": b"[" + b"{}," * (size // 3) + b"{}]",
        "one key": b"{" + b'"k":1,' * (size // 6) + b'"k":1}',
        "dots": b"{" + b",".join(b'"a.%d":1' % n for n in range(size // 12)) + b"}",
        "surrogates": b'"' + b"\\ud83d" * (size // 6) + b'"',
        "not utf-8": b'"' + b"\xff" * size + b'"',
    }


@pytest.mark.parametrize("attack", hostile(0))
def test_a_hostile_value_costs_linear_time_and_spoils_no_neighbour(attack):
    for key in KEYS:
        row = b'{"n":2,"%s":%s}' % (key.encode(), hostile(300_000)[attack])
        start = time.process_time()

        fitted = FITTER.fit_ndjson(b"\n".join([GOOD, row, GOOD]), 0.0, "")

        assert fitted.rows + fitted.quarantined == 3
        assert fitted.rows >= 2
        # Quadratic work on 300 KB would be many seconds; this is to catch that, not to measure.
        assert time.process_time() - start < 3


def test_a_float_of_a_hundred_thousand_digits_is_read_exactly():
    """msgspec alone reads it as zero."""
    zeros = b"0" * 100_000
    fitted = FITTER.fit_ndjson(b'{"n":1,"f":0.' + zeros + b"1e100000}", 0.0, "")
    assert fitted.groups[0].columns[1] == [0.1]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("text", ["[", '{"k":'])
def test_depth_near_the_limit_of_the_interpreter_is_no_crash(key, text):
    """The stack is the deeper the further a value has come; wherever it ends, the row is stored or quarantined."""
    close = b"]" if text == "[" else b"}"
    for depth in range(700, 1000, 3):
        row = b'{"n":2,"%s":%s1%s}' % (key.encode(), text.encode() * depth, close * depth)
        fitted = FITTER.fit_ndjson(b"\n".join([GOOD, row]), 0.0, "")
        assert fitted.rows + fitted.quarantined == 2
