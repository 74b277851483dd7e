"""Replace, cut off at every single statement: before it was run, or after it was run and its answer was lost."""

from collections.abc import Iterable
from random import Random
from typing import Any

import pytest

from gateway.clickhouse.client import Client, ClientOptions
from gateway.clickhouse.errors import ServerError
from gateway.core.clock import SystemClock
from gateway.imports.patience import Patience
from gateway.imports.replace import Replacement
from gateway.query.condition import row_condition
from tests.support.engine import engine_process

ENGINE = "ENGINE = MergeTree PARTITION BY id % 2 ORDER BY id SETTINGS non_replicated_deduplication_window = 100"
OLD = [(number, "old") for number in range(8)]
LATE = (101, "late")
ALL = [(1, "new"), (3, "new")]
# In the partition 1 the rows below 4 go; 5 does not match, and 2 has no new row in its partition.
SOME = sorted([(number, "old") for number in (0, 2, 4, 5, 6, 7)] + ALL + [LATE])
LOADED = "(1, 'new'), (3, 'new'), (9, 'unmatched')"


class Killed(BaseException):
    """The worker is no more."""


class Statements:
    """A client that is killed at one of its statements; between two of them, somebody else inserts."""

    def __init__(self, client: Client, kill_at: int = -1, *, after: bool = False, lost_at: int = -1) -> None:
        self.count = 0
        self.topology = client.topology
        self._client = client
        self._kill_at = kill_at
        self._after = after
        self._lost_at = lost_at

    async def command(self, sql: str, settings: Any = None) -> None:
        number, self.count = self.count, self.count + 1
        if number == self._kill_at and not self._after:
            raise Killed
        await self._client.command(sql, settings)
        if sql.startswith("SYSTEM START MERGES") and "staged" in sql:
            await self._client.command("INSERT INTO d.t VALUES (101, 'late')", {"insert_deduplication_token": "late"})
        if number == self._kill_at:
            raise Killed
        if number == self._lost_at:
            raise ServerError("no answer", None)

    async def commands(self, statements: Iterable[str], settings: Any = None) -> None:
        for each in statements:
            await self.command(each, settings)

    async def rows(self, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        return await self._client.rows(sql, parameters)


class Record:
    """What is durable of a job."""

    def __init__(self) -> None:
        self.due: Any = None

    async def remember(self, due: Any) -> None:
        self.due = due


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with engine_process(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.fixture
async def client(engine):
    client = Client(ClientOptions(engine.url, engine.user, engine.password))
    await client.command("DROP DATABASE IF EXISTS d SYNC")
    await client.command("CREATE DATABASE d")
    await client.command(f"CREATE TABLE d.t (id UInt32, name String) {ENGINE}")
    values = ", ".join(str(row) for row in OLD)
    await client.command(f"INSERT INTO d.t VALUES {values}")
    yield client
    await client.aclose()


def replacement(statements: Statements, condition: str) -> Replacement:
    async def say(_: str) -> None:
        return

    patience = Patience(say, SystemClock(), Random(1))
    return Replacement(statements, patience, "d", "t", job_id="1234-5678", condition=condition)


async def do(statements: Statements, client: Client, record: Record, condition: str) -> None:
    """What the handler of imports does."""
    work = replacement(statements, condition)
    await work.prepare()
    # The blocks: they have tokens.
    loaded = LOADED if condition else "(1, 'new'), (3, 'new')"
    if record.due is None:
        await client.command(f"INSERT INTO d.`{work.loading}` VALUES {loaded}", {"insert_deduplication_token": "block"})
    if condition and record.due is None:
        await work.drop_unmatched()
    await work.swap(record.due, record.remember)


async def steps(client: Client, condition: str) -> int:
    statements = Statements(client)
    await do(statements, client, Record(), condition)
    return statements.count


async def found(client: Client) -> list[tuple[Any, ...]]:
    return sorted(await client.rows("SELECT id, name FROM d.t"))


async def tables(client: Client) -> list[str]:
    return [name for (name,) in await client.rows("SELECT name FROM system.tables WHERE database = 'd'")]


CONDITION = row_condition("id < 4", "t", "The condition")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kill_at", range(18))
async def test_a_replace_by_condition_that_is_killed_ends_as_if_it_had_not_been(client, kill_at, after):
    record = Record()
    try:
        await do(Statements(client, kill_at, after=after), client, record, CONDITION)
    except Killed:
        if record.due is None:
            assert set(await found(client)) - {LATE} == set(OLD)

    await do(Statements(client), client, record, CONDITION)
    assert await found(client) == SOME

    await replacement(Statements(client), CONDITION).discard(record.due)
    assert await found(client) == SOME
    assert await tables(client) == ["t"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kill_at", range(2))
async def test_a_replace_of_everything_that_is_killed_ends_as_if_it_had_not_been(client, kill_at, after):
    record = Record()
    with pytest.raises(Killed):
        await do(Statements(client, kill_at, after=after), client, record, "")
    assert await found(client) == (ALL if kill_at == 1 and after else OLD)

    await do(Statements(client), client, record, "")
    assert await found(client) == ALL

    await replacement(Statements(client), "").discard(record.due)
    assert await found(client) == ALL
    assert await tables(client) == ["t"]


async def test_the_steps_that_are_killed_are_all_there_are(client):
    assert await steps(client, CONDITION) <= 18


@pytest.mark.parametrize("lost_at", range(18))
async def test_an_answer_that_is_lost_changes_nothing(client, lost_at):
    record = Record()
    await do(Statements(client, lost_at=lost_at), client, record, CONDITION)

    assert await found(client) == SOME


@pytest.mark.parametrize("kill_at", range(18))
async def test_a_replace_that_is_killed_and_then_cancelled_leaves_the_old_rows_or_the_new_ones(client, kill_at):
    record = Record()
    try:
        await do(Statements(client, kill_at, after=True), client, record, CONDITION)
    except Killed:
        pass

    await replacement(Statements(client), CONDITION).discard(record.due)

    rows = await found(client)
    assert rows == SOME or set(rows) - {LATE} == set(OLD)
    assert await tables(client) == ["t"]


async def test_rows_deleted_while_the_new_table_is_made_stay_deleted(client):
    class Deleting(Statements):
        async def command(self, sql: str, settings: Any = None) -> None:
            await super().command(sql, settings)
            if sql.startswith("SYSTEM START MERGES") and "staged" in sql and not self.is_done:
                self.is_done = True
                await self._client.command("ALTER TABLE d.t DELETE WHERE id = 6", {"mutations_sync": 0})

        is_done = False

    await do(Deleting(client), client, Record(), CONDITION)

    assert await found(client) == [row for row in SOME if row[0] != 6]
