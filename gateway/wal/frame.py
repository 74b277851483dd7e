"""Frames: how one record lies in a segment, how a segment begins, and what the `synced` file says.

    segment header, once                          frame, again and again
    offset  size  field                           offset  size  field
    0       8     magic "SLUICEWL"                0       4     mark
    8       4     version                         4       4     length of the payload
    12      4     mark                            8       4     CRC-32 of the payload
    16      8     segment, its own number         12      4     CRC-32 of the 12 bytes before, begun with
    24      8     previous_end                                  a number made of segment and offset
    32      4     CRC-32 of the 32 bytes before   16      n     payload, opaque

Little-endian, unsigned. Changing a line changes a format: raise `VERSION`.

`mark` is drawn at random for each log, so that neither an old block of another log nor bytes a client put into a
payload can pass for a frame. `previous_end` is where the good frames of the segment before it end: with it, a segment
that has a successor has no doubtful tail. The header has its own checksum, so a damaged payload costs exactly that
frame; it is begun with the frame's place, so a whole, older frame found elsewhere is not taken for this one.

Nor is one that lies where it was written, in a file that was another segment then. CRC-32 over given bytes is a
bijection of the number it is begun with (each step can be undone), and at one offset two segments begin with the same
number only if theirs are equal modulo 2^32. So what a reused file still holds need not be erased: it is no frame, for
certain and not just probably.

Pure: bytes in, bytes out. Files belong to `segment` and `scan`.
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

# The same sum as zlib.crc32, several times as fast from 4 KiB on, and without the GIL.
from isal.isal_zlib import crc32

VERSION: Final = 1
SEGMENT_HEADER_BYTES: Final = 36
FRAME_HEADER_BYTES: Final = 16

# A frame holds one request, and the largest body the API takes is 100 MB before it becomes rows. The bound is there so
# that a damaged length is refused at once instead of read.
PAYLOAD_BYTES_MAX: Final = 256 * 1024 * 1024

_MAGIC: Final = b"SLUICEWL"
_SEGMENT: Final = struct.Struct("<8sIIQQ")
_FIELDS: Final = struct.Struct("<III")
_FRAME: Final = struct.Struct("<IIII")
_SUMMED: Final = struct.Struct("<12sI")
_SYNCED: Final = struct.Struct("<IQQ")
# Knuth's multiplier spreads segment numbers over all 32 bits, away from the offsets they are mixed with.
_SPREAD: Final = 0x9E3779B1

Buffer = bytes | bytearray | memoryview


class Position(NamedTuple):
    """A place in the log; positions of later frames are greater."""

    segment: int
    offset: int


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """How a segment begins."""

    mark: int
    segment: int
    previous_end: int
    version: int = VERSION

    def encode(self) -> bytes:
        """Return the `SEGMENT_HEADER_BYTES` bytes."""
        body = _SEGMENT.pack(_MAGIC, self.version, self.mark, self.segment, self.previous_end)
        return body + crc32(body).to_bytes(4, "little")

    @classmethod
    def decode(cls, data: bytes) -> "SegmentHeader | None":
        """Return the header at the start of `data`, or None if it is cut or damaged."""
        body = data[: _SEGMENT.size]
        if len(data) < SEGMENT_HEADER_BYTES or crc32(body) != int.from_bytes(data[32:36], "little"):
            return None
        magic, version, mark, segment, previous_end = _SEGMENT.unpack(body)
        return cls(mark, segment, previous_end, version) if magic == _MAGIC else None


@dataclass(frozen=True, slots=True)
class Synced:
    """The content of the `synced` file: everything before `position` was once synced."""

    mark: int
    position: Position

    def encode(self) -> bytes:
        """Return the record."""
        body = _SYNCED.pack(self.mark, *self.position)
        return body + crc32(body).to_bytes(4, "little")

    @classmethod
    def decode(cls, data: bytes) -> "Synced | None":
        """Return the record in `data`, or None if it is cut or damaged."""
        body = data[: _SYNCED.size]
        if len(data) < _SYNCED.size + 4 or crc32(body) != int.from_bytes(data[_SYNCED.size :][:4], "little"):
            return None
        mark, segment, offset = _SYNCED.unpack(body)
        return cls(mark, Position(segment, offset))


def seed(segment: int) -> int:
    """Return what the checksum of a frame's header begins with in `segment`; each frame mixes in its own offset."""
    return segment * _SPREAD & 0xFFFFFFFF


def encode_header(mark: int, place: int, length: int, payload_crc: int) -> bytes:
    """Return the header of a frame at `place`, which is `seed(segment) ^ offset`."""
    fields = _FIELDS.pack(mark, length, payload_crc)
    return fields + crc32(fields, place).to_bytes(4, "little")


def decode_header(data: bytes, at: int, mark: int, place: int) -> tuple[int, int] | None:
    """Return length and CRC-32 of the payload whose header is at `data[at:]`, or None if that is no header.

    `data` must hold `FRAME_HEADER_BYTES` from `at`.
    """
    found, length, payload_crc, header_crc = _FRAME.unpack_from(data, at)
    if found != mark or header_crc != crc32(data[at : at + 12], place) or length > PAYLOAD_BYTES_MAX:
        return None
    return length, payload_crc


def find_header(data: bytes, at: int, mark: int, seed: int, offset: int) -> int:
    """Return where in `data[at:]` the first sound and whole header of a frame begins, or -1.

    `data` lies at `offset` of the segment of `seed`. A reused file has the mark every few hundred bytes, and no header
    among them is sound here: hence one tight loop, and zlib's sum, which for 12 bytes takes two thirds of the time.
    """
    wanted, last = mark.to_bytes(4, "little"), len(data) - FRAME_HEADER_BYTES
    at = data.find(wanted, at)
    while 0 <= at <= last:
        fields, header_crc = _SUMMED.unpack_from(data, at)
        if zlib.crc32(fields, seed ^ offset + at) == header_crc:
            return at
        at = data.find(wanted, at + 1)
    return -1


def decode(data: bytes, at: int, mark: int, place: int) -> bytes | None:
    """Return the payload of the frame at `data[at:]`, or None if there is no whole, undamaged frame in `data`.

    Says in one call what `decode_header` and a checksum say in two: recovery does nothing else.
    """
    start = at + FRAME_HEADER_BYTES
    if at < 0 or start > len(data):
        return None
    found, length, payload_crc, header_crc = _FRAME.unpack_from(data, at)
    if found != mark or header_crc != crc32(data[at : at + 12], place):
        return None
    payload = data[start : start + length]
    return payload if len(payload) == length and crc32(payload) == payload_crc else None


def checksum(parts: Iterable[Buffer]) -> int:
    """Return the CRC-32 of `parts` as if they were joined."""
    crc = 0
    for part in parts:
        crc = crc32(part, crc)
    return crc
