"""Objects: JSON text for a column of type JSON, such that ClickHouse takes it and changes nothing.

ClickHouse refuses a whole insert for one object with a key twice, so the text is written anew from what was read: the
last of equal keys wins. Refused here, because the engine would refuse the insert, or store something else:

    integers below -2^63 or above 2^64 - 1           they become text
    integers above 2^53 (either sign) in arrays      floats, if another row has fractions there
    arrays of nulls, or of nulls and arrays          empty arrays, if another row has arrays there
    {"a.b": 1, "a": {"b": 2}}                        two values for one path: a dot in a key is a step for ClickHouse
    nesting deeper than `DEPTH_MAX`                  the insert would be refused
    what does not fit a typed path, `JSON(a UInt8)`  1.5 becomes 1

What the type itself does not keep is not ours to save: null members and empty objects vanish, a key with a dot comes
back as nested objects, and the order of keys is lost. What the insert needs is in `jsonrows`.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.core.errors import InvalidRequest
from gateway.ingest.unfit import Unfit, decode_text, shown
from gateway.ingest.written import written
from gateway.schema.types import DataType

LONG_TEXT_BYTES: Final = 64 * 1024
DEPTH_MAX: Final = 500  # the engine takes 1024; Python's own limit is near 1000

_INT64_MIN: Final = -(2**63)
_UINT64_MAX: Final = 2**64 - 1
_EXACT_MAX: Final = 2**53

_QUOTE: Final = ord('"')
# What few objects have, and what makes a walk over all of one necessary: a long number, null in an array, a dotted key.
_SUSPECT: Final = re.compile(rb'[0-9]{16}|[\[,]null|\.[^"]*":')

_Convert = Callable[[bytes], Any]


def object_converter(kind: DataType, converter: Callable[[DataType], _Convert]) -> _Convert:
    """Return what makes of an object, or of a string that holds one, the text for a column of type `kind`.

    Args:
        kind: the JSON type, with its typed paths.
        converter: makes converters, for the typed paths.

    Raises:
        InvalidRequest: a typed path has a type that cannot be checked here.
    """
    typed = [_TypedPath(path, arg, converter) for path, arg in zip(kind.names, kind.args, strict=True)]
    by_value = msgspec.json.Decoder(dict[str, Any]).decode
    by_text = msgspec.json.Decoder(dict[str, Any], float_hook=_keep_text).decode

    def convert(raw: bytes) -> str:
        if raw[0] == _QUOTE:
            raw = decode_text(raw).strip().encode()
        if not raw.startswith(b"{"):
            raise Unfit("it must be an object")
        try:
            # With typed paths a number must keep its text: a Decimal wants all of it. And see `readers.LINE_BYTES_MAX`.
            value = by_text(raw) if typed or len(raw) > LONG_TEXT_BYTES else by_value(raw)
            for path in typed:
                path.apply(value)
            text = msgspec.json.encode(value)
            if _SUSPECT.search(text) or text.count(b"{") + text.count(b"[") > DEPTH_MAX:
                _check(value, 0)
                _check_paths(value)
        except msgspec.MsgspecError:
            raise Unfit("it must be an object, with finite numbers") from None
        except RecursionError:
            raise Unfit("nested too deeply") from None
        return text.decode()

    return convert


def _keep_text(number: str) -> msgspec.Raw:
    if len(number) > 400 or float(number) in {float("inf"), float("-inf")}:
        raise Unfit("a number is out of range")
    return msgspec.Raw(number.encode())


def _check(value: Any, depth: int) -> None:
    """Raise if `value` has a number the engine would alter, or is too deep."""
    if depth > DEPTH_MAX:
        raise Unfit("nested too deeply")
    if value.__class__ is dict:
        for item in value.values():
            _check(item, depth + 1)
    elif value.__class__ is list:
        if None in value and all(item is None or item.__class__ in {list, dict} for item in value):
            raise Unfit("an array of nulls, or of nulls and arrays or objects, cannot be stored")
        for item in value:
            _check(item, depth + 1)
            if item.__class__ is int and abs(item) > _EXACT_MAX:
                raise Unfit(f"{shown(str(item))} in an array cannot be stored exactly")
    elif value.__class__ is int and not _INT64_MIN <= value <= _UINT64_MAX:
        raise Unfit(f"{shown(str(value))} has more than 64 bits")


def _check_paths(value: dict[str, Any]) -> None:
    """Raise if two values of one object would get the same path, here or in an array of objects."""
    seen: set[str] = set()
    objects = [("", value)]
    while objects:
        prefix, members = objects.pop()
        for key, item in members.items():
            path = prefix + key
            if item.__class__ is dict:
                objects.append((path + ".", item))
                continue
            if path in seen:
                raise Unfit(f"two values at the path '{shown(path)}'")
            seen.add(path)
            if item.__class__ is list:
                _check_array(item)


def _check_array(array: list[Any]) -> None:
    for item in array:
        if item.__class__ is dict:
            _check_paths(item)
        elif item.__class__ is list:
            _check_array(item)


class _TypedPath:
    """One `a.b UInt8` in `JSON(a.b UInt8)`: its values are checked, and written as the engine reads that type."""

    __slots__ = ("_convert", "_kind", "_path", "_steps")

    def __init__(self, path: str, kind: DataType, converter: Callable[[DataType], _Convert]) -> None:
        _check_kind(kind)
        self._path = path
        self._steps = path.split(".")
        self._kind = kind
        self._convert = converter(kind)

    def apply(self, value: dict[str, Any]) -> None:
        """Check what `value` has at the path, and rewrite it in place. It may be there once, with or without dots."""
        self._visit(value, self._path)

    def _visit(self, value: dict[str, Any], rest: str) -> None:
        for key in [key for key in value if rest == key or rest.startswith(f"{key}.")]:
            if rest == key:
                value[key] = self._rewritten(value[key])
            elif value[key].__class__ is dict:
                self._visit(value[key], rest[len(key) + 1 :])

    def _rewritten(self, item: Any) -> Any:
        raw = msgspec.json.encode(item)
        try:
            return written(self._kind, self._convert(raw))
        except Unfit as error:
            detail = f" ({error})" if str(error) else ""
            raise Unfit(f"'{shown(raw)}' at '{self._path}' is not {self._kind.text}{detail}") from None


def _check_kind(kind: DataType) -> None:
    if kind.name in {"Nullable", "Array"}:
        _check_kind(kind.args[0])
    elif kind.name in {"Map", "Tuple", "JSON"}:
        raise InvalidRequest(f"A typed path of type {kind.text} in a JSON column cannot be filled from JSON")
