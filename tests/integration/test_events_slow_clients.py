"""Clients that send slowly, or not to the end, and answers that break off: the real HTTP server, in this process.

The limits are of half a minute; here they are made moments.
"""

import asyncio
import time
from collections.abc import AsyncIterator

import orjson
import pytest
from aiohttp.web import StreamResponse

from gateway.auth.access import Access
from gateway.core.clock import SystemClock
from gateway.web import body as body_module
from gateway.web import listen as listen_module
from gateway.web.front import Front, Route, RouteTable
from gateway.web.request import Request, json_response


@pytest.fixture
async def hasty(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """The port of the gateway's HTTP server, in this process, with one handler that reads the body."""
    monkeypatch.setattr(body_module, "_SILENCE_SECONDS_MAX", 0.3)

    async def handler(request: Request) -> StreamResponse:
        return json_response({"bytes": len(await request.body())})

    async def broken(request: Request) -> StreamResponse:
        return await request.stream(StreamResponse(), _half_an_answer())

    routes = [Route("POST", "/", handler, Access.PUBLIC, 1_000_000), Route("GET", "/broken", broken, Access.PUBLIC, 0)]
    front = Front(RouteTable(routes), None, None, SystemClock())  # type: ignore[arg-type]
    server = listen_module.http_server(front, front.express, listen_module.Waits(head=0.3))
    listening = await asyncio.get_running_loop().create_server(server, sock=listen_module.bind("127.0.0.1", 0))
    yield listening.sockets[0].getsockname()[1]
    listening.close()
    await server.shutdown(1.0)


async def _half_an_answer() -> AsyncIterator[bytes]:
    yield b"half"
    raise RuntimeError("the other half is lost")


HASTY_HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


async def _slowly(port: int, pieces: list[bytes], pause_seconds: float) -> bytes:
    """Send pieces with pauses; return what came back until the connection was closed by the other side."""
    async with asyncio.timeout(40):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        received = asyncio.create_task(reader.read())
        try:
            for piece in pieces:
                writer.write(piece)
                await asyncio.wait([received], timeout=pause_seconds)
                if received.done():
                    break
            return await received
        finally:
            writer.close()


@pytest.mark.parametrize("start", [b"", b"POST /", b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_connection_without_a_first_head_is_closed(hasty, start):
    began = time.monotonic()
    try:
        received = await _slowly(hasty, [start, *[b"a"] * 1000] if start else [], 0.05)
    except ConnectionError:
        received = b""

    assert received == b""
    assert time.monotonic() - began < 30


async def test_a_body_that_stops_is_400_and_its_connection_closed(hasty):
    received = await _slowly(hasty, [HASTY_HEAD + b"Content-Length: 100\r\n\r\n12345"], 0.05)

    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert orjson.loads(body) == {"error": "The body did not arrive in time"}


async def test_a_body_that_trickles_is_400_and_its_connection_closed(hasty):
    # Never silent for long, and never done: a byte every 50 ms.
    received = await _slowly(hasty, [HASTY_HEAD + b"Content-Length: 100000\r\n\r\n", *[b"1"] * 1000], 0.05)

    assert received.startswith(b"HTTP/1.1 400 ")


async def test_a_body_that_comes_steadily_is_read_however_long_it_takes(hasty):
    pieces = [HASTY_HEAD + b"Connection: close\r\nContent-Length: 20000\r\n\r\n", *[b"1" * 1000] * 20]

    received = await _slowly(hasty, pieces, 0.05)

    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(b'{"bytes":20000}')


async def test_an_answer_that_breaks_off_is_not_ended_as_if_it_were_whole(hasty):
    received = await _slowly(hasty, [b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n"], 0.05)

    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b"4\r\nhalf\r\n"
