"""Inspect: what is in a log, for people, without a lock and without changing anything.

Behind `sluice log inspect DIR` (print the report) and `sluice log verify DIR` (end with its `exit_status`). May be used
while the log is being written; what is in the middle of a write then shows as tail, and what is released is left out.
"""

from dataclasses import dataclass
from pathlib import Path

from gateway.wal.files import FileSystem, OsFileSystem
from gateway.wal.frame import Position
from gateway.wal.recover import Survey, survey
from gateway.wal.scan import Damage
from gateway.wal.segment import segment_name


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """One segment."""

    segment: int
    bytes: int  # of the file, with room reserved ahead
    frames: int
    payload_bytes: int
    first: Position | None  # of its frames
    last: Position | None
    tail_bytes: int  # behind the frames: of a write that did not finish or is going on, or left of an earlier segment
    damage: tuple[Damage, ...]


@dataclass(frozen=True, slots=True)
class LogReport:
    """A whole log."""

    directory: Path
    segments: tuple[SegmentReport, ...]
    synced: Position | None  # how far the last sync is known to have reached
    damage: tuple[Damage, ...]  # in the segments, and segments that are missing

    @property
    def frames(self) -> int:
        """Whole frames in all segments."""
        return sum(each.frames for each in self.segments)

    @property
    def bytes(self) -> int:
        """Bytes of all segments."""
        return sum(each.bytes for each in self.segments)

    @property
    def exit_status(self) -> int:
        """0 if every promised frame can be read, else 1."""
        return 1 if self.damage else 0


def inspect(directory: Path, files: FileSystem | None = None) -> LogReport:
    """Read the whole log in `directory` and report on it.

    Raises:
        UnknownFormat: a newer version wrote it.
        OSError: the directory cannot be read.
    """
    files = files or OsFileSystem()
    found = survey(files, directory)
    segments = tuple(
        report
        for segment in found.sizes
        if (report := _inspect_segment(files, directory / segment_name(segment), found, segment)) is not None
    )
    return LogReport(
        directory,
        segments,
        found.synced.position if found.synced else None,
        found.missing + tuple(damage for report in segments for damage in report.damage),
    )


def _inspect_segment(files: FileSystem, path: Path, found: Survey, segment: int) -> SegmentReport | None:
    """Return the report of one segment, or None if it was released meanwhile."""
    try:
        fd = files.open(path)
    except FileNotFoundError:
        return None
    try:
        scan = found.scan(files, fd, segment)
        first = last = None
        frames = payload_bytes = 0
        for offset, payload in scan.frames():
            last = Position(segment, offset)
            first = first or last
            frames += 1
            payload_bytes += len(payload)
    finally:
        files.close(fd)
    if scan.damage and path.name not in files.list(path.parent):
        return None  # released, and perhaps already written over as another segment
    return SegmentReport(
        segment,
        found.sizes[segment],
        frames,
        payload_bytes,
        first,
        last,
        scan.tail_bytes,
        tuple(scan.damage),
    )
