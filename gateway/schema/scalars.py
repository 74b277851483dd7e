"""Scalars: the types that have arguments but no types inside: Decimal, FixedString, DateTime, Enum, …

Every reader is called behind the word of its family and leaves the scanner behind the closing parenthesis.
"""

import re
from typing import Final

from gateway.schema.datatype import DataType
from gateway.schema.lexer import Scanner, decode_string
from gateway.schema.names import quote_string

FIXED_STRING_BYTES_MAX: Final = 65_535
NANOSECONDS: Final = 9
DECIMAL_DIGITS_MAX: Final = 76
DECIMAL_DIGITS: Final = {"Decimal32": 9, "Decimal64": 18, "Decimal128": 38, "Decimal256": 76}

_ENUM_RANGES: Final = {"Enum8": range(-(2**7), 2**7), "Enum16": range(-(2**15), 2**15)}
_ZONE: Final = re.compile(r"[A-Za-z0-9_+\-/]{1,64}")


class Refused(Exception):
    """The words form a type, but one that cannot be; told at the word it begins with."""


def number(scanner: Scanner) -> int:
    """Read an integer, with a sign or without.

    Raises:
        SchemaError: there is none.
    """
    sign = -1 if scanner.accept("-") else 1
    token = scanner.token
    if token.kind != "number" or not token.text.isdigit() or len(token.text) > 20:
        raise scanner.fail()
    return sign * int(scanner.advance().text)


def string(scanner: Scanner) -> str:
    """Read a string literal and return its value.

    Raises:
        SchemaError: there is none.
    """
    return decode_string(scanner.expect_kind("string").text)


def read_decimal(scanner: Scanner, family: str, _depth: int) -> DataType:
    """Read `(P)`, `(P, S)`, nothing, or the `(S)` of Decimal32 to Decimal256."""
    precision, scale = DECIMAL_DIGITS.get(family, 10), 0
    if family in DECIMAL_DIGITS:
        scanner.expect("(")
        scale = number(scanner)
        scanner.expect(")")
    elif scanner.accept("("):
        precision = number(scanner)
        scale = number(scanner) if scanner.accept(",") else 0
        scanner.expect(")")
    if not 1 <= precision <= DECIMAL_DIGITS_MAX:
        raise Refused(f"Wrong precision: it must be between 1 and {DECIMAL_DIGITS_MAX}, got {precision}")
    if not 0 <= scale <= precision:
        raise Refused("Negative scales and scales larger than precision are not supported")
    return DataType("Decimal", f"Decimal({precision}, {scale})", precision=precision, scale=scale)


def read_fixed_string(scanner: Scanner, family: str, _depth: int) -> DataType:
    """Read `(bytes)`."""
    scanner.expect("(")
    length = number(scanner)
    scanner.expect(")")
    if not 1 <= length <= FIXED_STRING_BYTES_MAX:
        raise Refused(f"The length of FixedString must be between 1 and {FIXED_STRING_BYTES_MAX}, got {length}")
    return DataType(family, f"FixedString({length})", length=length)


def read_date_time(scanner: Scanner, _family: str, _depth: int) -> DataType:
    """Read nothing or `('zone')`; DateTime32 is DateTime."""
    if not scanner.accept("("):
        return DataType("DateTime", "DateTime")
    zone = _zone(scanner)
    scanner.expect(")")
    return DataType("DateTime", f"DateTime('{zone}')", zone=zone)


def read_date_time64(scanner: Scanner, family: str, _depth: int) -> DataType:
    """Read `(precision)` or `(precision, 'zone')`."""
    if not scanner.accept("("):
        raise Refused("DateTime64 type without precision is not supported")
    precision = number(scanner)
    zone = _zone(scanner) if scanner.accept(",") else ""
    scanner.expect(")")
    _check_precision(family, precision)
    text = f"DateTime64({precision}, '{zone}')" if zone else f"DateTime64({precision})"
    return DataType(family, text, precision=precision, zone=zone)


def read_time64(scanner: Scanner, family: str, _depth: int) -> DataType:
    """Read nothing or `(precision)`."""
    precision = 3
    if scanner.accept("("):
        precision = number(scanner)
        scanner.expect(")")
    _check_precision(family, precision)
    return DataType(family, f"Time64({precision})", precision=precision)


def _check_precision(family: str, precision: int) -> None:
    if not 0 <= precision <= NANOSECONDS:
        raise Refused(f"The precision of {family} must be between 0 and {NANOSECONDS}, got {precision}")


def _zone(scanner: Scanner) -> str:
    zone = string(scanner)
    if not _ZONE.fullmatch(zone):
        raise Refused("That is not the name of a time zone")
    return zone


def read_enum(scanner: Scanner, family: str, _depth: int) -> DataType:
    """Read `('a', 'b')`, `('a' = 1, 'b' = 2)` or `('a' = 5, 'b')`, which counts up from 5 (or from 1)."""
    names: list[str] = []
    given: list[int | None] = []
    scanner.expect("(")
    while True:
        names.append(string(scanner))
        given.append(number(scanner) if scanner.accept("=") else None)
        if not scanner.accept(","):
            break
    scanner.expect(")")
    values = tuple(sorted(zip(names, _enum_numbers(given), strict=True), key=lambda value: value[1]))
    if len(set(names)) < len(names) or len({value for _, value in values}) < len(values):
        raise Refused("Duplicate names or numbers in enum")
    if family == "Enum":
        family = "Enum8" if all(value in _ENUM_RANGES["Enum8"] for _, value in values) else "Enum16"
    if any(value not in _ENUM_RANGES[family] for _, value in values):
        raise Refused(f"A number exceeds the range of {family}")
    shown = ", ".join(f"{quote_string(name)} = {value}" for name, value in values)
    return DataType(family, f"{family}({shown})", values=values)


def _enum_numbers(given: list[int | None]) -> list[int]:
    numbers = [value for value in given if value is not None]
    if len(numbers) == len(given):
        return numbers
    first = 1 if given[0] is None else given[0]
    if any(value is not None for value in given[1:]):
        raise Refused("All elements of Enum must be of form 'name' = number, or only the first may have a number")
    return list(range(first, first + len(given)))
