"""Files: the few calls of the operating system the log makes, so that a test can crash, fill or break the disk.

Every method may raise `OSError`. Offsets are explicit (no file position), so a retried call does the same again.
Creating, changing and removing a name are durable only after `sync_directory`; bytes only after `sync`.
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from gateway.wal.frame import Buffer

_PERMISSIONS = 0o640


class FileSystem(Protocol):
    """What the log asks of an operating system."""

    def make_directory(self, path: Path) -> None:
        """Create `path` and its parents; fine if it is there."""

    def list(self, path: Path) -> list[str]:
        """Return the names in the directory `path`, in any order."""

    def create(self, path: Path) -> int:
        """Return a descriptor of a new, empty file; an old one of that name is emptied."""

    def open(self, path: Path, *, writable: bool = False) -> int:
        """Return a descriptor of `path`; a missing file is created if `writable`, else FileNotFoundError."""

    def close(self, fd: int) -> None:
        """Let go of `fd`, and of a lock held with it."""

    def size(self, fd: int) -> int:
        """Return the bytes in the file."""

    def read(self, fd: int, length: int, offset: int) -> bytes:
        """Return up to `length` bytes; fewer only at the end of the file."""

    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        """Write some of `buffers` (at most `IOV_MAX` of them) at `offset`; return how many bytes, at least one."""

    def sync(self, fd: int) -> None:
        """Return when all bytes of the file, and its length, are on the disk."""

    def truncate(self, fd: int, length: int) -> None:
        """Cut or extend the file to `length` bytes."""

    def allocate(self, fd: int, length: int) -> None:
        """Reserve room for `length` bytes; the file is that long afterwards, and zero where it was not written."""

    def unlink(self, path: Path) -> None:
        """Remove the name `path`."""

    def rename(self, path: Path, name: Path) -> None:
        """Call the file `path` `name` from now on, in one step; a file that had the name loses it."""

    def sync_directory(self, path: Path) -> None:
        """Return when creations, renamings and removals in `path` are on the disk."""

    def lock(self, path: Path) -> int:
        """Return a descriptor that holds the only lock on `path`; BlockingIOError if another holds it."""


# What one pwritev takes (UIO_MAXIOV in Linux).
IOV_MAX = 1024


class OsFileSystem:
    """The machine's files."""

    def make_directory(self, path: Path) -> None:
        """See `FileSystem.make_directory`."""
        path.mkdir(parents=True, exist_ok=True, mode=0o750)

    def list(self, path: Path) -> list[str]:
        """See `FileSystem.list`."""
        return [entry.name for entry in path.iterdir()]

    def create(self, path: Path) -> int:
        """See `FileSystem.create`."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _PERMISSIONS)

    def open(self, path: Path, *, writable: bool = False) -> int:
        """See `FileSystem.open`."""
        return os.open(path, (os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY) | os.O_CLOEXEC, _PERMISSIONS)

    def close(self, fd: int) -> None:
        """See `FileSystem.close`."""
        os.close(fd)

    def size(self, fd: int) -> int:
        """See `FileSystem.size`."""
        return os.fstat(fd).st_size

    def read(self, fd: int, length: int, offset: int) -> bytes:
        """See `FileSystem.read`."""
        found = os.pread(fd, length, offset)
        while 0 < len(found) < length and (more := os.pread(fd, length - len(found), offset + len(found))):
            found += more
        return found

    def write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        """See `FileSystem.write`."""
        return os.pwritev(fd, buffers, offset)

    def sync(self, fd: int) -> None:
        """See `FileSystem.sync`."""
        os.fdatasync(fd)

    def truncate(self, fd: int, length: int) -> None:
        """See `FileSystem.truncate`."""
        os.ftruncate(fd, length)

    def allocate(self, fd: int, length: int) -> None:
        """See `FileSystem.allocate`."""
        os.posix_fallocate(fd, 0, length)

    def unlink(self, path: Path) -> None:
        """See `FileSystem.unlink`."""
        path.unlink()

    def rename(self, path: Path, name: Path) -> None:
        """See `FileSystem.rename`."""
        path.rename(name)

    def sync_directory(self, path: Path) -> None:
        """See `FileSystem.sync_directory`."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def lock(self, path: Path) -> int:
        """See `FileSystem.lock`."""
        fd = self.open(path, writable=True)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise
        return fd
