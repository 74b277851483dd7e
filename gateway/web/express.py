"""Express: a request whose head was seen before is answered without being parsed again.

A producer sends the same request line and the same headers again and again; only the body and its length change. Once
such a request went the ordinary way, parsed by aiohttp, authenticated and answered, its head is kept with a shortcut
straight to what its handler does. The next head of the same bytes means the same request, so nothing is parsed twice
and no rule of HTTP is written here: what is not known by heart goes the ordinary way, and so does everything that fails
on this one.

Two things may differ: the digits of the length, and the `traceparent`. They are cut out of the head, which otherwise is
the same bytes, so they are found where aiohttp found them.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from aiohttp.web import RequestKey

from gateway.core.clock import Clock
from gateway.core.errors import RateLimited
from gateway.core.ids import RequestIds
from gateway.core.turns import Turns
from gateway.telemetry.tracing import Trace, Tracer
from gateway.web.errors import body_of, headers_of

HEAD_BYTES_MAX: Final = 4096
"""Longer heads are not kept."""

BODY_BYTES_MAX: Final = 256 * 1024
"""Larger bodies go the ordinary way, which reads them with backpressure and takes them in pieces."""

SMALL_BYTES_MAX: Final = 16 * 1024
"""Smaller bodies are taken as soon as they are there: less than it costs to make them wait for a turn."""

# Heads kept: of a producer each, or of a few if its headers vary. The one used longest ago makes room.
_HEADS_MAX: Final = 2048
_TRACEPARENT: Final = re.compile(rb"\r\n[Tt]raceparent: ?([0-9a-f-]{55})\r\n")
_LENGTH: Final = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ?([0-9]{1,7})\r\n")


class Outdated(Exception):
    """What a shortcut knew is no longer so."""


class Shortcut(Protocol):
    """What a handler does when all but the body is known; it holds what the head meant."""

    def take(self, body: bytes, request_id: str, trace: Trace | None) -> tuple[asyncio.Future[None], Any]:
        """Begin: return when it may be answered, and what `answer` wants to know of it.

        The future is shared: it must not be cancelled. If it fails, nothing was kept.

        Raises:
            RateLimited: nothing was kept; that is the answer.
            Exception: nothing was kept; the ordinary way is to be tried, and will say what is wrong.
        """

    def answer(self, kept: Any) -> tuple[int, bytes, bytes]:
        """Return the answer, when the future is done: status, JSON, and lines of headers that not every answer has.

        `kept` is what `take` returned.
        """

    @property
    def name(self) -> str:
        """The route, for metrics."""


SHORTCUT: Final = RequestKey("shortcut", Shortcut)
"""Where a request that went the ordinary way carries the shortcut for others like it."""


class Known(NamedTuple):
    """A request that begins with a known head: the head, what to do with it, its body's length, its `traceparent`."""

    head: bytes
    shortcut: Shortcut
    body_bytes: int
    traceparent: str | None


class Express:
    """The heads known to one process."""

    def __init__(self, ids: RequestIds, clock: Clock, headers: dict[str, str], tracer: Tracer | None = None) -> None:
        """Answer with `headers` besides those of every answer; `tracer` decides what is traced."""
        self.tracer = tracer
        self._ids = ids
        self._clock = clock
        self._heads: OrderedDict[bytes, Shortcut] = OrderedDict()
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._durable: asyncio.Future[None] | None = None
        self._waiting: list[Callable[[asyncio.Future[None]], None]] = []
        self._second = 0
        self._prefixes: dict[int, bytes] = {}
        self.is_leaving = False
        """Every request goes the ordinary way from now on: its answer ends its connection."""
        self.turns = Turns()
        """For larger bodies, see `SMALL_BYTES_MAX`."""

    def find(self, data: bytes) -> Known | None:
        """Return what is known of the request that `data` begins with; its body may not be all there."""
        head_end = data.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX) + 4
        if head_end < 4:
            return None
        length = _LENGTH.search(data, 0, head_end)
        if length is None:
            return None
        key, traceparent = data[: length.start(1)] + data[length.end(1) : head_end], None
        if b"raceparent:" in key:
            key, traceparent = _without_parent(key)
        shortcut = self._heads.get(key)
        size = int(length[1])
        if shortcut is None or not 0 < size <= BODY_BYTES_MAX:
            return None
        self._heads.move_to_end(key)
        return Known(data[:head_end], shortcut, size, traceparent)

    def learn(self, head: bytes, content_length: int, shortcut: Shortcut) -> None:
        """Keep a head that was just answered the ordinary way; `content_length` is how it was understood."""
        length = _LENGTH.search(head)
        if length is None or int(length[1]) != content_length or len(head) > HEAD_BYTES_MAX:
            return
        self._heads[_without_parent(head[: length.start(1)] + head[length.end(1) :])[0]] = shortcut
        if len(self._heads) > _HEADS_MAX:
            self._heads.popitem(last=False)

    def next_id(self) -> str:
        """Return an id for a request."""
        return self._ids.next(self._clock.now())

    def when(self, durable: asyncio.Future[None], told: Callable[[asyncio.Future[None]], None]) -> None:
        """Call `told` when `durable` is done. Requests that share a future share one callback of the loop."""
        if durable is not self._durable or durable.done():
            self._durable, self._waiting = durable, []
            durable.add_done_callback(partial(_tell, self._waiting))
        self._waiting.append(told)

    def refusal(self, request_id: str, error: RateLimited) -> bytes:
        """Return the whole answer to a request that came too early."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers_of(error).items())
        return self.answer(request_id, 429, body_of(str(error)), lines.encode())

    def answer(self, request_id: str, status: int, body: bytes, lines: bytes = b"") -> bytes:
        """Return a whole answer, as the ordinary way would send it; `lines` are headers not every answer has."""
        second = int(self._clock.now())
        if second != self._second:
            self._second = second
            self._prefixes.clear()
        prefix = self._prefixes.get(status)
        if prefix is None:
            prefix = self._prefixes[status] = self._prefix(status)
        return b"%b%b\r\n%bContent-Length: %d\r\n\r\n%b" % (prefix, request_id.encode(), lines, len(body), body)

    def _prefix(self, status: int) -> bytes:
        reason = {200: "OK", 202: "Accepted", 429: "Too Many Requests"}[status]
        date = formatdate(self._second, usegmt=True)
        return (
            f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n{self._headers}Date: {date}\r\n"
            "X-Request-Id: "
        ).encode()


def _without_parent(key: bytes) -> tuple[bytes, str | None]:
    """Return a head without its `traceparent`, and that; of several the first, as aiohttp's `headers.get` has it."""
    parent = _TRACEPARENT.search(key)
    if parent is None:
        return key, None
    return key[: parent.start(1)] + key[parent.end(1) :], parent[1].decode()


def _tell(waiting: list[Callable[[asyncio.Future[None]], None]], durable: asyncio.Future[None]) -> None:
    for told in waiting:
        told(durable)
