"""Lock: one engine process per data directory.

An advisory lock (flock) on `engine.lock` in the data directory. The kernel lets go of it when the process dies, however
it dies, so there is nothing stale to clean up; the file keeps the holder's process id, for the message only.
"""

import fcntl
import os
from pathlib import Path

from gateway.core.clock import Clock

_RETRY_SECONDS = 0.05


class DirectoryTaken(Exception):
    """Another process holds the data directory; the message is for the operator."""


class DirectoryLock:
    """The lock on one data directory; held from `take` until `release` or the end of the process."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._file: int | None = None

    async def take(self, wait_seconds: float) -> None:
        """Take the lock, waiting for a holder that is about to go.

        Raises:
            DirectoryTaken: somebody still holds it after `wait_seconds`.
        """
        file = os.open(self._directory / "engine.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = self._clock.monotonic() + wait_seconds
        while not _try_lock(file):
            if self._clock.monotonic() >= deadline:
                holder = os.pread(file, 20, 0).decode("ascii", "replace").strip()
                os.close(file)
                raise DirectoryTaken(_sentence(self._directory, holder))
            await self._clock.sleep(_RETRY_SECONDS)
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        self._file = file

    def release(self) -> None:
        """Let go. Safe twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sentence(directory: Path, holder: str) -> str:
    who = f"process {holder}" if holder.isdigit() else "another process"
    return (
        f"The data directory {directory} is in use by {who}: "
        "stop that process, or choose another directory with --data-dir (SLUICE_DATA_DIR)."
    )
