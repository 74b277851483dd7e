"""Types: what is accepted, in which spelling it is kept, and what is refused with which words."""

import pytest

from gateway.schema.errors import SchemaError
from gateway.schema.types import parse_type


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("decimal32(3)", "Decimal(9, 3)"),
        ("Decimal64(0)", "Decimal(18, 0)"),
        ("Decimal128(5)", "Decimal(38, 5)"),
        ("Decimal256(7)", "Decimal(76, 7)"),
        ("Decimal(9)", "Decimal(9, 0)"),
        ("Decimal(9,2)", "Decimal(9, 2)"),
        ("datetime32", "DateTime"),
        ("DATETIME('UTC')", "DateTime('UTC')"),
        ("datetime64(3,'Europe/Madrid')", "DateTime64(3, 'Europe/Madrid')"),
        ("bool", "Bool"),
        ("json", "JSON"),
        ("Enum('b', 'a')", "Enum8('b' = 1, 'a' = 2)"),
        ("Enum('a' = 200)", "Enum16('a' = 200)"),
        ("Enum8('b' = 2, 'a' = -1)", "Enum8('a' = -1, 'b' = 2)"),
        ("Enum8('a' = 5, 'b')", "Enum8('a' = 5, 'b' = 6)"),
        ("Variant(UInt64, String)", "Variant(String, UInt64)"),
        ("Tuple(a UInt8,b Tuple(String,String))", "Tuple(a UInt8, b Tuple(String, String))"),
        (
            "JSON(z String, max_dynamic_paths = 8, a.b UInt8, SKIP y)",
            "JSON(max_dynamic_paths=8, `a.b` UInt8, z String, SKIP y)",
        ),
        ("AggregateFunction( quantiles(0.5,0.9) , UInt8 )", "AggregateFunction(quantiles(0.5, 0.9), UInt8)"),
        (" Array(\n  Nullable( UInt8 )) -- numbers\n", "Array(Nullable(UInt8))"),
    ],
)
def test_a_type_is_kept_in_one_spelling(given, kept):
    assert parse_type(given).text == kept
    assert parse_type(kept).text == kept


def test_the_parts_of_a_type_are_told():
    assert (parse_type("Decimal32(3)").precision, parse_type("Decimal32(3)").scale) == (9, 3)
    assert (parse_type("DateTime64(6, 'UTC')").precision, parse_type("DateTime64(6, 'UTC')").zone) == (6, "UTC")
    assert parse_type("FixedString(16)").length == 16
    assert parse_type("Enum8('it\\'s' = 1, 'x')").values == (("it's", 1), ("x", 2))
    assert parse_type("Tuple(a UInt8, `b c` String)").names == ("a", "b c")
    assert [arg.text for arg in parse_type("Map(String, Array(UInt8))").args] == ["String", "Array(UInt8)"]
    assert parse_type("SimpleAggregateFunction(sum, UInt64)").args == (parse_type("UInt64"),)
    assert parse_type("AggregateFunction(sum, UInt64)").args == ()


def test_nullable_and_low_cardinality_come_off_to_the_inner_type():
    kind = parse_type("LowCardinality(Nullable(FixedString(3)))")

    assert kind.is_nullable
    assert kind.inner == parse_type("FixedString(3)")
    assert parse_type("Nullable(UInt8)").is_nullable
    assert not parse_type("Array(Nullable(UInt8))").is_nullable


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Boolean", "Boolean type is not supported"),
        ("DateTime64", "DateTime64 type without precision is not supported"),
        ("Int", "Precision is mandatory for Int types"),
        ("UInt", "Precision is mandatory for Int types"),
        ("BIGINT", "Type 'BIGINT' is an SQL alias and is not supported, use Int64"),
        ("varchar(10)", "use String"),
        ("string", "did you mean String?"),
        ("Strin", "Type 'Strin' is not supported"),
        ("Nullable(Array(UInt8))", "Nested type Array(UInt8) cannot be inside Nullable type"),
        ("Nullable(LowCardinality(String))", "Nested type LowCardinality(String) cannot be inside Nullable type"),
        ("Nullable(Nullable(UInt8))", "cannot be inside Nullable type"),
        ("LowCardinality(Decimal(9, 2))", "LowCardinality is supported only for numbers, strings, Date or DateTime"),
        ("LowCardinality(DateTime64(3))", "LowCardinality is supported only"),
        ("Map(Nullable(String), UInt8)", "Map cannot have a key of type Nullable(String)"),
        ("Variant(Nullable(String))", "not allowed inside Variant"),
        ("Tuple(a UInt8, String)", "Names are specified not for all elements"),
        ("Tuple(a UInt8, a String)", "different names"),
        ("Nested(UInt8)", "Names are specified not for all elements"),
        ("Decimal(77, 2)", "Wrong precision"),
        ("Decimal(5, 6)", "scales larger than precision"),
        ("FixedString(0)", "length of FixedString"),
        ("DateTime64(10)", "between 0 and 9"),
        ("DateTime('../../etc/passwd')", "not the name of a time zone"),
        ("Enum8('a' = 200)", "exceeds the range of Enum8"),
        ("Enum8('a' = 1, 'a' = 2)", "Duplicate names"),
        ("Enum8('a' = 1, 'b', 'c' = 3)", "only the first may have a number"),
        ("Array(UInt8", "Expected closing )"),
        ("UInt8(3)", "wrong value"),
        ("", "wrong value"),
        ("UInt8, b String", "wrong value"),
    ],
)
def test_a_type_no_column_can_have_is_refused_with_a_sentence(text, reason):
    with pytest.raises(SchemaError) as caught:
        parse_type(text)

    assert reason in str(caught.value)


def test_a_type_nested_too_deep_is_refused():
    parse_type("Array(" * 32 + "UInt8" + ")" * 32)

    with pytest.raises(SchemaError, match="nested deeper"):
        parse_type("Array(" * 5000 + "UInt8" + ")" * 5000)


def test_a_type_too_long_is_refused():
    names = ", ".join(f"'{number:08}'" for number in range(10_000))

    with pytest.raises(SchemaError, match="the limit is"):
        parse_type(f"Enum16({names})")
