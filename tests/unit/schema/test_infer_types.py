"""Which type the values at one path are given."""

import math

import pytest

from gateway.schema.infer import infer

BIG = 2**63


def kind(*values, wide=False):
    """The type of the column `x` in events with these values."""
    (column,) = infer([{"x": value} for value in values], wide=wide).columns
    return column.recommended_type


@pytest.mark.parametrize(
    "values, expected, expected_wide",
    [
        ((0, 1, -1), "Int16", "Int64"),
        ((32767, -32768), "Int16", "Int64"),
        ((32768,), "Int32", "Int64"),
        ((-(2**31) - 1,), "Int64", "Int64"),
        ((BIG - 1, -BIG), "Int64", "Int64"),
        ((BIG, 0), "UInt64", "UInt64"),
        ((BIG, -1), "Int256", "Int256"),
        ((2**64,), "Int256", "Int256"),
        ((2**255,), "String", "String"),
        ((1, 0.5), "Float32", "Float64"),
        ((1.0,), "Float32", "Float64"),
        ((0.5, 2**23), "Float64", "Float64"),
        ((0.5, 2**64), "Float64", "Float64"),
    ],
)
def test_numbers_get_the_smallest_type_that_holds_them_or_a_wide_one(values, expected, expected_wide):
    assert kind(*values) == expected
    assert kind(*values, wide=True) == expected_wide


def test_fractions_beside_an_integer_that_no_float_holds_are_text():
    assert kind(0.5, 2**53 + 1) == "String"
    assert kind(0.5, 10**400) == "String"


def test_a_number_no_column_holds_is_text():
    assert kind(math.inf) == "String"
    assert kind(1.5, math.nan) == "String"


def test_booleans_are_no_numbers():
    assert kind(True, False) == "Bool"
    assert kind(True, 1) == "String"


@pytest.mark.parametrize(
    "values, expected",
    [
        (("2026-01-05", "1970-01-01"), "Date"),
        (("1950-03-01", "2026-01-05"), "Date32"),
        (("1850-03-01",), "String"),
        (("2026-02-30",), "String"),
        (("2026-01-05 10:00:00",), "DateTime"),
        (("2026-01-05T10:00:00Z",), "DateTime"),
        (("2026-01-05T10:00:00+02:00",), "DateTime"),
        (("2026-01-05T10:00:00.5Z",), "DateTime64(3)"),
        (("2026-01-05T10:00:00.123Z",), "DateTime64(3)"),
        (("2026-01-05T10:00:00.1234",), "DateTime64(6)"),
        (("2026-01-05T10:00:00.123456789",), "DateTime64(9)"),
        (("2026-01-05T10:00:00.1234567890",), "String"),
        (("2026-01-05T10:00:00.5", "2026-01-05T10:00:00"), "DateTime64(3)"),
        (("1965-01-05T10:00:00Z",), "DateTime64(3)"),
        (("2150-01-05T10:00:00Z",), "DateTime64(3)"),
        (("1970-01-01T00:30:00+01:00",), "DateTime64(3)"),
        (("9999-12-31T23:59:59Z",), "String"),
        (("2280-01-01T00:00:00.123456789Z",), "String"),
        (("2026-01-05T24:00:00Z",), "String"),
        (("2026-01-05T10:00:00+25:00",), "String"),
        (("2026-01-05", "2026-01-05 10:00:00"), "String"),
        (("2026-01-05", ""), "String"),
        (("2026/01/05",), "String"),
    ],
)
def test_dates_and_times_that_a_column_can_hold_are_found(values, expected):
    assert kind(*values) == expected


@pytest.mark.parametrize("text", ["1", "1.5", "true", "null", "00112233-4455-6677-8899-aabbccddeeff", "1.2.3.4", "[1]"])
def test_other_text_stays_text_whatever_it_looks_like(text):
    assert kind(text) == "String"


def test_a_mixture_is_text():
    assert kind("x", 1) == "String"
    assert kind(1, "2026-01-05") == "String"


def test_nulls_do_not_vote_and_make_it_nullable():
    assert kind(1, None) == "Nullable(Int16)"
    assert kind(None, "2026-01-05", None) == "Nullable(Date)"
    assert kind(None) == "Nullable(String)"
