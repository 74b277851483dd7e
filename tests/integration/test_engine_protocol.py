"""ClickHouse's HTTP protocol, spoken by the engine process to a bare HTTP client."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import aiohttp
import lz4.frame
import orjson
import pytest

from gateway.core.clock import SystemClock
from tests.support import zstd
from tests.support.engine import EngineHandle, engine_process


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with engine_process(tmp_path_factory.mktemp("engine"), spool_memory_bytes_max=100_000) as handle:
        yield handle


@pytest.fixture
async def http(engine) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(engine.url, headers=engine.auth, auto_decompress=False) as session:
        yield session


async def ask(http, query, body=None, method="POST", headers=None, **params):
    """Return the status, the body and the headers of the answer to `query`, in the URL if there is a body."""
    if body is not None or method == "GET":
        params["query"] = query
    data = None if method == "GET" else query if body is None else body
    async with http.request(method, "/", params=params, data=data, headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers


async def test_it_says_that_it_is_alive_to_anybody(engine):
    async with aiohttp.ClientSession(engine.url) as nobody:
        for path in ("/ping", "/", "/replicas_status"):
            async with nobody.get(path) as answer:
                assert (answer.status, await answer.read()) == (200, b"Ok.\n")
        async with nobody.get("/nothing") as answer:
            assert answer.status == 404


async def test_who_does_not_know_the_password_gets_nothing(engine):
    async with aiohttp.ClientSession(engine.url) as nobody:
        for auth in ({}, {"X-ClickHouse-User": "default", "X-ClickHouse-Key": "wrong"}):
            async with nobody.post("/", data="SELECT 1", headers=auth) as answer:
                assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")
                assert (await answer.text()).startswith("Code: 516. DB::Exception: default: Authentication failed")


async def test_a_statement_is_in_the_url_the_body_or_both(http):
    assert (await ask(http, "SELECT 1"))[:2] == (200, b"1\n")
    assert (await ask(http, "SELECT 1", method="GET"))[:2] == (200, b"1\n")
    assert (await ask(http, "SELECT 1 +", body="2"))[:2] == (200, b"3\n")
    assert (await ask(http, "SELECT 1;"))[:2] == (200, b"1\n")


async def test_an_answer_has_the_headers_of_a_server(http):
    _, _, headers = await ask(http, "SELECT number FROM numbers(5)", query_id="mine", session_timezone="Asia/Tokyo")

    summary = orjson.loads(headers["X-ClickHouse-Summary"])
    assert {name: summary[name] for name in ("read_rows", "read_bytes", "result_rows", "written_rows")} == {
        "read_rows": "5",
        "read_bytes": "40",
        "result_rows": "5",
        "written_rows": "0",
    }
    assert int(summary["elapsed_ns"]) > 0
    assert headers["X-ClickHouse-Query-Id"] == "mine"
    assert headers["X-ClickHouse-Format"] == "TabSeparated"
    assert headers["X-ClickHouse-Timezone"] == "Asia/Tokyo"
    assert headers["X-ClickHouse-Server-Display-Name"]
    assert headers["Content-Type"] == "text/tab-separated-values; charset=UTF-8"


@pytest.mark.parametrize(
    ("query", "status", "code", "name"),
    [
        ("SELECT nope", 404, 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT * FROM nope", 404, 60, "UNKNOWN_TABLE"),
        ("SELECT nope()", 404, 46, "UNKNOWN_FUNCTION"),
        ("SELECT 1 FORMAT Nope", 404, 73, "UNKNOWN_FORMAT"),
        ("SELEC 1", 400, 62, "SYNTAX_ERROR"),
        ("SELECT (1", 400, 62, "SYNTAX_ERROR"),
        ("SELECT 'abc", 400, 62, "SYNTAX_ERROR"),
        ("", 400, 62, "SYNTAX_ERROR"),
        ("exit", 400, 62, "SYNTAX_ERROR"),
        ("1 + 1", 400, 62, "SYNTAX_ERROR"),
        ("SELECT 1; SELECT 2", 400, 62, "SYNTAX_ERROR"),
        ("CREATE TABLE twice (a Int8) ENGINE Memory; garbage", 400, 62, "SYNTAX_ERROR"),
        ("INSERT INTO system.one VALUES (1); SELECT 1", 400, 62, "SYNTAX_ERROR"),
        ("SELECT 1 INTO OUTFILE '/tmp/never'", 500, 358, "INTO_OUTFILE_NOT_ALLOWED"),
        ("INSERT INTO system.one FROM INFILE '/etc/passwd' FORMAT CSV", 404, 78, "UNKNOWN_TYPE_OF_QUERY"),
        ("SELECT throwIf(1)", 500, 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("SELECT {x:UInt8}", 400, 456, "UNKNOWN_QUERY_PARAMETER"),
        ("SELECT 1 SETTINGS nonesuch = 1", 404, 115, "UNKNOWN_SETTING"),
        (b"SELECT '\xff' + nope\xff", 400, 62, "SYNTAX_ERROR"),
        (b"SELECT throwIf(1, '\xff')", 500, 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        (b"SELECT 1 \x00; SELECT 2", 400, 62, "SYNTAX_ERROR"),
        (b"\xff\x00\x17", 400, 62, "SYNTAX_ERROR"),
    ],
)
async def test_an_error_has_its_code_its_status_and_a_sentence(http, query, status, code, name):
    got_status, body, headers = await ask(http, query)

    assert (got_status, headers["X-ClickHouse-Exception-Code"]) == (status, str(code))
    text = body.decode()
    assert text.startswith(f"Code: {code}. DB::Exception: ")
    assert f"({name}) (version " in text
    assert "/dev/fd" not in text
    assert text.count("DB::Exception") == 1


async def test_of_several_statements_none_is_run(http):
    await ask(http, "CREATE TABLE first (a Int8) ENGINE Memory; CREATE TABLE second (a Int8) ENGINE Memory")
    await ask(http, "CREATE TABLE first (a Int8) ENGINE Memory; garbage(")

    assert (await ask(http, "EXISTS TABLE first"))[1] == b"0\n"


async def test_placeholders_are_bound_by_the_engine(http):
    query = "SELECT {n:UInt8}, {s:String}, {a:Array(String)}, {null:Nullable(String)}"

    status, body, _ = await ask(
        http, query + " FORMAT TSVRaw", param_n="7", param_s="a'b\\tc\\\\", param_a="['x\\'']", param_null="\\N"
    )

    assert (status, body) == (200, b"7\ta'b\tc\\\t['x\\'']\t\\N\n")
    assert (await ask(http, "SELECT * FROM {t:Identifier}", param_t="numbers"))[2][
        "X-ClickHouse-Exception-Code"
    ] == "60"
    assert (await ask(http, "SELECT {n:UInt8}", param_n="x"))[2]["X-ClickHouse-Exception-Code"] == "457"


async def test_a_form_may_carry_the_statement_and_its_placeholders(http):
    form = aiohttp.FormData()
    form.add_field("query", "SELECT {x:String}", content_type="text/plain")
    form.add_field("param_x", "y" * 100_000, content_type="text/plain")

    async with http.post("/", data=form) as answer:
        assert (answer.status, await answer.read()) == (200, b"y" * 100_000 + b"\n")


async def test_a_setting_holds_for_one_statement(http):
    query = "SELECT getSetting('max_block_size')"

    assert (await ask(http, query, max_block_size="777"))[1] == b"777\n"
    assert (await ask(http, query))[1] != b"777\n"
    assert (await ask(http, "SELECT getSetting('log_comment')", log_comment="it's \\ mine\n;"))[1].endswith(
        b"it\\'s \\\\ mine\\n;\n"
    )
    assert (await ask(http, query, nonesuch="1"))[2]["X-ClickHouse-Exception-Code"] == "115"


async def test_nothing_stays_on_a_connection_for_the_next_statement(http):
    """Connections are used again; what a statement changes on one must not be seen there."""
    state = "SELECT getSetting('max_block_size') = 7, currentDatabase()"
    there = "SELECT count() FROM system.tables WHERE name = 'stays'"
    before = (await ask(http, state))[1]
    for change in (
        "SET max_block_size = 7",
        "USE system",
        "CREATE TEMPORARY TABLE stays (a Int8)",
        "SELECT 1 SETTINGS max_block_size = 7",
        "SELECT throwIf(1) SETTINGS max_block_size = 7",
        "SET param_x = 'stays'",
    ):
        await ask(http, change)
        answers = await asyncio.gather(*[ask(http, state) for _ in range(8)], *[ask(http, there) for _ in range(8)])
        assert {body for _, body, _ in answers} == {before, b"0\n"}
    assert (await ask(http, "SELECT {x:String}", param_x="1"))[0] == 200
    assert (await ask(http, "SELECT {x:String}"))[2]["X-ClickHouse-Exception-Code"] == "456"


async def test_get_reads_only_and_readonly_locks_the_settings(http):
    create = "CREATE TABLE never (a Int8) ENGINE Memory"

    assert (await ask(http, create, method="GET"))[2]["X-ClickHouse-Exception-Code"] == "164"
    assert (await ask(http, create, readonly="1"))[2]["X-ClickHouse-Exception-Code"] == "164"
    for query in (
        "SELECT 1 SETTINGS max_threads = 1",
        "SET readonly = 0",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    ):
        assert (await ask(http, query, readonly="1"))[2]["X-ClickHouse-Exception-Code"] == "164"


async def test_the_format_is_of_the_statement_the_url_or_the_header(http):
    assert (await ask(http, "SELECT 1 AS a FORMAT JSONEachRow"))[1] == b'{"a":1}\n'
    assert (await ask(http, "SELECT 1 AS a", default_format="CSVWithNames"))[1] == b'"a"\n1\n'
    assert (await ask(http, "SELECT 1 AS a", headers={"X-ClickHouse-Format": "TSVWithNames"}))[1] == b"a\n1\n"
    assert (await ask(http, "SHOW DATABASES FORMAT CSV"))[1].startswith(b'"INFORMATION_SCHEMA"\n')
    assert (await ask(http, "EXISTS DATABASE default"))[1] == b"1\n"
    assert (await ask(http, "SELECT format FROM (SELECT 2 AS format) ORDER BY format DESC"))[1] == b"2\n"
    assert (await ask(http, "EXPLAIN SELECT 1"))[1] != b""


@pytest.mark.parametrize(
    "name",
    [
        "Native",
        "RowBinaryWithNamesAndTypes",
        "Arrow",
        "ArrowStream",
        "Parquet",
        "JSON",
        "JSONCompact",
        "CSVWithNames",
        "TSVWithNamesAndTypes",
        "XML",
        "Pretty",
        "Avro",
        "ORC",
        "MsgPack",
        "SQLInsert",
    ],
)
async def test_a_large_result_is_one_document_streamed_or_not(http, name):
    """Several blocks of the engine, longer than the buffer: one header, one footer, nothing lost."""
    query = f"SELECT number, toString(number) AS s FROM numbers(200000) FORMAT {name}"
    settings = {"output_format_write_statistics": "0", "output_format_pretty_max_rows": "1000000"}
    # Otherwise what Pretty draws in one frame depends on how soon after each other the blocks come.
    settings |= {f"output_format_pretty_squash_{each}_ms": "600000" for each in ("consecutive", "max_wait")}

    _, streamed, _ = await ask(http, query, buffer_size="1000", max_threads="1", **settings)
    _, whole, _ = await ask(http, query, wait_end_of_query="1", max_threads="1", **settings)

    if name != "Avro":  # has a random mark between its blocks
        assert streamed == whole
    if name in {"JSON", "JSONCompact"}:
        assert orjson.loads(streamed)["rows"] == 200_000
    assert len(streamed) > 200_000


async def test_an_answer_is_compressed_if_the_client_asks(http):
    query = "SELECT repeat('x', 100) FROM numbers(100000) FORMAT TSV"
    plain = (await ask(http, query))[1]

    for coding, decompress in (
        ("lz4", lz4.frame.decompress),
        ("zstd", zstd.decompress),
        ("gzip", gzip.decompress),
    ):
        headers = {"Accept-Encoding": coding}
        _, body, got = await ask(http, query, headers=headers, enable_http_compression="1")
        assert got["Content-Encoding"] == coding
        assert decompress(body) == plain
        assert "Content-Encoding" not in (await ask(http, query, headers=headers))[2]
    _, body, got = await ask(http, "SELECT 1", headers={"Accept-Encoding": "gzip"}, enable_http_compression="1")
    assert gzip.decompress(body) == b"1\n"


async def test_a_body_may_be_compressed(http):
    for coding, compress in (("lz4", lz4.frame.compress), ("zstd", zstd.compress), ("gzip", gzip.compress)):
        headers = {"Content-Encoding": coding}
        assert (await ask(http, "SELECT", body=compress(b"1"), headers=headers))[1] == b"1\n"
        assert (await ask(http, "SELECT", body=b"1", headers=headers))[0] == 400
    assert (await ask(http, "SELECT", body=b"1", headers={"Content-Encoding": "br"}))[0] == 400


async def test_an_error_in_the_middle_of_an_answer_cannot_be_missed(http):
    query = "SELECT throwIf(number = 3000000, 'late') FROM numbers(10000000) FORMAT TSV"

    async with http.post("/", data=query) as answer:
        assert answer.status == 200
        tag = answer.headers["X-ClickHouse-Exception-Tag"].encode()
        received = bytearray()
        with pytest.raises(aiohttp.ClientPayloadError):  # noqa: PT012
            async for chunk in answer.content.iter_any():
                received += chunk
    mark = b"\r\n__exception__\r\n"
    text = bytes(received[received.index(mark) :])
    assert text.startswith(mark + tag + b"\r\nCode: 395. DB::Exception: late")
    assert text.endswith(b" " + tag + mark)


async def test_an_error_in_the_middle_is_an_ordinary_one_for_who_waits_for_the_end(http):
    query = "SELECT throwIf(number = 3000000, 'late') FROM numbers(10000000) FORMAT TSV"

    status, body, _ = await ask(http, query, wait_end_of_query="1")

    assert status == 500
    assert body.startswith(b"Code: 395. DB::Exception: late")


async def test_a_query_that_takes_too_long_ends_with_159(http):
    status, _, headers = await ask(
        http, "SELECT sleepEachRow(0.1) FROM numbers(100)", max_execution_time="0.3", max_block_size="1"
    )

    assert (status, headers["X-ClickHouse-Exception-Code"]) == (408, "159")


async def test_a_slow_query_holds_nobody_up(http):
    slow = asyncio.ensure_future(ask(http, "SELECT sleep(3)"))
    async with http.get("/ping") as answer:
        assert answer.status == 200
    await asyncio.gather(*[ask(http, f"SELECT {n}") for n in range(20)])
    assert not slow.done()
    assert (await slow)[1] == b"0\n"


async def test_parallel_statements_never_see_each_others_parameters(http):
    """Parameters, settings, databases of 600 statements, 24 at a time."""
    gate = asyncio.Semaphore(24)

    async def one(n: int) -> bool:
        async with gate:
            query = (
                "SELECT {n:UInt32}, {s:String}, getSetting('log_comment') LIKE concat('%', {s:String}) FROM numbers(2)"
            )
            _, body, _ = await ask(http, query, param_n=n, param_s=f"s{n}.", log_comment=f"s{n}.")
            return body == f"{n}\ts{n}.\t1\n".encode() * 2

    assert all(await asyncio.gather(*[one(n) for n in range(600)]))


async def test_a_client_that_goes_away_cancels_its_query(http, engine):
    query = "SELECT count() FROM numbers(100000000000) WHERE NOT ignore(number)"
    async with aiohttp.ClientSession(engine.url, headers=engine.auth) as leaving:
        asking = asyncio.ensure_future(ask(leaving, query, query_id="left"))
        await until_running(http, "left", running=True)
        asking.cancel()
    await until_running(http, "left", running=False)


async def test_a_client_that_leaves_an_answer_half_read_cancels_its_query(http, engine):
    query = "SELECT number FROM numbers(100000000000) FORMAT TSV"
    async with (
        aiohttp.ClientSession(engine.url, headers=engine.auth) as leaving,
        leaving.post("/", data=query, params={"query_id": "half"}) as answer,
    ):
        await answer.content.readexactly(1000)
        assert await is_running(http, "half")
        answer.close()
    await until_running(http, "half", running=False)


async def test_kill_query_finds_the_id_of_the_client(http):
    asking = asyncio.ensure_future(
        ask(http, "SELECT count() FROM numbers(100000000000) WHERE NOT ignore(number)", query_id="victim")
    )
    await until_running(http, "victim", running=True)

    await ask(http, "KILL QUERY WHERE query_id = {id:String} SYNC", param_id="victim")

    _, _, headers = await asking
    assert headers["X-ClickHouse-Exception-Code"] == "394"


async def test_a_query_id_cannot_run_twice_at_once(http):
    asking = asyncio.ensure_future(ask(http, "SELECT sleep(0.5)", query_id="once"))
    await until_running(http, "once", running=True)

    assert (await ask(http, "SELECT 1", query_id="once"))[2]["X-ClickHouse-Exception-Code"] == "216"
    assert (await asking)[0] == 200
    assert (await ask(http, "SELECT 1", query_id="once"))[0] == 200


async def test_a_session_keeps_temporary_tables_and_settings(http):
    mine = {"session_id": "mine"}
    await ask(http, "CREATE TEMPORARY TABLE kept (a Int8)", **mine)
    await ask(http, "INSERT INTO kept VALUES (1), (2)", **mine)
    await ask(http, "SET max_block_size = 555", **mine)

    assert (await ask(http, "SELECT sum(a) FROM kept", **mine))[1] == b"3\n"
    assert (await ask(http, "SELECT sum(a) FROM kept", method="GET", **mine))[1] == b"3\n"
    assert (await ask(http, "SELECT getSetting('max_block_size')", **mine))[1] == b"555\n"
    assert (await ask(http, "SELECT getSetting('max_block_size')", max_block_size="9", **mine))[1] == b"9\n"
    assert (await ask(http, "SELECT getSetting('max_block_size')", **mine))[1] == b"555\n"
    assert (await ask(http, "SELECT * FROM kept"))[0] == 404
    assert (await ask(http, "SELECT 1", close_session="1", **mine))[0] == 200
    assert (await ask(http, "SELECT 1", session_check="1", **mine))[2]["X-ClickHouse-Exception-Code"] == "372"


async def test_a_setting_of_the_url_does_not_stay_in_the_session(http):
    fresh = {"session_id": "fresh"}
    before = (await ask(http, "SELECT getSetting('max_block_size')", **fresh))[1]

    assert (await ask(http, "SELECT getSetting('max_block_size')", max_block_size="9", **fresh))[1] == b"9\n"
    assert (await ask(http, "SELECT getSetting('max_block_size')", **fresh))[1] == before


async def test_a_session_runs_one_statement_at_a_time(http):
    asking = asyncio.ensure_future(ask(http, "SELECT sleep(0.5)", session_id="busy", query_id="in-busy"))
    await until_running(http, "in-busy", running=True)

    assert (await ask(http, "SELECT 1", session_id="busy"))[2]["X-ClickHouse-Exception-Code"] == "373"
    assert (await asking)[0] == 200


async def test_the_database_is_in_the_url_or_a_header(http):
    await ask(http, "CREATE DATABASE IF NOT EXISTS `my db`")

    assert (await ask(http, "SELECT currentDatabase()", database="my db"))[1] == b"my db\n"
    assert (await ask(http, "SELECT currentDatabase()", headers={"X-ClickHouse-Database": "system"}))[1] == b"system\n"
    assert (await ask(http, "SELECT 1", database="x`; DROP"))[2]["X-ClickHouse-Exception-Code"] == "81"


async def test_a_long_query_is_refused_until_the_setting_allows_it(http):
    query = "SELECT length('" + "x" * 1_000_000 + "')"

    assert (await ask(http, query))[2]["X-ClickHouse-Exception-Code"] == "62"
    assert (await ask(http, query, max_query_size="2000000"))[1] == b"1000000\n"
    assert (await ask(http, "SELECT '" + "x" * 200_000 + "'", method="GET"))[0] == 200


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x00" * 5000,
    ],
)
async def test_garbage_hurts_nobody_else(http, engine, garbage):
    reader, writer = await asyncio.open_connection(engine.host, engine.port)
    writer.write(garbage)
    writer.write_eof()
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()

    assert answer == b"" or answer.splitlines()[0].startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    assert (await ask(http, "SELECT 1"))[1] == b"1\n"


async def is_running(http: aiohttp.ClientSession, query_id: str) -> bool:
    query = "SELECT count() FROM system.processes WHERE startsWith(Settings['log_comment'], {id:String})"
    return (await ask(http, query, param_id=query_id))[1] == b"1\n"


async def until_running(http: aiohttp.ClientSession, query_id: str, *, running: bool) -> None:
    async with asyncio.timeout(30):
        while await is_running(http, query_id) is not running:
            await SystemClock().sleep(0.01)


def test_the_handle_says_where_the_engine_is(engine: EngineHandle):
    assert engine.url == f"http://{engine.host}:{engine.port}"
