"""Turns: how much work is done between two looks at the network.

A turn of the loop runs whatever is ready, however much it is. Thirty bodies that arrived together are a tenth of a
second of work, and meanwhile nothing else is read or sent: an insert took twenty times as long as it takes. So large
pieces of work ask for a turn; they are done in the order in which they asked, so many bytes in one turn of the loop.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

BYTES_MAX: Final = 256 * 1024
"""Of events, about three milliseconds of work; the last piece of a turn may go beyond."""


class Turns:
    """The turns of one loop."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._done = 0  # bytes, in this turn of the loop
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()

    def run(self, size: int, work: Callable[[], None]) -> None:
        """Call `work`, which is about `size` bytes: now, or in one of the next turns; it must not raise."""
        if self._done == 0:
            asyncio.get_running_loop().call_soon(self._next)
        if self._waiting or self._done >= self._bytes_max:
            self._waiting.append((size, work))
        else:
            self._done += max(size, 1)
            work()

    async def wait(self, size: int) -> None:
        """Return when about `size` bytes may be worked on."""
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.run(size, lambda: None if mine.done() else mine.set_result(None))
        await mine

    def _next(self) -> None:
        self._done = 0
        try:
            while self._waiting and self._done < self._bytes_max:
                size, work = self._waiting.popleft()
                self._done += max(size, 1)
                work()
        finally:
            if self._done:
                asyncio.get_running_loop().call_soon(self._next)
