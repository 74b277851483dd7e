"""Types: the grammar of ClickHouse data types a column may have, and the one spelling of each.

`DataType.text` is what `DESCRIBE TABLE` prints (with `print_pretty_type_names=0`), so that a schema can be compared
with a table as text: `decimal32(3)` is `Decimal(9, 3)`, an Enum is sorted by number, a Variant by name. One exception:
the function and parameters of `AggregateFunction` keep the spelling of the client.

Refused here rather than by the engine, with a sentence: SQL aliases (`INT`, `VARCHAR`), families without the precision
they need, and nestings that cannot be stored (`Nullable(Array(…))`, `LowCardinality(Decimal(…))`). Whether a time zone
exists is left to the engine: the answer lies in files.

Types with arguments but no types inside are read by `scalars`.
"""

import re
from collections.abc import Callable
from typing import Final

from gateway.schema.datatype import IN_LOW_CARDINALITY, NOT_IN_NULLABLE, SIMPLE, SQL_ALIASES, DataType
from gateway.schema.errors import SchemaError
from gateway.schema.lexer import Scanner, words
from gateway.schema.names import quote_identifier, quote_string
from gateway.schema.scalars import (
    DECIMAL_DIGITS,
    Refused,
    number,
    read_date_time,
    read_date_time64,
    read_decimal,
    read_enum,
    read_fixed_string,
    read_time64,
    string,
)

__all__ = ["DataType", "parse_type", "read_type"]

DEPTH_MAX: Final = 32
TYPE_CHARS_MAX: Final = 64 * 1024  # an Enum16 of a few thousand names
# The families whose case the engine ignores, besides those for which `_READERS` has an entry in any case.
_ANY_CASE: Final = {
    name.lower(): name
    for name in words(
        "Date Date32 DateTime DateTime32 DateTime64 Time Time64 Bool Decimal Decimal32 Decimal64 Decimal128 Decimal256 "
        "Enum JSON"
    )
}
_JSON_DEFAULTS: Final = {"max_dynamic_types": 32, "max_dynamic_paths": 1024}
_DYNAMIC_TYPES_DEFAULT: Final = 32

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+")
_ALWAYS_QUOTED: Final = words("null distinct all table select from values true false inf nan")


def parse_type(text: str) -> DataType:
    """Return the type `text` spells.

    Raises:
        SchemaError: it is not a type, or one that no column may have.
    """
    if len(text) > TYPE_CHARS_MAX:
        raise SchemaError(f"The type has {len(text)} characters, the limit is {TYPE_CHARS_MAX}")
    scanner = Scanner(text)
    found = read_type(scanner)
    scanner.expect_end()
    return found


def read_type(scanner: Scanner, depth: int = 0) -> DataType:
    """Read one type where `scanner` stands, and leave `scanner` behind it.

    Raises:
        SchemaError: as `parse_type`.
    """
    token = scanner.token
    if token.kind != "word":
        raise scanner.fail()
    if depth > DEPTH_MAX:
        raise scanner.fail(f"The type is nested deeper than {DEPTH_MAX} levels")
    family = _ANY_CASE.get(token.lower, token.text)
    reader = _READERS.get(family)
    if reader is None and family not in SIMPLE:
        raise scanner.fail(_unknown(token.text))
    scanner.advance()
    if reader is None:
        return DataType(family, family)
    try:
        return reader(scanner, family, depth + 1)
    except Refused as refused:
        raise scanner.fail(str(refused), token) from None


def _unknown(name: str) -> str:
    lower = name.lower()
    if lower == "boolean":
        return "Boolean type is not supported, use Bool or UInt8"
    if lower in {"int", "uint"}:
        return "Precision is mandatory for Int types"
    if lower in SQL_ALIASES:
        return f"Type '{name}' is an SQL alias and is not supported, use {SQL_ALIASES[lower]}"
    meant = next((known for known in (*SIMPLE, *_READERS) if known.lower() == lower), "")
    return f"Type '{name[:64]}' is not supported" + (f", did you mean {meant}?" if meant else "")


def _one(scanner: Scanner, depth: int) -> DataType:
    scanner.expect("(")
    inner = read_type(scanner, depth)
    scanner.expect(")")
    return inner


def _nullable(scanner: Scanner, family: str, depth: int) -> DataType:
    inner = _one(scanner, depth)
    if inner.name in NOT_IN_NULLABLE:
        raise Refused(f"Nested type {inner.text} cannot be inside Nullable type")
    return DataType(family, f"Nullable({inner.text})", (inner,))


def _low_cardinality(scanner: Scanner, family: str, depth: int) -> DataType:
    inner = _one(scanner, depth)
    stored = inner.args[0] if inner.name == "Nullable" else inner
    if stored.name not in IN_LOW_CARDINALITY:
        raise Refused(f"LowCardinality is supported only for numbers, strings, Date or DateTime, but got {inner.text}")
    return DataType(family, f"LowCardinality({inner.text})", (inner,))


def _array(scanner: Scanner, family: str, depth: int) -> DataType:
    inner = _one(scanner, depth)
    return DataType(family, f"Array({inner.text})", (inner,))


def _map(scanner: Scanner, family: str, depth: int) -> DataType:
    scanner.expect("(")
    key = read_type(scanner, depth)
    scanner.expect(",")
    value = read_type(scanner, depth)
    scanner.expect(")")
    if key.is_nullable:
        raise Refused(f"Map cannot have a key of type {key.text}")
    return DataType(family, f"Map({key.text}, {value.text})", (key, value))


def _elements(scanner: Scanner, family: str, depth: int) -> DataType:
    """Read the elements of a Tuple or a Nested: all named, or (Tuple only) none."""
    names: list[str] = []
    args: list[DataType] = []
    scanner.expect("(")
    while not scanner.at(")"):
        mark = scanner.mark()
        name = scanner.expect_kind("word", "quoted")
        if name.kind == "word" and scanner.at("(", ",", ")"):
            args.append(_again(scanner, mark, depth))
        else:
            names.append(name.name)
            args.append(read_type(scanner, depth))
        if not scanner.accept(","):
            break
    scanner.expect(")")
    if len(names) != len(args) and (names or family == "Nested"):
        raise Refused(f"Names are specified not for all elements of {family} type")
    if len(set(names)) < len(names) or "null" in names:
        raise Refused(f"{family} elements must have different names, and none may be called null")
    if family == "Nested" and not args:
        raise Refused("Nested cannot be empty")
    shown = [f"{_shown_name(name)} {arg.text}" for name, arg in zip(names, args, strict=True)] if names else None
    return DataType(family, f"{family}({', '.join(shown or [arg.text for arg in args])})", tuple(args), tuple(names))


def _again(scanner: Scanner, mark: int, depth: int) -> DataType:
    """Read as a type the word that was taken for an element's name."""
    scanner.rewind(mark)
    return read_type(scanner, depth)


def _variant(scanner: Scanner, family: str, depth: int) -> DataType:
    scanner.expect("(")
    args = {inner.text: inner for inner in [read_type(scanner, depth)]}
    while scanner.accept(","):
        inner = read_type(scanner, depth)
        args[inner.text] = inner
    scanner.expect(")")
    if any(inner.is_nullable for inner in args.values()):
        raise Refused("Nullable/LowCardinality(Nullable) types are not allowed inside Variant type")
    if any(inner.name in {"Variant", "Dynamic"} for inner in args.values()):
        raise Refused("Variant and Dynamic types are not allowed inside Variant type")
    ordered = sorted(args)
    return DataType(family, f"Variant({', '.join(ordered)})", tuple(args[text] for text in ordered))


def _dynamic(scanner: Scanner, family: str, _depth: int) -> DataType:
    if not scanner.accept("("):
        return DataType(family, family)
    scanner.expect("max_types")
    scanner.expect("=")
    count = number(scanner)
    scanner.expect(")")
    if not 0 <= count < 255:
        raise Refused("max_types of Dynamic must be between 0 and 254")
    return DataType(family, family if count == _DYNAMIC_TYPES_DEFAULT else f"Dynamic(max_types={count})")


def _json(scanner: Scanner, family: str, depth: int) -> DataType:
    """Read `JSON(max_dynamic_paths=8, a.b UInt32, SKIP c, SKIP REGEXP '…')`; every part is optional."""
    limits: dict[str, int] = {}
    typed: dict[str, DataType] = {}
    skipped: list[str] = []
    patterns: list[str] = []
    if scanner.accept("("):
        while not scanner.at(")"):
            if scanner.at(*_JSON_DEFAULTS):
                name = scanner.advance().lower
                scanner.expect("=")
                limits[name] = number(scanner)
            elif scanner.accept("skip"):
                if scanner.accept("regexp"):
                    patterns.append(string(scanner))
                else:
                    skipped.append(_path(scanner))
            else:
                path = _path(scanner)
                typed[path] = read_type(scanner, depth)
            if not scanner.accept(","):
                break
        scanner.expect(")")
    parts = [
        f"{name}={limits[name]}" for name in _JSON_DEFAULTS if limits.get(name, -1) not in {-1, _JSON_DEFAULTS[name]}
    ]
    parts += [f"{_shown_name(path)} {typed[path].text}" for path in sorted(typed)]
    parts += [f"SKIP {_shown_name(path)}" for path in sorted(set(skipped))]
    parts += [f"SKIP REGEXP {quote_string(pattern)}" for pattern in patterns]
    names = tuple(sorted(typed))
    return DataType(
        family, f"JSON({', '.join(parts)})" if parts else "JSON", tuple(typed[name] for name in names), names
    )


def _path(scanner: Scanner) -> str:
    parts = [scanner.expect_kind("word", "quoted").name]
    while scanner.accept("."):
        parts.append(scanner.expect_kind("word", "quoted").name)
    return ".".join(parts)


def _aggregate(scanner: Scanner, family: str, depth: int) -> DataType:
    """Read `([version,] function[(parameters)] [, type …])`."""
    scanner.expect("(")
    parts: list[str] = []
    args: list[DataType] = []
    if family == "AggregateFunction" and scanner.token.kind == "number":
        parts.append(str(number(scanner)))
        scanner.expect(",")
    mark = scanner.mark()
    scanner.expect_kind("word")
    function = scanner.text_since(mark)
    if scanner.accept("("):
        function += f"({', '.join(_parameters(scanner))})"
    parts.append(function)
    while scanner.accept(","):
        args.append(read_type(scanner, depth))
    scanner.expect(")")
    if family == "SimpleAggregateFunction" and len(args) != 1:
        raise Refused("SimpleAggregateFunction takes a function and one type")
    text = f"{family}({', '.join([*parts, *(arg.text for arg in args)])})"
    return DataType(family, text, tuple(args) if family == "SimpleAggregateFunction" else ())


def _parameters(scanner: Scanner) -> list[str]:
    found: list[str] = []
    while not scanner.accept(")"):
        mark = scanner.mark()
        scanner.accept("-")
        scanner.expect_kind("number", "string")
        found.append(scanner.text_since(mark))
        if not scanner.at(")"):
            scanner.expect(",", "Expected closing )")
    return found


def _shown_name(name: str) -> str:
    if _PLAIN.fullmatch(name) and name.lower() not in _ALWAYS_QUOTED:
        return name
    return quote_identifier(name)


_Reader = Callable[[Scanner, str, int], DataType]
_READERS: Final[dict[str, _Reader]] = {
    "Nullable": _nullable,
    "LowCardinality": _low_cardinality,
    "Array": _array,
    "Map": _map,
    "Tuple": _elements,
    "Nested": _elements,
    "Variant": _variant,
    "Dynamic": _dynamic,
    "JSON": _json,
    "Decimal": read_decimal,
    **dict.fromkeys(DECIMAL_DIGITS, read_decimal),
    "FixedString": read_fixed_string,
    "DateTime": read_date_time,
    "DateTime32": read_date_time,
    "DateTime64": read_date_time64,
    "Time64": read_time64,
    "Enum": read_enum,
    "Enum8": read_enum,
    "Enum16": read_enum,
    "AggregateFunction": _aggregate,
    "SimpleAggregateFunction": _aggregate,
}
