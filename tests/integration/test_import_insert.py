"""Blocks into their tables on the real engine: once, whatever fails, and down to the row that ClickHouse refuses."""

from random import Random
from typing import Any

import pytest

from gateway.clickhouse import ddl
from gateway.clickhouse.client import Client, ClientOptions
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.topology import ONE_SERVER
from gateway.core.clock import SystemClock
from gateway.imports.insert import BlockInserter, Landed, Layout, Place
from gateway.imports.patience import Patience
from gateway.ingest.fit import Fitter
from gateway.schema.columns import parse_schema
from gateway.schema.datafile import Datafile
from gateway.schema.quarantine import QUARANTINE_ENGINE, quarantine_schema
from tests.support.engine import engine_process

SCHEMA = parse_schema("id UInt32 `json:$.id`, word Decimal(9, 2) DEFAULT 5 `json:$.word`")
PLACE = Place("d", "t", "t_quarantine")
ODD = 7


class Cut(BaseException):
    """The worker is no more."""


class Flaky:
    """A client some of whose inserts fail, as if by the network, or whose process ends."""

    def __init__(self, client: Client, faults: dict[int, str]) -> None:
        self.inserts = 0
        self._client = client
        self._faults = faults

    async def insert(self, *arguments: Any) -> None:
        fault = self._faults.get(self.inserts, "")
        self.inserts += 1
        if fault == "down":
            raise ServerError("no answer", None)
        if fault == "busy":
            raise ServerError("Too many parts", 252)
        if fault == "cut before":
            raise Cut
        await self._client.insert(*arguments)
        if fault == "lost":
            raise ServerError("no answer", None)
        if fault == "cut after":
            raise Cut


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with engine_process(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.fixture
async def client(engine):
    client = Client(ClientOptions(engine.url, engine.user, engine.password))
    await client.command("DROP DATABASE IF EXISTS d SYNC")
    await client.command(ddl.create_database(ONE_SERVER, "d"))
    await client.command(
        "CREATE TABLE d.t (id UInt32, word Decimal(9, 2) DEFAULT 5, CONSTRAINT not_odd CHECK id != 7) ENGINE = MergeTree "
        "ORDER BY id SETTINGS non_replicated_deduplication_window = 1000"
    )
    quarantine = Datafile(quarantine_schema(SCHEMA), QUARANTINE_ENGINE)
    await client.commands(ddl.create_table(ONE_SERVER, "d", "t_quarantine", quarantine, 1000, ""))
    yield client
    await client.aclose()


class Job:
    """One job over its runs."""

    def __init__(self, client: Client) -> None:
        self.said: list[str] = []
        self._client = client
        self._halved: set[str] = set()

    async def insert(self, body: bytes, faults: dict[int, str] | None = None) -> Landed:
        fitter = Fitter(SCHEMA)

        async def say(reason: str) -> None:
            self.said.append(reason)

        async def remember(token: str) -> None:
            self._halved.add(token)

        inserter = BlockInserter(
            Flaky(self._client, faults or {}),
            PLACE,
            Layout(fitter.arrow_schema, fitter.quarantine),
            Patience(say, SystemClock(), Random(1)),
            now=1_767_600_000.0,
            import_id="the-job",
            halved=set(self._halved),
            remember=remember,
        )
        return await inserter.insert(fitter.fit_ndjson(body, 1_767_600_000.0, "the-job"), "the-job-0")


def body(numbers: Any) -> bytes:
    """Lines; every third without a word, so that there are two groups of rows."""
    lines = [b'{"id":%d}' % number if number % 3 == 0 else b'{"id":%d,"word":1}' % number for number in numbers]
    return b"\n".join([*lines, b'{"id":"bad"}'])


async def ids(client: Client) -> list[int]:
    return sorted(number for (number,) in await client.rows("SELECT id FROM d.t"))


async def reasons(client: Client) -> list[tuple[Any, ...]]:
    return await client.rows("SELECT c__error[1], c__import_id, id FROM d.t_quarantine ORDER BY id")


async def test_a_block_lands_with_its_defaults_and_its_quarantine(client):
    assert await Job(client).insert(body([1, 2, 3])) == Landed(3, 1)

    found = await client.rows("SELECT id, word FROM d.t ORDER BY id")
    assert found == [(1, 1), (2, 1), (3, 5)]
    assert len(await reasons(client)) == 1


async def test_a_block_that_is_sent_again_adds_nothing(client):
    job = Job(client)
    for _ in range(3):
        assert await job.insert(body(range(100, 200))) == Landed(100, 1)

    assert await ids(client) == list(range(100, 200))
    assert len(await reasons(client)) == 1


@pytest.mark.parametrize("fault", ["down", "busy", "lost"])
@pytest.mark.parametrize("where", range(3))
async def test_a_failure_that_passes_is_waited_for_and_shown(client, fault, where):
    job = Job(client)

    assert await job.insert(body([1, 2, 3]), {where: fault}) == Landed(3, 1)

    assert await ids(client) == [1, 2, 3]
    assert len(await reasons(client)) == 1
    assert job.said[0].startswith("Waiting for ClickHouse: ")
    assert job.said[-1] == ""


async def test_the_row_that_clickhouse_refuses_goes_to_quarantine_and_the_others_land(client):
    assert await Job(client).insert(body(range(64))) == Landed(63, 2)

    assert await ids(client) == [number for number in range(64) if number != ODD]
    refused = next(row for row in await reasons(client) if row[2] == str(ODD))
    assert "not_odd" in refused[0]
    assert refused[1] == "the-job"


@pytest.mark.parametrize("fault", ["cut before", "cut after", "lost"])
@pytest.mark.parametrize("where", range(12))
async def test_a_search_for_the_refused_row_that_is_cut_off_is_taken_up_again(client, fault, where):
    job = Job(client)
    try:
        await job.insert(body(range(16)), {where: fault})
    except Cut:
        pass

    assert await job.insert(body(range(16))) == Landed(15, 2)
    assert await ids(client) == [number for number in range(16) if number != ODD]
    assert len(await reasons(client)) == 2


async def test_parts_that_landed_are_not_doubled_when_clickhouse_changes_its_mind(client):
    job = Job(client)
    with pytest.raises(Cut):
        await job.insert(body(range(16)), {5: "cut after"})
    landed = await ids(client)
    assert 0 < len(landed) < 15
    await client.command("ALTER TABLE d.t DROP CONSTRAINT not_odd")

    assert await job.insert(body(range(16))) == Landed(16, 1)
    assert await ids(client) == list(range(16))
