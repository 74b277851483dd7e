"""Transport: the Arrow types in which values travel to ClickHouse, and what a missing value may be on the way.

    Int8…64, UInt8…64, Float32/64, Bool       the same in Arrow
    Int128/256, UInt128/256, Decimal          their digits, as a string; never 16 or 32 characters (see `scalars`)
    String, FixedString, UUID, IPv4, Enum     string
    IPv6                                      string, all 39 characters of it
    JSON                                      string; the field says so in its metadata, see below
    Date uint16 · Date32 int32 · DateTime uint32 · DateTime64 timestamp (the coarsest unit that fits, UTC)
    Array list · Map map · Tuple struct (elements without names are "1", "2", …)

LowCardinality, SimpleAggregateFunction, Nested and the geometric types travel as what they are made of. All this was
checked on the engine (26.9), which casts strings to the type of the column.

The canonical Python value of a column is what `pa.array(values, arrow_type)` takes: int, float, str, bool, None, list,
and dict for both Map and Tuple. msgpack keeps these too, so columns can be logged and rebuilt from the schema.

A column of type JSON cannot be inserted this way: see `jsonrows`. In a layout with one, every field says its ClickHouse
type in its metadata.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pyarrow as pa

from gateway.core.errors import InvalidRequest
from gateway.ingest.moments import transport_digits
from gateway.schema.columns import Column
from gateway.schema.lexer import words
from gateway.schema.types import DataType, parse_type

TYPE_KEY: Final = b"clickhouse_type"
"""Key of the metadata of Arrow fields."""

_SAME: Final = {
    "Int8": pa.int8(),
    "Int16": pa.int16(),
    "Int32": pa.int32(),
    "Int64": pa.int64(),
    "UInt8": pa.uint8(),
    "UInt16": pa.uint16(),
    "UInt32": pa.uint32(),
    "UInt64": pa.uint64(),
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    "Bool": pa.bool_(),
    "Date": pa.uint16(),
    "Date32": pa.int32(),
    "DateTime": pa.uint32(),
}
_AS_TEXT: Final = words("Int128 Int256 UInt128 UInt256 Decimal String FixedString UUID IPv4 IPv6 Enum8 Enum16 JSON")
_UNITS: Final = {0: "s", 3: "ms", 6: "us", 9: "ns"}
_GEO: Final = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "MultiPoint": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}

# Where an Arrow null in a column that is not Nullable becomes the column's DEFAULT. A type that travels as text and is
# cast is not here: the engine casts the null first, and refuses the whole insert. Nor are Array and Map: empty.
_NULL_IS_DEFAULT: Final = frozenset(_SAME) | {"String", "FixedString", "DateTime64"}


def plain(kind: DataType) -> DataType:
    """Return `kind` as what it is made of: Nullable, Array, Map, Tuple and the types that hold no others.

    Raises:
        InvalidRequest: no JSON value can be stored in it.
    """
    if kind.name in {"LowCardinality", "SimpleAggregateFunction"}:
        return plain(kind.args[0])
    if kind.name in _GEO:
        return plain(parse_type(_GEO[kind.name]))
    args = tuple(plain(arg) for arg in kind.args)
    if kind.name == "Nested":
        return DataType("Array", kind.text, (DataType("Tuple", kind.text, args, kind.names),))
    if kind.name in _SAME or kind.name in _AS_TEXT or kind.name in {"DateTime64", "Nullable", "Array", "Map", "Tuple"}:
        return replace(kind, args=args)
    raise InvalidRequest(f"Type {kind.text} cannot be filled from JSON; give the column no JSONPath, or another type")


def arrow_type(kind: DataType) -> pa.DataType:
    """Return the Arrow type that carries `kind`, a plain type."""
    if kind.name in _SAME:
        return _SAME[kind.name]
    match kind.name:
        case "Nullable":
            return arrow_type(kind.args[0])
        case "DateTime64":
            return pa.timestamp(_UNITS[transport_digits(kind.precision)], "UTC")
        case "Array":
            return pa.list_(arrow_type(kind.args[0]))
        case "Map":
            return pa.map_(arrow_type(kind.args[0]), arrow_type(kind.args[1]))
        case "Tuple":
            types = [arrow_type(arg) for arg in kind.args]
            return pa.struct(list(zip(element_names(kind), types, strict=True)))
    return pa.string()


def arrow_fields(columns: Sequence[Column]) -> list[pa.Field]:
    """Return the fields that carry `columns`.

    Raises:
        InvalidRequest: as `plain`.
    """
    kinds = [plain(column.type) for column in columns]
    tell = any(map(_holds_json, kinds))
    return [
        pa.field(column.name, arrow_type(kind), metadata={TYPE_KEY: column.type.text.encode()} if tell else None)
        for column, kind in zip(columns, kinds, strict=True)
    ]


def element_names(kind: DataType) -> tuple[str, ...]:
    """Return the names of a Tuple's elements: its own, or "1", "2", …"""
    return kind.names or tuple(str(number) for number in range(1, len(kind.args) + 1))


def null_is_default(kind: DataType) -> bool:
    """Say whether an Arrow null in a column of the plain type `kind` makes ClickHouse evaluate the DEFAULT."""
    return kind.name in _NULL_IS_DEFAULT


def _holds_json(kind: DataType) -> bool:
    return kind.name == "JSON" or any(_holds_json(arg) for arg in kind.args)
