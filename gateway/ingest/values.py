"""Values: the JSON text of one value and a column type → the value that will be stored, or why it does not fit.

This is the exact path: it works on the source text, so `1.10` stays `1.10` in a String, a Decimal keeps every digit, and
an integer is an integer only if it is written as one. A value is taken as it is or not at all. What may be written how
is the table in the wire contract (data sources, "Types"); where that leaves room:

    integers      digits only: `1.0` and `1e3` are refused; strings of digits only for 64 bits and more
    Float32/64    any number in range; an integer the type cannot hold exactly is refused, a fraction is rounded as
                  floating point does
    Decimal       number or string; more digits than the column has are refused unless they are zeros
    String        strings; the source text of anything else but null
    Bool          true, false, 1, 0, and the usual words in strings, in any case
    IPv6          also an IPv4 address, which is stored as ::ffff:…
    Map           an object; keys are read as text of the key type; two keys with one meaning are refused
    Tuple         an object with the names (others ignored; Nullable elements may be missing), or an array of that length

A converter takes the text of a whole, valid JSON value, without blanks around it (`msgspec.Raw` is that), in UTF-8.
"""

import re
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any, Final

import msgspec

from gateway.core.errors import InvalidRequest
from gateway.ingest.moments import DATE32_DAYS, DATE_DAYS_MAX, Days, NotMoment, Times, load_zone
from gateway.ingest.objects import object_converter
from gateway.ingest.transport import element_names
from gateway.ingest.unfit import Unfit, decode_text, shown
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
_FLOAT_CHARS_MAX: Final = 4096
_DECIMAL_CHARS_MAX: Final = 1024

_QUOTE, _BRACE, _BRACKET = b'"{['
_NULL: Final = b"null"
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SCIENTIFIC: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]{1,3}")
UUID_TEXT: Final = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_BOOLS: Final = {
    word: value
    for value, words in ((True, "true t yes y on enable enabled 1"), (False, "false f no n off disable disabled 0"))
    for word in words.split()
}

_decode_float: Final = msgspec.json.Decoder(float).decode
_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_dict: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def converter(kind: DataType) -> Convert:
    """Return the converter to the plain type `kind`.

    Raises:
        InvalidRequest: it is a type no JSON value can be stored in.
    """
    name = kind.name
    if name in SMALL_INTEGERS:
        return _small_integer(*SMALL_INTEGERS[name], bools=name == "UInt8")
    if name in BIG_INTEGERS:
        return _big_integer(*BIG_INTEGERS[name], as_text=not name.endswith("64"))
    return _FACTORIES[name](kind)


def default_json(kind: DataType) -> bytes:
    """Return JSON text that the converter to the plain type `kind` makes the type's default value of."""
    match kind.name:
        case "Nullable":
            return _NULL
        case "String" | "FixedString":
            return b'""'
        case "Bool":
            return b"false"
        case "UUID":
            return b'"00000000-0000-0000-0000-000000000000"'
        case "IPv4":
            return b'"0.0.0.0"'
        case "IPv6":
            return b'"::"'
        case "Date32":
            return b'"1900-01-01"'
        case "Enum8" | "Enum16":
            return msgspec.json.encode(kind.values[0][0])
        case "Array":
            return b"[]"
        case "Map" | "JSON":
            return b"{}"
        case "Tuple":
            return b"[" + b",".join([default_json(arg) for arg in kind.args]) + b"]"
    return b"0"


def elements(raw: bytes) -> list[msgspec.Raw]:
    """Return the texts of the elements of an array.

    Raises:
        Unfit: it is none.
    """
    if raw[0] != _BRACKET:
        raise Unfit
    return _decode_list(raw)


def members(raw: bytes) -> Mapping[str, msgspec.Raw]:
    """Return the texts of the members of an object, the last of equal keys.

    Raises:
        Unfit: it is none.
    """
    if raw[0] != _BRACE:
        raise Unfit
    return _decode_dict(raw)


def decimal_text(text: str, precision: int, scale: int) -> str:
    """Return the number `text` in the digits of a Decimal(`precision`, `scale`): `12.5`, no exponent.

    Raises:
        Unfit: it is no number, or has digits the column has no place for.
    """
    if len(text) > _DECIMAL_CHARS_MAX:
        raise Unfit("too many digits")
    if _SCIENTIFIC.fullmatch(text):
        text = format(Decimal(text), "f")
    if not _NUMBER.fullmatch(text):
        raise Unfit
    digits, _, fraction = text.partition(".")
    sign, whole, fraction = "-" * text.startswith("-"), digits.lstrip("-0"), fraction.rstrip("0")
    if len(fraction) > scale:
        raise Unfit(f"more than {scale} digits after the point")
    if len(whole) > precision - scale:
        raise Unfit(f"more than {precision - scale} digits before the point")
    return f"{sign}{whole or '0'}.{fraction}" if fraction else sign + (whole or "0")


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
        text = decode_text(raw) if raw[0] == _QUOTE else raw.decode()
        if not _INTEGER.fullmatch(text):
            raise Unfit
        value = int(text) if len(text) <= _INTEGER_CHARS_MAX else high + 1
        if not low <= value <= high:
            raise Unfit("out of range")
        return str(value) if as_text else value

    return convert


def _float(kind: DataType) -> Convert:
    single = kind.name == "Float32"

    def convert(raw: bytes) -> float:
        if raw[0] not in b"-0123456789":
            raise Unfit
        if len(raw) > _FLOAT_CHARS_MAX:
            raise Unfit("too many digits")
        try:
            value = _decode_float(raw)
        except msgspec.MsgspecError:
            raise Unfit("out of range") from None
        if single and not fits_float32(value):
            raise Unfit("out of range")
        if _is_integer(raw) and (as_float32(value) if single else value) != int(raw):
            raise Unfit("it cannot be stored exactly")
        return value

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
        value = _BOOLS.get(word.lower()) if raw[0] == _QUOTE or word in {"true", "false", "1", "0"} else None
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
                return f"::ffff:{IPv4Address(text)}"
            address = IPv6Address(text)
        except AddressValueError:
            raise Unfit from None
        if address.scope_id is not None:
            raise Unfit("an address with a scope cannot be stored")
        return str(address)

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


def _nullable(kind: DataType) -> Convert:
    inner = converter(kind.args[0])

    def convert(raw: bytes) -> Any:
        return None if raw == _NULL else inner(raw)

    return convert


def _array(kind: DataType) -> Convert:
    element = kind.args[0]
    inner = converter(element)

    def convert(raw: bytes) -> list[Any]:
        return [_part(inner, bytes(item), element, f"element {n}") for n, item in enumerate(elements(raw), 1)]

    return convert


def _map(kind: DataType) -> Convert:
    key_kind, value_kind = kind.args
    key_of = _key_converter(key_kind)
    inner = converter(value_kind)

    def convert(raw: bytes) -> dict[Any, Any]:
        found = members(raw)
        result = {}
        for key, item in found.items():
            result[key_of(key)] = _part(inner, bytes(item), value_kind, f"the value of '{shown(key)}'")
        if len(result) < len(found):
            raise Unfit("two keys have one meaning")
        return result

    return convert


def _key_converter(kind: DataType) -> Callable[[str], Any]:
    """Return what reads the text of a key as `kind`."""
    if kind.name == "String":
        return lambda text: text
    if kind.name in {"Array", "Map", "Tuple", "JSON", "Nullable"}:
        raise InvalidRequest(f"A Map with keys of type {kind.text} cannot be filled from JSON")
    inner = converter(kind)
    is_number = kind.name in SMALL_INTEGERS or kind.name.startswith("Float")

    def convert(text: str) -> Any:
        if is_number and not _NUMBER.fullmatch(text):
            raise Unfit(f"key '{shown(text)}' is not {kind.text}")
        raw = text.encode() if is_number else msgspec.json.encode(text)
        return _part(inner, raw, kind, "key")

    return convert


def _tuple(kind: DataType) -> Convert:
    names = element_names(kind)
    inner = [converter(arg) for arg in kind.args]

    def convert(raw: bytes) -> dict[str, Any]:
        found = [bytes(item) for item in elements(raw)] if raw[0] == _BRACKET or not kind.names else _by_name(raw, kind)
        if len(found) != len(inner):
            raise Unfit(f"it must have {len(inner)} elements")
        return {
            name: _part(read, item, element, f"element '{name}'")
            for name, read, item, element in zip(names, inner, found, kind.args, strict=True)
        }

    return convert


def _by_name(raw: bytes, kind: DataType) -> list[bytes]:
    found = members(raw)
    absent = [name for name, arg in zip(kind.names, kind.args, strict=True) if name not in found and not arg.is_nullable]
    if absent:
        raise Unfit(f"element '{absent[0]}' is missing")
    return [bytes(found[name]) if name in found else _NULL for name in kind.names]


def _part(convert: Convert, raw: bytes, kind: DataType, where: str) -> Any:
    """Convert a part of a value; a refusal says which part."""
    try:
        return convert(raw)
    except Unfit as error:
        detail = f" ({error})" if str(error) else ""
        raise Unfit(f"{where}, '{shown(raw)}', is not {shown(kind.inner.text)}{detail}") from None


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
    "JSON": lambda kind: object_converter(kind, converter),
    "Nullable": _nullable,
    "Array": _array,
    "Map": _map,
    "Tuple": _tuple,
}
