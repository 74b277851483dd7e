"""Data sources that change while rows are on their way, under kills, and where only deployments may change them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.catalog import CatalogStore
from gateway.clickhouse.client import Client, ClientOptions
from gateway.core.clock import SystemClock
from gateway.imports.delete_rows import KIND, Deletion, RowDeleter
from gateway.jobs import Job, JobFailed, JobRunner, JobStore, NewJob, RunnerOptions, Status
from gateway.telemetry.oplog import OpsLog
from tests.support.engine import EngineHandle, engine_process
from tests.support.gateway import Gateway

SCHEMA = "id UInt32 `json:$.id`, name String `json:$.name`"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def alter(gateway: Gateway, name: str, **params: str) -> int:
    return gateway.request("POST", f"/v0/datasources/{name}/alter", urlencode(params).encode(), FORM).status


# Rows on their way


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose rows wait for some seconds before they are inserted."""
    gateway = Gateway(tmp_path, "--batch-age-seconds-max", "4s")
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.end()


def test_rows_that_wait_in_the_log_land_after_an_alter(slow):
    name = slow.create_datasource(SCHEMA)
    for number in range(20):  # on both workers
        event = {"id": number, "name": "before"} if number % 2 else {"id": "bad", "name": "before"}
        assert slow.post_events(name, [event]).status == 202

    wanted = SCHEMA.replace("name String", "name Nullable(String)") + ", city String `json:$.city` DEFAULT 'none'"
    assert alter(slow, name, schema=wanted) == 200
    assert slow.count(name) == 0, "they landed too early for this test to say anything"
    for number in range(20, 40):
        assert slow.post_events(name, [{"id": number, "name": None, "city": "Rome"}]).status == 202

    assert slow.await_count(name, 30) == 30
    assert slow.await_count(f"{name}_quarantine", 10) == 10
    assert slow.sql(f"SELECT city, name, count() AS n FROM {name} GROUP BY ALL ORDER BY city") == [
        {"city": "Rome", "name": None, "n": 20},
        {"city": "none", "name": "before", "n": 10},
    ]


def test_rows_that_wait_in_the_log_land_after_a_restart_that_came_after_an_alter(slow):
    name = slow.create_datasource(SCHEMA)
    for number in range(10):
        assert slow.post_events(name, [{"id": number, "name": "before"}]).status == 202
    assert alter(slow, name, schema=SCHEMA + ", city String `json:$.city`") == 200

    slow.kill()
    slow.start()

    assert slow.await_count(name, 10) == 10


def test_rows_that_wait_land_after_a_truncate_and_go_with_a_drop(slow):
    kept, dropped = slow.create_datasource(SCHEMA), slow.create_datasource(SCHEMA)
    for number in range(10):
        for name in (kept, dropped):
            assert slow.post_events(name, [{"id": number, "name": "on its way"}]).status == 202

    assert slow.post(f"/v0/datasources/{kept}/truncate").status == 200
    assert slow.request("DELETE", f"/v0/datasources/{dropped}").status == 204

    assert slow.await_count(kept, 10) == 10
    slow.create_datasource(SCHEMA, dropped)
    assert slow.stop() == 0
    slow.start()  # nothing waits for a table that is gone: the log was emptied
    assert slow.get("/ready", token="").json["pending_rows"] == 0
    assert slow.count(dropped) == 0


def test_alters_among_events_lose_nothing(slow):
    name, columns, sent = slow.create_datasource(SCHEMA), SCHEMA, 0
    for step in range(4):
        for _ in range(10):
            event = {"id": sent, "name": str(step), **{f"c{each}": "set" for each in range(step)}}
            assert slow.post_events(name, [event]).status == 202
            sent += 1
        columns += f", c{step} String `json:$.c{step}` DEFAULT 'unset'"
        assert alter(slow, name, schema=columns) == 200

    assert slow.await_count(name, sent) == sent
    assert slow.count(f"{name}_quarantine") == 0
    for step in range(4):
        assert slow.sql(f"SELECT countIf(c{step} = 'set') AS n FROM {name}") == [{"n": (3 - step) * 10}]


# Only by deployment


@pytest.fixture
def forward(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway like a Forward workspace, with one data source from before."""
    gateway = Gateway(tmp_path)
    try:
        gateway.start()
        gateway.create_datasource(SCHEMA, "before")
        gateway.stop()
        gateway._options = ("--datasource-changes", "deployments", "--auto-create")
        gateway.start()
        yield gateway
    finally:
        gateway.end()


def test_only_deployments_make_and_change_data_sources_and_rows_come_and_go(forward):
    changes = [
        forward.post("/v0/datasources", name="new", schema=SCHEMA),
        forward.request("PUT", "/v0/datasources/before", b"description=x", FORM),
        forward.request("POST", "/v0/datasources/before/alter", b"description=x", FORM),
        forward.request("POST", "/v0/datasources/exchange", b"datasource_a=before&datasource_b=before", FORM),
        forward.request("DELETE", "/v0/datasources/before"),
    ]
    for refused in changes:
        assert refused.status == 403
        assert refused.error == "Adding or modifying data sources to this workspace can only be done via deployments"
    assert forward.post_events("new", [{"id": 1}]).status == 404

    events = [{"id": number, "name": "x"} for number in range(10)]
    assert forward.post_events("before", events, wait="true").counts == (200, 10, 0)
    assert forward.post("/v1/datasources/before/delete?delete_condition=id%3D1").json["rows_affected"] == 1
    assert forward.count("before") == 9
    assert forward.post("/v0/datasources/before/truncate").status == 200
    assert forward.count("before") == 0


# Deletions that are begun again


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineHandle]:
    with engine_process(tmp_path_factory.mktemp("delete-rows")) as started:
        yield started


class Jobs:
    """A store of jobs, and a table to delete from."""

    def __init__(self, store: JobStore, workspace_id: str, client: Client, table: str) -> None:
        self.store = store
        self.workspace_id = workspace_id
        self.client = client
        self.deleter = RowDeleter(client, SystemClock(), OpsLog(SystemClock()))
        self.table = table

    async def insert(self, first: int, rows: int) -> None:
        await self.client.command(f"INSERT INTO w.{self.table} SELECT number FROM numbers({first}, {rows})")

    async def ids(self) -> list[int]:
        return [row[0] for row in await self.client.rows(f"SELECT id FROM w.{self.table} ORDER BY id")]

    def new(self, condition: str, **more: Any) -> NewJob:
        deletion = Deletion(database="w", table=self.table, name="orders", condition=condition, **more)
        return NewJob(workspace_id=self.workspace_id, kind=KIND, spec=deletion.spec(), datasource_name="orders")

    async def run(self, new: NewJob) -> Job:
        options = RunnerOptions(owner="test", concurrency=1)
        return await JobRunner(self.store, {KIND: self.deleter}, options, SystemClock()).run_now(new)


@asynccontextmanager
async def opened(tmp_path: Path, engine: EngineHandle, table: str) -> AsyncIterator[Jobs]:
    catalog = await CatalogStore.open(f"sqlite+aiosqlite:///{tmp_path / 'metadata.db'}", SystemClock())
    client = Client(ClientOptions(engine.url, engine.user, engine.password))
    try:
        await client.command("CREATE DATABASE IF NOT EXISTS w")
        await client.command(f"CREATE TABLE w.{table} (id UInt32) ENGINE = MergeTree ORDER BY id")
        workspace = (await catalog.list_workspaces())[0]
        yield Jobs(JobStore(catalog.database, SystemClock()), workspace.id, client, table)
    finally:
        await client.aclose()
        await catalog.aclose()


class _Killed(BaseException):
    """What a kill looks like to the code of a job: it goes no further, and nothing is cleaned up."""


class _KilledClient:
    """A client whose process is killed right after the statement that begins the mutation."""

    def __init__(self, client: Client) -> None:
        self.topology = client.topology
        self.rows = client.rows
        self._client = client

    async def command(self, sql: str, settings: Any = None) -> None:
        await self._client.command(sql, settings)
        raise _Killed


@pytest.mark.parametrize("is_lightweight", [False, True])
def test_a_deletion_that_was_killed_deletes_no_row_that_came_later(tmp_path, engine, is_lightweight):
    async def scene() -> None:
        async with opened(tmp_path, engine, f"killed_{is_lightweight:d}") as jobs:
            await jobs.insert(0, 10)
            job = await jobs.store.create_taken(jobs.new("id < 5", is_lightweight=is_lightweight), "first", 0.0)
            context = _Context(job)
            dying = RowDeleter(_KilledClient(jobs.client), SystemClock(), OpsLog(SystemClock()))  # type: ignore[arg-type]
            with pytest.raises(_Killed):
                await dying.run(context)  # type: ignore[arg-type]
            await jobs.insert(2, 2)  # they meet the condition, and came after it

            await jobs.deleter.run(context)  # type: ignore[arg-type]

            assert await jobs.ids() == [2, 3, 5, 6, 7, 8, 9]
            assert context.job.state["rows_affected"] == 5

    asyncio.run(scene())


class _Context:
    """The checkpoint of a job, without a lease: what survives a kill is the last state."""

    def __init__(self, job: Job) -> None:
        self.job = job

    async def save(self, state: Any, *, shown: Any = None, progress: float | None = None) -> None:
        del progress
        self.job = replace(self.job, state=state, shown={**self.job.shown, **(shown or {})})


def test_a_condition_that_fails_on_a_row_ends_the_job_with_a_sentence_and_deletes_nothing(tmp_path, engine):
    async def scene() -> None:
        async with opened(tmp_path, engine, "failing") as jobs:
            await jobs.insert(0, 10)

            job = await jobs.run(jobs.new("throwIf(id = 7) = 0"))

            assert job.status is Status.ERROR
            assert job.error.startswith("ClickHouse cannot delete these rows: ")
            assert "version" not in job.error
            assert len(await jobs.ids()) == 10

    asyncio.run(scene())


def test_a_deletion_from_a_table_that_is_gone_ends_with_a_sentence(tmp_path, engine):
    async def scene() -> None:
        async with opened(tmp_path, engine, "gone") as jobs:
            await jobs.client.command("DROP TABLE w.gone SYNC")

            job = await jobs.run(jobs.new("id = 1"))

            assert job.status is Status.ERROR
            assert "w.gone" not in job.error
            with pytest.raises(JobFailed):
                await jobs.deleter.count(Deletion(database="w", table="gone", name="orders", condition="1 = 1"))

    asyncio.run(scene())


def test_a_mutation_that_cannot_get_further_is_ended_so_that_others_can(tmp_path, engine):
    """What fails only after the rows were counted: a row that came in between."""

    async def scene() -> None:
        async with opened(tmp_path, engine, "stuck") as jobs:
            await jobs.insert(0, 10)
            job = await jobs.store.create_taken(jobs.new("throwIf(id = 77) = 0"), "first", 30.0)
            context = _Context(job)
            await context.save({"rows_affected": 10, "parts": 1})
            await jobs.insert(77, 1)

            with pytest.raises(JobFailed, match="could not be deleted"):
                await jobs.deleter.run(context)  # type: ignore[arg-type]

            after = await jobs.run(jobs.new("id = 1"))
            assert after.status is Status.DONE
            assert 77 in await jobs.ids()

    asyncio.run(scene())
