"""Values: the JSON text of one value and a column type → the value that will be stored, or why it does not fit.

This is the exact path: it works on the source text, so `1.10` stays `1.10` in a String, a Decimal keeps every digit,
and an integer is an integer only if it is written as one. A value is taken as it is or not at all. What may be written
how is the table in the wire contract (data sources, "Types"); where that leaves room:

    integers      digits only: `1.0` and `1e3` are refused; strings of digits only for 64 bits and more
    Float32/64    any number in range; an integer the type cannot hold exactly is refused, a fraction is rounded as
                  floating point does
    Decimal       number or string; more digits than the column has are refused unless they are zeros
    String        strings; the source text of anything else but null
    Bool          true, false, 1, 0, and the usual words in strings, in any case
    IPv6          also an IPv4 address, which is stored as ::ffff:…
    Map           an object; keys are read as text of the key type; two keys with one meaning are refused
    Tuple         an object with the names (others ignored; Nullable ones may be missing), or an array of that length

A converter takes the text of a whole, valid JSON value, without blanks around it (`msgspec.Raw` is that), in UTF-8.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from gateway.core.errors import InvalidRequest
from gateway.ingest.objects import object_converter
from gateway.ingest.scalars import NUMBER_TEXT, SMALL_INTEGERS, Convert, scalar_converter
from gateway.ingest.transport import element_names
from gateway.ingest.unfit import Unfit, shown
from gateway.schema.types import DataType

_NULL: Final = b"null"
_BRACE, _BRACKET = b"{["

_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_dict: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def converter(kind: DataType) -> Convert:
    """Return the converter to the plain type `kind`.

    Raises:
        InvalidRequest: it is a type no JSON value can be stored in.
    """
    return scalar_converter(kind) or _FACTORIES[kind.name](kind)


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
        if is_number and not NUMBER_TEXT.fullmatch(text):
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
    absent = [
        name for name, arg in zip(kind.names, kind.args, strict=True) if name not in found and not arg.is_nullable
    ]
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


_FACTORIES: Final[dict[str, Callable[[DataType], Convert]]] = {
    "JSON": lambda kind: object_converter(kind, converter),
    "Nullable": _nullable,
    "Array": _array,
    "Map": _map,
    "Tuple": _tuple,
}
