"""Spool: a file that is written once, in order, and then appears whole and durable, or not at all.

Until then it is `<name>.part`, and as long as it is small it is only in memory: what turns out to be no file, or one
that is not wanted, has then cost the disk nothing.
"""

import asyncio
import errno
import os
import threading
from pathlib import Path
from typing import Final

from gateway.core.errors import Unavailable

PART: Final = ".part"
"""The ending of files that are not whole."""

HELD_BYTES_MAX: Final = 1024 * 1024
"""What is gathered in memory before it is written, in one call from a thread."""

_HEAD_BYTES: Final = 64 * 1024
# The system may keep so much unwritten; otherwise the last sync of a large file would take minutes.
_UNSYNCED_BYTES_MAX: Final = 64 * 1024 * 1024
_RETRY_SECONDS: Final = 30
_PERMISSIONS: Final = 0o640


class SpoolFailed(Unavailable):
    """The disk did not take it; nothing of it is left once it is discarded."""


class Spool:
    """One such file. Not for two tasks at once; `discard` may follow anything, also a cancelled call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.head = b""
        self._part = path.with_name(path.name + PART)
        self._held = bytearray()
        # A thread may still write for a caller that was cancelled while another discards.
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._is_on_disk = False
        self._unsynced = 0
        self._is_closed = False

    @property
    def held(self) -> bytes | None:
        """All that was written, if it is still in memory; None if a part of it is on the disk."""
        return None if self._is_on_disk else bytes(self._held)

    async def write(self, data: bytes) -> None:
        """Add `data`.

        Raises:
            SpoolFailed: the disk is full or broken.
        """
        if self.size < _HEAD_BYTES:
            self.head += data[: _HEAD_BYTES - self.size]
        self.size += len(data)
        self._held += data
        if len(self._held) >= HELD_BYTES_MAX:
            await self._flush()

    async def commit(self) -> None:
        """Make the file durable under its name; it replaces one that is there.

        Raises:
            SpoolFailed: the disk is full or broken.
        """
        await self._flush()
        await asyncio.to_thread(self._publish)

    async def restart(self) -> None:
        """Forget everything that was written."""
        self.size = 0
        self.head = b""
        self._held.clear()
        await asyncio.to_thread(self._empty)

    async def discard(self) -> None:
        """Remove what is not committed; nothing can be written afterwards. Safe twice, and after `commit`."""
        if self._is_on_disk:
            await asyncio.to_thread(self._drop)

    async def _flush(self) -> None:
        self._is_on_disk = True
        data, self._held = self._held, bytearray()
        await asyncio.to_thread(self._append, data)

    def _append(self, data: bytearray) -> None:
        with self._lock:
            if self._is_closed:
                return
            try:
                if self._descriptor is None:
                    self._part.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
                    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                    self._descriptor = os.open(self._part, flags, _PERMISSIONS)
                view = memoryview(data)
                while view:
                    view = view[os.write(self._descriptor, view) :]
                self._unsynced += len(data)
                if self._unsynced >= _UNSYNCED_BYTES_MAX:
                    os.fdatasync(self._descriptor)
                    self._unsynced = 0
            except OSError as error:
                raise _failed(error) from error

    def _publish(self) -> None:
        with self._lock:
            if self._is_closed or self._descriptor is None:
                return
            try:
                os.fsync(self._descriptor)
                os.close(self._descriptor)
                self._is_closed = True
                self._part.replace(self.path)
                sync_directory(self.path.parent)
            except OSError as error:
                self.path.unlink(missing_ok=True)
                raise _failed(error) from error

    def _empty(self) -> None:
        with self._lock:
            if self._descriptor is not None and not self._is_closed:
                os.ftruncate(self._descriptor, 0)
                os.lseek(self._descriptor, 0, os.SEEK_SET)

    def _drop(self) -> None:
        with self._lock:
            if not self._is_closed and self._descriptor is not None:
                os.close(self._descriptor)
            self._is_closed = True
            self._part.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Return when creations and removals in `path` are on the disk.

    Raises:
        OSError: they may not be.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(error: OSError) -> SpoolFailed:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return SpoolFailed("There is no room for the file on the disk of the gateway; try again later", _RETRY_SECONDS)
    return SpoolFailed("The gateway could not write the file to its disk; try again later", _RETRY_SECONDS)
