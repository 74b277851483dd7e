"""Exactly once, on the real engine: replays, lost answers, a backlog longer than the window, poison, a view beside it."""

import asyncio
from random import Random

import pytest

from gateway.buffer.batch import insert_body
from gateway.clickhouse.client import Client, ClientOptions
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.inserter import ClickHouseInserter
from tests.support.engine import start_engine
from tests.support.lane import emptied, options, rows, running

REMEMBER = "SETTINGS non_replicated_deduplication_window = 5"


@pytest.fixture
async def database(tmp_path):
    """A table with a window of five inserts and a materialized view, in an engine that can be killed and started."""
    found = _Database(tmp_path / "engine")
    await found.start()
    for statement in (
        f"CREATE TABLE t_a (id Int64, text String) ENGINE = MergeTree ORDER BY id {REMEMBER}",
        f"CREATE TABLE v (id Int64) ENGINE = MergeTree ORDER BY id {REMEMBER}",
        "CREATE MATERIALIZED VIEW mv TO v AS SELECT id FROM t_a",
        "CREATE TABLE t_a_quarantine (reason String, id String) ENGINE = MergeTree ORDER BY id",
    ):
        await found.client.command(statement)
    yield found
    await found.aclose()


class _Database:
    def __init__(self, directory):
        self._directory = directory
        self._engine = None
        self._port = 0
        self.client: Client

    async def start(self):
        self._engine = await asyncio.to_thread(start_engine, self._directory, password="p" * 16, port=self._port)
        if not self._port:  # later ones are reached by the same client: it may be about to connect to them
            self._port = self._engine.port
            self.client = Client(ClientOptions(self._engine.url, "default", self._engine.password))

    async def kill(self):
        await asyncio.to_thread(self._engine.close)
        await self.client.aclose()

    async def ids(self, table):
        return sorted(int(row[0]) for row in await self.client.rows(f"SELECT id FROM {table}"))

    def inserter(self):
        return _Inserter(self)

    async def aclose(self):
        await self.kill()


class _Inserter:
    """The real inserter on whatever engine runs now; loses the answer to some inserts."""

    def __init__(self, database):
        self._database = database
        self.lose = False
        self.chance = Random(1)

    async def insert(self, datasource_id, quarantine, columns, body, token, *, is_json=False):
        table = datasource_id + ("_quarantine" if quarantine else "")
        real = ClickHouseInserter(self._database.client, lambda *_: ("default", table))
        await real.insert(datasource_id, quarantine, columns, body, token)
        if self.lose and self.chance.random() < 0.4:
            raise ServerError("connection reset", None)


async def test_a_backlog_longer_than_the_window_lands_once_through_crashes(database, tmp_path):
    inserter = database.inserter()
    limits = options(rows_max=10, memory_bytes_max=30_000)
    await database.kill()

    async with running(tmp_path / "log", inserter, limits) as buffer:  # ClickHouse is down: 60 batches pile up
        for start in range(0, 600, 10):
            await buffer.append([rows("t_a", list(range(start, start + 10)))])

    inserter.lose = True
    await database.start()
    for _ in range(4):  # half of each life's work is done when it is killed, with answers lost on the way
        landed = len(await database.ids("t_a"))
        async with running(tmp_path / "log", inserter, limits):
            while landed < 600 and len(await database.ids("t_a")) < landed + 100:
                pass
    inserter.lose = False
    async with running(tmp_path / "log", inserter, limits) as buffer:
        await emptied(buffer)

    assert await database.ids("t_a") == list(range(600))
    assert await database.ids("v") == list(range(600))


async def test_an_insert_of_several_chunks_is_one_block_once(database):
    chunks = [rows("t_a", list(range(start, start + 9_000))) for start in range(0, 36_000, 9_000)]
    small = [rows("t_a", [number]) for number in range(36_000, 36_100)]
    body = await insert_body(chunks[0][0], [item for _, item in (*chunks, *small)], lambda: asyncio.sleep(0))
    assert body.count(b"\xff\xff\xff\xff") >= 6  # a schema, five chunks, the end

    for _ in range(2):  # the answer to the first was lost
        await database.inserter().insert("t_a", False, ["id", "text"], body, "token")

    assert await database.ids("t_a") == list(range(36_100))
    assert await database.ids("v") == list(range(36_100))
    found = await database.client.rows(
        "SELECT table, count() FROM system.parts WHERE active GROUP BY table ORDER BY table"
    )
    assert found == [("t_a", 1), ("v", 1)]


async def test_a_killed_engine_neither_loses_nor_doubles(database, tmp_path):
    inserter = database.inserter()
    async with running(tmp_path / "log", inserter, options(rows_max=100)) as buffer:
        for start in range(0, 3000, 100):
            await buffer.append([rows("t_a", list(range(start, start + 100)))])
            if start % 1000 == 500:
                await database.kill()
                await database.start()
        await emptied(buffer)

    assert await database.ids("t_a") == list(range(3000))
    assert await database.ids("v") == list(range(3000))


async def test_one_row_clickhouse_refuses_is_quarantined_and_the_rest_lands(database, tmp_path):
    await database.client.command("ALTER TABLE t_a ADD CONSTRAINT no_777 CHECK id != 777")
    async with running(tmp_path / "log", database.inserter(), options(rows_max=1000, age_seconds_max=0.05)) as buffer:
        await buffer.append([rows("t_a", list(range(1000)))])
        await emptied(buffer)

    assert await database.ids("t_a") == [each for each in range(1000) if each != 777]
    assert await database.ids("v") == [each for each in range(1000) if each != 777]
    assert await database.ids("t_a_quarantine") == [777]


async def test_a_missing_table_holds_its_rows_and_no_others(database, tmp_path):
    async with running(tmp_path / "log", database.inserter(), options()) as buffer:
        await buffer.append([rows("t_missing", [1, 2])])
        await buffer.append([rows("t_a", [3])])
        while buffer.pending_rows != {"t_missing": 2}:
            assert buffer.pending_rows["t_missing"] == 2
            await database.ids("t_a")
        assert await database.ids("t_a") == [3]

    await database.client.command("CREATE TABLE t_missing (id Int64, text String) ENGINE = MergeTree ORDER BY id")
    async with running(tmp_path / "log", database.inserter(), options()) as buffer:
        await emptied(buffer)

    assert await database.ids("t_missing") == [1, 2]


async def test_a_view_that_fails_holds_the_rows_until_it_is_mended_and_doubles_nothing(database, tmp_path):
    await database.client.command("DROP VIEW mv")
    await database.client.command(
        "CREATE MATERIALIZED VIEW mv TO v AS SELECT toInt64(throwIf(id = 5) + id) AS id FROM t_a"
    )
    async with running(tmp_path / "log", database.inserter(), options()) as buffer:
        await buffer.append([rows("t_a", list(range(10)))])
        for _ in range(20):
            await database.ids("t_a")
        assert buffer.pending_rows == {"t_a": 10}

    await database.client.command("DROP VIEW mv")
    await database.client.command("CREATE MATERIALIZED VIEW mv TO v AS SELECT id FROM t_a")
    async with running(tmp_path / "log", database.inserter(), options()) as buffer:
        await emptied(buffer)

    assert await database.ids("t_a") == list(range(10))
    assert await database.ids("v") == list(range(10))
