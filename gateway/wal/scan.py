"""Scan: read one segment back, and tell damage from the tail that was never promised.

The bytes alone cannot tell: a damaged length may point past the end of the file and look like a torn write. So a place
where no whole frame can be read is at first only *suspect*, and is judged when more is known:

    a whole frame follows it                            damage
    it begins before the safe end                       damage, up to there
    otherwise                                           the tail; nobody was told that it is safe
    zeros up to the end of the file, beyond safe end    nothing: room reserved ahead

The tail is a write that never finished, or what is left of the segment whose file this one was made of, or first one
and then the other: where one ends cannot be told, and need not be. Frames of that segment are none here (see `frame`),
so they can neither be read nor make what lies before them look like damage.

The safe end is what is known about the segment from outside it: the header of the next segment names it exactly
(nothing behind it is read), the `synced` file gives a lower bound for the newest segment, and if an older segment has
neither, everything in it was promised.

After a bad payload the scan goes on at the frame's end, which the sound header gives. After a bad header it looks for
the log's mark, and believes it only with a sound header *and* a sound payload: linear, and one frame lost per flip.

Reads in chunks, never a whole segment, and not through mmap: there an unreadable sector kills the process.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from isal.isal_zlib import crc32

from gateway.wal.files import FileSystem
from gateway.wal.frame import (
    FRAME_HEADER_BYTES,
    PAYLOAD_BYTES_MAX,
    SEGMENT_HEADER_BYTES,
    decode,
    decode_header,
    find_header,
    seed,
)

# Long enough that the calls do not count, short enough to stay in a processor's cache.
_CHUNK_BYTES: Final = 1024 * 1024
_SECTOR_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that were promised and cannot be read."""

    segment: int
    offset: int
    length: int
    what: str


class SegmentScan:
    """One pass over one segment.

    Args:
        size: bytes in the file.
        mark: the log's, or None if no header says it: then the first frame is asked.
        has_header: whether the segment's own header was sound.
        safe_end: bytes known to have been promised; None if it is not known and all may have been.
        is_exact: nothing behind `safe_end` counts.
    """

    def __init__(
        self,
        files: FileSystem,
        fd: int,
        segment: int,
        size: int,
        *,
        mark: int | None,
        has_header: bool,
        safe_end: int | None,
        is_exact: bool = False,
    ) -> None:
        self.damage: list[Damage] = []
        self.end = 0  # where what was promised or could be read ends; complete when `frames` is
        self.tail_bytes = 0  # behind `end`: of an unfinished write, or left of an earlier segment
        self._files = files
        self._fd = fd
        self._segment = segment
        self._stop = min(size, safe_end) if is_exact and safe_end is not None else size
        self._size = size
        self._safe_end = safe_end
        self._seed = seed(segment)
        self._has_header = has_header
        self._chunk = b""
        self._chunk_at = 0
        self._suspects: list[tuple[int, int, str]] = []
        self._mark = self._guess_mark() if mark is None else mark

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield offset and payload of each whole frame; `damage`, `end` and `tail_bytes` are complete afterwards."""
        offset = min(SEGMENT_HEADER_BYTES, self._stop)
        if self._has_header:
            self.end = offset
        elif self._stop > 0:
            self._suspects.append((0, offset, "segment header"))
        while offset < self._stop:
            payload = decode(self._chunk, offset - self._chunk_at, self._mark, self._seed ^ offset)
            if payload is None:  # not whole in this chunk, or not sound
                header = self._header(offset)
                payload = None if header is None else self._payload(offset, *header)
                if payload is None:
                    offset = self._suspect(offset, header)
                    continue
            if self._suspects:
                self._judge(is_followed=True)
            self.end = offset + FRAME_HEADER_BYTES + len(payload)
            yield offset, payload
            offset = self.end
        self._judge(is_followed=False)

    def _suspect(self, offset: int, header: tuple[int, int] | None) -> int:
        """Note that there is no whole frame at `offset`; return where to go on."""
        if header is None:
            what, end = "frame header", self._find_frame(offset + 1)
        else:
            what, end = "payload", min(offset + FRAME_HEADER_BYTES + header[0], self._stop)
        self._suspects.append((offset, end, what))
        return end

    def _judge(self, *, is_followed: bool) -> None:
        """Sort the suspects into damage and tail."""
        last_byte, safe_end = self._stop, self._stop
        if not is_followed:
            first = self._suspects[0][0] if self._suspects else self._stop
            last_byte = self._last_byte(first)
            safe_end = last_byte if self._safe_end is None else self._safe_end
        for start, end, what in self._suspects:
            bad_end = min(end, max(last_byte, safe_end))
            if bad_end <= start:
                continue  # zeros to the end of the file
            if start < safe_end:
                self.end = min(bad_end, safe_end)
                self.damage.append(Damage(self._segment, start, self.end - start, what))
            self.tail_bytes += bad_end - max(start, min(bad_end, safe_end))
        self._suspects.clear()
        if not is_followed and safe_end > self._size:
            self.damage.append(Damage(self._segment, self._size, safe_end - self._size, "file cut short"))
            self.end = safe_end

    def _guess_mark(self) -> int:
        """Return what the first frame shows; nonsense there makes nonsense of the whole segment."""
        at = self._load(SEGMENT_HEADER_BYTES, 4)
        return int.from_bytes(self._chunk[at : at + 4], "little")

    def _header(self, offset: int) -> tuple[int, int] | None:
        """Return length and CRC-32 of the payload of the frame at `offset`, or None if no sound header is there."""
        at = self._load(offset, FRAME_HEADER_BYTES)
        if at + FRAME_HEADER_BYTES > len(self._chunk):
            return None
        return decode_header(self._chunk, at, self._mark, self._seed ^ offset)

    def _payload(self, offset: int, length: int, payload_crc: int) -> bytes | None:
        """Return the payload of the frame whose header is at `offset`, or None if it is cut or damaged."""
        if offset + FRAME_HEADER_BYTES + length > self._stop:
            return None
        at = self._load(offset, FRAME_HEADER_BYTES + length) + FRAME_HEADER_BYTES
        payload = self._chunk[at : at + length]
        return payload if len(payload) == length and crc32(payload) == payload_crc else None

    def _find_frame(self, offset: int) -> int:
        """Return where the first whole frame at or behind `offset` begins, or the end of the segment."""
        while offset + FRAME_HEADER_BYTES <= self._stop:
            start = self._load(offset, FRAME_HEADER_BYTES)
            if start + FRAME_HEADER_BYTES > len(self._chunk):
                break  # the file was cut meanwhile
            at = find_header(self._chunk, start, self._mark, self._seed, self._chunk_at)
            if at < 0:
                # A header may lie across the border of two chunks.
                offset = self._chunk_at + len(self._chunk) - FRAME_HEADER_BYTES + 1
                continue
            offset = self._chunk_at + at
            header = self._header(offset)
            if header is not None and self._payload(offset, *header) is not None:
                return offset
            offset += 1
        return self._stop

    def _last_byte(self, start: int) -> int:
        """Return where the zeros at the end of the segment begin, but not less than `start`."""
        end = self._stop
        while end > start:
            length = min(_CHUNK_BYTES, end - start)
            rest = len(self._read(end - length, length).rstrip(b"\0"))
            if rest:
                return end - length + rest
            end -= length
        return start

    def _load(self, offset: int, length: int) -> int:
        """Have `length` bytes from `offset` in the chunk, unless the segment ends before; return where they begin."""
        at = offset - self._chunk_at
        if at < 0 or at + length > len(self._chunk):
            wanted = min(max(length, _CHUNK_BYTES), self._stop - offset)
            self._chunk, self._chunk_at, at = self._read(offset, max(0, wanted)), offset, 0
        return at

    def _read(self, offset: int, length: int) -> bytes:
        assert length <= PAYLOAD_BYTES_MAX + FRAME_HEADER_BYTES
        try:
            return self._files.read(self._fd, length, offset)
        except OSError:
            first = offset - offset % _SECTOR_BYTES
            sectors = range(first, offset + length, _SECTOR_BYTES)
            return b"".join(map(self._read_sector, sectors))[offset - first :][:length]

    def _read_sector(self, offset: int) -> bytes:
        """Return one sector, or filler if the disk cannot read it: not zeros, which would pass for no bytes."""
        try:
            return self._files.read(self._fd, _SECTOR_BYTES, offset)
        except OSError:
            return b"\xff" * _SECTOR_BYTES
