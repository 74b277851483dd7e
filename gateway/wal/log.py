"""Log: append payloads, hear when they are durable, release what is no longer needed.

The life of a frame: `append` gives it its position and puts it into the group that is gathering; when the writer is
free the group goes to it (`_pump`), is written and synced as one, and comes back (`_written`), where its callers hear
yes or no. A no takes everything gathered meanwhile with it, because positions behind a refused frame are void.

The log is open, refusing for good (after repeated failures of the disk), or closed. All methods belong to the loop.
"""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self

from gateway.core.clock import Clock
from gateway.core.errors import TooLarge, Unavailable
from gateway.wal.errors import LogFull, LogLocked
from gateway.wal.files import FileSystem, OsFileSystem
from gateway.wal.frame import FRAME_HEADER_BYTES, PAYLOAD_BYTES_MAX, SEGMENT_HEADER_BYTES, Buffer, Position, seed
from gateway.wal.recover import Recovery, survey
from gateway.wal.segment import Outcome, SegmentWriter
from gateway.wal.sync import GROUP_BYTES_MAX, Group, Policy, Writer, WriterThread

LOCK_NAME: Final = "lock"

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How a log behaves."""

    policy: Policy = "fsync"
    segment_bytes_max: int = 64 * _MIB  # a larger frame has a segment to itself
    bytes_max: int = 10 * 1024 * _MIB  # all segments together; when it is used, appends are refused
    staged_bytes_max: int = 256 * _MIB  # appended and not yet written, in memory
    sync_interval_seconds: float = 1.0  # under `os` and `memory`: how long written bytes stay un-synced
    # Reserve a whole segment when it is made (a sync of a small group then takes a third less), of a released one if
    # there is (less again). Off where the file system cannot (ZFS, NFS): there the C library writes to every block.
    preallocate: bool = True

    def __post_init__(self) -> None:
        """Refuse what could not work."""
        if self.segment_bytes_max < 64 or self.segment_bytes_max > 1024 * _MIB:
            raise ValueError("segment_bytes_max must be between 64 bytes and 1 GiB")
        if self.bytes_max < 2 * self.segment_bytes_max:
            # The newest segment is never released, so there must be room for one more.
            raise ValueError("bytes_max must be at least twice segment_bytes_max")


@dataclass(slots=True)
class LogStats:
    """Counters since the start, for metrics; they only grow."""

    frames: int = 0  # written (and synced, under `fsync`)
    bytes: int = 0
    groups: int = 0
    syncs: int = 0
    sync_seconds: float = 0.0
    full: int = 0  # groups refused because the disk was full
    poisoned: int = 0  # groups refused because the disk failed
    removals_failed: int = 0


class Log:
    """Rolling segments in one directory, written by one writer."""

    def __init__(
        self,
        options: LogOptions,
        files: FileSystem,
        recovery: Recovery,
        writer: Writer,
        lock_fd: int,
        clock: Clock,
    ) -> None:
        """Use `Log.open`."""
        self.stats = LogStats()
        self._options = options
        self._files = files
        self._recovery = recovery
        self._writer = writer
        self._lock_fd = lock_fd
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._answered = self._loop.create_future()
        self._answered.set_result(None)

        self._segments: SegmentWriter | None = None  # made when recovery has finished
        self._sizes = recovery.sizes  # bytes of each segment before the current one, oldest first
        self._segment = recovery.last_segment + 1  # Invariant: current segment and offset are where the next frame goes
        self._offset = SEGMENT_HEADER_BYTES
        self._seed = seed(self._segment)
        self._bytes = sum(self._sizes.values())  # of self._sizes
        self._staged_bytes = 0

        self._groups: deque[Group] = deque()  # not yet with the writer, in order
        self._gathering: Group | None = None  # the last of them, while it takes frames
        self._is_busy = False  # a job is with the writer
        self._has_unsynced = False
        self._timer: asyncio.TimerHandle | None = None
        self._release_before = 0
        self._lost: Unavailable | None = None  # answered frames may be gone; the next sync() says so
        self._refusal: Unavailable | None = None  # final

    @classmethod
    def open(
        cls,
        directory: Path,
        options: LogOptions,
        clock: Clock,
        files: FileSystem | None = None,
        *,
        writer: Writer | None = None,
        draw: Callable[[int], bytes] = os.urandom,
    ) -> tuple[Self, Recovery]:
        """Return the log in `directory` (created if missing), and what it held.

        Iterate `recovery.frames()` to its end before the first append. Call it on the loop that will use the log.

        Raises:
            LogLocked: another process has it open.
            UnknownFormat: a newer version wrote it.
            OSError: the directory cannot be used at all.
        """
        files = files or OsFileSystem()
        files.make_directory(directory)
        for each in (directory.parent, directory):
            # What this start sees the next must see too; a parent we may not read is someone else's to keep.
            with contextlib.suppress(OSError):
                files.sync_directory(each)
        try:
            lock_fd = files.lock(directory / LOCK_NAME)
        except BlockingIOError:
            raise LogLocked(
                f"The log in {directory} is in use by another process: each process needs a log of its own."
            ) from None
        try:
            recovery = Recovery(files, directory, survey(files, directory), draw)
            return cls(options, files, recovery, writer or WriterThread(), lock_fd, clock), recovery
        except BaseException:
            files.close(lock_fd)
            raise

    @property
    def bytes_on_disk(self) -> int:
        """Bytes of all segments, with what is appended and not yet written; without room reserved ahead."""
        return self._bytes + self._offset

    @property
    def segment(self) -> int:
        """The segment the next frame goes to, unless it is full."""
        return self._segment

    def append(self, payload: Buffer | Sequence[Buffer]) -> tuple[Position, asyncio.Future[None]]:
        """Stage one frame; return its position, and a future that succeeds when it is as durable as the policy says.

        The frames that become durable together share a future: who awaits it shields it from being cancelled.

        Args:
            payload: bytes, or several that are joined in the log; views count in bytes (format "B"). They must not
                change before the future is done.

        Raises:
            LogFull: the budget is used, or too much is staged. The future may fail with it too.
            LogPoisoned: the disk failed too often. The future may fail with it too.
            TooLarge: more than `PAYLOAD_BYTES_MAX`.
        """
        parts: tuple[Buffer, ...]
        if isinstance(payload, bytes | bytearray | memoryview):
            parts, length = (payload,), len(payload)
        else:
            parts = tuple(payload)
            length = sum(map(len, parts))
        frame_bytes = FRAME_HEADER_BYTES + length
        if self._refusal is not None:
            raise _fresh(self._refusal)
        if self._segments is None:
            self._begin_writing()
        self._check_room(length, frame_bytes)
        if self._offset + frame_bytes > self._options.segment_bytes_max and self._offset > SEGMENT_HEADER_BYTES:
            self._turn()
        group = self._gathering or self._gather()
        group.add(parts, length, frame_bytes)
        position = Position(self._segment, self._offset)
        self._offset += frame_bytes
        self._staged_bytes += frame_bytes
        if group.bytes > GROUP_BYTES_MAX:
            self._gathering = None
        return position, self._answered if self._options.policy == "memory" else group.durable

    def roll(self) -> None:
        """Let the next frame go to a fresh segment, which is created now, so that all before it can be released."""
        if self._refusal is None:
            if self._segments is None:
                self._begin_writing()
            if self._offset > SEGMENT_HEADER_BYTES:
                self._turn()
            if self._gathering is None:
                self._gather()

    def release(self, before_segment: int) -> None:
        """Remove, in the background and oldest first, the segments before `before_segment`, but never the current one.

        Nor the newest on disk, which holds the number: `roll` first to be rid of it. Releasing less than before changes
        nothing. After a failed removal the next call tries again.
        """
        if self._lock_fd < 0:
            return
        if self._segments is None:
            self._begin_writing()
        # Frames that are yet to come must not fall under it.
        self._release_before = max(self._release_before, min(before_segment, self._segment))
        self._wake()

    async def sync(self) -> None:
        """Return when everything appended so far is synced, whatever the policy.

        Raises:
            LogFull, LogPoisoned: it is not, or something answered for earlier (under `os`, `memory`) was lost.
        """
        lost, self._lost = self._lost, None
        if self._groups or self._staged_bytes or self._has_unsynced:
            await asyncio.shield(self._sync_behind().durable)
        if lost is not None:
            raise _fresh(lost)

    async def aclose(self) -> None:
        """Take nothing new, write and sync what was appended, let go of the files. Safe twice, and after failure."""
        if self._lock_fd < 0:
            return
        self._refusal = Unavailable("The log is closed; try again later.")
        lock_fd, self._lock_fd = self._lock_fd, -1
        self._release_before = 0
        try:
            await self.sync()
        except Unavailable:
            pass  # whoever waited for it was told; nobody else can be
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self._segments is not None:
                closed: asyncio.Future[None] = self._loop.create_future()
                self._writer.submit(self._segments.close, closed.set_result)
                self._segments = None
                await closed
            self._writer.close()
            self._files.close(lock_fd)

    def _check_room(self, length: int, frame_bytes: int) -> None:
        if length > PAYLOAD_BYTES_MAX:
            raise TooLarge(f"At most {PAYLOAD_BYTES_MAX // _MIB} MiB can be logged at once; send less.")
        if self._bytes + self._offset + frame_bytes > self._options.bytes_max:
            raise LogFull("The log has used its disk budget; try again later.", retry_after_seconds=5)
        if self._staged_bytes and self._staged_bytes + frame_bytes > self._options.staged_bytes_max:
            raise LogFull("The disk is slower than what is sent; try again later.")

    def _turn(self) -> None:
        """Let the next frame begin the next segment."""
        self._sizes[self._segment] = self._offset
        self._bytes += self._offset
        self._stand_at(Position(self._segment + 1, SEGMENT_HEADER_BYTES))

    def _stand_at(self, position: Position) -> None:
        self._segment, self._offset = position
        self._seed = seed(self._segment)
        self._gathering = None

    def _gather(self) -> Group:
        """Begin a group at the current position."""
        must_sync = self._options.policy == "fsync"
        durable = self._loop.create_future()
        group = Group(
            self._segment, self._offset, durable, mark=self._recovery.mark, seed=self._seed, must_sync=must_sync
        )
        self._groups.append(group)
        self._gathering = group
        self._wake()
        return group

    def _begin_writing(self) -> None:
        recovery = self._recovery
        if not recovery.is_finished:
            raise RuntimeError("read recovery.frames() to the end before using the log")
        self._bytes = sum(self._sizes.values())  # recovery may have cut a tail
        self._segments = SegmentWriter(
            recovery.directory,
            recovery.mark,
            Position(recovery.last_segment, recovery.end),
            allocate_bytes=self._options.segment_bytes_max if self._options.preallocate else 0,
            has_spare=recovery.survey.has_spare,
            files=self._files,
            clock=self._clock,
        )

    def _wake(self) -> None:
        """Look for a job when this turn of the loop is over, so that all its appends share a group."""
        if not self._is_busy:
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Give the writer its next job, if it is free and there is one."""
        if self._is_busy or self._segments is None:
            return
        oldest = next(iter(self._sizes), self._segment)
        # Removals first: there is one for a whole segment of groups, and a full log waits for them.
        if oldest < min(self._release_before, self._segments.segment):
            self._is_busy = True
            self._writer.submit(partial(self._segments.remove, oldest), partial(self._removed, oldest))
        elif self._groups:
            group = self._groups.popleft()
            if group is self._gathering:
                self._gathering = None
            self._is_busy = True
            self._writer.submit(partial(self._segments.write, group), partial(self._written, group))

    def _removed(self, segment: int, is_gone: bool) -> None:
        self._is_busy = False
        if is_gone:
            self._bytes -= self._sizes.pop(segment)
        else:
            self._release_before = 0
            self.stats.removals_failed += 1
        self._pump()

    def _written(self, group: Group, outcome: Outcome) -> None:
        self._is_busy = False
        if outcome.sync_seconds is not None:
            self.stats.syncs += 1
            self.stats.sync_seconds += outcome.sync_seconds
        if outcome.error is not None:
            self._fail(group, outcome, outcome.error)
        else:
            self._succeed(group)
        self._pump()

    def _succeed(self, group: Group) -> None:
        self.stats.groups += 1
        self.stats.frames += group.frames
        self.stats.bytes += group.bytes
        self._staged_bytes -= group.bytes
        if not group.durable.done():
            group.durable.set_result(None)
        self._has_unsynced = not group.must_sync and (self._has_unsynced or group.frames > 0)
        if self._has_unsynced and self._timer is None:
            self._timer = self._loop.call_later(self._options.sync_interval_seconds, self._sync_on_time)

    def _fail(self, group: Group, outcome: Outcome, error: Unavailable) -> None:
        """Refuse `group` and all that was staged behind it, and stand where the writer stands."""
        refused = [group, *self._groups]
        self._groups.clear()
        self._staged_bytes = 0
        if isinstance(error, LogFull):
            self.stats.full += 1
        else:
            self.stats.poisoned += 1
        if outcome.lost or self._options.policy == "memory":
            self._lost = error
        self._has_unsynced = self._has_unsynced and not outcome.lost
        if outcome.is_final:
            self._refusal = self._refusal or error
        self._sizes = {segment: size for segment, size in self._sizes.items() if segment < outcome.last.segment}
        if 0 < outcome.last.segment < outcome.next.segment:
            self._sizes[outcome.last.segment] = outcome.last.offset
        self._bytes = sum(self._sizes.values())
        self._stand_at(outcome.next)
        self._release_before = min(self._release_before, self._segment)
        for each in refused:
            if not each.durable.done():
                each.durable.set_exception(_fresh(error))
                each.durable.exception()  # if nobody waits for it, nobody needs a warning

    def _sync_behind(self) -> Group:
        """Make the last group sync when it is written; return it."""
        group = self._gathering or self._gather()
        group.must_sync = True
        return group

    def _sync_on_time(self) -> None:
        self._timer = None
        if self._has_unsynced and self._lock_fd >= 0:
            self._sync_behind()


def _fresh(error: Unavailable) -> Unavailable:
    """Return a copy: an exception raised in many places would collect all their tracebacks."""
    copy = type(error)(str(error), error.retry_after_seconds)
    copy.__cause__ = error.__cause__
    return copy
