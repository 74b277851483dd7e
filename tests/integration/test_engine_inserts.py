"""Inserts through the engine process: whole or not at all, once, and streamed."""

import asyncio
import gzip
import io
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import lz4.frame
import pyarrow as pa
import pytest

from gateway.core.clock import SystemClock
from tests.support import zstd
from tests.support.engine import engine_process

ROWS = 100_000


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with engine_process(tmp_path_factory.mktemp("engine"), receive_timeout_seconds=1.0) as handle:
        yield handle


@pytest.fixture
async def http(engine) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(engine.url, headers=engine.auth) as session:
        await ask(session, "DROP TABLE IF EXISTS t")
        await ask(session, "CREATE TABLE t (a UInt64, b String DEFAULT 'none', c Int8) ENGINE = MergeTree ORDER BY a")
        yield session


async def ask(http, query, body=None, headers=None, **params):
    if body is not None:
        params["query"] = query
    data = query if body is None else body
    data = io.BytesIO(data) if isinstance(data, bytes) else data
    async with http.post("/", params=params, data=data, headers=headers) as answer:
        return answer.status, await answer.read()


async def count(http) -> int:
    return int((await ask(http, "SELECT count() FROM t"))[1])


def arrow(rows: int = ROWS, batch_rows: int | None = None) -> bytes:
    """An Arrow stream whose integers are wider than the table's: the engine casts."""
    table = pa.table({"a": pa.array(range(rows), pa.int64()), "b": [f"row {n}" for n in range(rows)]})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return sink.getvalue()


async def in_pieces(data: bytes, piece_bytes: int):
    for at in range(0, len(data), piece_bytes):
        yield data[at : at + piece_bytes]


@pytest.mark.parametrize("piece_bytes", [3_000, 200_000, 100_000_000])
async def test_an_insert_is_one_part_however_it_arrives(http, piece_bytes):
    body = in_pieces(arrow(batch_rows=10_000), piece_bytes)

    status, said = await ask(http, "INSERT INTO t (a, b) SETTINGS async_insert=0 FORMAT ArrowStream", body=body)

    assert (status, said) == (200, b"")
    _, parts = await ask(http, "SELECT rows, level FROM system.parts WHERE table = 't' AND active FORMAT CSV")
    assert parts == f"{ROWS},0\n".encode()


async def test_an_insert_with_a_token_seen_before_is_done_already(http):
    await ask(http, "ALTER TABLE t MODIFY SETTING non_replicated_deduplication_window = 100")
    data = arrow(1000)
    query = "INSERT INTO t (a, b) FORMAT ArrowStream"

    for token in ("x", "x", "y", "x"):
        assert (await ask(http, query, body=data, insert_deduplication_token=token, async_insert="0"))[0] == 200
    assert (
        await ask(http, "INSERT INTO t (a, b) SETTINGS insert_deduplication_token='y' FORMAT ArrowStream", body=data)
    )[0] == 200

    assert await count(http) == 2000


@pytest.mark.parametrize(
    ("query", "data"),
    [
        ("INSERT INTO t FORMAT CSV", b"1,x,2\n3,y,4\n"),
        ("INSERT INTO t (a) FORMAT TSV", b"1\n2\n"),
        ("INSERT INTO t VALUES", b"(1 + 1, concat('a', 'b'), 3), (4, 'x', 5);"),
        ("INSERT INTO t FORMAT JSONEachRow SETTINGS input_format_skip_unknown_fields=1\n", b'{"a":1,"z":2}\n{"a":2}'),
        ("INSERT INTO {t:Identifier} (a) FORMAT TSV", b"1\n2\n"),
    ],
)
async def test_data_may_follow_the_statement_in_the_body_or_come_apart(http, query, data):
    assert (await ask(http, query, body=data, param_t="t"))[0] == 200
    assert (await ask(http, query.encode() + b"\n" + data, param_t="t"))[0] == 200

    assert await count(http) == 4


async def test_what_the_insert_does_not_name_has_its_default(http):
    await ask(http, "INSERT INTO t (a) VALUES (1)")

    assert (await ask(http, "SELECT * FROM t"))[1] == b"1\tnone\t0\n"


@pytest.mark.parametrize("coding", ["lz4", "zstd", "gzip"])
async def test_a_compressed_insert_may_hold_the_statement_too(http, coding):
    compress = {"lz4": lz4.frame.compress, "zstd": zstd.compress, "gzip": gzip.compress}[coding]
    body = b"".join(compress(part) for part in (b"INSERT INTO t (a, b) FORMAT ArrowStream\n", arrow()))

    status, _ = await ask(http, body, headers={"Content-Encoding": coding})

    assert (status, await count(http)) == (200, ROWS)


@pytest.mark.parametrize(
    ("query", "body", "code"),
    [
        ("INSERT INTO nope FORMAT CSV", b"1\n", 60),
        ("INSERT INTO t FORMAT Nope", b"1\n", 73),
        ("INSERT INTO t (nope) FORMAT CSV", b"1\n", 16),
        ("INSERT INTO t (a FORMAT CSV", b"1\n", 62),
        ("INSERT INTO t (a) FORMAT TSV", b"1\n" * 50_000 + b"x\n", 27),
        ("INSERT INTO t (a) FORMAT ArrowStream", arrow(1000)[:-500], 33),
        ("INSERT INTO t (a) FORMAT ArrowStream", b"garbage" * 100, 117),
        ("INSERT INTO t (a) SETTINGS nonesuch=1 FORMAT TSV", b"1\n", 115),
        ("INSERT INTO t (a) SELECT * FROM input('a UInt64') FORMAT TSV", b"1\n", 48),
    ],
)
async def test_a_failed_insert_leaves_nothing_and_says_why(http, query, body, code):
    status, said = await ask(http, query, body=body)

    assert status >= 400
    assert said.startswith(f"Code: {code}. DB::Exception: ".encode())
    assert await count(http) == 0


async def test_what_a_constraint_or_a_view_refuses_is_not_confirmed(http):
    await ask(http, "ALTER TABLE t ADD CONSTRAINT small CHECK a < 100")
    await ask(http, "CREATE OR REPLACE TABLE seen (a UInt64) ENGINE Memory")
    await ask(http, "CREATE MATERIALIZED VIEW picky TO seen AS SELECT a + throwIf(a = 7, 'not seven') AS a FROM t")

    refused = await ask(http, "INSERT INTO t (a) FORMAT TSV", body=b"1\n100\n")
    unseen = await ask(http, "INSERT INTO t (a) FORMAT TSV", body=b"7\n")
    await ask(http, "DROP TABLE picky")

    assert (refused[0], refused[1][:9]) == (500, b"Code: 469")
    assert (unseen[0], unseen[1][:9]) == (500, b"Code: 395")
    assert (await ask(http, "SELECT count() FROM t WHERE a != 7"))[1] == b"0\n"


async def test_a_compressed_insert_cut_inside_a_frame_leaves_nothing(http):
    data = lz4.frame.compress(b"1\n" * 10_000)

    status, said = await ask(http, "INSERT INTO t (a) FORMAT TSV", body=data[:-4], headers={"Content-Encoding": "lz4"})

    assert (status, said[:9]) == (400, b"Code: 271")
    assert await count(http) == 0


@pytest.mark.parametrize("framing", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked"])
async def test_an_insert_whose_body_breaks_off_leaves_nothing(http, engine, framing):
    _, writer = await asyncio.open_connection(engine.host, engine.port)
    rows = b"1\n" * 40_000
    body = rows if b"Length" in framing else b"%x\r\n%s\r\n" % (len(rows), rows)
    auth = "".join(f"{name}: {value}\r\n" for name, value in engine.auth.items()).encode()
    target = b"/?query=INSERT+INTO+t+(a)+FORMAT+TSV&query_id=cut"
    writer.write(b"POST " + target + b" HTTP/1.1\r\nHost: x\r\n" + auth + framing + b"\r\n\r\n" + body)
    await writer.drain()
    writer.close()

    await until_idle(http)

    assert await count(http) == 0


async def test_an_insert_whose_client_pauses_too_long_leaves_nothing(http):
    async def paused():
        yield b"1\n" * 1000
        await SystemClock().sleep(3)
        yield b"2\n"

    status, said = await ask(http, "INSERT INTO t (a) FORMAT TSV", body=paused())

    assert (status, said[:9]) == (408, b"Code: 209")
    assert await count(http) == 0


async def test_a_large_insert_and_a_large_answer_take_bounded_memory(http, engine):
    """200 MB in and twice out again, through a process that grows by a fraction of it.

    The engine's own blocks are made small, for they would hide what we hold.
    """
    piece = (b"x" * 999 + b"\n") * 1000
    small = {
        "max_block_size": "1000",
        "max_threads": "1",
        "max_insert_block_size": "1000",
        "min_insert_block_size_rows": "1000",
        "input_format_parallel_parsing": "0",
    }
    little = {"max_block_size": "1000", "max_threads": "1", "output_format_parallel_formatting": "0"}
    query = "SELECT repeat('x', 999) FROM numbers(200000) FORMAT TSV"

    async def pieces():
        for _ in range(200):
            yield piece

    await ask(http, "CREATE OR REPLACE TABLE wide (s String) ENGINE = Null")
    before = resident_bytes(engine.pid)
    assert (await ask(http, "INSERT INTO wide FORMAT TSV", body=pieces(), **small))[0] == 200
    received = 0
    for wait_end in ("0", "1"):
        async with http.post("/", data=query, params={**little, "wait_end_of_query": wait_end}) as answer:
            async for chunk in answer.content.iter_any():
                received += len(chunk)

    assert received == 2 * 200 * len(piece)
    assert resident_bytes(engine.pid) - before < 100_000_000


async def test_parallel_inserts_and_queries_all_count(http):
    async def one(n: int) -> None:
        rows = "".join(f"{n * 100 + row}\n" for row in range(100)).encode()
        assert (await ask(http, "INSERT INTO t (a) FORMAT TSV", body=rows))[0] == 200
        assert (await ask(http, "SELECT count() >= 100 FROM t"))[1] == b"1\n"

    await asyncio.gather(*[one(n) for n in range(60)])

    assert (await ask(http, "SELECT count(), uniqExact(a), sum(a) FROM t FORMAT CSV"))[1] == b"6000,6000,17997000\n"


async def until_idle(http: aiohttp.ClientSession) -> None:
    query = "SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'cut'"
    async with asyncio.timeout(30):
        while (await ask(http, query))[1] != b"0\n":
            await SystemClock().sleep(0.01)


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
