"""Readers: the tree of all JSONPaths' keys, compiled twice.

    ExactReader   structs of raw texts: every value's source text, for the converters of `values`; takes any JSON object
    FastReader    structs of typed fields, decoded and checked in C; takes only what needs no second look

**Invariant:** what the fast reader accepts, the exact reader accepts too, with the same values. So the fast reader may
refuse whatever it likes (a number for a String, a string of digits for an Int64): such a line is read exactly.

Keys are matched as written, an unknown key is skipped, and of equal keys the last counts (also whole objects: an
earlier `"a": {…}` leaves nothing behind). A step into what is no object finds nothing: the value is missing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from gateway.ingest.fast import Check, check_present, typed
from gateway.ingest.plan import REFUSE, Feed

LINE_BYTES_MAX: Final = 64 * 1024
"""Of a line for the fast reader. msgspec reads a float of 100 000 digits and more wrongly when it has an exponent."""


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

    __slots__ = ("_checks", "_columns", "_shared", "_whole", "decode", "nothing")

    def __init__(self, all_feeds: Sequence[Feed], node: _Node | None = None) -> None:
        node = node or _tree(all_feeds)
        self._whole = [(number, all_feeds[number]) for number in node.feeds]
        self._checks: list[tuple[int, Check]] = []
        self._shared: list[_Shared] = []
        places: dict[int, str] = {}
        struct, optional = self._struct(all_feeds, node, "", places)
        self.decode = msgspec.json.Decoder(struct).decode
        """Text of one event → struct."""
        self.nothing = struct() if optional else None
        """The struct of an event that has none of the keys; None if it must have some."""
        self._columns = _transposer(places, len(all_feeds))

    def read(self, events: Sequence[Any], lines: Sequence[bytes]) -> list[Any]:
        """Return the values of `events`, one sequence per feed; None for feeds this reader does not know.

        Args:
            events: what `decode` made of `lines`.
            lines: their text.

        Raises:
            Unfit, ValueError, msgspec.MsgspecError: at least one event needs the exact path.
        """
        columns = self._columns(events)
        for number, check in self._checks:
            columns[number] = check(columns[number])
        for number, feed in self._whole:
            columns[number] = [feed.value(line.strip()) for line in lines]
        for shared in self._shared:
            texts = columns[shared.number]
            if shared.below is not None:
                decode, nothing = shared.below.decode, shared.below.nothing
                below = shared.below.read([nothing if text is UNSET else decode(text) for text in texts], ())
                columns = [old if new is None else new for old, new in zip(columns, below, strict=True)]
            for number, check in shared.checks:
                columns[number] = check(texts)
        return columns

    def _struct(self, all_feeds: Sequence[Feed], node: _Node, prefix: str, places: dict[int, str]) -> tuple[Any, bool]:
        """Return the struct for the keys below `node`, and whether every one of them may be missing.

        What is found where goes into `places`: number of a feed → attributes, such as `f0.f1`.
        """
        fields: list[Any] = []
        names = {}
        optional = True
        for number, (key, child) in enumerate(node.children.items()):
            name = f"f{number}"
            names[name] = key
            kind, default = self._field(all_feeds, child, prefix + name, places)
            fields.append((name, kind) if default is REFUSE else (name, kind, default))
            optional = optional and default is not REFUSE
        struct = msgspec.defstruct("Event", fields, rename=names, gc=False, frozen=True, kw_only=True)
        return struct, optional

    def _field(self, all_feeds: Sequence[Feed], node: _Node, path: str, places: dict[int, str]) -> tuple[Any, Any]:
        """Return the type and the default (REFUSE: it must be there) of the field that holds `node`."""
        if not node.feeds:
            struct, optional = self._struct(all_feeds, node, f"{path}.", places)
            # An event without the key gets the empty struct, so that there is always something to look into.
            return struct, struct() if optional else REFUSE
        first = node.feeds[0]
        places[first] = path
        if node.children or len(node.feeds) > 1:
            below = FastReader(all_feeds, _Node([], node.children)) if node.children else None
            self._shared.append(_Shared(first, [(n, _texts_check(all_feeds[n])) for n in node.feeds], below))
            must = any(all_feeds[n].missing is REFUSE for n in node.feeds) or (below and below.nothing is None)
            return (Raw, REFUSE) if must else (Raw | UnsetType, UNSET)
        kind, default, check = _leaf(all_feeds[first])
        if check is not None:
            self._checks.append((first, check))
        return kind, default


@dataclass(frozen=True, slots=True)
class _Shared:
    """A key whose value several feeds want, or a feed and others below it: its text is read for each.

    Attributes:
        number: of the feed in whose column the texts are at first.
        checks: of the feeds that want the whole value, by number.
        below: reads the keys in it.
    """

    number: int
    checks: list[tuple[int, Check]]
    below: FastReader | None


def _transposer(places: dict[int, str], width: int) -> Callable[[Sequence[Any]], list[Any]]:
    """Return a function from structs to columns: one list per feed, None for those without a place.

    Its text is generated, as that of a dataclass is: comprehensions that name the attributes take a third of the time
    of `attrgetter` and `zip`. The names are ours (`f0.f1`), nothing of the schema is in it.
    """
    one = ", ".join(f"[e.{places[n]}]" if n in places else "None" for n in range(width))
    many = ", ".join(f"[e.{places[n]} for e in events]" if n in places else "None" for n in range(width))
    text = f"def columns(events):\n if len(events) == 1:\n  e = events[0]\n  return [{one}]\n return [{many}]\n"
    namespace: dict[str, Any] = {}
    exec(text, namespace)  # noqa: S102  see above
    return namespace["columns"]  # type: ignore[no-any-return]


def _texts_check(feed: Feed) -> Check:
    return lambda texts: [feed.value(None if text is UNSET else bytes(text)) for text in texts]


def _leaf(feed: Feed) -> tuple[Any, Any, Check | None]:
    """Return type and default (REFUSE: it must be there) of the field of a feed, and what to do with its values."""
    found = typed(feed.kind.inner, feed.rest)
    if found is None:
        texts = _texts_check(feed)
        return (Raw, REFUSE, texts) if feed.missing is REFUSE else (Raw | UnsetType, UNSET, texts)
    kind, check = found.type, found.check
    if feed.missing is REFUSE and feed.null is REFUSE:
        return kind, REFUSE, check
    if feed.missing is None and feed.null is None:
        return kind | None, None, check and check_present(check, None, None)
    return kind | None | UnsetType, UNSET, check_present(check, feed.missing, feed.null)
