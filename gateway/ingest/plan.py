"""Plan: what is compiled from a schema, once: which columns an event feeds, from where, and how they are read.

The keys of all JSONPaths form a tree. It is compiled twice:

    ExactReader   structs of raw texts: every value's source text, for the converters of `values`; takes any JSON object
    FastReader    structs of typed fields, decoded and checked in C; takes only what needs no second look

**Invariant:** what the fast reader accepts, the exact reader accepts too, with the same values. So the fast reader may
refuse whatever it likes (a number for a String, a string of digits for an Int64): such a line is read exactly.

Keys are matched as written, an unknown key is skipped, and of equal keys the last counts (also whole objects: an
earlier `"a": {…}` leaves nothing behind). A step into what is no object finds nothing: the value is missing.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from gateway.core.errors import InvalidRequest
from gateway.ingest.fast import Check, check_present, typed
from gateway.ingest.moments import SECONDS_OF_DAY, Times
from gateway.ingest.transport import null_is_default, plain
from gateway.ingest.unfit import Unfit, absence, refusal
from gateway.ingest.values import Convert, converter, default_json, elements, members, moment_reader
from gateway.schema.columns import Column, Schema
from gateway.schema.jsonpath import EACH, JsonPath
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
    if kind.is_nullable:
        return missing, None
    return missing, [] if kind.name == "Array" else missing


def _arrival(kind: DataType, expression: str) -> Callable[[float], int] | None:
    """Return what gives the time of arrival, if that is what the DEFAULT means; at the insert it would be too late."""
    found = _ARRIVAL.fullmatch(expression.strip())
    kind = kind.inner
    if found is None or kind.name not in {"Date", "Date32", "DateTime", "DateTime64"}:
        return None
    function = found[1].lower()
    if found[3] and (function == "today" or kind.name in {"Date", "Date32"}):
        return None  # which day it is depends on the zone
    steps = {"now": 10**9, "now64": 10 ** (9 - int(found[2] or 3)), "today": _DAY}
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


@dataclass(slots=True)
class _Node:
    """A key of the tree: the feeds whose value is here, and the keys below."""

    feeds: list[int] = field(default_factory=list)
    children: dict[str, "_Node"] = field(default_factory=dict)


def _tree(all_feeds: Sequence[Feed]) -> _Node:
    root = _Node()
    for number, feed in enumerate(all_feeds):
        node = root
        for key in feed.keys:
            node = node.children.setdefault(key, _Node())
        node.feeds.append(number)
    return root


class ExactReader:
    """Finds the source text of every feed's value in an event. Immutable."""

    __slots__ = ("_decode", "_parts", "_whole", "feeds")

    def __init__(self, all_feeds: Sequence[Feed], node: _Node | None = None) -> None:
        node = node or _tree(all_feeds)
        self.feeds = all_feeds
        self._whole = tuple(node.feeds)
        fields = [(f"f{n}", Raw | UnsetType, UNSET) for n in range(len(node.children))]
        names = {f"f{n}": key for n, key in enumerate(node.children)}
        self._decode = msgspec.json.Decoder(msgspec.defstruct("Event", fields, rename=names, gc=False)).decode
        self._parts = [
            (f"f{n}", tuple(child.feeds), ExactReader(all_feeds, child) if child.children else None)
            for n, child in enumerate(node.children.values())
        ]

    def texts(self, line: bytes) -> list[bytes | None]:
        """Return the text of each feed's value, None where there is none.

        Raises:
            msgspec.MsgspecError: the line is not a JSON object.
            RecursionError: it is nested too deeply.
        """
        found: list[bytes | None] = [None] * len(self.feeds)
        self._find(line, found)
        for number in self._whole:
            found[number] = line.strip()
        return found

    def _find(self, raw: bytes, found: list[bytes | None]) -> None:
        event = self._decode(raw)
        for name, numbers, below in self._parts:
            part = getattr(event, name)
            if part is not UNSET:
                text = bytes(part)
                for number in numbers:
                    found[number] = text
                if below is not None and text.startswith(b"{"):
                    below._find(text, found)  # noqa: SLF001  the same class


class FastReader:
    """Reads events straight into columns of values; raises at the first sign of trouble. Immutable."""

    __slots__ = ("_getter", "_leaves", "_shared", "_single", "_whole", "decode")

    def __init__(self, all_feeds: Sequence[Feed], node: _Node | None = None) -> None:
        node = node or _tree(all_feeds)
        self._whole = [(number, all_feeds[number]) for number in node.feeds]
        self._leaves: list[tuple[int, int, Check | None]] = []
        self._shared: list[tuple[int, list[tuple[int, Check]], FastReader | None]] = []
        paths: list[str] = []
        self.decode = msgspec.json.Decoder(self._struct(all_feeds, node, "", paths)[0]).decode
        self._getter = attrgetter(*paths) if paths else None
        self._single = len(paths) == 1

    def read(self, events: Sequence[Any], lines: Sequence[bytes], columns: list[Any]) -> None:
        """Put the values of `events` into `columns`, one sequence per feed.

        Args:
            events: what `decode` made of `lines`.
            lines: their text.
            columns: one place per feed; those this reader knows are written.

        Raises:
            Unfit, ValueError, msgspec.MsgspecError: at least one event needs the exact path.
        """
        for number, feed in self._whole:
            columns[number] = [feed.value(line.strip()) for line in lines]
        if self._getter is None:
            return
        found: Any = [tuple(map(self._getter, events))] if self._single else tuple(zip(*map(self._getter, events)))
        for place, number, check in self._leaves:
            columns[number] = found[place] if check is None else check(found[place])
        for place, readers, below in self._shared:
            texts = found[place]
            for number, convert in readers:
                columns[number] = convert(texts)
            if below is not None:
                below.read([below.decode(text) for text in texts], (), columns)

    def _struct(self, all_feeds: Sequence[Feed], node: _Node, prefix: str, paths: list[str]) -> tuple[Any, bool]:
        """Return the struct for the keys below `node`, and whether every one of them may be missing."""
        fields: list[Any] = []
        names = {}
        optional = True
        for number, (key, child) in enumerate(node.children.items()):
            name = f"f{number}"
            names[name] = key
            if child.children and not child.feeds:
                kind, may_miss = self._struct(all_feeds, child, f"{prefix}{name}.", paths)
                # An event without the key gets the empty struct, so that there is always something to look into.
                fields.append((name, kind, kind()) if may_miss else (name, kind))
                optional = optional and may_miss
                continue
            place = len(paths)
            paths.append(prefix + name)
            if child.children or len(child.feeds) > 1:
                readers = [(n, _texts_check(all_feeds[n])) for n in child.feeds]
                self._shared.append((place, readers, FastReader(all_feeds, _Node([], child.children)) if child.children else None))
                fields.append((name, Raw))
                optional = False
            else:
                leaf, default, check = _leaf(all_feeds[child.feeds[0]])
                self._leaves.append((place, child.feeds[0], check))
                fields.append((name, leaf) if default is REFUSE else (name, leaf, default))
                optional = optional and default is not REFUSE
        struct = msgspec.defstruct("Event", fields, rename=names, gc=False, frozen=True, kw_only=True)
        return struct, optional


def _texts_check(feed: Feed) -> Check:
    return lambda texts: [feed.value(bytes(text)) for text in texts]


def _leaf(feed: Feed) -> tuple[Any, Any, Check | None]:
    """Return the type of the field of a feed, its default (REFUSE: it must be there), and what to do with its values."""
    found = typed(feed.kind.inner, feed.rest)
    if found is None:
        check = _texts_check(feed)
        if feed.missing is REFUSE:
            return Raw, REFUSE, check
        return Raw | UnsetType, UNSET, check_present(check, feed.missing, None)
    kind, check = found.type, found.check
    if feed.missing is REFUSE and feed.null is REFUSE:
        return kind, REFUSE, check
    if feed.missing is None and feed.null is None:
        return kind | None, None, check and check_present(check, None, None)
    return kind | None | UnsetType, UNSET, check_present(check, feed.missing, feed.null)
