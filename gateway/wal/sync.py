"""Sync: which frames are written together, when their callers hear of it, and by which thread.

One group at a time is with the writer; the next one gathers on the loop meanwhile. So the longer a sync takes, the more
frames share the next one. The loop owns every group until it submits it and again after `done`: no lock is needed.

    policy    a frame's future succeeds                        what a crash may take
    fsync     when the group is written and synced             nothing
    os        when the group is written                        of the process: nothing; of the machine: the last
                                                               `sync_interval_seconds`
    memory    at once                                          what was not yet written
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Literal, Protocol, TypeVar

from gateway.wal.frame import Buffer, checksum, encode_header

T = TypeVar("T")
Policy = Literal["fsync", "os", "memory"]

# A group closes at this size, so that the first caller in it does not wait for the last: about 10 ms of writing.
GROUP_BYTES_MAX = 8 * 1024 * 1024

# From here on the sum of a payload is left to the writer thread, where it runs without the GIL; below, handing it over
# costs more than the sum itself.
_LATE_BYTES_MIN = 256 * 1024


class Group:
    """Frames that are written with one write and, if `must_sync`, answered after one sync.

    All lie in `segment`, the first at `offset`. Without frames it opens its segment, if there is none, and syncs.
    """

    __slots__ = ("_late", "_mark", "_seed", "buffers", "bytes", "durable", "frames", "must_sync", "offset", "segment")

    def __init__(
        self, segment: int, offset: int, durable: asyncio.Future[None], *, mark: int, seed: int, must_sync: bool
    ) -> None:
        self.segment = segment
        self.offset = offset
        self.bytes = 0
        self.frames = 0
        self.must_sync = must_sync
        self.buffers: list[Buffer] = []
        self.durable = durable
        self._mark = mark
        self._seed = seed
        self._late: list[tuple[int, int, int, tuple[Buffer, ...]]] = []

    def add(self, parts: tuple[Buffer, ...], length: int, frame_bytes: int) -> None:
        """Add the frame of a payload of `length` bytes; `parts` must not change until it is written."""
        place = self._seed ^ (self.offset + self.bytes)
        if length < _LATE_BYTES_MIN:
            self.buffers.append(encode_header(self._mark, place, length, checksum(parts)))
        else:
            self._late.append((len(self.buffers), place, length, parts))
            self.buffers.append(b"")
        self.buffers += parts
        self.bytes += frame_bytes
        self.frames += 1

    def finish(self) -> None:
        """Compute the headers left for later; called by the writer."""
        for index, place, length, parts in self._late:
            self.buffers[index] = encode_header(self._mark, place, length, checksum(parts))
        self._late.clear()


class Writer(Protocol):
    """Who runs the log's jobs: one at a time, in order."""

    def submit(self, job: Callable[[], T], done: Callable[[T], object]) -> None:
        """Run `job`, which never raises, and then call `done` with its result on the loop."""

    def close(self) -> None:
        """Let go of the thread; nothing is submitted afterwards."""


class WriterThread:
    """A thread of its own, so that a slow disk never stops the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Callable[[Any], object]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="wal-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], T], done: Callable[[T], object]) -> None:
        """See `Writer.submit`."""
        self._jobs.put((job, done))

    def close(self) -> None:
        """See `Writer.close`."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, done = item
            result = job()
            try:
                self._loop.call_soon_threadsafe(done, result)
            except RuntimeError:
                return  # the loop is closed: nobody is left to tell


class InlineWriter:
    """No thread: a job runs when it is submitted. For tests that must happen the same way twice."""

    def submit(self, job: Callable[[], T], done: Callable[[T], object]) -> None:
        """See `Writer.submit`."""
        asyncio.get_running_loop().call_soon(done, job())

    def close(self) -> None:
        """See `Writer.close`."""
