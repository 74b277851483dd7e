"""DataType: what is known about the type of a column once it was read; and the families of types.

The grammar is in `types`, which is also where `DataType` is imported from.
"""

from dataclasses import dataclass
from typing import Final

from gateway.schema.lexer import words

INTEGERS: Final = frozenset(sign + str(bits) for sign in ("Int", "UInt") for bits in (8, 16, 32, 64, 128, 256))
FLOATS: Final = frozenset(("Float32", "Float64", "BFloat16"))
NUMBERS: Final = INTEGERS | FLOATS | {"Decimal"}
DATES: Final = frozenset(("Date", "Date32", "DateTime", "DateTime64"))
STRINGS: Final = frozenset(("String", "FixedString"))
GEO: Final = words("Point Ring LineString MultiLineString MultiPoint Polygon MultiPolygon Geometry")

SIMPLE: Final = INTEGERS | FLOATS | GEO | words("String UUID Date Date32 Bool IPv4 IPv6 Time")
"""The families that take no arguments."""

NOT_IN_NULLABLE: Final = words("Array Map Nested Variant Dynamic Nullable LowCardinality AggregateFunction") | (
    GEO - {"Point"}
)
IN_LOW_CARDINALITY: Final = INTEGERS | FLOATS | STRINGS | words("Date Date32 DateTime UUID Bool IPv4 IPv6 Time")

SQL_ALIASES: Final = {
    alias: name
    for name, aliases in (
        ("Int8", "tinyint byte int1"),
        ("Int16", "smallint"),
        ("Int32", "integer mediumint"),
        ("Int64", "bigint signed"),
        ("UInt16", "year"),
        ("UInt64", "unsigned bit set"),
        ("Float32", "float real single"),
        ("Float64", "double"),
        ("Decimal", "dec numeric fixed"),
        ("DateTime", "timestamp"),
        ("IPv4", "inet4"),
        ("IPv6", "inet6"),
        ("FixedString", "binary"),
        ("String", "char character varchar varchar2 nchar nvarchar national varbinary clob bytea"),
        ("String", "text tinytext mediumtext longtext blob tinyblob mediumblob longblob"),
    )
    for alias in aliases.split()
}
"""What other databases call a type (in lower case), and what it is called here."""


@dataclass(frozen=True, slots=True)
class DataType:
    """A data type.

    Attributes:
        name: the family: `Decimal` for `Decimal32(2)` too.
        text: the whole type, in the one spelling.
        args: inner types of Nullable, LowCardinality, Array, Map (key, value), Tuple, Nested and Variant elements, the
            typed paths of JSON, the stored type of SimpleAggregateFunction; empty for AggregateFunction.
        names: element names of a named Tuple or Nested, paths of JSON; empty when unnamed.
        precision: digits of a Decimal; digits after the second of DateTime64 and Time64.
        scale: digits after the point of a Decimal.
        length: bytes of a FixedString.
        zone: time zone of DateTime and DateTime64; "" is the server's.
        values: names and numbers of an Enum, by number.
    """

    name: str
    text: str
    args: tuple["DataType", ...] = ()
    names: tuple[str, ...] = ()
    precision: int = 0
    scale: int = 0
    length: int = 0
    zone: str = ""
    values: tuple[tuple[str, int], ...] = ()

    @property
    def is_nullable(self) -> bool:
        """Whether it holds NULL: Nullable(T) and LowCardinality(Nullable(T))."""
        return self.name == "Nullable" or (self.name == "LowCardinality" and self.args[0].name == "Nullable")

    @property
    def inner(self) -> "DataType":
        """The type without Nullable and LowCardinality around it."""
        return self.args[0].inner if self.name in {"Nullable", "LowCardinality"} else self

    @property
    def array_depth(self) -> int:
        """How many arrays are around the elements: 2 for Array(Array(T))."""
        return 1 + self.args[0].array_depth if self.name == "Array" else 0
