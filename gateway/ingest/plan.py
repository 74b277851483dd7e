"""Plan: what is compiled from a schema, once: which columns an event feeds, and from where.

A missing value, an explicit null and a DEFAULT meet in two rules per column, `missing` and `null`. A DEFAULT is left to
ClickHouse, as an Arrow null where that works and by leaving the column out where it does not; but one that means the
time of arrival (`now()`, `now64(3)`, `today()`) is known here, because the insert may come minutes later.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import UNSET

from gateway.core.errors import InvalidRequest
from gateway.ingest.moments import SECONDS_OF_DAY, Times
from gateway.ingest.scalars import Convert, moment_reader
from gateway.ingest.transport import null_is_default, plain
from gateway.ingest.unfit import Unfit, absence, refusal
from gateway.ingest.values import converter, default_json, elements, members
from gateway.schema.columns import Column, Schema
from gateway.schema.datatype import INTEGERS
from gateway.schema.jsonpath import EACH, JsonPath
from gateway.schema.lexer import words
from gateway.schema.types import DataType

OMIT: Final = UNSET
"""In the place of a value: leave the column out of the insert of this row, so that ClickHouse evaluates its DEFAULT."""


class _Mark:
    """Something that is no value."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


REFUSE: Final = _Mark("REFUSE")
"""As a rule for a missing value: the row does not fit."""
ARRIVAL: Final = _Mark("ARRIVAL")
"""In the place of a value: the time of arrival, as the column's DEFAULT wants it."""

_NULL: Final = b"null"
_DAY: Final = SECONDS_OF_DAY * 10**9  # in nanoseconds
_NO_KEY: Final = re.compile(r'["\\\x00-\x1f]')
_ARRIVAL: Final = re.compile(r"(now|now64|today)\(\s*([0-9])?\s*,?\s*('[^']*')?\s*\)", re.IGNORECASE)
_WHOLE: Final = re.compile(r"-?[0-9]+")
_FROM_STRING: Final = words("String FixedString UUID IPv4 IPv6 Enum8 Enum16 Date Date32 DateTime DateTime64 Decimal")
_EMPTY: Final[dict[str, tuple[str, Any]]] = {
    "[]": ("Array", []),
    "array()": ("Array", []),
    "map()": ("Map", {}),
    "{}": ("Map", {}),
    "'{}'": ("JSON", "{}"),
}


@dataclass(frozen=True, slots=True)
class Feed:
    """A column and where its value is.

    Attributes:
        column: of the schema.
        position: of the column in the schema.
        kind: its type, plain.
        path: of the value.
        keys: the steps of the path before the first `[:]`.
        rest: the others.
        convert: text of the value at `keys` → canonical value; raises `Unfit`.
        missing: the value of rows without one: REFUSE, OMIT, ARRIVAL, None or a constant.
        null: the value of rows with null; the same.
        arrival: unix time → the value that ARRIVAL stands for.
    """

    column: Column
    position: int
    kind: DataType
    path: JsonPath
    keys: tuple[str, ...]
    rest: tuple[str, ...]
    convert: Convert
    missing: Any
    null: Any
    arrival: Callable[[float], int] | None

    def value(self, raw: bytes | None) -> Any:
        """Return the value that `raw`, the text at `keys`, stands for; None is a missing one.

        Raises:
            Unfit: with the whole sentence.
        """
        if raw is None or raw == _NULL:
            value = self.missing if raw is None else self.null
            if value is REFUSE:
                raise Unfit(absence(self.column, self.path.text))
            return value
        try:
            return self.convert(raw)
        except Unfit as error:
            raise Unfit(refusal(self.column, raw, str(error))) from None
        except RecursionError:
            raise Unfit(refusal(self.column, raw, "nested too deeply")) from None


def feeds(schema: Schema) -> tuple[Feed, ...]:
    """Return the columns that events feed, in order.

    Columns without a JSONPath are left to their DEFAULT; if no column has one, each is read from the key of its name.

    Raises:
        InvalidRequest: there is none, or one that JSON cannot feed.
    """
    by_name = not schema.has_jsonpaths
    found = []
    for position, column in enumerate(schema.columns):
        path = column.jsonpath or (JsonPath(f"$.{column.name}", (column.name,)) if by_name else None)
        if path is not None and column.default_kind in {"", "DEFAULT"}:
            found.append(_feed(column, position, path))
    if not found:
        raise InvalidRequest("No column of the data source can be filled from JSON: none has a JSONPath")
    return tuple(found)


def _feed(column: Column, position: int, path: JsonPath) -> Feed:
    kind = plain(column.type)
    if any(_NO_KEY.search(step) for step in path.steps):
        raise InvalidRequest(f"Column '{column.name}' has a JSONPath with a quote, backslash or control character")
    each = path.steps.index(EACH) if EACH in path.steps else len(path.steps)
    keys, rest = path.steps[:each], path.steps[each:]
    arrival = _arrival(kind, column.default_expression) if column.default_kind else None
    missing, null = _absent(column, kind, arrival is not None)
    convert = _collecting(rest, kind, converter(kind))
    return Feed(column, position, kind, path, keys, rest, convert, missing, null, arrival)


def _absent(column: Column, kind: DataType, is_arrival: bool) -> tuple[Any, Any]:
    """Return the rules for a missing value and for null.

    Source: events.md §4, items 2 and 3; datasources.md §7, null rule.
    """
    if column.default_kind != "DEFAULT":
        rule = None if kind.is_nullable else REFUSE
        return rule, rule
    family, constant = _EMPTY.get("".join(column.default_expression.lower().split()), ("", None))
    missing: Any = None if null_is_default(kind) else OMIT
    if is_arrival:
        missing = ARRIVAL
    elif family == kind.name:
        missing = constant
    elif missing is OMIT:
        missing = _constant(kind.inner, column.default_expression)
    if kind.is_nullable:
        return missing, None
    return missing, [] if kind.name == "Array" else missing


def _constant(kind: DataType, expression: str) -> Any:
    """Return the value of a DEFAULT that is a literal and means the same to us as to ClickHouse; OMIT if it is none.

    It spares an insert of its own to the rows that lack the column.
    """
    text = expression.strip()
    if kind.name in INTEGERS and _WHOLE.fullmatch(text):
        literal = text.encode()
    elif (
        kind.name in _FROM_STRING and len(text) > 1 and text[0] == text[-1] == "'" and not set(text[1:-1]) & set("'\\")
    ):
        literal = msgspec.json.encode(text[1:-1])
    else:
        return OMIT
    try:
        return converter(kind)(literal)
    except Unfit:
        return OMIT


def _arrival(kind: DataType, expression: str) -> Callable[[float], int] | None:
    """Return what gives the time of arrival, if that is what the DEFAULT means; at the insert it would be too late."""
    found = _ARRIVAL.fullmatch(expression.strip())
    kind = kind.inner
    if found is None or kind.name not in {"Date", "Date32", "DateTime", "DateTime64"}:
        return None
    function = found[1].lower()
    if found[3] and (function == "today" or kind.name in {"Date", "Date32"}):
        return None  # which day it is depends on the zone
    steps = {"now": 10**9, "now64": int(10 ** (9 - int(found[2] or 3))), "today": _DAY}
    step = steps[function]
    reader = moment_reader(kind)

    def at(now: float) -> int:
        nanoseconds = int(now * 1e6) * 1000 // step * step
        if isinstance(reader, Times):
            return reader.from_nanoseconds(nanoseconds)
        return nanoseconds // _DAY

    return at


def _collecting(rest: Sequence[str], kind: DataType, convert: Convert) -> Convert:
    """Return `convert` behind the steps from the first `[:]` on."""
    if not rest:
        return convert
    absent = [_NULL if kind.inner.name == "String" else default_json(kind.inner)]
    element = kind.inner
    for _ in range(rest.count(EACH)):
        element = element.args[0] if element.name == "Array" else element
        absent.append(default_json(element) if kind.inner.name == "Array" else _NULL)
    return lambda raw: convert(_collect(raw, rest, absent))


def _collect(raw: bytes, rest: Sequence[str], absent: Sequence[bytes]) -> bytes:
    """Return the JSON text of what the steps `rest` find in `raw`: an array where there is a `[:]`.

    Args:
        raw: text of a value.
        rest: keys and `[:]`.
        absent: the text of what is missing, by the number of `[:]` on the way to it.
    """
    for number, step in enumerate(rest):
        if step == EACH:
            items = elements(raw)
            below = rest[number + 1 :]
            if not below:
                return raw
            return b"[" + b",".join([_collect(bytes(item), below, absent[1:]) for item in items]) + b"]"
        found = members(raw).get(step) if raw.startswith(b"{") else None
        if found is None:
            return absent[0]
        raw = bytes(found)
    return raw
