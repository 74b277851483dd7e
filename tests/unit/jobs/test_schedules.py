"""Schedules of copies: each of their times is one run, on however many nodes one looks, whatever was down meanwhile."""

import asyncio

import pytest
from sqlalchemy import select, update

from gateway.catalog import Catalog, CatalogStore, Copy, Definition, Node
from gateway.catalog.tables import schedules
from gateway.control.copies import CopyLimits
from gateway.control.copy_schedule import CopyScheduler
from gateway.jobs import Filters, JobStore, Status
from gateway.jobs.schedules import ScheduleStore
from gateway.schema.cron import last_time, next_time
from gateway.telemetry.oplog import OpsLog
from tests.support.jobs import StillClock

NODE = Node("t_" + "1" * 32, "copied", "SELECT 1 AS a")
CRON = "*/5 * * * *"
HOUR = 3600.0


class Nodes:
    """Two job workers on one database, and a pipe that is copied."""

    def __init__(self, stores, clock, workspace_id):
        self.stores, self.clock, self.workspace_id = stores, clock, workspace_id
        self.jobs = JobStore(stores[0].database, clock)
        self.catalogs = [Catalog(store, clock) for store in stores]
        self.logs = [OpsLog(clock) for _ in stores]
        limits = CopyLimits(60.0, 1 << 30, 5)
        self.schedulers = [
            CopyScheduler(ScheduleStore(store.database, clock), catalog, limits, log, clock)
            for store, catalog, log in zip(stores, self.catalogs, self.logs, strict=True)
        ]

    async def start(self):
        for catalog in self.catalogs:
            await catalog.start()
        async with self.stores[0].change() as change:
            target = await change.create_datasource(self.workspace_id, Definition("target", "a UInt8"))
            self.pipe = await change.create_pipe(self.workspace_id, "pipe", (NODE,))
            self.copy = Copy(NODE.id, target.id, "append", CRON)
        await self.set(self.copy)

    async def set(self, copy):
        async with self.stores[0].change() as change:
            self.pipe = await change.update_pipe(
                self.pipe.id, from_version=self.pipe.version, edited_by="me", copy=copy
            )

    async def row(self):
        async with self.stores[0].database.reading() as transaction:
            return await transaction.first(select(schedules))

    async def make_due(self, seconds=1.0):
        """Let its time have come `seconds` ago, by the clock of the database."""
        database = self.stores[0].database
        async with database.writing_uncounted() as transaction:
            await transaction.execute(update(schedules).values(next_at=database.now() - seconds))

    async def look(self):
        await asyncio.gather(*[scheduler.look() for scheduler in self.schedulers])

    async def runs(self):
        return await self.jobs.list(self.workspace_id, Filters(kind="copy"))

    async def end_all(self):
        for job in await self.runs():
            if job.status is Status.WAITING:
                await self.jobs.cancel(self.workspace_id, job.id)


@pytest.fixture
async def nodes(url):
    clock = StillClock()
    stores = [await CatalogStore.open(url, clock) for _ in range(2)]
    made = Nodes(stores, clock, (await stores[0].list_workspaces())[0].id)
    await made.start()
    yield made
    for store in stores:
        await store.aclose()


async def test_two_nodes_that_look_at_the_same_time_make_one_run_of_each_time(nodes):
    for round_ in range(20):
        await nodes.make_due()
        await nodes.look()
        await nodes.look()
        assert len(await nodes.runs()) == round_ + 1
        await nodes.end_all()
    job = (await nodes.runs())[0]
    assert (job.kind, job.pipe_name, job.datasource_name) == ("copy", "pipe", "target")
    assert not any(log.take(10)[0] for log in nodes.logs)


async def test_a_run_is_left_out_while_the_one_before_it_has_not_ended_and_that_is_said(nodes):
    await nodes.make_due()
    await nodes.look()
    await nodes.make_due()
    await nodes.look()
    assert len(await nodes.runs()) == 1
    (said,) = [entry for log in nodes.logs for entry in log.take(10)[0]]
    assert (said.event_type, said.pipe_name) == ("copy", "pipe")
    assert said.error == "Skipped: the run before it has not ended"
    await nodes.end_all()
    await nodes.make_due()
    await nodes.look()
    assert len(await nodes.runs()) == 2


async def test_times_that_went_by_while_all_was_down_are_one_run_for_the_last_of_them(nodes):
    await nodes.make_due(3 * HOUR + 7)
    await nodes.look()
    (job,) = await nodes.runs()
    row = await nodes.row()
    assert job.spec["now"] % 300 == 0
    assert row.next_at == next_time(CRON, job.spec["now"])
    assert row.job_id == job.id
    assert row.next_at - job.spec["now"] == 300
    await nodes.look()
    assert len(await nodes.runs()) == 1


async def test_a_paused_schedule_is_not_due_and_a_resumed_one_goes_on_from_now(nodes):
    await nodes.set(Copy(NODE.id, nodes.copy.target, "append", CRON, is_paused=True))
    await nodes.make_due(HOUR)
    await nodes.look()
    assert await nodes.runs() == []
    assert (await nodes.row()).status == "paused"
    await nodes.set(nodes.copy)
    row = await nodes.row()
    assert (row.status, row.next_at) == ("running", next_time(CRON, nodes.clock.now()))


async def test_a_schedule_that_was_changed_since_it_was_found_due_makes_no_run(nodes):
    store = ScheduleStore(nodes.stores[1].database, nodes.clock)
    await nodes.make_due()
    (due,) = await store.due()
    await nodes.set(Copy(NODE.id, nodes.copy.target, "append", "0 0 * * *"))
    assert await store.begin(due, nodes.schedulers[1]._job(due)) == (False, None)
    assert (await nodes.row()).next_at == next_time("0 0 * * *", nodes.clock.now())


async def test_a_mode_may_change_without_moving_the_schedule(nodes):
    await nodes.make_due(HOUR)
    before = await nodes.row()
    await nodes.set(Copy(NODE.id, nodes.copy.target, "replace", CRON))
    assert await nodes.row() == before


@pytest.mark.parametrize("how", ["no schedule", "no copy", "no pipe"])
async def test_a_schedule_goes_with_what_it_is_of(nodes, how):
    if how == "no pipe":
        async with nodes.stores[0].change() as change:
            await change.drop_pipe(nodes.pipe.id)
    else:
        await nodes.set(None if how == "no copy" else Copy(NODE.id, nodes.copy.target))
    assert await nodes.row() is None


async def test_a_copy_whose_data_source_is_gone_makes_no_run_and_is_not_looked_at_again_at_once(nodes):
    async with nodes.stores[0].change() as change:
        await change.drop_datasource(nodes.copy.target)
    await nodes.make_due()
    due_at = (await nodes.row()).next_at
    await nodes.look()
    assert await nodes.runs() == []
    assert (await nodes.row()).next_at > due_at


def test_the_last_time_is_the_one_that_is_now():
    assert last_time(CRON, 600.0) == 600.0
    assert last_time(CRON, 600.5) == 600.0
    assert last_time(CRON, 599.9) == 300.0
