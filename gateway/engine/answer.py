"""Answer: the bytes of a result, from the pipe to the client, with the headers of a ClickHouse server.

    the result ends within the buffer     status, summary and length are known: an ordinary answer
    it does not                           headers go out, then the bytes as they come
    it does not, wait_end_of_query=1      the bytes wait in a spool until the statement has ended, then go out

An error after the headers cannot change the status any more. It goes into the body, between marks that carry a tag told
in the headers, and the connection is closed without the end that HTTP asks for, so that no client can take the part for
the whole.

Source: ClickHouse docs, "HTTP Interface"; src/Server/HTTP/WriteBufferFromHTTPServerResponse.cpp (the tag: since 25.11).
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson
from aiohttp import web

from gateway.core.clock import Clock
from gateway.engine.call import Call
from gateway.engine.coding import Encoder
from gateway.engine.errors import EngineError
from gateway.engine.library import Outcome
from gateway.engine.options import EngineOptions
from gateway.engine.pipe import Pipe, Spool
from gateway.engine.runner import Run

# Below this, compressing takes less time than handing the bytes to a thread.
_INLINE_BYTES: Final = 64 * 1024

# Clients tend to drop what they have not read when they see the connection break: the error should not be among it.
_LINGER_SECONDS: Final = 0.2

_TYPES: Final = (
    ("TabSeparated", "text/tab-separated-values; charset=UTF-8"),
    ("TSV", "text/tab-separated-values; charset=UTF-8"),
    ("CSV", "text/csv; charset=UTF-8"),
    ("JSONEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSONCompactEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSON", "application/json; charset=UTF-8"),
    ("XML", "application/xml; charset=UTF-8"),
)


@dataclass(frozen=True, slots=True)
class Server:
    """What an answer says about the server."""

    options: EngineOptions
    clock: Clock
    version: str
    timezone: str
    spool_dir: Path


@dataclass(slots=True)
class Answer:
    """One answer in the making."""

    server: Server
    query_id: str
    format: str = ""
    """Of the result; known once the statement has been read."""
    timezone: str = ""
    coding: str = ""
    started_at: float = 0.0
    tag: str = field(default_factory=lambda: secrets.token_hex(8))

    async def send(self, request: web.BaseRequest, call: Call, pipe: Pipe, run: Run) -> web.StreamResponse:
        """Send the result that comes through `pipe`, or in the outcome of `run`.

        Raises:
            EngineError: the statement failed before anything was sent.
        """
        head, is_whole = await pipe.head(call.buffer_bytes)
        if is_whole:
            outcome = await run.outcome()
            return self.whole(head or outcome.body, outcome)
        if not call.wait_end:
            return await self._stream(request, _after(head, pipe.chunks()), run)
        options = self.server.options
        bytes_max = min(options.spool_disk_bytes_max, call.result_bytes_max or options.spool_disk_bytes_max)
        spool = Spool(self.server.spool_dir, options.spool_memory_bytes_max, bytes_max)
        try:
            async for chunk in _after(head, pipe.chunks()):
                await spool.write(chunk)
            return await self._stream(request, spool.chunks(), run, await run.outcome(), spool.size)
        finally:
            spool.close()

    def whole(self, body: bytes, outcome: Outcome) -> web.Response:
        """Return an answer that is there already."""
        headers = self._headers(outcome)
        if self.coding and body:
            headers["Content-Encoding"] = self.coding
            encoder = Encoder(self.coding)
            body = encoder.encode(body) + encoder.finish()
        return web.Response(body=body, headers=headers)

    def failed(self, error: EngineError) -> web.Response:
        """Return the answer that tells of `error`."""
        headers = self._headers(None)
        headers["X-ClickHouse-Exception-Code"] = str(error.code)
        headers["Content-Type"] = "text/plain; charset=UTF-8"
        return web.Response(status=error.status, body=self._text(error), headers=headers)

    async def _stream(
        self,
        request: web.BaseRequest,
        chunks: AsyncIterator[bytes],
        run: Run,
        outcome: Outcome | None = None,
        size: int | None = None,
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=self._headers(outcome))
        if self.coding:
            response.headers["Content-Encoding"] = self.coding
        elif size is not None:
            response.content_length = size
        await response.prepare(request)
        encoder = Encoder(self.coding)
        async for chunk in chunks:
            await self._write(request, response, await self._encode(encoder, chunk))
        try:
            await run.outcome()
        except EngineError as error:
            await self._write(request, response, encoder.encode(self._trailer(error)) + encoder.finish())
            await self.server.clock.sleep(_LINGER_SECONDS)
            if request.transport is not None:
                request.transport.close()  # without a last chunk
        else:
            await self._write(request, response, encoder.finish())
        return response

    async def _write(self, request: web.BaseRequest, response: web.StreamResponse, data: bytes) -> None:
        """Write `data`.

        Raises:
            ConnectionError: the client has gone, or has read nothing for so long that it is as good as gone.
        """
        if not data:
            return
        try:
            async with asyncio.timeout(self.server.options.send_timeout_seconds):
                await response.write(data)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionAbortedError("the client does not read its answer") from None

    async def _encode(self, encoder: Encoder, chunk: bytes) -> bytes:
        if not self.coding or len(chunk) < _INLINE_BYTES:
            return encoder.encode(chunk)
        return await asyncio.to_thread(encoder.encode, chunk)

    def _text(self, error: EngineError) -> bytes:
        return error.text(self.server.version).encode() + b"\n"

    def _trailer(self, error: EngineError) -> bytes:
        """Return `error`, as it stands at the end of a body that has begun already."""
        text = self._text(error)
        tag = self.tag.encode()
        mark = b"\r\n__exception__\r\n"
        return mark + tag + b"\r\n" + text + str(len(text)).encode() + b" " + tag + mark

    def _headers(self, outcome: Outcome | None) -> dict[str, str]:
        headers = {
            "X-ClickHouse-Query-Id": _header(self.query_id),
            "X-ClickHouse-Server-Display-Name": "sluice-engine",
            "X-ClickHouse-Timezone": _header(self.timezone or self.server.timezone),
            "X-ClickHouse-Exception-Tag": self.tag,
            "Content-Type": _content_type(self.format),
        }
        if self.format:
            headers["X-ClickHouse-Format"] = self.format
        if outcome is not None:
            headers["X-ClickHouse-Summary"] = _summary(outcome, self.server.clock.monotonic() - self.started_at)
        return headers


async def _after(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in chunks:
        yield chunk


def _summary(outcome: Outcome, elapsed_seconds: float) -> str:
    """Return what the statement did, as a server writes it: JSON, all values in strings."""
    values = {
        "read_rows": outcome.read_rows,
        "read_bytes": outcome.read_bytes,
        "written_rows": outcome.written_rows,
        "written_bytes": outcome.written_bytes,
        "total_rows_to_read": outcome.read_rows,
        "result_rows": outcome.result_rows,
        "result_bytes": outcome.result_bytes,
        "elapsed_ns": int(elapsed_seconds * 1e9),
    }
    return orjson.dumps({name: str(value) for name, value in values.items()}).decode()


def _content_type(name: str) -> str:
    return next((kind for prefix, kind in _TYPES if name.startswith(prefix)), "application/octet-stream")


def _header(value: str) -> str:
    """Return `value` without what would end a header."""
    return "".join(char if char.isprintable() else " " for char in value)
