"""Segment: the writing end of the log. One segment is open; it is turned, cut back or left, as the disk behaves.

    what failed                     then
    no room to create or write      cut back to the last good frame; the group is refused; the segment stays
    any other failed write          left
    a failed sync                   left: the kernel may have dropped the pages and cleared the error, so a second
                                    sync that succeeds would mean nothing

A segment that is left is never written or synced again. The header of its successor says where its good frames end.

A released segment is kept as `spare`, and the next one is made of it. Its blocks were written before: a sync then has
no extent to turn from reserved to written, which saves work and time. A segment is always made under that name, of
what is there or of a new file, and gets its own when its header is on the disk: whatever the moment of a crash, there
is a spare, whose content means nothing, or a segment with a sound header. What it held before is no frame: see `frame`.

Everything here blocks and belongs to the writer; the loop reads `segment` and calls methods only through it.
"""

import contextlib
import errno
from dataclasses import dataclass
from pathlib import Path

from gateway.core.clock import Clock
from gateway.core.errors import Unavailable
from gateway.wal.errors import LogFull, LogPoisoned
from gateway.wal.files import IOV_MAX, FileSystem
from gateway.wal.frame import SEGMENT_HEADER_BYTES, Buffer, Position, SegmentHeader, Synced
from gateway.wal.sync import Group

SYNCED_NAME = "synced"
SPARE_NAME = "spare"

# So many failures of the disk in a row, each on a fresh segment, and only a restart is believed to help.
POISONINGS_MAX = 3

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def segment_name(segment: int) -> str:
    """Return the file name of a segment; names sort like numbers."""
    return f"{segment:020d}.log"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a group."""

    next: Position  # where the next frame may go
    last: Position  # end of the good frames in the newest segment there is
    sync_seconds: float | None = None  # how long its sync took, if there was one
    error: Unavailable | None = None
    is_final: bool = False  # nothing will be written until a restart
    lost: bool = False  # frames answered before this group and not yet synced are in doubt


class _SyncFailed(Exception):
    """Carries the OSError of a sync, which is handled unlike that of a write."""


class SegmentWriter:
    """Appends groups to the newest segment."""

    def __init__(
        self,
        directory: Path,
        mark: int,
        end: Position,
        *,
        allocate_bytes: int,
        has_spare: bool,
        files: FileSystem,
        clock: Clock,
    ) -> None:
        self.segment = end.segment  # newest that was ever created
        self._end = end.offset  # of its good frames; Invariant: nothing answered lies behind it
        self._synced_end = end.offset
        self._fd: int | None = None
        self._synced_fd: int | None = None
        self._mark = mark
        self._directory = directory
        self._spare = directory / SPARE_NAME
        self._has_spare = has_spare
        self._reusable: set[int] = set()  # of the segments there are, those that may become the spare
        self._allocate_bytes = allocate_bytes
        self._files = files
        self._clock = clock
        self._poisonings = 0

    def write(self, group: Group) -> Outcome:
        """Write `group`, sync if it must be, and say what became of it; never raises."""
        end, seconds = group.offset + group.bytes, None
        try:
            if group.segment != self.segment:
                self._seal()
                self._create(group.segment)
            assert group.offset == self._end, "the loop and the writer disagree about the end of the log"
            group.finish()
            self._write_all(group.buffers, group.offset)
            if group.must_sync and end > self._synced_end:
                seconds = self._sync(end)
        except _SyncFailed as error:
            return self._leave(error.args[0])
        except OSError as error:
            return self._refuse(error)
        except Exception as error:  # noqa: BLE001  our bug: no caller may wait for ever, none may be told yes
            return self._leave(error)
        self._end = end
        return Outcome(self._last(), self._last(), seconds)

    def remove(self, segment: int) -> bool:
        """Unlink `segment`, or make it the spare; say whether it is gone for good."""
        path = self._directory / segment_name(segment)
        try:
            with contextlib.suppress(FileNotFoundError):
                if segment in self._reusable and not self._has_spare:
                    self._files.rename(path, self._spare)
                    self._has_spare = True
                else:
                    self._files.unlink(path)
            # After each, oldest first: so a crash never leaves a gap, which would look like a lost segment.
            self._files.sync_directory(self._directory)
        except OSError:
            return False
        self._reusable.discard(segment)
        return True

    def close(self) -> None:
        """Sync and let go of everything; never raises."""
        with contextlib.suppress(_SyncFailed):
            self._seal()
        self._let_go()
        if self._synced_fd is not None:
            with contextlib.suppress(OSError):
                self._files.close(self._synced_fd)
            self._synced_fd = None

    def _seal(self) -> None:
        if self._fd is None:
            return
        if self._end > self._synced_end:
            self._sync(self._end)
        # Not a short one, nor one that a large frame has to itself: a spare is a whole segment, and no more.
        if self._allocate_bytes * 3 // 4 <= self._end <= self._allocate_bytes:
            self._reusable.add(self.segment)
        self._let_go()

    def _let_go(self) -> None:
        """Close the open segment and give back the room behind its good frames."""
        fd, self._fd = self._fd, None
        if fd is not None:
            # Need not be durable: the next segment's header says where this one ends.
            with contextlib.suppress(OSError):
                self._files.truncate(fd, self._end)
            with contextlib.suppress(OSError):
                self._files.close(fd)

    def _create(self, segment: int) -> None:
        """Open `segment`, made of the spare, or of a new file if there is none or the disk fails on it."""
        if self._has_spare:
            self._has_spare = False
            with contextlib.suppress(OSError):
                self._make(segment, is_new=False)
                return
        self._make(segment, is_new=True)

    def _make(self, segment: int, *, is_new: bool) -> None:
        """Open `segment`, made under the name of the spare; on an error both names are gone."""
        path = self._directory / segment_name(segment)
        try:
            if is_new:
                self._fd = self._files.create(self._spare)
            else:
                # It is still a segment until its removal is on the disk, and that may have failed halfway.
                self._files.sync_directory(self._directory)
                self._fd = self._files.open(self._spare, writable=True)
            self._write_all([SegmentHeader(self._mark, segment, self._end).encode()], 0)
            self._fit(self._fd)
            self._files.sync(self._fd)
            self._files.rename(self._spare, path)
            self._files.sync_directory(self._directory)
        except BaseException:
            fd, self._fd = self._fd, None
            if fd is not None:
                with contextlib.suppress(OSError):
                    self._files.close(fd)
            for name in (self._spare, path):
                with contextlib.suppress(OSError):
                    self._files.unlink(name)
            raise
        self.segment, self._end, self._synced_end = segment, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES

    def _fit(self, fd: int) -> None:
        """Reserve a whole segment: a sync then has no new length to record (a third faster for small groups)."""
        size, wanted = self._files.size(fd), max(self._allocate_bytes, SEGMENT_HEADER_BYTES)
        if size > wanted:  # a spare of the time of other options
            self._files.truncate(fd, wanted)
        elif size < wanted:
            try:
                self._files.allocate(fd, wanted)
            except OSError:  # full, or the file system cannot: it is a saving, not a need
                self._files.truncate(fd, size)

    def _write_all(self, buffers: list[Buffer], offset: int) -> None:
        assert self._fd is not None or not buffers
        first = 0
        while first < len(buffers):
            assert self._fd is not None
            written = self._files.write(self._fd, buffers[first : first + IOV_MAX], offset)
            offset += written
            while first < len(buffers) and written >= len(buffers[first]):
                written -= len(buffers[first])
                first += 1
            if written:
                buffers[first] = memoryview(buffers[first])[written:]

    def _sync(self, end: int) -> float:
        """Sync the open segment, whose frames end at `end`; return the seconds it took."""
        assert self._fd is not None
        started = self._clock.monotonic()
        try:
            self._files.sync(self._fd)
        except OSError as error:
            raise _SyncFailed(error) from error
        self._poisonings = 0
        self._synced_end = end
        self._store_synced(Position(self.segment, end))
        return self._clock.monotonic() - started

    def _store_synced(self, position: Position) -> None:
        """Write down that everything before `position` is synced.

        Not synced itself: it survives the death of the process, and an older record is still true. A failure is
        nothing: recovery has two other rules. Not mmap, which kills the process where there is no room for the page.
        """
        with contextlib.suppress(OSError):
            if self._synced_fd is None:
                self._synced_fd = self._files.open(self._directory / SYNCED_NAME, writable=True)
            self._files.write(self._synced_fd, [Synced(self._mark, position).encode()], 0)

    def _refuse(self, error: OSError) -> Outcome:
        """Forget a group that could not be written."""
        if not _is_full(error):
            return self._leave(error)
        if self._fd is None:
            return Outcome(Position(self.segment + 1, SEGMENT_HEADER_BYTES), self._last(), error=_refusal(error))
        try:
            self._files.truncate(self._fd, self._end)
        except OSError as second:
            return self._leave(second)
        return Outcome(self._last(), self._last(), error=_refusal(error))

    def _leave(self, error: Exception) -> Outcome:
        """Never touch the open segment again; the next group opens another."""
        self._poisonings += not _is_full(error)
        lost = self._synced_end < self._end
        self._let_go()
        # The successor's header will speak of `_end`: what was answered before and is lost will be found missing.
        return Outcome(
            Position(self.segment + 1, SEGMENT_HEADER_BYTES),
            self._last(),
            error=_refusal(error),
            is_final=self._poisonings >= POISONINGS_MAX,
            lost=lost,
        )

    def _last(self) -> Position:
        return Position(self.segment, self._end)


def _is_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in _FULL


def _refusal(error: Exception) -> Unavailable:
    """Return what the callers of a failed group hear; the cause is for our own logs."""
    if _is_full(error):
        refusal: Unavailable = LogFull("The disk is full; try again later.", retry_after_seconds=5)
    else:
        refusal = LogPoisoned("The disk failed while these events were written; send them again.")
    # Of a failed call the number is enough; its traceback would keep the group's bytes in memory.
    refusal.__cause__ = error.with_traceback(None) if isinstance(error, OSError) else error
    return refusal
