"""Listen: one socket of many on the same port, and connections that cannot be held open for nothing.

A connection hands what it receives to aiohttp, or, when aiohttp is between two requests and the next one's head is
known, to its shortcut; see `express`. How much of a stretch of bytes aiohttp has used up is counted, so that both
always agree where a request begins.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from aiohttp import HttpVersion11
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web import BaseRequest, Response, Server, StreamResponse
from aiohttp.web_protocol import RequestHandler

from gateway.core.clock import Clock
from gateway.core.errors import RateLimited
from gateway.telemetry import tally
from gateway.telemetry.logs import get_logger
from gateway.telemetry.tracing import Trace
from gateway.web.errors import body_of
from gateway.web.express import HEAD_BYTES_MAX, SHORTCUT, SMALL_BYTES_MAX, Express, Known
from gateway.web.request import JSON

_logger = get_logger(__name__)

_KEEPALIVE_SECONDS: Final = 75.0
# Tokens and JWTs travel in the request line too.
_LINE_BYTES_MAX: Final = 32 * 1024
_BACKLOG: Final = 4096
_FRESH_LOOK_SECONDS: Final = 0.01
# Pieces held behind a request on its shortcut before no more is read: a client that does not wait for answers.
_HELD_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a connection waits for its client, in seconds.

    Attributes:
        head: for the head of a first request; who has not sent it by then is gone, or means harm.
        body: for a body on its shortcut; one that is not all there by then goes the ordinary way.
    """

    head: float = 20.0
    body: float = 2.0


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket that shares `port` with the other workers.

    Raises:
        OSError: the address is not ours, or the port is taken by somebody else.
    """
    family = socket.AF_INET6 if _is_ipv6(host) else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.bind((host, port))
        found.listen(_BACKLOG)
        found.setblocking(False)
    except OSError:
        found.close()
        raise
    return found


def http_server(handler: Any, express: Express, waits: Waits | None = None) -> "HttpServer":
    """Return a low-level server whose requests go to `handler`, bodies as they were sent."""
    return HttpServer(
        handler,
        express,
        waits or Waits(),
        auto_decompress=False,
        access_log=None,
        keepalive_timeout=_KEEPALIVE_SECONDS,
        max_line_size=_LINE_BYTES_MAX,
        max_field_size=_LINE_BYTES_MAX,
        lingering_time=2.0,
    )


class HttpServer(Server):
    """The connections of one process."""

    def __init__(self, handler: Any, express: Express, waits: Waits, **options: Any) -> None:
        super().__init__(handler, **options)
        self._express = express
        self._waits = waits

    def __call__(self) -> RequestHandler:
        """Return what handles a connection."""
        return Connection(self._express, self._waits, self, loop=self._loop, **self._kwargs)

    async def first_requests(self, clock: Clock, seconds_max: float) -> None:
        """Return when each connection has sent its first request, or after `seconds_max`: nobody listens any more.

        Who was let in a moment ago has a request on its way, and would have to take a closed connection for an answer.
        """
        deadline = clock.monotonic() + seconds_max
        while clock.monotonic() < deadline and any(map(_is_fresh, self.connections)):
            await clock.sleep(_FRESH_LOOK_SECONDS)


class Connection(RequestHandler):
    """A connection that is closed if its first request does not begin in time, or if it does not speak HTTP."""

    __slots__ = (
        "_begin",
        "_collecting",
        "_express",
        "_handed",
        "_head_timer",
        "_held",
        "_idle",
        "_is_whole",
        "_known",
        "_last",
        "_patience",
        "_waits",
        "on_lost",
    )  # fmt: skip

    def __init__(self, express: Express, waits: Waits, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._express = express
        self._waits = waits
        self.on_lost: Callable[[], None] | None = None  # whoever works on an answer that nobody waits for any more
        # Of the bytes aiohttp was given since it last stood between two requests: the first, and how many.
        self._begin = b""
        self._handed = 0
        self._is_whole = False  # they are one request, and it has been answered: it stands there again
        self._last: Known | None = None  # of the last request: the next one's head is the same, most likely
        self._known: Known | None = None  # the request on its shortcut: its body still comes, or it is being kept
        self._collecting: list[bytes] | None = None  # what has come of it
        self._patience: asyncio.TimerHandle | None = None
        self._held: list[bytes] = []  # came behind a request on its shortcut
        self._idle: asyncio.Future[None] | None = None  # somebody waits until no request is on its shortcut

    @property
    def is_fresh(self) -> bool:
        """Whether its first request is still to come."""
        return self._request_count == 0 and self._current_request is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._head_timer = self._loop.call_later(self._waits.head, self._check_head)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget what was on its way; a request that is being kept is kept."""
        self._head_timer.cancel()
        self._collecting = None
        self._held.clear()
        if self.on_lost is not None:
            self.on_lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a request to its shortcut, or hand it to aiohttp."""
        if not data:  # aiohttp, to itself
            super().data_received(data)
        elif self._collecting is not None:
            self._collect(data)
        elif self._known is not None:
            self._held.append(data)
            if len(self._held) == _HELD_MAX:
                self._pause_transport_reading()
        elif not (self._is_whole and self._shortcut(data)):
            self._hand_over(data)

    async def finish_response(
        self, request: BaseRequest, resp: StreamResponse, start_time: float | None
    ) -> tuple[StreamResponse, bool]:
        """Send the answer of a request that went the ordinary way, and learn of it."""
        result = await super().finish_response(request, resp, start_time)
        message = request._message  # noqa: SLF001
        length = request.content_length or 0
        head_end = self._begin.find(b"\r\n\r\n") + 4
        is_framed = head_end >= 4 and not (message.chunked or message.upgrade)
        # What comes from now on is the next request's, however soon aiohttp asks for it.
        self._is_whole = bool(
            is_framed and self._handed == head_end + length and request.keep_alive and resp.keep_alive
        )
        shortcut = request.get(SHORTCUT)
        is_plain = request.version == HttpVersion11 and "Expect" not in request.headers
        if self._is_whole and is_plain and shortcut is not None:
            self._express.learn(self._begin[:head_end], length, shortcut)
        return result

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109  aiohttp's
        """Wait for a request on its shortcut, then as aiohttp does."""
        if self._known is not None:
            self._idle = self._loop.create_future()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._idle
        await super().shutdown(timeout)

    def _hand_over(self, data: bytes) -> None:
        if self._is_whole or self._handed == 0:
            self._begin, self._handed, self._is_whole = data[:HEAD_BYTES_MAX], 0, False
        self._handed += len(data)
        super().data_received(data)

    def _shortcut(self, data: bytes) -> bool:
        """Take the request that `data` begins with, if its head is known."""
        if self._express.is_leaving:
            return False
        known = self._last
        if known is None or not data.startswith(known.head):
            known = self._last = self._express.find(data)
        if known is None or self._paused or self._close or self._force_close:
            return False
        self._known = known
        body = data[len(known.head) :]
        if len(body) < known.body_bytes:
            self._collecting = [body]
            self._patience = self._loop.call_later(self._waits.body, self._lose_patience)
        else:
            self._take(known, body)
        return True

    def _collect(self, data: bytes) -> None:
        pieces, known = self._collecting, self._known
        assert pieces is not None
        assert known is not None
        pieces.append(data)
        if sum(map(len, pieces)) >= known.body_bytes:
            self._stop_collecting()
            self._take(known, b"".join(pieces))

    def _lose_patience(self) -> None:
        """Let aiohttp wait for the rest: it has rules for the slow."""
        pieces, known = self._stop_collecting(), self._known
        self._known = None
        if self.transport is not None and known is not None:
            self._hand_over(known.head + b"".join(pieces))

    def _stop_collecting(self) -> list[bytes]:
        pieces, self._collecting = self._collecting or [], None
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        return pieces

    def _take(self, known: Known, body: bytes) -> None:
        began = self._loop.time()
        if len(body) > known.body_bytes:
            self._held.append(body[known.body_bytes :])
            body = body[: known.body_bytes]
        if len(body) <= SMALL_BYTES_MAX:
            self._keep(known, body, began)
        else:
            self._express.turns.run(len(body), partial(self._keep, known, body, began))

    def _keep(self, known: Known, body: bytes, began: float) -> None:
        request_id = self._express.next_id()
        tracer = self._express.tracer
        trace = tracer.request(known.traceparent) if tracer is not None else None
        try:
            durable, kept = known.shortcut.take(body, request_id, trace)
        except RateLimited as error:
            if trace is not None:
                trace.asked("POST", known.shortcut.name, 429, request_id)
            self._refuse(known, error, request_id, began)
            return
        except Exception:  # noqa: BLE001  the ordinary way meets it again, and says what it is
            self._last = None
            self._leave(known.head + body)
            return
        told = partial(self._answer, known, kept, body, request_id, began)
        self._express.when(durable, told if trace is None else partial(_traced, told, trace, known, request_id))

    def _answer(
        self, known: Known, kept: Any, body: bytes, request_id: str, began: float, durable: asyncio.Future[None]
    ) -> None:
        if durable.cancelled() or durable.exception() is not None:
            self._leave(known.head + body)
            return
        status, body, lines = known.shortcut.answer(kept)
        now = self._loop.time()
        tally.request_done(known.shortcut.name, status, now - began)
        if self.transport is not None:
            self.transport.write(self._express.answer(request_id, status, body, lines))
            self._next_keepalive_close_time = now + _KEEPALIVE_SECONDS
        self._go_on()

    def _refuse(self, known: Known, error: RateLimited, request_id: str, began: float) -> None:
        """Say that a request came too early, perhaps not at once. The next one has its turn after those of others."""
        if error.hold_seconds:
            self._loop.call_later(error.hold_seconds, self._say_refused, known, error, request_id, began)
        else:
            self._say_refused(known, error, request_id, began)

    def _say_refused(self, known: Known, error: RateLimited, request_id: str, began: float) -> None:
        now = self._loop.time()
        tally.request_done(known.shortcut.name, 429, now - began)
        if self.transport is not None:
            self.transport.write(self._express.refusal(request_id, error))
            self._next_keepalive_close_time = now + _KEEPALIVE_SECONDS
        if self._held:
            self._loop.call_soon(self._go_on)
        else:
            self._go_on()

    def _leave(self, data: bytes) -> None:
        """Let the request go the ordinary way after all: nothing of it was kept."""
        if self.transport is not None:
            self._hand_over(data)
        self._go_on()

    def _go_on(self) -> None:
        self._known = None
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        if self.transport is None:
            return
        if self._close:
            self.transport.close()
        elif self._held:
            data = b"".join(self._held)
            was_paused = len(self._held) >= _HELD_MAX
            self._held.clear()
            if was_paused and not (self._reading_paused or self._buffer_paused):
                self._resume_transport_reading()
            self.data_received(data)

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> StreamResponse:
        """Answer what is not HTTP in the shape of every other error, and close the connection.

        Nothing of what was sent is repeated, in the answer or in the log: a token may be in it.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("A part of the answer is out already")
        if status >= 500:
            _logger.error("connection.failed", status=status, exc_info=exc)
        else:
            _logger.debug("connection.not_http", reason=type(exc).__name__)
        tally.request_done("unknown", status, 0.0)
        headers = {"Access-Control-Allow-Origin": "*", "Server": "sluice"}
        response = Response(body=body_of(_complaint(status, exc, message)), status=status, headers=headers)
        response.content_type = JSON
        response.force_close()
        return response

    def _check_head(self) -> None:
        if self.is_fresh and self.transport is not None:
            self.transport.abort()


def _traced(
    told: Callable[[asyncio.Future[None]], None],
    trace: Trace,
    known: Known,
    request_id: str,
    durable: asyncio.Future[None],
) -> None:
    """Answer a request that is traced. What goes the ordinary way after all has a span there."""
    told(durable)
    if not durable.cancelled() and durable.exception() is None:
        trace.asked("POST", known.shortcut.name, 202, request_id)


def _complaint(status: int, error: BaseException | None, message: str | None) -> str:
    if status >= 500:
        return "Internal error"
    if isinstance(error, LineTooLong):
        return f"The request line or a header is longer than {_LINE_BYTES_MAX} bytes"
    if message and message.startswith("Received HTTPS"):
        return "This port speaks HTTP, not HTTPS"
    return "The request is not valid HTTP"


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def _is_fresh(connection: RequestHandler) -> bool:
    return isinstance(connection, Connection) and connection.is_fresh
