"""Pipe: a result on its way from the engine's thread to the loop, and the file it waits in if it has to.

The engine opens `/dev/fd/<n>` and writes; the kernel's buffer is the only one between it and us, so a query runs no
faster than its answer is taken.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Final

from gateway.engine.errors import TOO_MANY_ROWS_OR_BYTES, EngineError

READ_BYTES: Final = 1024 * 1024


class Pipe:
    """A pipe that the engine fills from a thread and the loop empties."""

    def __init__(self) -> None:
        self._output, self.input = os.pipe()
        os.set_blocking(self._output, False)
        with suppress(OSError, AttributeError):  # Linux only, and there within the user's allowance
            fcntl.fcntl(self.input, fcntl.F_SETPIPE_SZ, READ_BYTES)

    async def read(self) -> bytes:
        """Return what there is, or wait for it; nothing means the end."""
        while True:
            try:
                return os.read(self._output, READ_BYTES)
            except BlockingIOError:
                await self._readable()

    async def head(self, bytes_max: int) -> tuple[bytes, bool]:
        """Return the first bytes, a read more than `bytes_max` at most, and whether they are all."""
        await self._readable()
        head = chunk = await self.read()
        while chunk and len(head) <= bytes_max:
            chunk = await self.read()
            head += chunk
        return head, not chunk

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the rest."""
        while chunk := await self.read():
            yield chunk

    def close_input(self) -> None:
        """Close the engine's end; from its thread, when it has written all."""
        os.close(self.input)

    def close(self) -> None:
        """Close our end. Safe twice."""
        if self._output >= 0:
            os.close(self._output)
            self._output = -1

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        readable = loop.create_future()
        loop.add_reader(self._output, _tell, readable)
        try:
            await readable
        finally:
            loop.remove_reader(self._output)


class Spool:
    """A result held back whole: in memory while it is small, then in a file without a name."""

    def __init__(self, directory: Path, memory_bytes_max: int, bytes_max: int) -> None:
        self._file = SpooledTemporaryFile(memory_bytes_max, dir=str(directory))  # noqa: SIM115  closed by `close`
        self._bytes_max = bytes_max
        self.size = 0

    async def write(self, chunk: bytes) -> None:
        """Append `chunk`.

        Raises:
            EngineError: the result is larger than is allowed.
        """
        self.size += len(chunk)
        if self.size > self._bytes_max:
            raise EngineError(TOO_MANY_ROWS_OR_BYTES, f"The result is larger than {self._bytes_max} bytes")
        await asyncio.to_thread(self._file.write, chunk)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield it all, from the beginning."""
        self._file.seek(0)
        while chunk := await asyncio.to_thread(self._file.read, READ_BYTES):
            yield chunk

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _tell(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)
