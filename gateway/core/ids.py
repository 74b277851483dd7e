"""Identifiers: ULIDs for requests and batches, `t_` ids for data sources, UUIDs for tokens and workspaces.

A ULID is 48 bits of milliseconds and 80 random bits in Crockford's base 32: 26 characters that sort by time
(github.com/ulid/spec).
"""

import os
import uuid

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


class UlidSequence:
    """ULIDs that only grow, also within a millisecond and when the clock steps back (as the ULID page asks)."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, now_seconds: float) -> str:
        """Return a ULID larger than all before it."""
        fresh = (int(now_seconds * 1000) & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
        self._last = fresh if fresh > self._last else self._last + 1
        return _text(self._last)

    def follow(self, earlier: str) -> None:
        """Let all that come be larger than `earlier`, a ULID and whatever stands behind it."""
        value = 0
        for letter in earlier[:26]:
            value = value << 5 | _ALPHABET.index(letter)
        self._last = max(self._last, value)


class RequestIds:
    """Ids for requests: ULIDs of this process, cheap to make.

    The time, then 40 random bits drawn once, then a counter of 40 bits that begins anywhere: they sort by time to the
    millisecond, and by their order within it.
    """

    def __init__(self) -> None:
        self._count = int.from_bytes(os.urandom(4), "big")
        self._process = _text(int.from_bytes(os.urandom(5), "big"))[-8:]
        self._millisecond = -1
        self._prefix = ""

    def next(self, now_seconds: float) -> str:
        """Return a new id for the moment `now_seconds` (unix time)."""
        millisecond = int(now_seconds * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            self._prefix = _text((millisecond & (1 << 48) - 1) << 80)[:10] + self._process
        self._count = count = self._count + 1 & (1 << 40) - 1
        pairs = _PAIRS
        return (
            self._prefix
            + pairs[count >> 30]
            + pairs[count >> 20 & 1023]
            + pairs[count >> 10 & 1023]
            + pairs[count & 1023]
        )


def datasource_id() -> str:
    """Return a new data source id: `t_` and 32 hexadecimal digits."""
    return "t_" + uuid.uuid4().hex


def new_uuid() -> str:
    """Return a new random UUID, in text."""
    return str(uuid.uuid4())


def _text(value: int) -> str:
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])
