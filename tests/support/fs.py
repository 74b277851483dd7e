"""SimulatedFileSystem: files in memory that know which bytes and which names would survive a power cut.

It behaves like `gateway.wal.OsFileSystem` (both pass tests/unit/wal/test_wal_files.py), and it can be unkind:

    fail("write", errno.ENOSPC, after=2)    the third write from now fails; half of it was written
    write_bytes_max                         one write takes no more
    capacity_bytes                          a disk that fills up by itself
    stop_after(n)                           after n more calls that change something, nothing works any more
    kill()                                  the process is gone: descriptors and locks are; the bytes are not
    crash()                                 the power is gone: un-synced bytes and names are kept, torn or lost by chance

Chance comes from the seed, so that a failure can be seen twice.
"""

import errno
import os
import random
from collections.abc import Sequence
from pathlib import Path

# What one device write keeps whole. Small, so that small frames can be torn.
SECTOR_BYTES = 32


class _File:
    def __init__(self) -> None:
        self.data = bytearray()
        self.synced = b""
        self.pending: list[tuple[int, bytes | None]] = []  # (offset, bytes) written, (length, None) truncated

    def apply(self, at: int, data: bytes | None) -> None:
        self.data = _applied(self.data, at, data)
        self.pending.append((at, data))

    def tear(self, chance: random.Random) -> None:
        image, share = bytearray(self.synced), chance.choice((0.0, 0.3, 0.7, 1.0))
        for at, data in self.pending:
            if data is None:
                if chance.random() < share:
                    image = _applied(image, at, None)
                continue
            for start in range(0, len(data), SECTOR_BYTES):
                if chance.random() < share:
                    image = _applied(image, at + start, data[start : start + SECTOR_BYTES])
        self.data, self.synced, self.pending = image, bytes(image), []


def _renamed(names: dict[Path, _File], step: dict[Path, _File | None]) -> dict[Path, _File]:
    return {path: file for path, file in {**names, **step}.items() if file is not None}


def _applied(image: bytearray, at: int, data: bytes | None) -> bytearray:
    end = at if data is None else at + len(data)
    if len(image) < end:
        image = image + bytes(end - len(image))
    if data is None:
        return image[:at]
    image[at:end] = data
    return image


class SimulatedFileSystem:
    """See the module."""

    def __init__(self, seed: int = 0, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        self.write_bytes_max = 1 << 60
        self.calls: list[str] = []
        self._chance = random.Random(seed)
        self._names: dict[Path, _File] = {}
        self._synced_names: dict[Path, _File] = {}
        self._steps: list[dict[Path, _File | None]] = []  # changes of names since, each whole or not at all
        self._descriptors: dict[int, _File] = {}
        self._locks: dict[int, _File] = {}
        self._next_fd = 100
        self._faults: list[list] = []
        self._calls_left: int | None = None

    # --- being unkind

    def fail(self, call: str, error: int, *, after: int = 0, times: int = 1) -> None:
        """Let `call` fail with `error`, `times` times, after it succeeded `after` times."""
        self._faults.append([call, error, after, times])

    def heal(self) -> None:
        self._faults.clear()
        self._calls_left = None

    def stop_after(self, calls: int) -> None:
        self._calls_left = calls

    def kill(self) -> None:
        self._descriptors.clear()
        self._locks.clear()
        self.heal()

    def crash(self) -> None:
        self.kill()
        names, lost = dict(self._synced_names), set()
        for step in self._steps:
            # What was built on a lost step is lost with it; apart from that, later ones may arrive before earlier ones.
            if lost.isdisjoint(step) and self._chance.random() < 0.5:
                names = _renamed(names, step)
            else:
                lost.update(step)
        self._names, self._synced_names, self._steps = names, dict(names), []
        for file in dict.fromkeys(names.values()):
            file.tear(self._chance)

    # --- for tests that look at or change what lies there

    def content(self, path: Path) -> bytes:
        return bytes(self._names[path].data)

    def put(self, path: Path, data: bytes) -> None:
        """Let `path` hold `data`, on the disk."""
        file = _File()
        file.data, file.synced = bytearray(data), data
        self._names[path] = self._synced_names[path] = file
        self._steps = [step for step in self._steps if path not in step]

    def paths(self) -> list[Path]:
        return sorted(self._names)

    def copy(self) -> "SimulatedFileSystem":
        """Return a healthy file system with the same files."""
        other = SimulatedFileSystem()
        for path, file in self._names.items():
            other.put(path, bytes(file.data))
        return other

    # --- FileSystem

    def make_directory(self, path: Path) -> None:
        self._call("make_directory")

    def list(self, path: Path) -> list[str]:
        return [each.name for each in self._names if each.parent == path]

    def create(self, path: Path) -> int:
        self._call("create")
        file = self._names.get(path)
        if file is None:
            self._step({path: (file := _File())})
        else:
            file.apply(0, None)
        return self._descriptor(file)

    def open(self, path: Path, *, writable: bool = False) -> int:
        if path not in self._names:
            if not writable:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            self._call("open")
            self._step({path: _File()})
        return self._descriptor(self._names[path])

    def close(self, fd: int) -> None:
        self._file(fd)
        del self._descriptors[fd]
        self._locks.pop(fd, None)

    def size(self, fd: int) -> int:
        return len(self._file(fd).data)

    def read(self, fd: int, length: int, offset: int) -> bytes:
        self._fault("read")
        return bytes(self._file(fd).data[offset : offset + length])

    def write(self, fd: int, buffers: Sequence, offset: int) -> int:
        file, data = self._file(fd), b"".join(buffers)
        room = min(self._room(file, offset), self.write_bytes_max)
        try:
            self._call("write")
        except OSError:
            if self._calls_left is None and data:
                file.apply(offset, data[: min(len(data) // 2, room)])
            raise
        if data and room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file.apply(offset, data[:room])
        return len(data[:room])

    def sync(self, fd: int) -> None:
        file = self._file(fd)
        try:
            self._call("sync")
        except OSError:
            # As in Linux: the pages are marked clean whether they arrived or not, and the error is told once.
            file.pending = [op for op in file.pending if self._chance.random() < 0.5]
            raise
        file.synced, file.pending = bytes(file.data), []

    def truncate(self, fd: int, length: int) -> None:
        file = self._file(fd)
        self._call("truncate")
        file.apply(length, None)

    def allocate(self, fd: int, length: int) -> None:
        file = self._file(fd)
        self._call("allocate")
        if length > len(file.data):
            if self._room(file, len(file.data)) < length - len(file.data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            file.apply(length, None)

    def unlink(self, path: Path) -> None:
        self._call("unlink")
        self._named(path)
        self._step({path: None})

    def rename(self, path: Path, name: Path) -> None:
        self._call("rename")
        self._step({path: None, name: self._named(path)})

    def sync_directory(self, path: Path) -> None:
        self._call("sync_directory")
        here = {each: file for each, file in self._names.items() if each.parent == path}
        elsewhere = {each: file for each, file in self._synced_names.items() if each.parent != path}
        self._synced_names = elsewhere | here
        self._steps = [step for step in self._steps if all(each.parent != path for each in step)]

    def lock(self, path: Path) -> int:
        file = self._names.get(path)
        if file in self._locks.values():
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        fd = self.open(path, writable=True)
        self._locks[fd] = self._descriptors[fd]
        return fd

    # ---

    def _named(self, path: Path) -> _File:
        if path not in self._names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return self._names[path]

    def _step(self, step: dict[Path, _File | None]) -> None:
        """Change names, all in `step` or none."""
        self._names = _renamed(self._names, step)
        self._steps.append(step)

    def _descriptor(self, file: _File) -> int:
        self._next_fd += 1
        self._descriptors[self._next_fd] = file
        return self._next_fd

    def _file(self, fd: int) -> _File:
        if fd not in self._descriptors:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._descriptors[fd]

    def _room(self, file: _File, offset: int) -> int:
        """How far a write at `offset` may go: bytes inside the file need no new room."""
        if self.capacity_bytes is None:
            return 1 << 60
        used = sum(len(each.data) for each in set(self._names.values()))
        return max(0, len(file.data) - offset) + max(0, self.capacity_bytes - used)

    def _call(self, name: str) -> None:
        """A call that changes something."""
        self.calls.append(name)
        if self._calls_left is not None:
            if self._calls_left == 0:
                raise OSError(errno.EIO, "the machine has stopped")
            self._calls_left -= 1
        self._fault(name)

    def _fault(self, name: str) -> None:
        for fault in self._faults:
            call, error, after, times = fault
            if call == name and times:
                if after:
                    fault[2] -= 1
                    continue
                fault[3] -= 1
                raise OSError(error, os.strerror(error))
