"""Widening: which values of one type are kept, every one as it is, by a column of another. Pure.

T → Nullable(T), LowCardinality(T)        Int16 → Int64        Date → Date32        Enum → String
"""

from typing import Final

from gateway.schema.datatype import DataType
from gateway.schema.errors import SchemaError
from gateway.schema.types import parse_type

_SIGNED: Final = {f"Int{bits}": bits for bits in (8, 16, 32, 64, 128, 256)}
_UNSIGNED: Final = {f"UInt{bits}": bits for bits in (8, 16, 32, 64, 128, 256)}

# Integers of so many bits that a float holds each of them.
_EXACT: Final = {"Float32": 24, "Float64": 53}


def keeps(source: str, target: DataType) -> bool:
    """Say whether a column of type `target` keeps every value of the type that ClickHouse calls `source`."""
    if source == target.text:
        return True
    if source == "Nullable(Nothing)":  # what NULL is
        return target.is_nullable
    if source == "Array(Nothing)":  # what [] is
        return target.name == "Array"
    try:
        return _keeps(parse_type(source), target)
    except SchemaError:  # one that no column may have
        return False


def cast_of(target: DataType) -> str:
    """Return the function that makes values of `target` of others, as one writes it in a query: `toInt32(…)`."""
    inner = target.inner
    if inner.name in {"Decimal", "DateTime64", "FixedString", "Enum8", "Enum16", "Array", "Map", "Tuple", "Nested"}:
        return f"CAST(…, '{target.text}')"
    suffix = "OrNull" if target.is_nullable and inner.name in (_SIGNED | _UNSIGNED) else ""
    return f"to{inner.name}{suffix}(…)"


def _keeps(source: DataType, target: DataType) -> bool:
    if source.text == target.text:
        return True
    if target.name == "SimpleAggregateFunction":
        return _keeps(source, target.args[0])
    if source.name == "SimpleAggregateFunction":
        return _keeps(source.args[0], target)
    if source.is_nullable and not target.is_nullable:
        return False
    one, other = source.inner, target.inner
    if (one, other) != (source, target):
        return _keeps(one, other)
    if one.name == other.name and one.name in {"Array", "Map", "Tuple"}:
        return (
            len(one.args) == len(other.args)
            and one.names == other.names
            and all(_keeps(*pair) for pair in zip(one.args, other.args, strict=True))
        )
    return _keeps_plain(one, other)


def _keeps_plain(one: DataType, other: DataType) -> bool:
    match one.name, other.name:
        case ("Enum8" | "Enum16" | "FixedString", "String"):
            return True
        case ("Enum8" | "Enum16", "Enum8" | "Enum16"):
            return set(one.values) <= set(other.values)
        case ("DateTime", "DateTime") | ("DateTime", "DateTime64") | ("Date", "Date32"):
            return True  # a time zone is how a moment is shown
        case ("DateTime64", "DateTime64"):
            return one.precision <= other.precision
        case ("Decimal", "Decimal"):
            return one.scale <= other.scale and one.precision - one.scale <= other.precision - other.scale
        case ("Float32", "Float64") | ("IPv4", "IPv6"):
            return True
    return _keeps_integer("UInt8" if one.name == "Bool" else one.name, other.name)


def _keeps_integer(one: str, other: str) -> bool:
    signed, unsigned = _SIGNED.get(one), _UNSIGNED.get(one)
    bits = signed or unsigned
    if bits is None:
        return False
    if other in _EXACT:
        return bits <= _EXACT[other]
    if other in _SIGNED:
        return _SIGNED[other] >= bits if signed else _SIGNED[other] > bits
    return bool(unsigned) and _UNSIGNED.get(other, 0) >= bits
