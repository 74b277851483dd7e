"""A populate that is killed at any step, comes too late, or is given up; and what the sweep makes of its view."""

import asyncio
import os
from contextlib import suppress
from itertools import count
from random import Random

import pytest

from gateway.auth.principal import Principal
from gateway.auth.scopes import Scopes
from gateway.catalog import Catalog, CatalogStore, Node
from gateway.clickhouse.client import Client, ClientOptions
from gateway.control import populating
from gateway.control.datasources import DatasourceControl
from gateway.control.populating import PopulateHandler, Populating
from gateway.control.view_objects import POPULATE, ViewObjects
from gateway.core.clock import SystemClock
from gateway.core.ids import datasource_id
from gateway.jobs import JobContext, JobFailed, JobStore, NewJob, Status
from gateway.schema.columns import parse_schema
from gateway.schema.datafile import Datafile
from gateway.schema.engines import parse_engine
from gateway.telemetry.oplog import OpsLog
from tests.integration.test_copy_kills import Killed, Steps
from tests.support.engine import engine_process

ROWS = 25
STRIDE = 1 if os.environ.get("SLUICE_TEST_LONG") else 3
NAMES = count(1)


class Hasty(SystemClock):
    """Nobody inserts here, so nobody has to hear of a hold."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class House:
    """A trigger with rows, a node that is linked to a target, and a populate of it, as a worker has them."""

    def __init__(self, url, store, catalog):
        self.clock = Hasty()
        self.client, self.store, self.catalog = Client(ClientOptions(url)), store, catalog
        self.jobs, self.ops = JobStore(store.database, self.clock), OpsLog(self.clock)
        (self.workspace,) = catalog.snapshot.workspaces.values()
        self.control = DatasourceControl(catalog, store, self.client, 1000, self.ops)
        self.admin = Principal("t", "t", self.workspace.id, Scopes.read(["ADMIN"]))

    def views(self, client=None):
        return ViewObjects(client or self.client, self.catalog, self.store, self.jobs, self.clock)

    async def datasource(self, columns):
        schema = parse_schema(columns)
        engine = parse_engine({"engine": "MergeTree", "engine_sorting_key": "k"}, schema)
        return await self.control.create(self.admin, f"ds{next(NAMES)}", Datafile(schema, engine))

    async def job(self, **spec):
        self.trigger, self.target = await self.datasource("k UInt64"), await self.datasource("k UInt64, c UInt64")
        await self.client.command(f"INSERT INTO {self.table(self.trigger)} SELECT number FROM numbers({ROWS})")
        sql = f"SELECT k % 3 AS k, count() AS c FROM {self.trigger.name} GROUP BY k"
        self.node = Node(datasource_id(), "agg", sql, materialized=self.target.id)
        async with self.store.change() as change:
            self.pipe = await change.create_pipe(self.workspace.id, f"p{next(NAMES)}", (self.node,))
        await self.catalog.refresh()
        wanted = {"creates": True, "truncate": False, "condition": "", "subset": 0.0, "unlink": False, **spec}
        await self.jobs.create(
            NewJob(
                workspace_id=self.workspace.id,
                kind=POPULATE,
                spec={"node": self.node.id, **wanted},
                datasource_id=self.target.id,
                datasource_name=self.target.name,
                pipe_id=self.pipe.id,
                pipe_name=self.pipe.name,
            )
        )

    def table(self, datasource):
        return f"`{self.workspace.database}`.`{datasource.table}`"

    async def take_up(self, steps, *, discard=False):
        await self.jobs.release_all("w")
        job = await self.jobs.claim("w", "", [POPULATE], 60.0)
        client = steps.of(self.client)
        tools = Populating(client, self.catalog, self.store, self.views(client), self.ops, self.clock, Random(0))
        context = JobContext(self.jobs, job, 60.0, self.clock)
        handler = PopulateHandler(tools)
        await (handler.discard(context) if discard else handler.run(context))
        return context

    async def end(self, status):
        await self.jobs.release_all("w")
        job = await self.jobs.claim("w", "", [POPULATE], 60.0)
        await self.jobs.finish(job.lease, job.id, status, error="", errors=())
        context = await self.take_up(Steps(), discard=True)
        await self.jobs.tidied(context.job.lease, context.job.id)

    async def insert(self, rows=3):
        await self.client.command(f"INSERT INTO {self.table(self.trigger)} SELECT 0 FROM numbers({rows})")

    async def total(self):
        return int((await self.client.rows(f"SELECT sum(c) FROM {self.table(self.target)}"))[0][0])

    async def views_there(self):
        found = await self.client.rows("SELECT name FROM system.tables WHERE endsWith(name, '__view')")
        return {name for (name,) in found}

    async def staged(self):
        return await self.client.rows(
            f"SELECT name FROM system.tables WHERE name LIKE '{self.trigger.table}\\_\\_pop%'"
        )

    async def hold(self):
        await self.catalog.refresh()
        return self.catalog.snapshot.datasources[self.trigger.id].hold


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with engine_process(tmp_path_factory.mktemp("engine"), password="") as engine:
        yield engine.url


@pytest.fixture
async def house(url, tmp_path, monkeypatch):
    monkeypatch.setattr(populating, "PIECE_ROWS_MAX", 10)
    clock = SystemClock()
    store = await CatalogStore.open(f"sqlite+aiosqlite:///{tmp_path}/catalog.db", clock)
    catalog = Catalog(store, clock)
    await catalog.start()
    made = House(url, store, catalog)
    await made.client.command(f"CREATE DATABASE IF NOT EXISTS `{made.workspace.database}`")
    yield made
    await made.client.command(f"DROP DATABASE `{made.workspace.database}`")
    await made.client.aclose()
    await store.aclose()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_populate_that_is_killed_at_any_step_counts_each_row_once(house, after):
    await house.job()
    whole = Steps()
    await house.take_up(whole)
    assert await house.total() == ROWS
    await house.end(Status.DONE)

    for at in range(1, whole.count + 1, STRIDE):
        await house.job()
        with suppress(Killed):
            await house.take_up(Steps(at, after))
        await house.take_up(Steps())
        await house.insert()
        assert await house.total() == ROWS + 3, f"killed at step {at}"
        await house.end(Status.DONE)
        assert (await house.staged(), await house.hold()) == ([], "")


async def test_a_view_that_came_too_late_for_its_hold_ends_the_populate_and_stays(house, monkeypatch):
    monkeypatch.setattr(populating, "_MADE_SECONDS_MAX", -10)
    await house.job()

    with pytest.raises(JobFailed, match=r"start the population again with truncate=true"):
        await house.take_up(Steps())

    await house.end(Status.ERROR)
    assert (await house.total(), await house.staged(), await house.hold()) == (0, [], "")
    await house.insert()
    assert await house.total() == 3, "the view is there"


async def test_where_inserts_do_not_come_to_rest_in_time_nothing_is_begun(house, monkeypatch):
    monkeypatch.setattr(populating, "_BEGIN_SECONDS_MAX", -1)
    await house.job(unlink=True)

    with pytest.raises(JobFailed, match="did not come to rest"):
        await house.take_up(Steps())

    await house.end(Status.ERROR)
    assert (await house.total(), await house.staged(), await house.hold()) == (0, [], "")
    assert f"{house.node.id}__view" not in await house.views_there()
    assert house.catalog.snapshot.pipes[house.pipe.id].nodes[0].materialized == ""


async def test_the_sweep_makes_views_that_are_missing_and_drops_those_of_nobody(house):
    await house.job()
    await house.take_up(Steps())
    own, database = f"{house.node.id}__view", house.workspace.database
    views = house.views()
    await house.client.command(f"DROP TABLE `{database}`.`{own}`")
    await house.client.command(
        f"CREATE MATERIALIZED VIEW `{database}`.stray__view TO {house.table(house.target)} "
        f"AS SELECT k, toUInt64(1) AS c FROM {house.table(house.trigger)}"
    )

    await views.sweep()
    assert await house.views_there() == set(), "a populate of it is not over: it makes the view itself"
    await house.end(Status.DONE)
    await views.sweep()

    assert await house.views_there() == {own}
    await house.insert()
    assert await house.total() == ROWS + 3
