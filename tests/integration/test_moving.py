"""Rows moved from a staging table, cut off at any step: each is in the table once, and in what a view makes of it."""

import asyncio
from itertools import count
from random import Random

import pytest

from gateway.clickhouse.client import Client, ClientOptions
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.reader import HttpReader
from gateway.core.clock import SystemClock
from gateway.imports import moving
from gateway.imports.moving import Staged, pieces, rows_in
from gateway.imports.patience import Patience
from tests.support.engine import engine_process

WINDOW = "SETTINGS non_replicated_deduplication_window = 100"
ROWS = 25
NUMBERS = count(1)
COLUMNS = [("a", "UInt64"), ("s", "LowCardinality(String)")]
QUERY = f"SELECT number AS a, concat('s', toString(number)) AS s FROM numbers({ROWS})"


class Killed(BaseException):
    """The worker is no more."""


class Statements:
    """A client whose worker is killed at one of its inserts, or that loses the answer of one."""

    def __init__(self, client, *, kill_at=-1, after=False, lost_at=-1):
        self.count = 0
        self._client = client
        self._kill_at = kill_at
        self._after = after
        self._lost_at = lost_at

    def __getattr__(self, name):
        return getattr(self._client, name)

    async def insert_select(self, sql, settings):
        number, self.count = self.count, self.count + 1
        if number == self._kill_at and not self._after:
            raise Killed
        await self._client.insert_select(sql, settings)
        if number == self._kill_at:
            raise Killed
        if number == self._lost_at:
            raise ServerError("no answer", None)


class House:
    """An engine, with a table whose partitions and view see what is moved into it."""

    def __init__(self, url):
        options = ClientOptions(url)
        self.client, self.reader = Client(options), HttpReader(options)

    async def table(self):
        name = f"target_{next(NUMBERS)}"
        for statement in (
            "CREATE DATABASE IF NOT EXISTS d",
            (
                f"CREATE TABLE d.{name} (s String, a UInt64, b UInt8 DEFAULT 7) ENGINE = MergeTree PARTITION BY a % 3 "
                f"ORDER BY a {WINDOW}"
            ),
            f"CREATE TABLE d.{name}_sums (k UInt64, n UInt64) ENGINE = SummingMergeTree ORDER BY k {WINDOW}",
            (
                f"CREATE MATERIALIZED VIEW d.{name}_view TO d.{name}_sums AS SELECT a % 2 AS k, count() AS n "
                f"FROM d.{name} GROUP BY k"
            ),
        ):
            await self.client.command(statement)
        return name

    def staged(self, name, client=None):
        async def say(_):
            return

        patience = Patience(say, SystemClock(), Random(0))
        return Staged(client or self.client, self.reader, patience, "d", f"{name}_staged_0123456789")

    async def filled(self, name, query=QUERY):
        staged = self.staged(name)
        await staged.create(COLUMNS)
        await staged.fill(["a", "s"], query, {}, {}, f"fill-{name}")
        return await staged.plan()

    async def check(self, name):
        stored = await self.client.rows(f"SELECT a, s, b FROM d.{name} ORDER BY a")
        assert stored == [(number, f"s{number}", 7) for number in range(ROWS)]
        assert (await self.client.rows(f"SELECT sum(n) FROM d.{name}_sums"))[0][0] == ROWS

    async def aclose(self):
        await self.client.aclose()
        await self.reader.aclose()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with engine_process(tmp_path_factory.mktemp("engine"), password="") as engine:
        yield engine.url


@pytest.fixture
async def house(url, monkeypatch):
    monkeypatch.setattr(moving, "PIECE_ROWS_MAX", 10)
    made = House(url)
    yield made
    await made.aclose()


async def move(house, name, plan, first=0, **faults):
    """Move as one worker does until it is killed; return the number that is durable then."""
    durable = first

    async def landed(number, rows):
        nonlocal durable
        durable = number
        assert rows <= rows_in(plan)

    try:
        await house.staged(name, Statements(house.client, **faults)).move(plan, first, name, "job", landed)
    except Killed:
        pass
    return durable


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [0, 1, 2])
async def test_a_worker_that_is_killed_at_a_piece_leaves_each_row_once(house, at, after):
    name = await house.table()
    plan = await house.filled(name)
    assert len(pieces(plan)) == 3
    durable = await move(house, name, plan, kill_at=at, after=after)
    assert durable == at
    assert await move(house, name, plan, durable) == 3
    await house.check(name)


async def test_a_lost_answer_does_not_double_a_piece(house):
    name = await house.table()
    plan = await house.filled(name)
    assert await move(house, name, plan, lost_at=1) == 3
    await house.check(name)


async def test_two_workers_that_both_believe_it_is_theirs_move_each_row_once(house):
    name = await house.table()
    plan = await house.filled(name)
    await asyncio.gather(*[move(house, name, plan) for _ in range(3)])
    await house.check(name)


async def test_a_piece_is_one_block_however_long_its_rows_are(house, monkeypatch):
    monkeypatch.setattr(moving, "PIECE_ROWS_MAX", 1_000_000)
    name = await house.table()
    plan = await house.filled(
        name, "SELECT number * 3 AS a, concat(repeat('x', 5000), toString(number)) AS s FROM numbers(20000)"
    )
    assert rows_in(plan) == 20_000
    assert 2 <= len(pieces(plan)) <= 4, "about 100 MB in pieces of 64"
    await move(house, name, plan)
    parts = await house.client.rows(
        f"SELECT count(), sum(rows) FROM system.parts WHERE database = 'd' AND table = '{name}' AND level = 0"
    )
    assert parts == [(len(pieces(plan)), 20_000)]


async def test_a_fill_that_is_cut_off_is_ended_and_leaves_nothing(house):
    name = await house.table()
    staged = house.staged(name)
    await staged.create(COLUMNS)
    endless = "SELECT number AS a, toString(number) AS s FROM system.numbers WHERE sleepEachRow(0.01) = 0"
    filling = asyncio.create_task(staged.fill(["a", "s"], endless, {}, {"max_block_size": 10}, "endless"))
    running = "SELECT count() FROM system.processes WHERE query_kind = 'Insert' AND query LIKE '%sleepEachRow%'"
    while (await house.client.rows(running))[0][0] == 0:
        assert not filling.done()
    filling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await filling
    assert (await house.client.rows(running))[0][0] == 0
    await staged.drop()
    await staged.drop()
    assert await house.client.rows(f"SELECT name FROM system.tables WHERE name LIKE '{name}_staged%'") == []


async def test_values_of_placeholders_and_limits_reach_a_fill(house):
    name = await house.table()
    staged = house.staged(name)
    await staged.create(COLUMNS)
    await staged.fill(["s", "a"], "SELECT {v:String}, 5", {"v": "it's\ttabs"}, {}, f"bound-{name}")
    plan = await staged.plan()
    await move(house, name, plan)
    assert await house.client.rows(f"SELECT a, s FROM d.{name}") == [(5, "it's\ttabs")]
    with pytest.raises(ServerError) as refused:
        await staged.fill(
            ["a", "s"],
            "SELECT number AS a, toString(sleepEachRow(0.1)) AS s FROM numbers(1000)",
            {},
            {"max_execution_time": 1, "max_block_size": 5},
            f"slow-{name}",
        )
    assert refused.value.code == 159
