"""A copy that is killed at any step, taken up again or given up: each row is once where it belongs, and nothing is left."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from random import Random

import pytest

from gateway.auth.principal import Principal
from gateway.auth.scopes import Scopes
from gateway.catalog import Catalog, CatalogStore, Copy, Node
from gateway.clickhouse.client import Client, ClientOptions
from gateway.clickhouse.reader import HttpReader
from gateway.control.copies import CopyLimits, new_run
from gateway.control.copy_checks import CopyChecks
from gateway.control.copying import CopyHandler, Copying
from gateway.control.datasources import DatasourceControl
from gateway.control.service import ServiceTables
from gateway.control.sources import SourceControl
from gateway.core.clock import SystemClock
from gateway.core.ids import datasource_id, new_uuid
from gateway.imports import moving
from gateway.jobs import JobContext, JobStore, Status
from gateway.query.service import QueryLimits, QueryService
from gateway.schema.columns import parse_schema
from gateway.schema.datafile import Datafile
from gateway.schema.engines import parse_engine
from gateway.telemetry.oplog import OpsLog
from tests.support.engine import engine_process

CLOCK = SystemClock()
LIMITS = CopyLimits(60.0, 1 << 30, 10)
ROWS = 25
STRIDE = 1 if os.environ.get("SLUICE_TEST_LONG") else 4
OLD = [(1000, "old")]
NEW = [(number, f"s{number}") for number in range(ROWS)]


class Killed(BaseException):
    """Not an Exception: nothing of ours goes on after it."""


@dataclass
class Steps:
    """What one worker asks ClickHouse; it is killed at step `at`: before the server hears of it, or after."""

    at: int = -1
    after: bool = False
    count: int = field(default=0, init=False)

    def of(self, inner):
        return _Killer(self, inner)


class _Killer:
    def __init__(self, steps, inner):
        self._steps, self._inner = steps, inner
        self.topology = getattr(inner, "topology", None)

    def __getattr__(self, name):
        async def call(*args, **kwargs):
            steps = self._steps
            if steps.count >= steps.at >= 0:
                raise Killed  # whatever it does on its way out does not happen either
            steps.count += 1
            if steps.count == steps.at and not steps.after:
                raise Killed
            result = await getattr(self._inner, name)(*args, **kwargs)
            if steps.count == steps.at:
                raise Killed
            return result

        return call


class House:
    """A data source that a pipe is copied to, and a job store, as a worker has them."""

    def __init__(self, url, store, catalog):
        options = ClientOptions(url)
        self.client, self.reader = Client(options), HttpReader(options)
        self.store, self.catalog, self.jobs = store, catalog, JobStore(store.database, CLOCK)
        self.ops = OpsLog(CLOCK)
        (self.workspace,) = catalog.snapshot.workspaces.values()
        self.control = DatasourceControl(catalog, store, self.client, 1000, self.ops)
        self.admin = Principal("t", "t", self.workspace.id, Scopes.read(["ADMIN"]))

    async def job(self, mode, *, sql=f"SELECT number AS n, concat('s', toString(number)) AS s FROM numbers({ROWS})"):
        schema = parse_schema("n UInt64 `json:$.n`, s String `json:$.s`")
        engine = parse_engine({"engine": "MergeTree", "engine_sorting_key": "n"}, schema)
        self.target = await self.control.create(self.admin, f"ds{next(NAMES)}", Datafile(schema, engine))
        await self.client.command(f"INSERT INTO {self.table} VALUES (1000, 'old')")
        node = Node(datasource_id(), "copied", sql)
        async with self.store.change() as change:
            pipe = await change.create_pipe(self.workspace.id, f"p{next(NAMES)}", (node,))
            copy = Copy(node.id, self.target.id, mode)
            pipe = await change.update_pipe(pipe.id, from_version=1, edited_by="me", copy=copy)
        await self.catalog.refresh()
        await self.jobs.create(new_run(pipe, node, self.target, mode, LIMITS, new_uuid()))

    @property
    def table(self):
        return f"`{self.workspace.database}`.`{self.target.table}`"

    async def take_up(self, steps, *, discard=False):
        """Take the job as a worker does after whoever had it died, and do what is left of it."""
        await self.jobs.release_all("w")
        job = await self.jobs.claim("w", "", ["copy"], 60.0)
        client, reader = steps.of(self.client), steps.of(self.reader)
        checks = CopyChecks(
            self.catalog, SourceControl(ServiceTables(client), {}), QueryService(reader), QueryLimits(), lambda *_: None
        )
        handler = CopyHandler(Copying(client, reader, self.catalog, checks, LIMITS, self.ops, CLOCK, Random(0)))
        context = JobContext(self.jobs, job, 60.0, CLOCK)
        await (handler.discard(context) if discard else handler.run(context))
        return context

    async def end(self, status):
        """End the job as `status`, and tidy as a worker does."""
        await self.jobs.release_all("w")
        job = await self.jobs.claim("w", "", ["copy"], 60.0)
        await self.jobs.finish(job.lease, job.id, status, error="", errors=())
        context = await self.take_up(Steps(), discard=True)
        await self.jobs.tidied(context.job.lease, context.job.id)

    async def rows(self):
        return await self.client.rows(f"SELECT n, s FROM {self.table} ORDER BY n")

    async def tables(self):
        """Names of the tables that the run left."""
        found = await self.client.rows(f"SELECT name FROM system.tables WHERE name LIKE '{self.target.table}\\_\\_%'")
        return [name for (name,) in found]


NAMES = count(1)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with engine_process(tmp_path_factory.mktemp("engine"), password="") as engine:
        yield engine.url


@pytest.fixture
async def house(url, tmp_path, monkeypatch):
    monkeypatch.setattr(moving, "PIECE_ROWS_MAX", 10)
    store = await CatalogStore.open(f"sqlite+aiosqlite:///{tmp_path}/catalog.db", CLOCK)
    catalog = Catalog(store, CLOCK)
    await catalog.start()
    made = House(url, store, catalog)
    await made.client.command(f"CREATE DATABASE IF NOT EXISTS `{made.workspace.database}`")
    yield made
    await made.client.aclose()
    await made.reader.aclose()
    await store.aclose()


def wanted(mode):
    return sorted(OLD + NEW) if mode == "append" else NEW


async def steps_of_a_run(house, mode):
    await house.job(mode)
    steps = Steps()
    await house.take_up(steps)
    assert await house.rows() == wanted(mode)
    await house.end(Status.DONE)
    assert await house.tables() == []
    return steps.count


@pytest.mark.parametrize("mode", ["append", "replace"])
async def test_a_copy_that_is_killed_at_any_step_and_taken_up_again_has_each_row_once(house, mode):
    for at in range(1, await steps_of_a_run(house, mode) + 1, STRIDE):
        for after in (False, True):
            await house.job(mode)
            with pytest.raises(Killed):
                await house.take_up(Steps(at, after))
            assert (await house.rows())[-1:] in (OLD, NEW[-1:])
            await house.take_up(Steps())
            assert await house.rows() == wanted(mode), (at, after)
            await house.end(Status.DONE)
            assert await house.tables() == [], (at, after)


@pytest.mark.parametrize("mode", ["append", "replace"])
async def test_a_copy_that_is_killed_again_and_again_gets_to_its_end(house, mode):
    await house.job(mode)
    for at in range(1, 60):
        with suppress(Killed):
            await house.take_up(Steps(at, bool(at % 2)))
            break
    assert await house.rows() == wanted(mode)
    await house.end(Status.DONE)
    assert await house.tables() == []


@pytest.mark.parametrize("mode", ["append", "replace"])
async def test_a_copy_that_is_given_up_at_any_step_leaves_the_rows_that_were_there_and_no_table(house, mode):
    for at in range(1, await steps_of_a_run(house, mode) + 1, STRIDE + 1):
        await house.job(mode)
        with pytest.raises(Killed):
            await house.take_up(Steps(at, after=True))
        await house.end(Status.CANCELLED)
        rows = await house.rows()
        assert len(set(rows)) == len(rows)
        if mode == "replace":
            assert rows in (OLD, NEW)
        else:
            assert set(OLD) <= set(rows) <= set(OLD + NEW)
        assert await house.tables() == [], at
