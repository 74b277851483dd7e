"""Shared memory: bytes that the processes of one run see at once, in a file of the data directory."""

import mmap
import os
from pathlib import Path


def shared_memory(path: Path, size: int) -> memoryview:
    """Return `size` bytes that every process sees that asks for `path`; zeros if it is new.

    Raises:
        OSError: the file cannot be made, or the disk has no room for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)  # a write to a hole would kill the process on a full disk
        elif path.stat().st_size < size:
            file.truncate(size)
        return memoryview(mmap.mmap(file.fileno(), size))
