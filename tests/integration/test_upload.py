"""Files and parameters as clients send them (datasources.md §2.2): the real HTTP server, in this process."""

import asyncio
import base64
import errno
import gzip
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession, FormData
from aiohttp.web import StreamResponse
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth.access import Access
from gateway.core import spool as spool_module
from gateway.core.clock import SystemClock
from gateway.core.pace import Pace
from gateway.web import listen as listen_module
from gateway.web.front import Front, Route, RouteTable
from gateway.web.request import Request, json_response
from gateway.web.upload import Upload, receive, sweep

LIMIT = 3_000_000
CSV = b"id,name\n1,one\n2,two\n"
PARTS = "multipart/form-data; boundary=b"
FORM = "application/x-www-form-urlencoded"


@dataclass
class Counter:
    """The server under test: where it is, where its files go, and what it received last."""

    port: int
    directory: Path
    uploads: list[Upload]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def last(self) -> Upload:
        return self.uploads[-1]

    def content(self) -> bytes | None:
        path = self.last.path
        return None if path is None else path.read_bytes()

    def files(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir()) if self.directory.exists() else []

    async def post(self, data: Any = None, query: str = "", **headers: str) -> tuple[int, dict[str, Any]]:
        if isinstance(data, bytes):
            data = BytesIO(data)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            ClientSession(skip_auto_headers=[] if isinstance(data, FormData) else ["Content-Type"]) as session,
            session.post(self.url + query, data=data, headers=named) as response,
        ):
            return response.status, await response.json()

    async def send(self, line: str, headers: dict[str, str], *pieces: bytes) -> tuple[int, dict[str, Any]]:
        """Send a request byte for byte, with a query and headers; return what came back."""
        reader, writer = await self.open(line, headers)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(30):
            answer = await reader.read()
        writer.close()
        top, _, body = answer.partition(b"\r\n\r\n")
        return int(top.split(b" ")[1]), orjson.loads(body)

    async def open(self, query: str, headers: dict[str, str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Begin a request, up to the end of its head."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [f"POST /{query} HTTP/1.1", "Host: x", "Connection: close", *(f"{k}: {v}" for k, v in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        return reader, writer


@asynccontextmanager
async def a_counter(directory: Path) -> AsyncIterator[Counter]:
    uploads: list[Upload] = []

    async def handler(request: Request) -> StreamResponse:
        pace = Pace(silence_seconds_max=0.3) if request.params.has("hasty") else None
        uploads.append(await receive(request, directory, LIMIT, pace))
        return json_response({"size": uploads[-1].size})

    front = Front(RouteTable([Route("POST", "/", handler, Access.PUBLIC, 0, form=False)]), None, None, SystemClock())  # type: ignore[arg-type]
    server = listen_module.http_server(front, front.express)
    listening = await asyncio.get_running_loop().create_server(server, sock=listen_module.bind("127.0.0.1", 0))
    yield Counter(listening.sockets[0].getsockname()[1], directory, uploads)
    listening.close()
    await server.shutdown(1.0)


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counter]:
    async with a_counter(tmp_path / "made" / "uploads") as found:
        yield found


def multipart(*parts: tuple[str, bytes], end: str = "--b--\r\n") -> bytes:
    """A body whose parts are (lines of the head, content)."""
    return b"".join(b"--b\r\n%s\r\n\r\n%s\r\n" % (head.encode(), body) for head, body in parts) + end.encode()


def named(name: str, file: str | None = None, *more: str) -> str:
    lines = [
        f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{file}"' if file is not None else ""),
        *more,
    ]
    return "\r\n".join(lines)


async def post_parts(counter: Counter, body: bytes, query: str = "") -> tuple[int, dict[str, Any]]:
    return await counter.post(body, query, Content_Type=PARTS)


# The table of the page


@pytest.mark.parametrize("field", ["csv", "ndjson", "parquet", "file", "data", "anything", "my_file.csv"])
async def test_the_file_of_a_multipart_body_is_found_in_any_field(counter, field):
    form = FormData()
    form.add_field(field, CSV, filename="orders.csv", content_type="text/csv; charset=UTF-8")

    assert (await counter.post(form, "?mode=append&format=csv&name=orders"))[0] == 200

    assert counter.content() == CSV
    assert counter.last.head == CSV
    assert counter.last.size == len(CSV)
    assert counter.last.file_name == "orders.csv"
    assert counter.last.charset == "utf-8"
    assert counter.last.params.get("mode") == "append"
    assert counter.files() == [counter.last.path.name]


@pytest.mark.parametrize("field", ["csv", "ndjson", "parquet"])
async def test_a_file_needs_no_file_name_in_the_fields_that_are_for_files(counter, field):
    assert (await post_parts(counter, multipart((named(field), CSV))))[0] == 200

    assert counter.content() == CSV
    assert counter.last.file_name == ""


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\\\dir\\\\orders.csv", "orders.csv"),
        ("größe.csv", "größe.csv"),
        ("", ""),
        ("a" * 300, "a" * 255),
    ],
)
async def test_the_name_of_a_file_is_shown_and_never_a_place(counter, sent, shown):
    assert (await post_parts(counter, multipart((named("x", sent), CSV))))[0] == 200

    assert counter.last.file_name == shown
    assert counter.last.path.parent == counter.directory
    assert counter.content() == CSV


async def test_fields_beside_the_file_are_parameters_and_the_query_wins(counter):
    form = FormData()
    form.add_field("name", "from_form")
    form.add_field("mode", "append")
    form.add_field("csv", CSV, filename="f.csv")
    form.add_field("description", "größer & schöner")

    assert (await counter.post(form, "?name=from_query"))[0] == 200

    assert counter.content() == CSV
    assert counter.last.params.get("name") == "from_query"
    assert counter.last.params.get("mode") == "append"
    assert counter.last.params.get("description") == "größer & schöner"


@pytest.mark.parametrize(
    ("field", "query", "meant"),
    [
        ("ndjson", "", "ndjson"),
        ("parquet", "", "parquet"),
        ("ndjson", "?format=parquet", "parquet"),  # as older command lines send Parquet
        ("parquet", "?format=csv", "csv"),
        ("csv", "", ""),
        ("data", "", ""),
    ],
)
async def test_the_name_of_a_part_says_the_format_where_nothing_else_does(counter, field, query, meant):
    assert (await post_parts(counter, multipart((named(field, "rows"), CSV)), query))[0] == 200

    assert counter.last.params.get("format") == meant


async def test_a_parameter_may_come_from_a_file(counter):
    # curl -F schema=@schema.txt, -F datafile=@orders.datasource
    body = multipart((named("datafile", "orders.datasource"), b"SCHEMA >\n  a Int32"), (named("csv", "f.csv"), CSV))
    assert (await post_parts(counter, body))[0] == 200

    assert counter.last.params.get("datafile") == "SCHEMA >\n  a Int32"
    assert counter.content() == CSV


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/html; charset=utf-8",
        "application/x-ndjson; charset=utf-8",
        "text/csv",
        "application/octet-stream",
        "x",
    ],
)
async def test_a_raw_body_is_the_file_whatever_its_content_type(counter, kind):
    headers = {} if kind is None else {"Content_Type": kind}

    assert (await counter.post(CSV, "?format=csv", **headers))[0] == 200

    assert counter.content() == CSV
    assert counter.last.charset == ("utf-8" if kind and "charset" in kind else "")


async def test_a_raw_stream_without_a_length_is_the_file(counter):
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(1000):
            yield b"%d,some text\n" % number

    assert (await counter.post(pieces(), "?format=csv"))[0] == 200

    assert counter.content() == b"".join([b"%d,some text\n" % number for number in range(1000)])


@pytest.mark.parametrize("kind", [{}, {"Content_Type": FORM}, {"Content_Type": PARTS}])
async def test_a_url_in_the_query_needs_no_body(counter, kind):
    assert (await counter.post(b"", "?url=https%3A%2F%2Fexample.com%2Ff.csv", **kind))[0] == 200

    assert counter.last == Upload(counter.last.params)
    assert counter.last.params.get("url") == "https://example.com/f.csv"
    assert counter.files() == []


@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("?name=a&mode=append", {"url": "https://example.com/f.csv?a=1&b=2"}),
        ("", {"url": "https://example.com/f.csv?a=1&b=2", "name": "a", "mode": "append", "unknown": "x"}),
        ("", {"mode": "append", "name": "a", "url": "https://example.com/f.csv?a=1&b=2", "dialect_delimiter": ";"}),
    ],
)
async def test_a_url_in_a_form_is_a_parameter(counter, query, form):
    assert (await counter.post(form, query, Content_Type=FORM))[0] == 200

    assert counter.last.path is None
    assert counter.last.params.get("url") == "https://example.com/f.csv?a=1&b=2"
    assert counter.last.params.get("name") == "a"
    assert counter.files() == []


async def test_a_schema_that_curl_did_not_encode_is_a_parameter(counter):
    # curl -d name=clicks -d 'schema=ts DateTime64(3) `json:$.ts`, page String `json:$.page`'
    body = b"name=clicks&schema=ts DateTime64(3) `json:$.ts`,\n  page String `json:$.page`"

    assert (await counter.post(body, Content_Type=FORM))[0] == 200

    assert counter.last.path is None
    assert counter.last.params.get("schema") == "ts DateTime64(3) `json:$.ts`,\n  page String `json:$.page`"


@pytest.mark.parametrize(
    "data",
    [
        CSV,
        b"name,mode,url\na,b,c\n",
        b"a=1,b=2\n",
        b"https://example.com/?name=x&mode=append\n",
        b'{"name": "a", "q": "x=y&name=z"}\n',
        b"name\n1\n",
        b"\x1f\x8b\x08\xff\xfe=&name=",
        b"PAR1\x00\x01",
        b"=",
        b"&name=x",
    ],
)
async def test_data_that_calls_itself_a_form_is_data(counter, data):
    # curl --data-binary @file.csv
    assert (await counter.post(data, "?format=csv", Content_Type=FORM))[0] == 200

    assert counter.content() == data
    assert counter.last.params.pairs == (("format", "csv"),)


async def test_data_too_large_to_be_a_form_is_data(counter):
    data = b"name=" + b"a" * 2_000_000

    assert (await counter.post(data, Content_Type=FORM))[0] == 200

    assert counter.content() == data


async def test_a_json_object_that_asks_for_something_is_parameters_and_a_row_is_data(counter):
    asks, row = b'{"name": "clicks", "schema": "a Int32"}', b'{"name": "clicks", "value": "a"}'
    assert (await counter.post(asks, Content_Type="application/json"))[0] == 200
    assert counter.last.path is None
    assert counter.last.params.get("schema") == "a Int32"

    for data, query in ((row, ""), (asks, "?format=ndjson"), (b"{", ""), (b"[" * 100_000, "")):
        assert (await counter.post(data, query, Content_Type="application/json"))[0] == 200
        assert counter.content() == data


@pytest.mark.parametrize(("said", "meant"), [("gzip", "gzip"), ("X-GZIP", "gzip"), ("zstd", "zstd"), ("identity", "")])
async def test_a_compressed_body_is_kept_as_it_came_and_its_encoding_told(counter, said, meant):
    packed = gzip.compress(b"name=a")

    headers = {"Content-Length": str(len(packed)), "Content-Encoding": said, "Content-Type": FORM}
    assert (await counter.send("?format=csv", headers, packed))[0] == 200

    assert counter.content() == packed
    assert counter.last.encoding == meant


async def test_a_compressed_file_in_a_part_is_kept_as_it_came(counter):
    packed = gzip.compress(CSV)
    assert (await post_parts(counter, multipart((named("csv", "f.csv.gz"), packed))))[0] == 200

    assert counter.content() == packed
    assert counter.last.file_name == "f.csv.gz"


async def test_a_part_in_base64_is_decoded(counter):
    data = os.urandom(300_000)
    body = multipart((named("csv", "f", "Content-Transfer-Encoding: base64"), base64.encodebytes(data)))

    assert (await post_parts(counter, body))[0] == 200
    assert counter.content() == data


async def test_a_client_that_waits_for_the_go_ahead_gets_it(counter):
    reader, writer = await asyncio.open_connection("127.0.0.1", counter.port)
    for kind in ("text/csv", PARTS):
        body = multipart((named("csv", "f"), CSV)) if "boundary" in kind else CSV
        head = f"POST /?format=csv HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}"
        writer.write(head.encode() + b"\r\n\r\n")
        async with asyncio.timeout(30):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            await reader.readuntil(b"}")
        assert counter.content() == CSV
    writer.close()


# Files are whole, or not there


async def test_a_file_of_megabytes_arrives_byte_for_byte(counter):
    data = os.urandom(LIMIT)
    for kind, body in (("text/csv", data), (FORM, data), (PARTS, multipart((named("csv", "f"), data)))):
        assert (await counter.post(body, Content_Type=kind))[0] == 200
        assert counter.content() == data
        assert counter.last.head == data[: 64 * 1024]
        await counter.last.discard()
        await counter.last.discard()

    assert counter.files() == []


@given(
    st.lists(
        st.sampled_from([b"\r\n", b"--b", b"\r\n--", b"--b--", b"\r", b"\n", b"x", b"\r\n--bb", b"\0"]), max_size=30
    ),
    st.lists(st.integers(1, 400), max_size=8),
)
@settings(max_examples=60)
def test_a_part_arrives_however_it_is_cut_and_whatever_it_looks_like(pieces, cuts):
    data = b"".join([b"x", *pieces]).replace(b"\r\n--b", b"\r\n-b")  # a boundary of its own would be one

    async def check() -> None:
        with TemporaryDirectory() as directory:
            async with a_counter(Path(directory)) as counter:
                body = multipart((named("name"), b"a"), (named("csv", "f"), data), (named("mode"), b"append"))
                headers = {"Content-Type": PARTS, "Content-Length": str(len(body))}
                assert (await counter.send("?a=b", headers, *_cut(body, cuts)))[0] == 200
                assert counter.content() == data
                assert counter.last.params.pairs == (("a", "b"), ("name", "a"), ("mode", "append"))

    asyncio.run(check())


def _cut(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    return [body[begin:end] for begin, end in pairwise(places)]


# Bounds, and what cannot be read: nothing is left of it


async def _is_refused(counter: Counter, answer: tuple[int, dict[str, Any]], status: int) -> str:
    assert answer[0] == status, answer
    assert counter.uploads == []
    assert counter.files() == []
    return str(answer[1]["error"])


@pytest.mark.parametrize("kind", ["text/csv", FORM, PARTS])
@pytest.mark.parametrize("has_length", [True, False])
async def test_a_file_over_the_limit_is_413(counter, kind, has_length):
    data = b"a" * (LIMIT + 1)
    body = multipart((named("csv", "f"), data)) if kind == PARTS else data

    async def stream() -> AsyncIterator[bytes]:
        for place in range(0, len(body), 65536):
            yield body[place : place + 65536]

    answer = await counter.post(body if has_length else stream(), Content_Type=kind)

    assert str(LIMIT) in await _is_refused(counter, answer, 413)


async def test_a_length_far_over_the_limit_is_413_before_the_body_comes(counter):
    for kind in ("text/csv", PARTS):
        headers = {"Content-Type": kind, "Content-Length": "10000000000"}
        await _is_refused(counter, await counter.send("", headers), 413)


async def test_parameters_over_a_megabyte_are_413(counter):
    parts = [(named(f"engine_{number}"), b"a" * 100_000) for number in range(11)]

    await _is_refused(counter, await post_parts(counter, multipart(*parts)), 413)


async def test_two_files_are_refused(counter):
    answer = await post_parts(counter, multipart((named("csv", "a"), CSV), (named("b", "b"), CSV)))

    assert "two files" in await _is_refused(counter, answer, 400)


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense",
        b"--b",
        b"--b\r\n",
        multipart((named("csv", "f"), CSV), end=""),
        multipart((named("csv", "f"), CSV))[:-30],
        multipart((named("name"), b"\xff\xfe")),
        multipart((named("csv", "f", "Content-Transfer-Encoding: base64"), b"a")),
        multipart((named("csv", "f", "Content-Transfer-Encoding: x-unknown"), CSV)),
        multipart(("Content-Type: multipart/mixed; boundary=c", b"--c\r\n\r\nx\r\n--c--")),
        multipart((named("csv", "f", "X: " + "a" * 100_000), CSV)),
        multipart((named("csv", "f", *["X: y"] * 1000), CSV)),
        multipart(*[(named("name"), b"a")] * 1001),
        b"a" * 1_000_000 + multipart((named("csv", "f"), CSV)),
        b"a\r\n" * 1_500_000 + multipart((named("csv", "f"), CSV)),
    ],
)
async def test_a_multipart_body_that_cannot_be_read_is_refused(counter, body):
    status, answer = await post_parts(counter, body)

    assert status in {400, 413}
    assert await _is_refused(counter, (status, answer), status)


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/mixed; boundary=b", "multipart/form-data; boundary=" + "b" * 71]
)
async def test_parts_that_are_no_form_are_refused(counter, kind):
    answer = await counter.post(multipart((named("csv", "f"), CSV)), Content_Type=kind)

    await _is_refused(counter, answer, 400)


@pytest.mark.parametrize(("kind", "encoding"), [("text/csv", "br"), ("text/csv", "gzip, gzip"), (PARTS, "gzip")])
async def test_an_encoding_we_cannot_read_is_refused(counter, kind, encoding):
    headers = {"Content-Type": kind, "Content-Encoding": encoding, "Content-Length": "5"}

    assert "Content-Encoding" in await _is_refused(counter, await counter.send("", headers, b"12345"), 400)


async def test_chunks_that_are_none_are_refused(counter):
    headers = {"Content-Type": "text/csv", "Transfer-Encoding": "chunked"}

    await _is_refused(counter, await counter.send("", headers, b"5\r\n12345\r\n", b"zz\r\n"), 400)


@pytest.mark.parametrize("kind", ["text/csv", PARTS])
@pytest.mark.parametrize("sent", [b"", multipart((named("csv", "f"), b"a" * 2_000_000), end="")])
async def test_a_client_that_falls_silent_is_refused_and_leaves_nothing(counter, kind, sent):
    headers = {"Content-Type": kind, "Content-Length": str(len(sent) + 100)}

    answer = await counter.send("?hasty=1", headers, sent)

    assert "in time" in await _is_refused(counter, answer, 400)


@pytest.mark.parametrize("kind", ["text/csv", PARTS])
async def test_a_client_that_goes_away_leaves_nothing(counter, kind):
    _, writer = await counter.open("", {"Content-Type": kind, "Content-Length": "2999999"})
    writer.write(multipart((named("csv", "f"), b"a" * 2_000_000), end=""))
    await _until(lambda: bool(counter.files()))
    assert counter.files()[0].endswith(".part")
    writer.close()
    await _until(lambda: not counter.files())

    assert counter.uploads == []


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110  what happens in a directory
            await asyncio.sleep(0.01)


# The disk


@pytest.mark.parametrize("call", ["write", "fsync", "open"])
@pytest.mark.parametrize(("number", "sentence"), [(errno.ENOSPC, "no room"), (errno.EIO, "could not write")])
async def test_a_disk_that_does_not_take_it_is_503_and_nothing_is_left(counter, monkeypatch, call, number, sentence):
    def fail(*_arguments: object) -> None:
        raise OSError(number, "as the disk says")

    with monkeypatch.context() as patch:
        patch.setattr(spool_module, "os", _Broken(call, fail))
        for kind in ("text/csv", PARTS):
            body = multipart((named("csv", "f"), CSV)) if kind == PARTS else CSV
            assert sentence in await _is_refused(counter, await counter.post(body, Content_Type=kind), 503)


class _Broken:
    """The module `os`, one call of which fails."""

    def __init__(self, call: str, fail: Any) -> None:
        self._call, self._fail = call, fail

    def __getattr__(self, name: str) -> Any:
        return self._fail if name == self._call else getattr(os, name)


async def test_the_sweep_removes_what_nobody_will_come_for(tmp_path):
    hour, now = 3600, 1_000_000
    for name, age in (("a.part", 2 * hour), ("b.part", hour // 2), ("c", 71 * hour), ("d", 73 * hour)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (now - age, now - age))

    assert sweep(tmp_path, now) == 2

    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.part", "c"]
    assert sweep(tmp_path / "not_there", now) == 0
