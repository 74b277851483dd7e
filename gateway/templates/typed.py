"""Typed parameters: `Int32(page, 0)`, `String(name)`, `Array(ids, 'UInt32')`, …

    value = what was sent, else the default; neither: an error that names the parameters
    every value, defaults too, is checked by its text, and then is a number, a text or a list of the template

`description`, `enum`, `example`, `format` and `required` are for the documentation (`parameters.py`): they change
nothing here, and `enum` is not enforced.

Source: templates.md §5.1, §5.2.
"""

import json  # noqa: TID251  for its sentences only
import re
from collections.abc import Callable
from typing import Any, Final

import orjson

from gateway.templates.errors import TemplateError
from gateway.templates.operators import text_of
from gateway.templates.run import ITEMS_MAX, Run, checked, too_large, weigh
from gateway.templates.values import NO_VALUE, Missing, SqlArray, TypedFloat, TypedInt

Convert = Callable[[str], Any]

# Names of the arguments that only document, accepted by every typed function.
DOCUMENTING: Final = frozenset({"description", "enum", "example", "format", "required"})

_SHOWN_CHARS_MAX: Final = 200
_INTEGER_CHARS_MAX: Final = 100

_SIGNED: Final = re.compile(r"[+-]?[0-9]+")
_UNSIGNED: Final = re.compile(r"[0-9]+")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME: Final = r"[0-9]{2}:[0-9]{2}:[0-9]{2}"
_DATETIME: Final = re.compile(rf"[0-9]{{4}}.[0-9]{{2}}.[0-9]{{2}}[T ]{_TIME}|[0-9]{{2}}.[0-9]{{2}}.[0-9]{{4}}.{_TIME}")
_DATETIME64: Final = re.compile(rf"(?:{_DATETIME.pattern})\.[0-9]{{3}}")
_MISSING_JSON: Final = "{}"


def given(run: Run, value: Any, default: Any, defined: Any, neutral: Any) -> Any:
    """Return the value of a parameter or its default; None when it may be absent and is.

    Args:
        run: in a check, an absent parameter without default is `neutral`.
        value: the parameter.
        default: None when there is none.
        defined: false: absent is None rather than an error.
        neutral: a value of the type.

    Raises:
        TemplateError: neither is there.
    """
    if value is not None and not isinstance(value, Missing):
        return value
    if default is not None and not isinstance(default, Missing):
        return default
    if run.is_check:
        return neutral
    if not defined:
        return None
    absent = value if isinstance(value, Missing) else default
    raise run.absent(absent if isinstance(absent, Missing) else Missing("without a value"))


def invalid(value: str, kind: str) -> TemplateError:
    """Return the error for a value that is not of its type."""
    return TemplateError(f"Error validating '{value[:_SHOWN_CHARS_MAX]}' to type {kind}")


def _integer(kind: str, low: int, high: int, pattern: re.Pattern[str], *, is_bare: bool = False) -> Convert:
    def convert(text: str) -> Any:
        if len(text) <= _INTEGER_CHARS_MAX and pattern.fullmatch(text):
            value = int(text)
            if low <= value <= high:
                return value if is_bare else TypedInt(value, kind)
        raise invalid(text, kind)

    return convert


def _float(kind: str) -> Convert:
    def convert(text: str) -> Any:
        if text == text.strip() and "_" not in text and text.isascii():
            try:
                return TypedFloat(float(text), kind)
            except ValueError:
                pass
        raise invalid(text, kind)

    return convert


def _matching(kind: str, pattern: re.Pattern[str], *, is_whole: bool) -> Convert:
    def convert(text: str) -> Any:
        if pattern.fullmatch(text) if is_whole else pattern.match(text):
            return text
        raise invalid(text, kind)

    return convert


def _bits(kind: str) -> int:
    return int(kind.removeprefix("U").removeprefix("Int"))


def _signed(kind: str) -> Convert:
    half = 1 << (_bits(kind) - 1)
    return _integer(kind, -half, half - 1, _SIGNED)


def _unsigned(kind: str) -> Convert:
    bits = _bits(kind)
    return _integer(kind, 0, (1 << bits) - 1, _SIGNED if bits > 64 else _UNSIGNED)


_WIDTHS: Final = (8, 16, 32, 64, 128, 256)

# Type → how a text becomes a value of it, and what stands for one in a check.
_CONVERT: Final[dict[str, tuple[Convert, Any]]] = {
    "String": (str, NO_VALUE),
    **{f"Int{width}": (_signed(f"Int{width}"), 0) for width in _WIDTHS},
    **{f"UInt{width}": (_unsigned(f"UInt{width}"), 0) for width in _WIDTHS},
    "Int": (_integer("Int32", -(2**31), 2**31 - 1, _SIGNED, is_bare=True), 0),
    "Integer": (_integer("Int32", -(2**31), 2**31 - 1, _SIGNED, is_bare=True), 0),
    "Float32": (_float("Float32"), 0.0),
    "Float64": (_float("Float64"), 0.0),
    "Date": (_matching("Date", _DATE, is_whole=True), "2019-01-01"),
    "DateTime": (_matching("DateTime", _DATETIME, is_whole=False), "2019-01-01 00:00:00"),
    "DateTime64": (_matching("DateTime64", _DATETIME64, is_whole=False), "2019-01-01 00:00:00.000"),
}


def _typed(kind: str) -> Callable[..., Any]:
    convert, neutral = _CONVERT[kind]

    def function(run: Run, value: Any, fallback: Any = None, /, *_more: Any, defined: Any = True, **named: Any) -> Any:
        found = given(run, value, named.get("default", fallback), defined, neutral)
        if found is None:
            return None
        return convert(found if type(found) is str else text_of(run, found))

    return function


def _boolean(run: Run, value: Any, fallback: Any = None, /, *_more: Any, defined: Any = True, **named: Any) -> Any:
    default = named.get("default", fallback)
    if isinstance(value, Missing) and default is None and not defined and not run.is_check:
        return None
    found = given(run, value, default if default is not None else 0, True, 0)
    return 0 if not found or str(found).lower() in ("0", "false") else 1


def _array(
    run: Run, value: Any, kind: Any = "String", fallback: Any = None, /, *_more: Any, defined: Any = True, **named: Any
) -> Any:
    kind = named.get("type", kind)
    convert, neutral = _CONVERT.get(str(kind), _CONVERT["String"])
    found = given(run, value, named.get("default", fallback), defined, [neutral])
    return None if found is None else _elements(run, found, str(kind), convert)


def _elements(run: Run, value: Any, kind: str, convert: Convert) -> SqlArray:
    """Return the typed elements of a text with commas, or of a list.

    Raises:
        TemplateError: an element is not of its type.
    """
    if isinstance(value, str):
        run.charge(1 + (len(value) >> 4))
        texts = value.split(",")
    else:
        items = value if isinstance(value, list | tuple) else [value]
        texts = [item if type(item) is str else text_of(run, item) for item in items]
    if len(texts) > ITEMS_MAX:
        raise too_large()
    run.charge(1 + (len(texts) >> 2))
    made = SqlArray()
    for place, text in enumerate(texts):
        try:
            made.append(_bare(convert(text)))
        except TemplateError:
            shown = ",".join(texts)[:_SHOWN_CHARS_MAX]
            bad = text[:_SHOWN_CHARS_MAX] or "empty string"
            raise TemplateError(f"Error validating [{shown}][{place}] ({bad}) to type {kind}") from None
    return made


def _bare(value: Any) -> Any:
    """Return an element without its type: `[1,2]`, not `[toInt32('1'),…]`."""
    if isinstance(value, TypedInt):
        return int(value)
    return float(value) if isinstance(value, TypedFloat) else value


def preprocessed(run: Run, value: Any, kind: str) -> Any:
    """Return what was sent for an `Array` parameter as a list; as it came if it is not of its type."""
    convert, _ = _CONVERT.get(kind, _CONVERT["String"])
    try:
        return list(_elements(run, value, kind, convert))
    except TemplateError as error:
        if run.work < 0:
            raise error from None
        return value


def _json(run: Run, value: Any, fallback: Any = None, /, *_more: Any, defined: Any = True, **named: Any) -> Any:
    default = named.get("default", fallback)
    found = given(run, value, default if default is not None else _MISSING_JSON, defined, _MISSING_JSON)
    if not isinstance(found, str):
        return found
    run.charge(1 + (len(found) >> 4))
    try:
        parsed = orjson.loads(found)
    except orjson.JSONDecodeError as error:
        raise TemplateError(
            f"Error parsing JSON: '{found[:_SHOWN_CHARS_MAX]}' - {_json_reason(found, error)}"
        ) from None
    weigh(run, parsed)
    return checked(run, parsed)


def _json_reason(text: str, error: Exception) -> str:
    """Return why `text` is not JSON, as clients have seen it said."""
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as other:
        return str(other)
    return str(error)


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no value of JSON")


TYPED: Final[dict[str, Callable[..., Any]]] = {
    **{kind: _typed(kind) for kind in _CONVERT},
    "Boolean": _boolean,
    "Array": _array,
    "JSON": _json,
}
