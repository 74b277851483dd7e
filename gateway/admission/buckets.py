"""Buckets: token buckets in memory that the workers of a node may share. Pure: the moment is passed in.

A bucket holds what it lets in within a second, and fills at that pace. All there is to know of it is the moment at
which it is full again; taking something puts that moment off. A full bucket is like one that nobody ever took from, so
its place is free for another, and nobody has to clear anything away.

    place     16 bytes: whose bucket (64 bits), when it is full again (seconds, monotonic: the same for all processes)
    finding   the first four places from the one that the key names; if all are in use, the one that is soonest full
              loses its bucket, which is then full: one second's worth too much for somebody, with 65 536 places

Workers use no lock: one that holds it may lose its CPU for milliseconds. Two that change one place within the same
microsecond may count one request instead of two.
"""

import struct
from typing import Final

_PLACES: Final = 65_536
_PROBES: Final = 4
_PLACE: Final = struct.Struct("<Qd")
_BYTES: Final = _PLACE.size

ROOM_BYTES: Final = (_PLACES + _PROBES - 1) * _BYTES
"""Bytes of memory for all buckets, zeros at first."""

OWED_SECONDS_MAX: Final = 60.0
"""However much was taken at once, a bucket is full again after this. A moment further away is from another boot."""

_read = _PLACE.unpack_from
_write = _PLACE.pack_into


class Buckets:
    """Finds buckets, and remembers when each is full again."""

    def __init__(self, room: bytearray | memoryview | None = None) -> None:
        """Keep them in `room`, of `ROOM_BYTES`; without it, in memory of this process."""
        self._room = bytearray(ROOM_BYTES) if room is None else room

    def look(self, key: int, now: float) -> tuple[int, float]:
        """Return the place of the bucket `key` (1 to 2⁶⁴ - 1), and the seconds until it is full: 0 if it is.

        The place is to be given to `put`, at the same moment.
        """
        room = self._room
        start = key % _PLACES * _BYTES
        soonest = OWED_SECONDS_MAX
        place = start
        for at in range(start, start + _PROBES * _BYTES, _BYTES):
            owner, full_at = _read(room, at)
            owed = full_at - now
            if owed > OWED_SECONDS_MAX:
                owed = 0.0
            if owner == key:
                return at, max(0.0, owed)
            if owed < soonest:
                soonest, place = owed, at
        return place, 0.0

    def put(self, place: int, key: int, now: float, owed_seconds: float) -> None:
        """Let the bucket `key` be full `owed_seconds` from now, or after `OWED_SECONDS_MAX` if that is sooner."""
        _write(self._room, place, key, now + min(owed_seconds, OWED_SECONDS_MAX))
