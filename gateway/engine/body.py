"""Body: what a request carries, from the loop to the thread that runs its statement.

Chunks are read on the loop, handed over a queue with two places, and decoded in the thread: the client can send no
faster than the engine takes, and at most a few megabytes are on their way. The head of the body, in which an INSERT has
its statement, is decoded on the loop, once.
"""

import asyncio
from collections.abc import Iterator
from queue import SimpleQueue

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from gateway.engine.coding import Decoder
from gateway.engine.errors import NETWORK_ERROR, QUERY_IS_TOO_LARGE, SOCKET_TIMEOUT, TOO_MANY_BYTES, EngineError

_CHUNKS_ON_THE_WAY = 2


class Body:
    """A request's body: its head, then either all the rest or a stream of it."""

    def __init__(self, content: aiohttp.StreamReader, coding: str, timeout_seconds: float) -> None:
        self._content = content
        self._decoder = Decoder(coding)
        self._timeout_seconds = timeout_seconds
        self._pending: Iterator[bytes] = iter(())
        self.is_read = False
        """Whether nothing is left of it."""

    async def head(self, bytes_min: int) -> bytes:
        """Return `bytes_min` bytes or a piece more; less only if that is all.

        Raises:
            EngineError: the body is damaged, or does not come.
        """
        head = b""
        while len(head) < bytes_min:
            chunk = await self._chunk()
            if not chunk:
                self._decoder.finish()
                self.is_read = True
                break
            self._pending = self._decoder.decode(chunk)
            for piece in self._pending:
                head += piece
                if len(head) >= bytes_min:
                    break
        return head

    async def rest(self, bytes_max: int) -> bytes:
        """Return all after the head.

        Raises:
            EngineError: it is more than `bytes_max`, damaged, or does not come.
        """
        pieces = []
        size = 0
        while not self.is_read:
            for piece in self._pending:
                size += len(piece)
                if size > bytes_max:
                    raise EngineError(QUERY_IS_TOO_LARGE, f"The text of the query is larger than {bytes_max} bytes")
                pieces.append(piece)
            chunk = await self._chunk()
            self._pending = self._decoder.decode(chunk) if chunk else iter(())
            if not chunk:
                self._decoder.finish()
                self.is_read = True
        return b"".join(pieces)

    async def send(self, feed: "Feed") -> None:
        """Hand over all after the head, for `receive` in a thread; an early end of the thread ends it, too.

        Raises:
            EngineError: the body does not come. The thread is told, before this raises anything.
        """
        try:
            while not self.is_read and await feed.has_room():
                chunk = await self._chunk()
                self.is_read = not chunk
                if chunk:
                    feed.put(chunk)
            feed.put(b"")
        except BaseException:
            feed.break_off()
            raise

    def receive(self, first: bytes, feed: "Feed", bytes_max: int) -> Iterator[bytes]:
        """Yield `first` and all after the head, decoded; in a thread.

        Raises:
            EngineError: the body is larger than `bytes_max`, damaged, or broken off.
        """
        size = 0
        for piece in self._pieces(first, feed):
            size += len(piece)
            if size > bytes_max:
                raise EngineError(TOO_MANY_BYTES, f"The data of the INSERT is larger than {bytes_max} bytes")
            yield piece

    def _pieces(self, first: bytes, feed: "Feed") -> Iterator[bytes]:
        if first:
            yield first
        yield from self._pending
        for chunk in feed:
            yield from self._decoder.decode(chunk)
        self._decoder.finish()

    async def _chunk(self) -> bytes:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._content.readany()
        except TimeoutError:
            message = f"Timeout exceeded while reading the body: {self._timeout_seconds:g} seconds"
            raise EngineError(SOCKET_TIMEOUT, message) from None
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise EngineError(NETWORK_ERROR, f"The body broke off: {error}") from error


class Feed:
    """A queue from the loop to one thread, with few places."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(_CHUNKS_ON_THE_WAY)
        self._chunks: SimpleQueue[bytes | None] = SimpleQueue()
        self._is_closed = False

    async def has_room(self) -> bool:
        """Wait until there is a place for one more chunk; false if nobody takes them any more."""
        await self._places.acquire()
        return not self._is_closed

    def put(self, chunk: bytes) -> None:
        """Hand over a chunk; an empty one is the end."""
        self._chunks.put(chunk)

    def break_off(self) -> None:
        """Make the thread fail: there will be no end."""
        self._chunks.put(None)

    def close(self) -> None:
        """Take no more; from the thread."""
        self._loop.call_soon_threadsafe(self._closed)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks; in the thread."""
        while (chunk := self._chunks.get()) != b"":
            if chunk is None:
                raise EngineError(NETWORK_ERROR, "The body broke off; nothing was inserted")
            self._loop.call_soon_threadsafe(self._places.release)
            yield chunk

    def _closed(self) -> None:
        self._is_closed = True
        self._places.release()
