"""Which values fit a column of another type, every one as it is."""

import pytest

from gateway.schema.types import parse_type
from gateway.schema.widening import keeps

KEPT = """
    String -> String, Nullable(String), LowCardinality(String), LowCardinality(Nullable(String))
    LowCardinality(String) -> String, Nullable(String)
    Nullable(UInt8) -> Nullable(Int16), Nullable(UInt8)
    UInt8 -> UInt16, Int16, UInt256, Float32, SimpleAggregateFunction(sum, UInt64)
    UInt32 -> Int64, Float64
    Int32 -> Int64, Float64
    Bool -> UInt8, Int16
    Date -> Date32
    DateTime -> DateTime('Europe/Madrid'), DateTime64(3)
    DateTime64(3) -> DateTime64(6, 'UTC')
    Decimal(9, 2) -> Decimal(18, 4), Decimal(9, 2)
    Enum8('a' = 1) -> String, Enum16('a' = 1, 'b' = 2)
    FixedString(3) -> String
    Array(UInt8) -> Array(Int64), Array(Nullable(UInt8))
    Tuple(a UInt8, b String) -> Tuple(a UInt16, b Nullable(String))
    Map(String, UInt8) -> Map(String, UInt64)
    Nullable(Nothing) -> Nullable(Int8)
    Array(Nothing) -> Array(String)
    AggregateFunction(sum, UInt64) -> AggregateFunction(sum, UInt64)
"""
CHANGED = """
    UInt64 -> Int64, UInt32, Float64, String, Bool
    Int8 -> UInt8, UInt64
    UInt8 -> Int8, Bool
    Int32 -> Float32
    Float64 -> Float32, Int64
    Nullable(UInt8) -> UInt8
    LowCardinality(Nullable(String)) -> String
    Nullable(Nothing) -> Int8
    String -> FixedString(3), Enum8('a' = 1), UInt8, UUID
    UUID -> String
    DateTime -> Date
    DateTime64(6) -> DateTime64(3), DateTime
    Decimal(18, 4) -> Decimal(9, 4), Decimal(18, 2), Float64
    Enum8('a' = 1) -> Enum8('b' = 1)
    Enum8('a' = 1, 'b' = 2) -> Enum8('a' = 1)
    Array(Int64) -> Array(UInt8), String
    Tuple(a UInt8) -> Tuple(b UInt8), Tuple(UInt8)
    IntervalSecond -> Int64
"""


def pairs(text):
    for line in text.strip().splitlines():
        source, _, targets = line.strip().partition(" -> ")
        depth, start = 0, 0
        for place, letter in enumerate(targets + ","):
            depth += (letter == "(") - (letter == ")")
            if letter == "," and depth == 0:
                yield source, targets[start:place].strip()
                start = place + 1


@pytest.mark.parametrize(("source", "target"), list(pairs(KEPT)))
def test_a_column_takes_what_it_keeps(source, target):
    assert keeps(source, parse_type(target))


@pytest.mark.parametrize(("source", "target"), list(pairs(CHANGED)))
def test_a_column_does_not_take_what_it_would_change(source, target):
    assert not keeps(source, parse_type(target))
