"""Sample: the first events of a body, as a tree of everything found in them, within bounds.

`Place` is a node of the tree: one path, with how often which kind of value was there. A sample is bounded in lines and
bytes; its tree in places, and in elements of arrays, which is what one long line could be made of.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from gateway.schema.guess import Guess
from gateway.schema.jsonpath import STEPS_MAX

LINES_MAX: Final = 10_000
BYTES_MAX: Final = 1024 * 1024  # the line that passes it still counts: there has to be one
ELEMENTS_MAX: Final = 100_000  # of all arrays together; further ones are not looked at
PLACES_MAX: Final = 10_000  # distinct paths; further ones are not looked at

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_decode_any: Final = msgspec.json.Decoder(Any).decode
_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_elements: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode

# What is wrong with a line that is passed over.
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Place:
    """One path, and how often what was found there."""

    __slots__ = ("arrays", "element", "guess", "members", "nulls", "objects", "scalars")

    def __init__(self) -> None:
        self.nulls = self.objects = self.arrays = self.scalars = 0
        self.members: dict[str, Place] = {}
        """By key, of all objects here."""
        self.element: Place | None = None
        """Of all elements of all arrays here."""
        self.guess = Guess()
        """Of all scalars here."""

    @property
    def values(self) -> int:
        """How many there were, null not counted."""
        return self.objects + self.arrays + self.scalars

    @property
    def is_mixed(self) -> bool:
        """Whether objects, arrays and scalars were found, or two kinds of these."""
        return max(self.objects, self.arrays, self.scalars) < self.values


class Sample:
    """Events, added one by one, as a tree."""

    def __init__(self) -> None:
        self.root = Place()
        """The events themselves: `root.objects` of them."""
        self.is_cut = False
        """Whether there were more places than are kept."""
        self._places_left = PLACES_MAX
        self._elements_left = ELEMENTS_MAX

    def add(self, event: Mapping[str, Any]) -> None:
        """Add an event: its values are dict, list, str, int, float, bool and None; anything else counts as text."""
        self.root.objects += 1
        self._add_members(self.root, event, 1)

    def _add(self, place: Place, value: Any, steps: int) -> None:
        """Add what was found at `place`, so many steps from the event; below `STEPS_MAX` nothing is looked at."""
        if value is None:
            place.nulls += 1
        elif isinstance(value, dict):
            place.objects += 1
            if steps < STEPS_MAX:
                self._add_members(place, value, steps + 1)
        elif isinstance(value, list):
            place.arrays += 1
            if steps < STEPS_MAX:
                self._add_elements(place, value, steps + 1)
        else:
            place.scalars += 1
            place.guess.add(value)

    def _add_members(self, place: Place, members: Mapping[str, Any], steps: int) -> None:
        for key, value in members.items():
            below = place.members.get(key)
            if below is None:
                below = self._new_place()
                if below is None:
                    continue
                place.members[key] = below
            self._add(below, value, steps)

    def _add_elements(self, place: Place, elements: list[Any], steps: int) -> None:
        if not elements:
            return
        place.element = place.element or self._new_place()
        if place.element is None:
            return
        looked_at = elements[: self._elements_left]
        self._elements_left -= len(looked_at)
        for value in looked_at:
            self._add(place.element, value, steps)

    def _new_place(self) -> Place | None:
        if not self._places_left:
            self.is_cut = True
            return None
        self._places_left -= 1
        return Place()


def readable(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the events in the first lines of NDJSON, decoded; what is no JSON object in UTF-8 is passed over."""
    left = BYTES_MAX
    for number, line in enumerate(lines):
        if number >= LINES_MAX or left <= 0:
            return
        left -= len(line)
        try:
            event = _event(line)
        except _UNREADABLE:
            continue
        yield event


def _event(line: bytes) -> dict[str, Any]:
    try:
        return _decode(line)
    except msgspec.ValidationError:  # no object, or one with a number out of range
        return {key: _loosely(bytes(item)) for key, item in _decode_members(line).items()}


def _loosely(raw: bytes) -> Any:
    """Decode a value; a number out of range, such as 1e400, becomes its text in bytes, and so counts as text."""
    if raw.startswith(b"{"):
        return {key: _loosely(bytes(item)) for key, item in _decode_members(raw).items()}
    if raw.startswith(b"["):
        return [_loosely(bytes(item)) for item in _decode_elements(raw)]
    try:
        return _decode_any(raw)
    except msgspec.ValidationError:
        return raw
