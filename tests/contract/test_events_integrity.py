"""Everything into everything: whatever is sent to whatever type, no value changes on its way.

Each value of `ODD` is sent to a column of each type of `SAME`, which says, independently of the gateway, whether what a
query gives back is what was sent. A row that is not stored must be in quarantine.
"""

import ipaddress
import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import orjson
import pytest

Q = "quarantined"
_UUID = "0f6c2b1e-9d1a-4c3b-8f2e-7a6b5c4d3e2f"

ODD = [
    *("0", "-0", "1", "-1", "1.0", "1.5", "-1.5", "1e3", "1e-3", "0.1", "1e19", "12345678.9", "0.30000000000000004"),
    *("127", "128", "255", "256", "32768", "65536", "16777217", "2147483648", "4294967296", "9007199254740993"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616"),
    *("1e-1000", "1.5e-1000", "-1e-999999999", "1e1000", "0e1000", "5e-0001", "1e+0001", '"1e-1000"', '"1e1000"'),
    *("1e400", "-1e400", "1e-400", "123456789012345678901234567890.5", "1" * 40, "1" * 80, "0." + "1" * 60, "true", "false", "null"),
    *('""', '" "', '"0"', '"1"', '"-1"', '"+1"', '"01"', '"1.0"', '"1e3"', '"0x10"', '"1_000"', '"1,000"', '"١"', '"5 "'),
    *('"NaN"', '"inf"', '"true"', '"TRUE"', '"no"', '"null"', '"NULL"', '"\\\\N"', '"a"', '"\\u0000"', '"\\n"', '"é"', '"😀"'),
    *(f'"{_UUID}"', f'"{{{_UUID}}}"', '"127.0.0.1"', '"127.1"', '"0177.0.0.1"', '"::1"', '"::ffff:1.2.3.4"', '"fe80::1%eth0"'),
    *('"2026-01-05"', '"2026-1-5"', '"20260105"', '"2026-01-05 10:11:12"', '"2026-01-05T10:11:12.987654321Z"', '"2026-02-29"'),
    *('"2026-01-05T10:11:12+05:45"', '"2026-01-05 10:11:12 UTC"', '"Jan 5 2026"', '"10:11:12"', '"1970-01-01"', '"1969-12-31T23:59:59.5Z"'),
    *('"2262-04-12"', '"9999-12-31"', '"0001-01-01"', "1767607200", "1767607200123", "1767607200.123456789", "-1000000000", "1e9"),
    *("[]", "[1]", '["a"]', "[null]", "[[]]", "{}", '{"a": 1}', '{"a": null}', '{"a": {"b": [1]}}', '{"": ""}', '"[1]"', '"{}"'),
]  # fmt: skip


def _same_number(text: str, stored: str) -> bool:
    word = {"true": "1", "false": "0"}.get(text, text).strip('"')
    return Decimal(word) == Decimal(stored)


def _same_float(text: str, stored: str) -> bool:
    return float(text) == float(stored)


def _same_float32(text: str, stored: str) -> bool:
    return _single(float(text)) == _single(float(stored))


def _single(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def _same_text(text: str, stored: str) -> bool:
    return (orjson.loads(text) if text.startswith('"') else text) == stored


def _same_padded_text(text: str, stored: str) -> bool:
    return _same_text(text, stored) or orjson.loads(text).rstrip("\0") == stored.rstrip("\0")


def _same_bool(text: str, stored: str) -> bool:
    word = text.strip('"').lower()
    return {"true": word in {"true", "1"}, "false": word in {"false", "0", "no"}}[stored]


def _same_address(text: str, stored: str) -> bool:
    sent = ipaddress.ip_address(orjson.loads(text))
    found = ipaddress.ip_address(stored)
    if isinstance(found, ipaddress.IPv6Address) and isinstance(sent, ipaddress.IPv4Address):
        found = found.ipv4_mapped or found
    return sent == found


def _moment(text: str) -> datetime:
    """What a client means: an ISO date or time, or an epoch number in seconds, milli-, micro- or nanoseconds."""
    if not text.startswith('"'):
        number = Decimal(text)
        unit = next(
            unit
            for limit, unit in ((10**11, 1), (10**14, 10**3), (10**17, 10**6), (10**20, 10**9))
            if abs(number) < limit
        )
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=math.floor(number * 10**6 / unit))
    word = orjson.loads(text)
    head, _, rest = word.partition(".")
    digits = rest.rstrip("Z")
    found = datetime.fromisoformat(f"{head}.{digits[:6].ljust(6, '0')}{rest[len(digits) :]}" if digits else word)
    return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)


def _same_moment(digits: int) -> Callable[[str, str], bool]:
    """Fractions beyond the column's digits are cut off."""

    def same(text: str, stored: str) -> bool:
        step = 10 ** (6 - digits)
        sent = _moment(text)
        return sent.replace(microsecond=sent.microsecond // step * step) == _moment(f'"{stored}"')

    return same


def _same_day(text: str, stored: str) -> bool:
    return _moment(text) == _moment(f'"{stored}"')


SAME: dict[str, Callable[[str, str], bool]] = {
    **{f"{sign}Int{bits}": _same_number for sign in ("", "U") for bits in (8, 16, 32, 64, 128, 256)},
    **dict.fromkeys(("Decimal(18, 4)", "Decimal(76, 20)", "Nullable(Int16)"), _same_number),
    "Float32": _same_float32,
    "Float64": _same_float,
    "Bool": _same_bool,
    "UUID": lambda a, b: a == f'"{b}"',
    **dict.fromkeys(("String", "LowCardinality(String)"), _same_text),
    "FixedString(20)": _same_padded_text,
    "IPv4": _same_address,
    "IPv6": _same_address,
    "Date": _same_day,
    "Date32": _same_day,
    "DateTime": _same_moment(0),
    "DateTime64(0)": _same_moment(0),
    "DateTime64(3)": _same_moment(3),
    "DateTime64(6)": _same_moment(6),
    "Enum8('a' = 1, 'true' = 0)": lambda text, stored: (
        {'"a"': "a", "1": "a", '"true"': "true", "0": "true"}[text] == stored
    ),
}


@pytest.mark.parametrize("kind", SAME)
def test_no_type_stores_a_value_that_differs_from_what_was_sent(results, kind):
    found = results.send(kind, "$.v", ODD)

    stored = {text: value for text, value in found.items() if value not in {Q, "NULL"}}
    assert found["null"] == ("NULL" if "Nullable" in kind else Q)
    assert {text: value for text, value in stored.items() if not SAME[kind](text, value)} == {}
