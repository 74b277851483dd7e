"""The shortcut of known heads: what takes it, what does not, and that nobody can tell the difference.

The real HTTP server and real sockets, in this process; the handler answers with a digest of the body, and so does its
shortcut, so whatever is mixed up between two requests shows.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

import orjson
import pytest
from aiohttp.web import Response, StreamResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.auth.access import Access
from gateway.core.clock import SystemClock
from gateway.web import listen as listen_module
from gateway.web.front import Front, Route, RouteTable
from gateway.web.request import JSON, Request

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


def digest(body: bytes) -> bytes:
    return orjson.dumps({"bytes": len(body), "crc": zlib.crc32(body)})


@dataclass
class Server:
    """The server, what it did, and what it is told to do."""

    port: int = 0
    ordinary: int = 0
    shortcuts: int = 0
    answered: int = 0
    gate: asyncio.Future[None] | None = None  # durability; none: at once
    fails: bool = False
    learns: bool = True
    name: str = "test"
    taken: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: Request) -> StreamResponse:
        self.ordinary += 1
        body = await request.body()
        if self.learns:
            request.shortcut = self
        return Response(body=digest(body), status=202, content_type=JSON)

    def take(self, body: bytes, request_id: str, trace: object) -> tuple[asyncio.Future[None], bytes]:
        assert request_id
        if self.fails:
            raise RuntimeError("not this way")
        self.shortcuts += 1
        self.taken.set()
        durable = self.gate
        if durable is None:
            durable = asyncio.get_running_loop().create_future()
            durable.set_result(None)
        return durable, digest(body)

    def answer(self, kept: bytes) -> tuple[int, bytes, bytes]:
        self.answered += 1
        return 202, kept, b""


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    async with serving(made):
        yield made


class serving:  # noqa: N801  reads like a function
    """The server, listening on a free port."""

    def __init__(self, made: Server, waits: listen_module.Waits | None = None) -> None:
        self._made = made
        self._waits = waits

    async def __aenter__(self) -> Server:
        routes = [Route("POST", "/", self._made.handle, Access.PUBLIC, 1_000_000)]
        front = Front(RouteTable(routes), None, None, SystemClock())  # type: ignore[arg-type]
        self._made.front = front
        self.http = listen_module.http_server(front, front.express, self._waits)
        listening = listen_module.bind("127.0.0.1", 0)
        self._listening = await asyncio.get_running_loop().create_server(self.http, sock=listening)
        self._made.port = self._listening.sockets[0].getsockname()[1]
        return self._made

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        await self.http.shutdown(1.0)


class Client:
    """A keep-alive connection."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def answer(self) -> tuple[bytes, dict[bytes, bytes], bytes]:
        """Return status line, headers and body of the next answer."""
        async with asyncio.timeout(30):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
            return status, headers, await self.reader.readexactly(int(headers[b"content-length"]))

    async def post(self, body: bytes, head: bytes = HEAD) -> bytes:
        self.writer.write(head % len(body) + body)
        return (await self.answer())[2]


async def test_the_second_request_with_a_head_takes_the_shortcut_and_looks_the_same(server):
    async with Client(server) as client:
        client.writer.write(HEAD % 5 + b"first")
        first = await client.answer()
        client.writer.write(HEAD % 5 + b"again")
        second = await client.answer()

    assert (server.ordinary, server.shortcuts) == (1, 1)
    assert first[0] == second[0]
    assert set(first[1]) == set(second[1])
    changing = {b"x-request-id", b"date", b"content-length"}
    assert {k: v for k, v in first[1].items() if k not in changing} == {
        k: v for k, v in second[1].items() if k not in changing
    }
    assert first[1][b"x-request-id"] != second[1][b"x-request-id"]
    assert (first[2], second[2]) == (digest(b"first"), digest(b"again"))


async def test_only_the_length_may_differ(server):
    async with Client(server) as client:
        for body in (b"x", b"yy" * 50, b"z" * 100_000):
            assert await client.post(body) == digest(body)
        assert (server.ordinary, server.shortcuts) == (1, 2)
        assert await client.post(b"x", HEAD.replace(b"Host: x", b"Host: y")) == digest(b"x")
        assert await client.post(b"x", HEAD.replace(b"\r\n\r\n", b"\r\nX: 1\r\n\r\n")) == digest(b"x")
        assert (server.ordinary, server.shortcuts) == (3, 2)


async def test_the_traceparent_may_differ_as_well_wherever_it_stands_and_no_other_header(server):
    parents = [b"00-%032x-%016x-01" % (number, number) for number in range(1, 5)]
    for before in (HEAD, HEAD.replace(b"Content-Length: %d\r\n", b"traceparent: @\r\nContent-Length: %d\r\n")):
        head = before if b"@" in before else before.replace(b"\r\n\r\n", b"\r\nTraceparent: @\r\n\r\n")
        server.ordinary = server.shortcuts = 0
        async with Client(server) as client:
            for parent in parents:
                assert await client.post(parent, head.replace(b"@", parent)) == digest(parent)
            assert (server.ordinary, server.shortcuts) == (1, 3)
            assert await client.post(b"x", head.replace(b"@", b"nonsense")) == digest(b"x")
            assert await client.post(b"x", head.replace(b"raceparent", b"racestate").replace(b"@", parents[0]))
            assert await client.post(b"x", head.replace(b"@", parents[0] + b"\r\nX: 1")) == digest(b"x")
            assert (server.ordinary, server.shortcuts) == (4, 3)


async def test_a_head_is_known_on_other_connections_after_their_first_request(server):
    async with Client(server) as one, Client(server) as other:
        await one.post(b"a")
        await other.post(b"b")
        await other.post(b"c")

    assert (server.ordinary, server.shortcuts) == (2, 1)


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(b"Host: x", b"Host: x\r\nExpect: 100-continue"),
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host: x", b"Host: x\r\nConnection: keep-alive"),
        HEAD.replace(b"Host: x", b"Host: " + b"x" * 5000),
        HEAD.replace(b"Content-Length: ", b"Content-Length:\t"),
        HEAD.replace(b"Content-Length", b"CONTENT-LENGTH"),
    ],
)
async def test_a_head_with_something_special_is_never_learned(server, head):
    async with Client(server) as client:
        for body in (b"one", b"two", b"three"):
            client.writer.write(head % len(body) + body)
            status, _, answer = await client.answer()
            if b" 100 " in status:
                status, _, answer = await client.answer()
            assert answer == digest(body)

    assert server.shortcuts == 0


async def test_a_chunked_body_goes_the_ordinary_way(server):
    request = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n"
    async with Client(server) as client:
        for _ in range(3):
            client.writer.write(request)
            assert (await client.answer())[2] == digest(b"one")

    assert (server.ordinary, server.shortcuts) == (3, 0)


async def test_a_shortcut_that_fails_is_answered_the_ordinary_way(server):
    async with Client(server) as client:
        await client.post(b"one")
        server.fails = True
        assert await client.post(b"two") == digest(b"two")
        server.fails = False
        assert await client.post(b"three") == digest(b"three")

    assert (server.ordinary, server.shortcuts) == (2, 1)


async def test_what_could_not_be_made_durable_is_tried_the_ordinary_way(server):
    async with Client(server) as client:
        await client.post(b"one")
        server.gate = asyncio.get_running_loop().create_future()
        client.writer.write(HEAD % 3 + b"two")
        await server.taken.wait()
        server.gate.set_exception(OSError("the disk"))
        assert (await client.answer())[2] == digest(b"two")

    assert (server.ordinary, server.answered) == (2, 0)


async def test_requests_behind_one_that_is_not_durable_wait_for_it(server):
    async with Client(server) as client:
        await client.post(b"one")
        gate = server.gate = asyncio.get_running_loop().create_future()
        client.writer.write(HEAD % 3 + b"two")
        await server.taken.wait()
        server.gate = None
        client.writer.write(HEAD % 5 + b"three" + HEAD.replace(b"x", b"y") % 4 + b"four")
        await client.writer.drain()
        gate.set_result(None)

        assert [(await client.answer())[2] for _ in range(3)] == [digest(b) for b in (b"two", b"three", b"four")]


async def test_a_client_that_goes_away_leaves_its_request_counted(server):
    gate = asyncio.get_running_loop().create_future()
    async with Client(server) as client:
        await client.post(b"one")
        server.gate = gate
        client.writer.write(HEAD % 3 + b"two")
        await server.taken.wait()
        client.writer.transport.abort()
    gate.set_result(None)
    async with asyncio.timeout(30):
        while not server.answered:
            await asyncio.wait_for(asyncio.shield(gate), 1)


async def test_a_body_that_stops_is_left_to_the_ordinary_way():
    async with serving(Server(), listen_module.Waits(body=0.05)) as server, Client(server) as client:
        await client.post(b"one")
        client.writer.write(HEAD % 6 + b"ab")
        async with asyncio.timeout(30):
            while server.ordinary < 2:  # aiohttp has it now, and waits for the rest
                client.writer.write(b"")
                await asyncio.wait({asyncio.create_task(client.writer.drain())})
        client.writer.write(b"cdef")
        assert (await client.answer())[2] == digest(b"abcdef")
        assert await client.post(b"next") == digest(b"next")


async def test_a_request_that_is_not_durable_yet_is_answered_before_the_server_stops():
    made = Server()
    listening = serving(made)
    await listening.__aenter__()
    async with Client(made) as client:
        await client.post(b"one")
        made.gate = asyncio.get_running_loop().create_future()
        client.writer.write(HEAD % 3 + b"two")
        await made.taken.wait()
        listening.http.pre_shutdown()
        stopping = asyncio.create_task(listening.__aexit__())
        await asyncio.wait([stopping], timeout=0.05)
        assert not stopping.done()
        made.gate.set_result(None)
        assert (await client.answer())[2] == digest(b"two")
        await stopping


async def test_who_was_let_in_at_the_last_moment_is_answered_before_the_server_stops():
    made = Server()
    listening = serving(made)
    await listening.__aenter__()
    async with Client(made) as client, Client(made) as silent:
        await client.post(b"one")
        async with Client(made) as late:
            while len(listening.http.connections) < 3:
                await SystemClock().sleep(0.001)
            first = asyncio.create_task(listening.http.first_requests(SystemClock(), 0.2))
            assert await late.post(b"two") == digest(b"two")
        await first  # the third connection never says anything, which is not waited for without end
        listening.http.pre_shutdown()
        await listening.__aexit__()
        async with asyncio.timeout(30):
            assert await client.reader.read() == await silent.reader.read() == b""


async def test_a_server_that_leaves_ends_each_connection_with_its_answer(server):
    async with Client(server) as client:
        assert await client.post(b"one") == digest(b"one")
        assert await client.post(b"two") == digest(b"two")
        server.front.leave()
        client.writer.write(HEAD % 5 + b"three")
        status, headers, body = await client.answer()
        assert (status, headers[b"connection"], body) == (b"HTTP/1.1 202 Accepted", b"close", digest(b"three"))
        async with asyncio.timeout(30):
            assert await client.reader.read() == b""


REQUESTS = st.lists(
    st.tuples(st.sampled_from([b"x", b"x", b"x", b"y"]), st.binary(max_size=40), st.booleans()), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=REQUESTS, cuts=st.lists(st.floats(0, 1), max_size=10), fails=st.lists(st.booleans(), max_size=3))
async def test_however_requests_are_cut_and_mixed_each_gets_its_own_answer(server, requests, cuts, fails):
    """Known and unknown heads, chunked bodies among them, all sent at once, cut anywhere."""
    wire = b""
    for host, body, is_chunked in requests:
        if is_chunked and body:
            wire += b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            wire += b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            wire += HEAD.replace(b"Host: x", b"Host: " + host) % len(body) + body
    places = [0, *sorted(int(cut * len(wire)) for cut in cuts), len(wire)]
    server.fails = bool(fails) and fails[0]
    async with Client(server) as client:
        await client.post(b"warm")
        for start, stop in pairwise(places):
            client.writer.write(wire[start:stop])
            await client.writer.drain()
        for _, body, _ in requests:
            assert (await client.answer())[2] == digest(body)
