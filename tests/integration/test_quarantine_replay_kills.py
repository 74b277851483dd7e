"""A replay that is killed at any step, taken up again or given up: every row is once where it belongs."""

import os
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from random import Random

import orjson
import pytest

from gateway.auth.principal import Principal
from gateway.auth.scopes import Scopes
from gateway.catalog import Catalog, CatalogStore, Datasource
from gateway.clickhouse.client import Client, ClientOptions
from gateway.control.changes import DatasourceChanges, Wanted
from gateway.control.datasources import DatasourceControl
from gateway.control.view_objects import ViewObjects
from gateway.core.clock import SystemClock
from gateway.imports import replay
from gateway.imports.insert import BlockInserter, Layout, Place
from gateway.imports.patience import Patience
from gateway.imports.replay import ReplayHandler, Replaying
from gateway.ingest.fit import Fitter
from gateway.ingest.texts import TextFitter
from gateway.jobs import Job, JobContext, JobStore, NewJob, Status
from gateway.schema.columns import parse_schema
from gateway.schema.datafile import Datafile
from gateway.schema.engines import parse_engine
from gateway.telemetry.oplog import OpsLog
from tests.support.engine import engine_process

CLOCK = SystemClock()
BROKEN = "k UInt32 `json:$.k`, a UInt8 `json:$.a`, b UInt8 `json:$.b`, at DateTime `json:$.at` DEFAULT now()"
FIXED = "k UInt32 `json:$.k`, a Nullable(UInt8) `json:$.a`, b UInt8 `json:$.b`, at DateTime `json:$.at` DEFAULT now()"
JANUARY, FEBRUARY = 1_767_225_600.0, 1_769_904_000.0  # two months, so two partitions
STRIDE = 1 if os.environ.get("SLUICE_TEST_LONG") else 13


class Killed(BaseException):
    """Not an Exception: nothing of ours goes on after it."""


@dataclass
class Killer:
    """A client that is killed at its `at`th step: before the server hears of it, or before its answer is heard."""

    inner: Client
    at: int = -1
    after: bool = False
    steps: int = field(default=0, init=False)

    @property
    def topology(self):
        return self.inner.topology

    def __getattr__(self, name):
        async def call(*args, **kwargs):
            self.steps += 1
            if self.steps == self.at and not self.after:
                raise Killed
            result = await getattr(self.inner, name)(*args, **kwargs)
            if self.steps == self.at:
                raise Killed
            return result

        return call


class House:
    """A data source with a quarantine, and a job store, as a worker has them."""

    def __init__(self, client: Client, store: CatalogStore, catalog: Catalog) -> None:
        self.client = client
        self.catalog = catalog
        self.jobs = JobStore(store.database, CLOCK)
        self.ops = OpsLog(CLOCK)
        self.control = DatasourceControl(catalog, store, client, 1000, self.ops)
        views = ViewObjects(client, catalog, store, self.jobs, CLOCK)
        self.changes = DatasourceChanges(self.control, catalog, store, views, self.ops, CLOCK)
        (workspace,) = catalog.snapshot.workspaces.values()
        self.database = workspace.database
        self.admin = Principal("t", "t", workspace.id, Scopes.read(["ADMIN"]))
        self._names = count(1)

    async def broken(self) -> Datasource:
        """A data source with 60 rows in quarantine, of two months: events and CSV rows; a third fits once it is fixed."""
        schema = parse_schema(BROKEN)
        engine = parse_engine({"engine": "MergeTree", "engine_sorting_key": "k"}, schema)
        source = await self.control.create(self.admin, f"ds{next(self._names)}", Datafile(schema, engine))
        events, texts, numbers = Fitter(schema), TextFitter(schema), count(0)
        place = Place(self.database, source.table, source.quarantine_table)
        for now in (JANUARY, FEBRUARY):
            for part in range(3):
                lines = [_event(next(numbers)) for _ in range(7)]
                inserter = _inserter(self.client, place, Layout(events.arrow_schema, events.quarantine), now)
                await inserter.insert(events.fit_part(b"\n".join(lines), now + part, f"i{part}"), f"e{now}{part}")
                some = [next(numbers) for _ in range(3)]
                columns = [[str(k) for k in some], [None] * 3, ["x" if k % 3 == 1 else "1" for k in some]]
                fitted = texts.fit(columns, ["k", "a", "b"], now + part, "csv", [b"%d,,1" % k for k in some])
                await inserter.insert(fitted, f"c{now}{part}")
        await self.changes.alter(self.admin, source.name, "r", Wanted(schema=FIXED), is_dry=False)
        return self.catalog.snapshot.datasources[source.id]

    async def job(self, source: Datasource, **spec: str) -> Job:
        new = NewJob(
            workspace_id=source.workspace_id,
            kind=replay.KIND,
            spec=spec,
            datasource_id=source.id,
            datasource_name=source.name,
        )
        return await self.jobs.create(new)

    async def take_up(self, client, *, discard: bool = False) -> JobContext:
        """Take the job as a worker does after whoever had it died, and do what is left of it."""
        await self.jobs.release_all("w")
        job = await self.jobs.claim("w", "", [replay.KIND], 60.0)
        assert job is not None
        handler = ReplayHandler(Replaying(client, self.catalog, self.ops, CLOCK, Random(0)))
        context = JobContext(self.jobs, job, 60.0, CLOCK)
        await (handler.discard(context) if discard else handler.run(context))
        return context

    async def end(self, context: JobContext, status: Status) -> None:
        context.job = await self.jobs.finish(context.job.lease, context.job.id, status)

    async def stored(self, source: Datasource) -> dict[int, tuple]:
        rows = await self.client.rows(f"SELECT k, a, b, toUnixTimestamp(at) FROM {self.database}.{source.table}")
        assert len({row[0] for row in rows}) == len(rows), "a row is stored twice"
        return {row[0]: row[1:] for row in rows}

    async def quarantined(self, source: Datasource) -> list[tuple]:
        return await self.client.rows(
            "SELECT k, c__error_column, c__error, c__import_id, toUnixTimestamp(insertion_date), c__raw "
            f"FROM {self.database}.{source.quarantine_table} ORDER BY toUInt32(k)"
        )

    async def leftovers(self) -> list[str]:
        rows = await self.client.rows("SELECT name FROM system.tables WHERE name LIKE '%\\_tak%'")
        return [name for (name,) in rows]


def _event(k: int) -> bytes:
    return orjson.dumps({"k": k, "b": "x"} if k % 3 == 1 else {"k": k, "b": 1})


def _inserter(client: Client, place: Place, layout: Layout, now: float) -> BlockInserter:
    async def ignore(_: str) -> None:
        return

    patience = Patience(ignore, CLOCK, Random(0))
    return BlockInserter(client, place, layout, patience, now=now, import_id="i", halved=set(), remember=ignore)


@asynccontextmanager
async def housed(directory, engine):
    clock = SystemClock()
    store = await CatalogStore.open(f"sqlite+aiosqlite:///{directory / 'metadata.db'}", clock)
    catalog = Catalog(store, clock)
    await catalog.start()
    client = Client(ClientOptions(engine.url, engine.user, engine.password))
    try:
        yield House(client, store, catalog)
    finally:
        await client.aclose()
        await catalog.aclose()
        await store.aclose()


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with engine_process(tmp_path_factory.mktemp("engine")) as found:
        yield found


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(replay, "BLOCK_ROWS_MAX", 4)


def check_whole(stored: dict[int, tuple], quarantined: list[tuple], before: list[tuple]) -> None:
    """Every row of `before` is in one place, with its time; what is in quarantine has its line and import."""
    moments = {int(row[0]): row[4] for row in before}
    assert Counter([*stored, *(int(row[0]) for row in quarantined)]) == Counter(dict.fromkeys(moments, 1))
    assert {k: row[2] for k, row in stored.items()} == {k: moments[k] for k in stored}
    known = {row[0]: (row[3], row[4], row[5]) for row in before}
    assert {row[0]: (row[3], row[4], row[5]) for row in quarantined} == {row[0]: known[row[0]] for row in quarantined}


async def test_a_replay_that_is_killed_at_any_step_ends_with_each_row_once(tmp_path, engine):
    async with housed(tmp_path, engine) as house:
        for number in count(1, STRIDE):
            source = await house.broken()
            before = await house.quarantined(source)
            await house.job(source)
            killer = Killer(house.client, number, after=number % 2 == 0)
            try:
                context = await house.take_up(killer)
            except Killed:
                context = await house.take_up(house.client)
            await house.end(context, Status.DONE)
            await house.take_up(house.client, discard=True)
            await house.jobs.tidied((await house.jobs.get(source.workspace_id, context.job.id)).lease, context.job.id)

            stored, quarantined = await house.stored(source), await house.quarantined(source)
            check_whole(stored, quarantined, before)
            assert sorted(stored) == [k for k in range(60) if k % 3 != 1]
            assert {tuple(row[1]) for row in quarantined} == {("b",)}
            assert (context.job.shown["rows_replayed"], context.job.shown["quarantine_rows"]) == (40, 20)
            assert await house.leftovers() == []
            if killer.steps < number:
                break


async def test_a_replay_that_is_killed_and_then_cancelled_leaves_each_row_once(tmp_path, engine):
    async with housed(tmp_path, engine) as house:
        for number in count(2, STRIDE):
            source = await house.broken()
            before = await house.quarantined(source)
            await house.job(source)
            killer = Killer(house.client, number, after=number % 2 == 1)
            with suppress(Killed):
                await house.take_up(killer)
            await house.jobs.release_all("w")
            job = await house.jobs.claim("w", "", [replay.KIND], 60.0)
            await house.jobs.finish(job.lease, job.id, Status.CANCELLED)
            for at in (number // 2 + 1, -1):
                try:
                    await house.take_up(Killer(house.client, at), discard=True)
                except Killed:
                    continue
                break
            await house.jobs.tidied((await house.jobs.get(source.workspace_id, job.id)).lease, job.id)

            stored, quarantined = await house.stored(source), await house.quarantined(source)
            check_whole(stored, quarantined, before)
            assert set(stored) <= {k for k in range(60) if k % 3 != 1}
            assert await house.leftovers() == []
            if killer.steps < number:
                break


async def test_rows_that_were_not_asked_for_stay_as_they_are_also_when_it_is_killed(tmp_path, engine):
    async with housed(tmp_path, engine) as house:
        for number in (14, 23):
            source = await house.broken()
            before = await house.quarantined(source)
            await house.job(source, column="b", reason="value 'y' on column 'b' is not UInt8")
            with pytest.raises(Killed):
                await house.take_up(Killer(house.client, number, after=True))
            context = await house.take_up(house.client)
            await house.end(context, Status.DONE)
            await house.take_up(house.client, discard=True)
            await house.jobs.tidied((await house.jobs.get(source.workspace_id, context.job.id)).lease, context.job.id)

            stored, quarantined = await house.stored(source), await house.quarantined(source)
            assert stored == {}
            asked = {row[0] for row in before if "value 'x' on column 'b' is not UInt8" in row[2]}
            assert asked == {str(k) for k in range(60) if k % 3 == 1}
            untouched = [row for row in before if row[0] not in asked]
            assert [row for row in quarantined if row[0] not in asked] == untouched
            assert {tuple(row[1]) for row in quarantined if row[0] in asked} == {("b",)}
            assert context.job.shown["rows_kept"] == len(untouched)
