"""Abuse over HTTP: whatever is sent, the gateway stays alive, keeps its size, and takes the next event.

Source: faults.md §1 (bombs, nesting, smuggling, slow clients). Every test here ends with the check of `unharmed`.
"""

import gzip
import random
import socket
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.support.gateway import BODY_BYTES_MAX, Answer, Gateway, shared_gateway, show_gateway_log  # noqa: F401  fixtures
from tests.support.waiting import until

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIB = 1024 * 1024
EVENT = b'{"id": 1}'

# A worker that took the largest allowed bodies keeps about this much more; every test together may not add more.
GROWTH_BYTES_MAX = 200 * MIB
# The limit, its pieces joined, and what was there of the client's bytes.
PEAK_BYTES_MAX = 48 * MIB


@pytest.fixture
def own(gateway: Gateway) -> str:
    """A data source in which no row of another test can land late."""
    return gateway.create_datasource("id UInt32 `json:$.id`")


@pytest.fixture(scope="module")
def target(gateway: Gateway) -> str:
    """A data source; both workers have seen a body of the largest size, so that they have the size they will have."""
    name = gateway.create_datasource(
        "id UInt32 `json:$.id`, s Nullable(String) `json:$.s`, other Nullable(JSON) `json:$.j`"
    )
    line = b'{"id": 1, "s": "%s"}\n' % (b"x" * 1000)
    body = line * (BODY_BYTES_MAX // len(line))
    for _ in range(6):
        assert gateway.post_events(name, body, wait="true").status == 200
    return name


@pytest.fixture(scope="module")
def canary(gateway: Gateway) -> str:
    """The data source of the events that show that all is well."""
    return gateway.create_datasource("id UInt32 `json:$.id`")


@pytest.fixture(autouse=True)
def unharmed(request: pytest.FixtureRequest) -> Iterator[None]:
    """The same processes, about as large as before, and the next event arrives."""
    if "gateway" not in request.fixturenames:
        yield
        return
    gateway, canary = request.getfixturevalue("gateway"), request.getfixturevalue("canary")
    pids, memory = gateway.worker_pids(), gateway.memory_bytes()
    yield
    assert gateway.worker_pids() == pids, "a worker died"
    before = gateway.count(canary)
    assert gateway.post_events(canary, EVENT, wait="true").counts == (200, 1, 0)
    assert gateway.count(canary) == before + 1
    assert gateway.memory_bytes() - memory < GROWTH_BYTES_MAX


def _head(gateway: Gateway, target: str, *headers: str, method: str = "POST", query: str = "") -> bytes:
    lines = [f"{method} /v0/events?name={target}{query} HTTP/1.1", "Host: x", f"Authorization: Bearer {gateway.token}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


def _answer(connection: socket.socket) -> Answer | None:
    """The next answer on a connection; None if it was closed without one."""
    response = HTTPResponse(connection)
    try:
        response.begin()
        return Answer(response.status, response.headers, response.read())
    except ConnectionError:
        return None
    finally:
        response.close()


def _exchange(gateway: Gateway, data: bytes, *, end: bool = False) -> Answer | None:
    """Send bytes, as far as they are taken, and return the first answer."""
    with gateway.connect() as connection:
        try:
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # refused before the end; the answer may be there
        return _answer(connection)


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


# Bombs


def _gzip_bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(bytes(MIB)) for _ in range(size // MIB)), packer.flush()])


def _zstd_bomb(size: int) -> bytes:
    packer = zstd.ZstdCompressor()
    return b"".join([*(packer.compress(bytes(MIB)) for _ in range(size // MIB)), packer.flush()])


def _deflate_bomb(size: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(bytes(MIB)) for _ in range(size // MIB)), packer.flush()])


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "gzip-256MiB": ("gzip", lambda: _gzip_bomb(256 * MIB)),
    "zstd-256MiB": ("zstd", lambda: _zstd_bomb(256 * MIB)),
    "deflate-64MiB": ("deflate", lambda: _deflate_bomb(64 * MIB)),
    "gzip-one-byte-too-many": ("gzip", lambda: gzip.compress(EVENT + b" " * (BODY_BYTES_MAX - len(EVENT) + 1))),
    "gzip-10000-members": ("gzip", lambda: gzip.compress(b"\n") * 10_000),
    "gzip-10000-empty-members": ("gzip", lambda: gzip.compress(b"") * 10_000),
    "gzip-40-members-of-1MiB": ("gzip", lambda: gzip.compress(bytes(MIB)) * 40),
    "zstd-10000-frames": ("zstd", lambda: zstd.compress(b"\n") * 10_000),
    "zstd-10000-skippable-frames": ("zstd", lambda: b"\x50\x2a\x4d\x18\x04\x00\x00\x00aaaa" * 10_000),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_413_and_costs_no_more_than_a_body_of_the_limit(gateway, target, bomb):
    encoding, make = BOMBS[bomb]
    body = make()
    gateway.forget_peak()
    peak, cpu = gateway.peak_memory_bytes(), gateway.cpu_seconds()

    refused = gateway.post_events(target, body, {"Content-Encoding": encoding})

    assert refused.status == 413
    assert refused.error
    assert refused.headers["Retry-After"] is None
    assert gateway.peak_memory_bytes() - peak < PEAK_BYTES_MAX
    assert gateway.cpu_seconds() - cpu < 1.0


def test_a_zstd_frame_that_wants_a_window_of_gigabytes_is_refused(gateway, target):
    window = b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([(31 - 10) << 3]) + b"\x01\x00\x00"
    gateway.forget_peak()
    peak = gateway.peak_memory_bytes()

    refused = gateway.post_events(target, window, {"Content-Encoding": "zstd"})

    assert refused.status == 400
    assert gateway.peak_memory_bytes() - peak < PEAK_BYTES_MAX


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip, zstd", "zstd,gzip", "deflate, gzip", "gzip, identity"])
def test_encodings_in_encodings_are_refused(gateway, target, encoding):
    refused = gateway.post_events(target, gzip.compress(gzip.compress(EVENT)), {"Content-Encoding": encoding})

    assert refused.status == 400
    assert "Content-Encoding" in refused.error


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"[]\n", b"1\n"])
def test_a_body_of_more_lines_than_anyone_sends_is_413(gateway, target, line):
    body = gzip.compress(line * (BODY_BYTES_MAX // len(line) // 2), 1)
    cpu = gateway.cpu_seconds()

    assert gateway.post_events(target, body, {"Content-Encoding": "gzip"}).status == 413
    assert (
        gateway.cpu_seconds() - cpu < 8.0
    )  # at most what as many lines cost as one may send: they are read as they come


def test_a_small_body_cannot_make_a_wide_data_source_fill_the_memory(gateway, target):
    columns = ", ".join(f"c{number} Nullable(String) `json:$.c{number}`" for number in range(200))
    name = gateway.create_datasource(f"id UInt8 `json:$.id`, {columns}", engine="Null")
    body = gzip.compress(b'{"id":1}\n' * 50_000)
    gateway.forget_peak()
    peak, cpu = gateway.peak_memory_bytes(), gateway.cpu_seconds()

    answer = gateway.post_events(name, body, {"Content-Encoding": "gzip"}, wait="true")

    assert len(body) < 2000
    assert answer.status in {200, 413}
    assert gateway.cpu_seconds() - cpu < 3.0
    assert gateway.peak_memory_bytes() - peak < GROWTH_BYTES_MAX


# Nesting


@pytest.mark.parametrize("depth", [1_000, 100_000, 2_000_000])
@pytest.mark.parametrize("place", ["ignored", "s", "j"])
@pytest.mark.parametrize("brackets", ["[]", "{}", "["])
def test_brackets_in_brackets_cost_a_row_at_most(gateway, target, depth, place, brackets):
    inside = {"[]": b"[" * depth + b"]" * depth, "{}": b'{"a":' * depth + b"1" + b"}" * depth, "[": b"[" * depth}[
        brackets
    ]
    body = b'{"id": 1, "%s": %s}' % (place.encode(), inside[: BODY_BYTES_MAX - 100])
    cpu = gateway.cpu_seconds()

    answer = gateway.post_events(target, body + b"\n" + EVENT, wait="true")

    assert answer.status == 200
    assert answer.json["successful_rows"] + answer.json["quarantined_rows"] == 2
    assert answer.json["successful_rows"] >= 1
    assert gateway.cpu_seconds() - cpu < 3.0


@pytest.mark.parametrize(
    "body", [b"[" * 1_000_000, b"[" * 1_000_000 + b"]" * 1_000_000, b'{"a":' * 1_000_000, b"[{}," * 500_000]
)
@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_a_body_of_brackets_only_is_refused_or_quarantined(gateway, target, body, form):
    answer = gateway.post_events(target, body, format=form)

    assert answer.status in {202, 400}
    assert answer.status == 400 or answer.json["successful_rows"] == 0


# HTTP that is none: one clear error, nothing kept, the connection closed

MALFORMED = {
    "garbage": b"\x00\x01\x02garbage\r\n\r\n",
    "a-tls-hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "version-9": b"POST /v0/events HTTP/9.9\r\nHost: x\r\n\r\n",
    "unknown-method": b"SHOUT /v0/events HTTP/1.1\r\nHost: x\r\n\r\n",
    "no-host": b"POST /v0/events HTTP/1.1\r\n\r\n",
    "two-hosts": b"POST /v0/events HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "space-before-colon": b"POST /v0/events HTTP/1.1\r\nHost : x\r\n\r\n",
    "header-without-name": b"POST /v0/events HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "nul-in-header": b"POST /v0/events HTTP/1.1\r\nHost: x\r\nA: a\0b\r\n\r\n",
    "bare-newlines": b"POST /v0/events HTTP/1.1\nHost: x\n\n",
    "huge-request-line": b"POST /v0/events?token=secret&a=" + b"a" * MIB + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "huge-method": b"P" * MIB + b" / HTTP/1.1\r\nHost: x\r\n\r\n",
}
BODY_FRAMES = {
    "two-lengths": (("Content-Length: 9", "Content-Length: 10"), EVENT + b" "),
    "lengths-in-a-list": (("Content-Length: 9, 9",), EVENT),
    "negative-length": (("Content-Length: -1",), EVENT),
    "signed-length": (("Content-Length: +9",), EVENT),
    "length-in-hex": (("Content-Length: 0x9",), EVENT),
    "length-of-words": (("Content-Length: nine",), EVENT),
    "length-beyond-64-bits": (("Content-Length: 99999999999999999999999",), EVENT),
    "length-and-chunks": (("Content-Length: 9", "Transfer-Encoding: chunked"), b"9\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunks-and-length": (("Transfer-Encoding: chunked", "Content-Length: 9"), b"9\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunked-not-last": (("Transfer-Encoding: chunked, identity",), b"9\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunked-twice": (
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        b"9\r\n" + EVENT + b"\r\n0\r\n\r\n",
    ),
    "chunk-of-words": (("Transfer-Encoding: chunked",), b"nine\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunk-size-negative": (("Transfer-Encoding: chunked",), b"-9\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunk-size-beyond-64-bits": (("Transfer-Encoding: chunked",), b"f" * 17 + b"\r\n" + EVENT + b"\r\n0\r\n\r\n"),
    "chunk-without-end": (("Transfer-Encoding: chunked",), b"9\r\n" + EVENT + b"00\r\n\r\n"),
    "folded-header": (("X-Folded: a", " b", "Content-Length: 9"), EVENT),
    "folded-length": (("Content-Length: 9", "\t0"), EVENT),
    "megabyte-header": ((f"X-Large: {'a' * MIB}", "Content-Length: 9"), EVENT),
    "20000-headers": (tuple(f"X-{number}: a" for number in range(20_000)), EVENT),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_bytes_that_are_not_http_are_400_in_json_and_the_connection_is_closed(gateway, target, case):
    with gateway.connect() as connection:
        try:
            connection.sendall(MALFORMED[case])
        except ConnectionError:
            pass
        refused = _answer(connection)
        assert _is_closed(connection)

    if refused is not None:  # a reset may overtake the answer when much was left to read
        assert refused.status == 400
        assert refused.error
        assert refused.headers["Access-Control-Allow-Origin"] == "*"
        assert "secret" not in refused.text


@pytest.mark.parametrize("case", BODY_FRAMES)
def test_a_body_framed_in_two_ways_or_none_is_refused_and_nothing_of_it_is_kept(gateway, own, case):
    headers, body = BODY_FRAMES[case]
    before = gateway.count(own)

    with gateway.connect() as connection:
        try:
            # A second request behind it must not be seen as one either.
            connection.sendall(_head(gateway, own, *headers) + body + _head(gateway, own, "Content-Length: 9") + EVENT)
        except ConnectionError:
            pass
        refused = _answer(connection)
        assert _is_closed(connection)

    if refused is not None:
        assert refused.status in {400, 413}
        assert refused.error
    assert gateway.post_events(own, EVENT, wait="true").status == 200
    assert gateway.count(own) == before + 1


def test_random_bytes_do_no_harm(gateway, target):
    noise = random.Random(7)
    whole = _head(gateway, target, "Content-Length: 9") + EVENT
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(noise.choice((1, 3, 30))):
            data[noise.randrange(len(data))] = noise.randrange(256)
        answer = _exchange(gateway, bytes(data), end=True)
        assert answer is None or answer.status < 500
        answer = _exchange(gateway, noise.randbytes(noise.randrange(1, 2000)), end=True)
        assert answer is None or answer.status == 400


def test_what_is_not_http_leaves_no_traceback_and_no_content_in_the_log(gateway, target):
    before = gateway.log.stat().st_size

    _exchange(gateway, b"SHOUT /v0/events?token=p.a-secret HTTP/1.1\r\nHost: x\r\n\r\n")
    _exchange(gateway, b"POST /v0/events?token=p.a-secret HTTP/1.1\r\nHost : x\r\n\r\n")

    with gateway.log.open("rb") as log:
        log.seek(before)
        said = log.read()
    assert b"Traceback" not in said
    assert b"secret" not in said


# Lengths that are not true


def test_a_length_too_short_leaves_garbage_that_closes_the_connection(gateway, own):
    before = gateway.count(own)

    refused = _exchange(gateway, _head(gateway, own, "Content-Length: 5") + EVENT)

    assert refused is None or refused.status == 400
    assert gateway.post_events(own, EVENT, wait="true").status == 200
    assert gateway.count(own) == before + 1


@pytest.mark.parametrize(
    "headers, body",
    [(("Content-Length: 500",), EVENT + b"\n" + EVENT), (("Transfer-Encoding: chunked",), b"9\r\n" + EVENT + b"\r\n")],
)
@pytest.mark.parametrize("how", ["end", "close", "reset"])
def test_a_client_that_goes_away_in_the_middle_of_a_body_leaves_nothing(gateway, own, headers, body, how):
    before = gateway.count(own)
    for _ in range(10):
        with gateway.connect() as connection:
            connection.sendall(_head(gateway, own, *headers) + body)
            if how == "end":
                connection.shutdown(socket.SHUT_WR)
                refused = _answer(connection)
                assert refused is None or refused.status == 400
            elif how == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert gateway.post_events(own, EVENT, wait="true").status == 200
    assert gateway.count(own) == before + 1


def test_connections_that_were_left_are_given_back(gateway, target):
    def descriptors() -> int:
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in gateway.worker_pids())

    before = descriptors()
    with ExitStack() as stack:
        for _ in range(200):
            connection = stack.enter_context(gateway.connect())
            connection.sendall(_head(gateway, target, "Content-Length: 500") + EVENT)

    until(descriptors, lambda found: found <= before + 20, seconds_max=10)


# Bodies too large


@pytest.mark.parametrize("headers", [(), ("Expect: 100-continue",)])
def test_a_length_over_the_limit_is_413_before_the_body_is_read(gateway, target, headers):
    refused = _exchange(gateway, _head(gateway, target, f"Content-Length: {BODY_BYTES_MAX + 1}", *headers))

    assert refused is not None
    assert refused.status == 413
    assert refused.headers["Retry-After"] is None


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_after_a_body_over_the_limit_the_connection_is_closed_or_sane(gateway, own, framing):
    smuggled = _head(gateway, own, "Content-Length: 9") + EVENT
    size = BODY_BYTES_MAX + 4 * MIB
    body = (smuggled * (size // len(smuggled) + 1))[:size]
    before = gateway.count(own)
    with gateway.connect() as connection:
        try:
            if framing == "length":
                connection.sendall(_head(gateway, own, f"Content-Length: {size}") + body)
            else:
                connection.sendall(
                    _head(gateway, own, "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
                )
        except ConnectionError:
            pass
        refused = _answer(connection)
        try:
            connection.sendall(_head(gateway, own, "Content-Length: 9", query="&wait=true") + EVENT)
        except ConnectionError:
            pass
        second = _answer(connection)

    assert refused is None or refused.status == 413
    assert second is None or second.counts == (200, 1, 0)
    assert gateway.post_events(own, EVENT, wait="true").status == 200
    assert gateway.count(own) == before + 1 + (second is not None)


def test_who_may_not_send_is_told_before_the_body_is_read(gateway, target):
    head = f"POST /v0/events?name={target} HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_BYTES_MAX}\r\n\r\n"

    refused = _exchange(gateway, head.encode())

    assert refused is not None
    assert refused.status == 403


# Many at once


def test_pipelined_requests_are_answered_in_order(gateway, own):
    good, bad = (
        _head(gateway, own, "Content-Length: 9") + EVENT,
        _head(gateway, own, "Content-Length: 3") + b"bad",
    )
    before = gateway.count(own)
    with gateway.connect() as connection:
        connection.sendall((good + bad) * 50)
        statuses = [answer.status for _ in range(100) if (answer := _answer_of_stream(connection))]

    assert statuses == [202, 400] * 50
    assert gateway.await_count(own, before + 50) == before + 50


def _answer_of_stream(connection: socket.socket) -> Answer:
    """The next answer, and not a byte of the one behind it."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    lines = head.decode().split("\r\n")
    length = next(int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:"))
    body = b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    return Answer(int(lines[0].split()[1]), None, body)  # type: ignore[arg-type]


def test_hundreds_of_slow_clients_do_not_slow_the_others(gateway, target):
    with ExitStack() as stack:
        for number in range(400):
            connection = stack.enter_context(gateway.connect())
            head = _head(gateway, target, "Content-Length: 500")
            connection.sendall(head[: number % len(head)] if number % 2 else head + b"{")
        cpu = gateway.cpu_seconds()
        for _ in range(50):
            assert gateway.post_events(target, EVENT).status == 202

    assert gateway.cpu_seconds() - cpu < 2.0
