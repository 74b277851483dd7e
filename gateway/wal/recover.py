"""Recover: read all segments back at a start, keep aside what is damaged, cut off what was never promised.

Always starts: damage is reported and copied to `damaged/`, and the frames around it are read. The damaged segment is
left as it is until it is released, so the same damage is reported again by the next start.
"""

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway.wal.errors import UnknownFormat
from gateway.wal.files import FileSystem
from gateway.wal.frame import SEGMENT_HEADER_BYTES, VERSION, Position, SegmentHeader, Synced
from gateway.wal.scan import Damage, SegmentScan
from gateway.wal.segment import SPARE_NAME, SYNCED_NAME, segment_name

DAMAGED_NAME = "damaged"

_SEGMENT_NAME = re.compile(r"[0-9]{20}\.log")


@dataclass(frozen=True, slots=True)
class Survey:
    """What a directory shows before any frame is read."""

    sizes: dict[int, int]  # bytes of each segment, in order
    headers: dict[int, SegmentHeader]  # of those segments whose header is sound
    synced: Synced | None
    missing: tuple[Damage, ...]  # segments that must have been there
    has_spare: bool

    @property
    def mark(self) -> int | None:
        """The log's mark, if a header or the synced file tells it."""
        known = [header.mark for header in self.headers.values()]
        return known[0] if known else self.synced.mark if self.synced else None

    def scan(self, files: FileSystem, fd: int, segment: int) -> SegmentScan:
        """Return the scan of `segment`, with all that is known about it from outside."""
        header, successor = self.headers.get(segment), self.headers.get(segment + 1)
        safe_end: int | None = None
        if successor is not None:
            safe_end = successor.previous_end
        elif self.synced is not None and segment == self.synced.position.segment:
            safe_end = self.synced.position.offset
        elif segment == max(self.sizes):
            safe_end = 0
        return SegmentScan(
            files,
            fd,
            segment,
            self.sizes[segment],
            mark=header.mark if header else self.mark,
            has_header=header is not None,
            safe_end=safe_end,
            is_exact=successor is not None,
        )


def survey(files: FileSystem, directory: Path) -> Survey:
    """Return what `directory` shows, without changing it.

    Raises:
        UnknownFormat: a segment was written by a newer version.
    """
    names = files.list(directory)
    # Before the segments: in a log that is being written, it must not be ahead of them.
    synced = Synced.decode(_read(files, directory / SYNCED_NAME, 64)[1]) if SYNCED_NAME in names else None
    sizes: dict[int, int] = {}
    headers: dict[int, SegmentHeader] = {}
    for segment in sorted(int(name[:20]) for name in names if _SEGMENT_NAME.fullmatch(name)):
        with contextlib.suppress(FileNotFoundError):  # released meanwhile, by the log's owner
            sizes[segment], start = _read(files, directory / segment_name(segment), SEGMENT_HEADER_BYTES)
            header = SegmentHeader.decode(start)
            if header is not None and header.segment == segment:
                headers[segment] = header
                if header.version > VERSION:
                    raise UnknownFormat(f"{segment_name(segment)} was written by a newer version of Sluice.")
    return Survey(sizes, headers, synced, tuple(_missing(sizes, headers, synced)), SPARE_NAME in names)


def _read(files: FileSystem, path: Path, length: int) -> tuple[int, bytes]:
    """Return the size of a file and its first bytes; none if they cannot be read."""
    fd = files.open(path)
    try:
        return files.size(fd), files.read(fd, length, 0)
    except OSError:
        return files.size(fd), b""
    finally:
        files.close(fd)


def _missing(sizes: dict[int, int], headers: dict[int, SegmentHeader], synced: Synced | None) -> Iterator[Damage]:
    """Yield the gaps: segments go oldest first, each removal synced, so a gap is never the log's own doing."""
    present = list(sizes)
    for before, after in itertools.pairwise(present):
        for segment in range(before + 1, after):
            successor = headers.get(segment + 1)
            yield Damage(segment, 0, successor.previous_end if successor else 0, "segment missing")
    if synced is not None and synced.position.segment > max(present, default=0):
        yield Damage(synced.position.segment, 0, synced.position.offset, "segment missing")


@dataclass(slots=True)
class Recovery:
    """What a log held when it was opened."""

    files: FileSystem
    directory: Path
    survey: Survey
    draw: Callable[[int], bytes]
    damage: list[Damage] = field(default_factory=list)  # complete when `frames` is
    truncated_bytes: int = 0  # behind the newest frame: an unfinished write nobody was told is safe, or leftovers
    is_finished: bool = False
    mark: int = 0
    last_segment: int = 0  # greatest number ever used; never used again, so positions never come back
    end: int = 0  # of the good frames in it
    sizes: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take over what the survey knows."""
        found = self.survey
        self.damage.extend(found.missing)
        self.sizes.update(found.sizes)
        self.last_segment = max(found.sizes, default=0)
        if found.synced is not None and found.synced.position.segment > self.last_segment:
            self.last_segment, self.end = found.synced.position
        self.mark = int.from_bytes(self.draw(4), "little") | 1 if found.mark is None else found.mark
        self.is_finished = not found.sizes

    def frames(self) -> Iterator[tuple[Position, bytes]]:
        """Yield every whole frame in order, once; must be read to its end before the log is written to."""
        for segment in self.survey.sizes:
            yield from self._segment(segment)
        self.is_finished = True

    def _segment(self, segment: int) -> Iterator[tuple[Position, bytes]]:
        is_last = segment == self.last_segment
        path = self.directory / segment_name(segment)
        fd = self.files.open(path, writable=is_last)
        try:
            if is_last:
                # What is read now must be read again by the next start, even if the machine stops in between.
                with contextlib.suppress(OSError):
                    self.files.sync(fd)
            scan = self.survey.scan(self.files, fd, segment)
            for offset, payload in scan.frames():
                yield Position(segment, offset), payload
            for damage in scan.damage:
                self._keep_aside(fd, damage)
            self.damage.extend(scan.damage)
            if is_last:
                self.end = scan.end
                self.truncated_bytes += scan.tail_bytes
                self._cut(fd, segment, scan.end)
        finally:
            self.files.close(fd)

    def _cut(self, fd: int, segment: int, end: int) -> None:
        """Cut the tail off. If the disk refuses, the header of the next segment will say the same."""
        if end < self.sizes[segment]:
            with contextlib.suppress(OSError):
                self.files.truncate(fd, end)
                self.files.sync(fd)
                self.sizes[segment] = end

    def _keep_aside(self, fd: int, damage: Damage) -> None:
        """Copy damaged bytes to `damaged/`, for people; a full disk must not stop the start."""
        directory = self.directory / DAMAGED_NAME
        with contextlib.suppress(OSError):
            self.files.make_directory(directory)
            copy = self.files.create(directory / f"{damage.segment:020d}-{damage.offset}.bin")
            try:
                at, end = damage.offset, damage.offset + damage.length
                while at < end and (piece := self.files.read(fd, min(1 << 20, end - at), at)):
                    at += self.files.write(copy, [piece], at - damage.offset)
                self.files.sync(copy)
            finally:
                self.files.close(copy)
