"""Scalars: JSON text → a number, a string, a moment: the converters of the types that hold no others.

See `values` for the rules; each function here returns a converter, which raises `Unfit`.
"""

import math
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any, Final

from gateway.ingest.moments import DATE32_DAYS, DATE_DAYS_MAX, Days, NotMoment, Times, load_zone
from gateway.ingest.unfit import Unfit, decode_text
from gateway.schema.types import DataType

Convert = Callable[[bytes], Any]
"""JSON text of one value → its canonical Python value (see `transport`). Raises `Unfit`."""

SMALL_INTEGERS: Final = {
    name: (low, high)
    for bits in (8, 16, 32)
    for name, low, high in (
        (f"Int{bits}", -(2 ** (bits - 1)), 2 ** (bits - 1) - 1),
        (f"UInt{bits}", 0, 2**bits - 1),
    )
}
BIG_INTEGERS: Final = {
    name: (low, high)
    for bits in (64, 128, 256)
    for name, low, high in (
        (f"Int{bits}", -(2 ** (bits - 1)), 2 ** (bits - 1) - 1),
        (f"UInt{bits}", 0, 2**bits - 1),
    )
}

# Longer texts of numbers cannot fit any type, and reading them would take quadratic time.
_INTEGER_CHARS_MAX: Final = 80
_DECIMAL_CHARS_MAX: Final = 1024

_QUOTE: Final = ord('"')
_NULL: Final = b"null"
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
NUMBER_TEXT: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PLAIN: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
# Exponents of more digits are of numbers that fit no Decimal, but for zero.
_SCIENTIFIC: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?[eE][+-]?[0-9]{1,3}")
UUID_TEXT: Final = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
BOOL_WORDS: Final = {
    word: value
    for value, words in ((True, "true t yes y on enable enabled 1"), (False, "false f no n off disable disabled 0"))
    for word in words.split()
}


def scalar_converter(kind: DataType) -> Convert | None:
    """Return the converter to `kind`, or None if it is a type that holds others.

    Raises:
        InvalidRequest: its time zone does not exist.
    """
    name = kind.name
    if name in SMALL_INTEGERS:
        return _small_integer(*SMALL_INTEGERS[name], bools=name == "UInt8")
    if name in BIG_INTEGERS:
        return _big_integer(*BIG_INTEGERS[name], as_text=not name.endswith("64"))
    factory = _FACTORIES.get(name)
    return factory and factory(kind)


def moment_reader(kind: DataType) -> Times | Days:
    """Return the reader of Date, Date32, DateTime or DateTime64.

    Raises:
        InvalidRequest: its time zone does not exist.
    """
    match kind.name:
        case "Date":
            return Days(0, DATE_DAYS_MAX)
        case "Date32":
            return Days(*DATE32_DAYS)
        case "DateTime":
            return Times.datetime(load_zone(kind.zone))
    return Times.datetime64(kind.precision, load_zone(kind.zone))


def decimal_text(text: str, precision: int, scale: int) -> str:
    """Return the number `text` in the digits of a Decimal(`precision`, `scale`): `12.5`, no exponent.

    Raises:
        Unfit: it is no number, or has digits the column has no place for.
    """
    if len(text) > _DECIMAL_CHARS_MAX:
        raise Unfit("too many digits")
    if _SCIENTIFIC.fullmatch(text):
        text = format(Decimal(text), "f")
    if not _PLAIN.fullmatch(text):
        raise Unfit
    digits, _, fraction = text.partition(".")
    sign, whole, fraction = "-" * text.startswith("-"), digits.lstrip("-0"), fraction.rstrip("0")
    if len(fraction) > scale:
        raise Unfit(f"more than {scale} digits after the point")
    if len(whole) > precision - scale:
        raise Unfit(f"more than {precision - scale} digits before the point")
    return f"{sign}{whole or '0'}.{fraction}" if fraction else sign + (whole or "0")


def integer_of(text: str, low: int, high: int) -> int:
    """Return the integer that `text` spells in digits.

    Raises:
        Unfit: it spells none, or one that is not between `low` and `high`.
    """
    if not _INTEGER.fullmatch(text):
        raise Unfit
    value = int(text) if len(text) <= _INTEGER_CHARS_MAX else high + 1
    if not low <= value <= high:
        raise Unfit("out of range")
    return value


def fits_float32(value: float) -> bool:
    """Say whether a 32-bit float can hold `value` without overflow."""
    try:
        struct.pack("<f", value)
    except OverflowError:
        return False
    return True


def as_float32(value: float) -> float:
    """Return `value` as a 32-bit float holds it."""
    return struct.unpack("<f", struct.pack("<f", value))[0]  # type: ignore[no-any-return]


def _is_integer(raw: bytes) -> bool:
    return raw.isdigit() or (raw[:1] == b"-" and raw[1:].isdigit())


def _small_integer(low: int, high: int, *, bools: bool) -> Convert:
    def convert(raw: bytes) -> int:
        if len(raw) <= _INTEGER_CHARS_MAX and _is_integer(raw):
            value = int(raw)
            if low <= value <= high:
                return value
            raise Unfit("out of range")
        if bools and raw in {b"true", b"false"}:
            return int(raw == b"true")
        raise Unfit

    return convert


def _big_integer(low: int, high: int, *, as_text: bool) -> Convert:
    def convert(raw: bytes) -> int | str:
        value = integer_of(decode_text(raw) if raw[0] == _QUOTE else raw.decode(), low, high)
        return _digits(value) if as_text else value

    return convert


def _digits(value: int) -> str:
    """Return the digits of `value`, one zero in front if there are 16 or 32 characters.

    ClickHouse's Arrow reader takes a string of as many bytes as a 128- or 256-bit integer has for the integer itself
    (observed on 26.9).
    """
    text = str(value)
    return f"{value:0{len(text) + 1}d}" if len(text) in {16, 32} else text


def _float(kind: DataType) -> Convert:
    single = kind.name == "Float32"

    def convert(raw: bytes) -> float:
        if raw[0] not in b"-0123456789":
            raise Unfit
        value = float(raw)
        if math.isinf(value) or (single and not fits_float32(value)):
            raise Unfit("out of range")
        if _is_integer(raw) and (as_float32(value) if single else value) != int(raw):
            raise Unfit("it cannot be stored exactly")
        return 0.0 if raw == b"-0" else value  # the integer -0 is 0

    return convert


def _decimal(kind: DataType) -> Convert:
    def convert(raw: bytes) -> str:
        text = decode_text(raw) if raw[0] == _QUOTE else raw.decode()
        return decimal_text(text, kind.precision, kind.scale)

    return convert


def _string(_kind: DataType) -> Convert:
    def convert(raw: bytes) -> str:
        if raw[0] == _QUOTE:
            return decode_text(raw)
        if raw == _NULL:
            raise Unfit
        return raw.decode()

    return convert


def _fixed_string(kind: DataType) -> Convert:
    text_of = _string(kind)

    def convert(raw: bytes) -> str:
        text: str = text_of(raw)
        if len(text.encode()) > kind.length:
            raise Unfit(f"longer than {kind.length} bytes")
        return text

    return convert


def _bool(_kind: DataType) -> Convert:
    def convert(raw: bytes) -> bool:
        word = decode_text(raw) if raw[0] == _QUOTE else raw.decode()
        value = BOOL_WORDS.get(word.lower()) if raw[0] == _QUOTE or word in {"true", "false", "1", "0"} else None
        if value is None:
            raise Unfit
        return value

    return convert


def _text(raw: bytes) -> str:
    if raw[0] != _QUOTE:
        raise Unfit
    return decode_text(raw)


def _uuid(_kind: DataType) -> Convert:
    def convert(raw: bytes) -> str:
        text = _text(raw)
        if not UUID_TEXT.fullmatch(text):
            raise Unfit
        return text

    return convert


def _ipv4(_kind: DataType) -> Convert:
    def convert(raw: bytes) -> str:
        text = _text(raw)
        try:
            return str(IPv4Address(text))
        except AddressValueError:
            raise Unfit from None

    return convert


def _ipv6(_kind: DataType) -> Convert:
    def convert(raw: bytes) -> str:
        text = _text(raw)
        try:
            if ":" not in text:
                text = f"::ffff:{IPv4Address(text)}"
            address = IPv6Address(text)
        except AddressValueError:
            raise Unfit from None
        if address.scope_id is not None:
            raise Unfit("an address with a scope cannot be stored")
        # Not in short: 16 characters would be taken for the 16 bytes of an address (see `_digits`).
        return address.exploded

    return convert


def _enum(kind: DataType) -> Convert:
    names = {name for name, _number in kind.values}
    numbers = {str(number).encode(): name for name, number in kind.values}

    def convert(raw: bytes) -> str:
        name = decode_text(raw) if raw[0] == _QUOTE else numbers.get(raw)
        if name is None or name not in names:
            raise Unfit
        return name

    return convert


def _moments(reader: Times | Days) -> Convert:
    def convert(raw: bytes) -> int:
        try:
            return reader.texts([decode_text(raw)])[0] if raw[0] == _QUOTE else reader.number(raw)
        except NotMoment as error:
            raise Unfit(str(error)) from None

    return convert


def _date_or_time(kind: DataType) -> Convert:
    return _moments(moment_reader(kind))


_FACTORIES: Final[dict[str, Callable[[DataType], Convert]]] = {
    "Float32": _float,
    "Float64": _float,
    "Decimal": _decimal,
    "String": _string,
    "FixedString": _fixed_string,
    "Bool": _bool,
    "UUID": _uuid,
    "IPv4": _ipv4,
    "IPv6": _ipv6,
    "Enum8": _enum,
    "Enum16": _enum,
    "Date": _date_or_time,
    "Date32": _date_or_time,
    "DateTime": _date_or_time,
    "DateTime64": _date_or_time,
}
