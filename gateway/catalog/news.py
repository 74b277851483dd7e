"""News: a file by which the processes of a node tell each other that the record changed.

It holds a few random bytes; whoever changed the record writes others. Looking at them costs no system call, so a reader
may look at every request and ask the database only when there is something new. A teller that dies between its commit
and its telling costs the others one turn of their polling.
"""

import mmap
import os
from pathlib import Path
from typing import Final

_BYTES: Final = 8


class News:
    """The file, mapped into memory."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            OSError: it cannot be made.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size < _BYTES:
                os.ftruncate(descriptor, _BYTES)
            self._memory = mmap.mmap(descriptor, _BYTES)
        finally:
            os.close(descriptor)

    def tell(self) -> None:
        """Say that something changed."""
        self._memory[:] = os.urandom(_BYTES)

    def mark(self) -> bytes:
        """Return what stands there; it is another as soon as something changed."""
        return self._memory[:]

    def close(self) -> None:
        """Let go of the file. Safe twice."""
        self._memory.close()
