"""The clients of today, unmodified, against the engine process: clickhouse-connect, both kinds, and curl."""

import asyncio
import datetime as dt
import gzip
import subprocess
from collections.abc import AsyncIterator

import clickhouse_connect
import lz4.frame
import pyarrow as pa
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from tests.support import zstd
from tests.support.engine import engine_process

COLUMNS = "a UInt64, b String, d DateTime64(3), l LowCardinality(String), n Nullable(Int8), arr Array(String)"
NOON = dt.datetime(2024, 1, 1, 12)  # noqa: DTZ001  as the client gives it
ROWS = [(1, "x", NOON, "low", None, ["a", "b'"]), (2, "ü\\\n", NOON, "card", 5, [])]
HOSTILE = {"n": 5, "s": "a'\\\t\n\"b ü", "d": NOON, "arr": ["q'", "\\", ""], "null": None}
BIND = "SELECT {n:UInt8}, {s:String}, {d:DateTime}, {arr:Array(String)}, {null:Nullable(String)}"
LATE = "SELECT throwIf(number = 3000000, 'late') FROM numbers(10000000)"


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with engine_process(tmp_path_factory.mktemp("engine")) as handle:
        yield handle


@pytest.fixture
def client(engine):
    with clickhouse_connect.get_client(
        host=engine.host, port=engine.port, username=engine.user, password=engine.password
    ) as client:
        client.command(f"CREATE OR REPLACE TABLE t ({COLUMNS}) ENGINE MergeTree ORDER BY a")
        yield client


@pytest.fixture
async def aclient(engine) -> AsyncIterator[AsyncClient]:
    client = await clickhouse_connect.get_async_client(
        host=engine.host, port=engine.port, username=engine.user, password=engine.password
    )
    await client.command(f"CREATE OR REPLACE TABLE u ({COLUMNS}) ENGINE MergeTree ORDER BY a")
    yield client
    await client.close()


def test_the_client_knows_the_server(client):
    assert client.server_version.startswith("26.")
    assert client.ping()
    assert client.command("SELECT timezone()")


@pytest.mark.parametrize("compress", [False, True, "lz4", "zstd", "gzip"])
def test_rows_go_in_and_come_out_the_same(client, engine, compress):
    other = clickhouse_connect.get_client(
        host=engine.host, port=engine.port, username=engine.user, password=engine.password, compress=compress
    )

    summary = other.insert("t", ROWS)

    assert summary.written_rows == 2
    assert other.query("SELECT * FROM t ORDER BY a").result_rows == ROWS
    many = other.query("SELECT number, toString(number) FROM numbers(150000)")
    assert many.result_rows[-1] == (149_999, "149999")
    assert many.summary["read_rows"] == "150000"
    other.close()


def test_parameters_of_the_sync_client_arrive_as_they_are(client):
    assert client.query(BIND, parameters=HOSTILE).result_rows == [tuple(HOSTILE.values())]
    long = "y" * 100_000  # sent as a form
    assert client.query("SELECT {s:String}", parameters={"s": long}).result_rows == [(long,)]


def test_arrow_in_and_out(client):
    rows = pa.table({"a": [5, 6], "b": ["q", "w"], "arr": [["x"], []]})

    assert client.insert_arrow("t", rows).written_rows == 2
    assert client.query_arrow("SELECT a, b, arr FROM t ORDER BY a").to_pydict() == rows.to_pydict()
    with client.query_arrow_stream("SELECT number FROM numbers(300000)") as batches:
        assert sum(batch.num_rows for batch in batches) == 300_000


def test_streams_of_the_sync_client(client):
    with client.query_row_block_stream("SELECT number FROM numbers(300000)") as blocks:
        assert sum(row[0] for block in blocks for row in block) == 299_999 * 150_000
    assert client.raw_query("SELECT 1 AS a", fmt="JSONEachRow") == b'{"a":1}\n'
    assert client.raw_stream("SELECT number FROM numbers(100000)", fmt="Parquet").read()[-4:] == b"PAR1"


@pytest.mark.parametrize(
    ("compression", "compress"),
    [(None, bytes), ("lz4", lz4.frame.compress), ("zstd", zstd.compress), ("gzip", gzip.compress)],
)
def test_raw_inserts(client, compression, compress):
    block = compress(b"7,seven\n8,eight\n")

    assert client.raw_insert("t", ["a", "b"], block, fmt="CSV", compression=compression).written_rows == 2
    assert client.command("SELECT sum(a) FROM t") == 15


def test_errors_have_their_codes(client):
    for query, code in (("SELECT nope", 47), ("SELECT * FROM nope", 60), ("SELEC", 62), ("SELECT throwIf(1)", 395)):
        with pytest.raises(DatabaseError) as failed:
            client.query(query)
        assert failed.value.code == code
    with pytest.raises(DatabaseError) as failed:
        client.insert("nope", [[1]], column_names=["a"], column_type_names=["Int8"])
    assert failed.value.code == 60
    with pytest.raises(DatabaseError) as failed:
        client.query("SELECT sleepEachRow(1) FROM numbers(5)", settings={"max_execution_time": 1, "max_block_size": 1})
    assert failed.value.code == 159


@pytest.mark.filterwarnings("ignore")
def test_a_late_error_reaches_who_streams(client):
    with client.query_row_block_stream(LATE) as blocks, pytest.raises(StreamFailureError) as failed:
        list(blocks)
    assert failed.value.code == 395


def test_settings_and_sessions_of_the_sync_client(client):
    query = "SELECT getSetting('max_block_size')"

    client.command("SET max_block_size = 555")

    assert client.query(query, settings={"max_block_size": 777}).result_rows == [(777,)]
    assert client.query(query).result_rows == [(555,)]
    client.command("CREATE TEMPORARY TABLE mine (a Int8)")
    client.insert("mine", [[1], [2]], column_names=["a"], column_type_names=["Int8"])
    assert client.query("SELECT sum(a) FROM mine").result_rows == [(3,)]


def test_a_client_with_a_database(client, engine):
    client.command("CREATE DATABASE IF NOT EXISTS other")
    with clickhouse_connect.get_client(
        host=engine.host, port=engine.port, username=engine.user, password=engine.password, database="other"
    ) as other:
        other.command("CREATE OR REPLACE TABLE o (a Int8) ENGINE Memory")
        other.insert("o", [[1]], column_names=["a"])
        assert other.query("SHOW TABLES").result_rows == [("o",)]
        assert other.query("DESCRIBE TABLE o").result_rows[0][:2] == ("a", "Int8")
    assert client.command("SELECT count() FROM other.o") == 1
    assert client.query("SELECT 1 AS a, 'x' AS b LIMIT 0").column_names == ("a", "b")


async def test_the_async_client_does_it_all(aclient):
    await aclient.insert("u", ROWS)
    assert (await aclient.query("SELECT * FROM u ORDER BY a")).result_rows == ROWS
    assert (await aclient.query(BIND, parameters=HOSTILE)).result_rows == [tuple(HOSTILE.values())]
    await aclient.raw_insert("u", ["a", "b"], b"7,seven\n", fmt="CSV")
    await aclient.insert_arrow("u", pa.table({"a": [5, 6], "b": ["q", "w"]}))
    assert await aclient.command("SELECT sum(a) FROM u") == 21
    assert (await aclient.query_arrow("SELECT a FROM u ORDER BY a")).to_pydict() == {"a": [1, 2, 5, 6, 7]}
    assert await aclient.raw_query("SELECT 1 AS a", fmt="JSONEachRow") == b'{"a":1}\n'
    async with await aclient.query_row_block_stream("SELECT number FROM numbers(300000)") as blocks:
        assert sum([len(block) async for block in blocks]) == 300_000
    assert await aclient.ping()


async def test_the_async_client_asks_much_at_once(aclient):
    answers = await asyncio.gather(
        *[aclient.query("SELECT {n:UInt32}, sleep(0.01)", parameters={"n": n}) for n in range(100)]
    )

    assert [answer.result_rows[0][0] for answer in answers] == list(range(100))


async def test_errors_reach_the_async_client(aclient):
    with pytest.raises(DatabaseError) as failed:
        await aclient.query("SELECT nope")
    assert failed.value.code == 47

    async def rows():
        async with await aclient.query_row_block_stream(LATE) as blocks:
            async for _ in blocks:
                pass

    with pytest.raises(StreamFailureError):  # its code is lost if the client reads on too late
        await rows()


async def test_a_wrong_password_is_516(engine):
    with pytest.raises(DatabaseError) as failed:
        await clickhouse_connect.get_async_client(
            host=engine.host, port=engine.port, username=engine.user, password="wrong"
        )
    assert failed.value.code == 516


def curl(engine, *arguments: str, data: bytes | None = None) -> bytes:
    command = ["curl", "-sS", "-m", "20", "-u", f"{engine.user}:{engine.password}", *arguments]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def test_curl_asks_and_inserts(engine, tmp_path):
    url = engine.url
    large = tmp_path / "large.csv"
    large.write_bytes(b"".join(b"%d,row %d\n" % (n, n) for n in range(200_000)))

    assert curl(engine, f"{url}/ping") == b"Ok.\n"
    assert curl(engine, f"{url}/?query=SELECT%201") == b"1\n"
    assert curl(engine, url, "-d", "SELECT 1 FORMAT JSONEachRow") == b'{"1":1}\n'
    assert curl(engine, url, "-d", "CREATE OR REPLACE TABLE c (a UInt64, b String) ENGINE MergeTree ORDER BY a") == b""
    insert = f"{url}/?query=INSERT%20INTO%20c%20FORMAT%20CSV"
    assert curl(engine, insert, "--data-binary", f"@{large}") == b""  # asks whether it may go on, and waits
    assert curl(engine, insert, "--data-binary", "@-", data=b"1,x\n") == b""
    assert curl(engine, insert, "-T", "-", "-X", "POST", data=b"2,y\n") == b""  # chunked
    assert (
        curl(engine, insert, "-H", "Content-Encoding: gzip", "--data-binary", "@-", data=gzip.compress(b"3,z\n")) == b""
    )
    assert curl(engine, url, "-d", "SELECT count(), sum(a) FROM c") == b"200003\t19999900006\n"
    assert curl(engine, f"{url}/?enable_http_compression=1", "--compressed", "-d", "SELECT 1") == b"1\n"
    assert curl(engine, f"{url}/?param_x=a%27b", "--data-urlencode", "SELECT {x:String}")[:8] == b"Code: 62"
    assert curl(engine, f"{url}/?param_x=a%27b", "-F", "query=SELECT {x:String} FORMAT TSVRaw") == b"a'b\n"


def test_curl_sees_a_broken_answer_as_broken(engine):
    broken = subprocess.run(
        ["curl", "-sS", "-m", "20", "-u", f"{engine.user}:{engine.password}", engine.url, "-d", LATE],
        capture_output=True,
        check=False,
    )

    assert broken.returncode == 18  # a part of the file
    assert b"DB::Exception: late" in broken.stdout
