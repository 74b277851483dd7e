"""Service: the tables behind `tinybird.<name>`, made when they are first needed, and the rows put into them.

Two of them need no log: how jobs are is in the metadata database, how much is stored is in ClickHouse. They are copied
when somebody is about to read them, so that what is read is true now, and now and then besides, for the past.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from gateway.catalog import Catalog, Workspace
from gateway.catalog.database import Database
from gateway.clickhouse import ddl
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.topology import FIRST_SHARD
from gateway.control.describe import wire_time
from gateway.core.clock import Clock
from gateway.core.ids import new_uuid
from gateway.jobs.changes import changed_jobs
from gateway.jobs.models import Job
from gateway.schema.columns import CREATE_SETTINGS
from gateway.schema.names import QUARANTINE_SUFFIX
from gateway.schema.service import SERVICE_TABLES, ServiceTable
from gateway.telemetry.oplog import harmless

_DEDUP_WINDOW: Final = 100
_INSERT_SETTINGS: Final = {"async_insert": 0, "insert_deduplicate": 1, "date_time_input_format": "best_effort"}
_GONE: Final = frozenset({60, 81})  # the table, the database
_THERE: Final = (
    "SELECT count() FROM system.tables WHERE database = {database:String} AND has({names:Array(String)}, name)"
)

_JOBS_AT_ONCE: Final = 2000
_JOBS_KEPT_SECONDS: Final = 48 * 3600.0
_CLOCKS_SECONDS_MAX: Final = 10.0  # other nodes' clocks may be behind by so much

_SNAPSHOT_SECONDS_MIN: Final = 1.0
_MINUTE: Final = 60

_encode_lines: Final = msgspec.json.Encoder().encode_lines


class ServiceTables:
    """Makes and fills the tables. One per process."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._made: set[tuple[str, str]] = set()

    async def ensure(self, workspace: Workspace, table: ServiceTable) -> None:
        """Make the table if it is not there, and those that are made of its rows.

        Raises:
            ServerError: ClickHouse refused, or did not answer.
        """
        if table.made_of:
            table = SERVICE_TABLES[table.made_of]
        if (workspace.id, table.name) in self._made:
            return
        if not await self._is_there(workspace, table):
            await self._make(workspace, table)
        self._made.add((workspace.id, table.name))

    async def _is_there(self, workspace: Workspace, table: ServiceTable) -> bool:
        """Say whether it need not be made. On one server it is made to be sure; a cluster is not told for nothing."""
        if not self.client.topology.cluster:
            return False
        made = [each.table for each in SERVICE_TABLES.values() if each.made_of == table.name]
        names = [table.table, *made, *(f"{each}_view" for each in made)]
        where = {"database": workspace.database, "names": names}
        return int((await self.client.rows(_THERE, where))[0][0]) == len(names)

    async def _make(self, workspace: Workspace, table: ServiceTable) -> None:
        at = self.client.topology
        await self.client.command(ddl.create_database(at, workspace.database))
        await self._create(workspace, table)
        for made in SERVICE_TABLES.values():
            if made.made_of == table.name:
                await self._create(workspace, made)
                view = ddl.create_view(at, workspace.database, table.table, made.table, made.view)
                await self.client.command(view)

    async def _create(self, workspace: Workspace, table: ServiceTable) -> None:
        at, file = self.client.topology, table.datafile()
        statements = ddl.create_table(at, workspace.database, table.table, file, _DEDUP_WINDOW, FIRST_SHARD)
        await self.client.commands(statements, CREATE_SETTINGS)

    async def add(self, workspace: Workspace, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Put rows, all with the same columns, into the service data source `name`; once, if it is not cut off.

        Raises:
            ServerError: ClickHouse refused, or did not answer.
        """
        table = SERVICE_TABLES[name]
        await self.ensure(workspace, table)
        settings = {**_INSERT_SETTINGS, "insert_deduplication_token": new_uuid()}
        try:
            await self.client.insert(
                workspace.database, table.table, list(rows[0]), _encode_lines(rows), settings, "JSONEachRow"
            )
        except ServerError as error:
            if error.code in _GONE:
                self._made.discard((workspace.id, name))
            raise


class Copied(Protocol):
    """A service data source whose rows are copied from somewhere."""

    async def refresh(self, workspace: Workspace) -> None:
        """Copy what is true now of `workspace`.

        Raises:
            ServerError, Unavailable: it could not be.
        """


class JobsLog:
    """`jobs_log`: the jobs of the metadata database."""

    def __init__(self, database: Database, catalog: Catalog, tables: ServiceTables, clock: Clock) -> None:
        self._database = database
        self._catalog = catalog
        self._tables = tables
        self._clock = clock
        self._after = -1.0
        self._written: dict[str, tuple[Any, ...]] = {}
        self._turn = asyncio.Lock()

    async def refresh(self, workspace: Workspace) -> None:
        """See `Copied.refresh`."""
        del workspace  # one look finds the changes of all
        await self.copy()

    async def copy(self) -> None:
        """Write all jobs that changed since the last time.

        Raises:
            ServerError, Unavailable: see `Copied.refresh`.
        """
        async with self._turn:
            begun = self._clock.now()
            after = self._after if self._after >= 0 else begun - _JOBS_KEPT_SECONDS
            found = await changed_jobs(self._database, after, _JOBS_AT_ONCE)
            news = [job for job in found if self._written.get(job.id) != _state(job)]
            for workspace in self._catalog.snapshot.workspaces.values():
                rows = [_job_row(job) for job in news if job.workspace_id == workspace.id]
                if rows:
                    await self._tables.add(workspace, "jobs_log", rows)
            # What is older than the next look is found by none.
            self._written = {job.id: _state(job) for job in found}
            is_all = len(found) < _JOBS_AT_ONCE
            self._after = begun - _CLOCKS_SECONDS_MAX if is_all else found[-1].updated_at


class StorageLog:
    """`datasources_storage`: rows and bytes of every data source, and of its quarantine, at one minute."""

    def __init__(self, client: Client, catalog: Catalog, tables: ServiceTables, clock: Clock) -> None:
        self._client = client
        self._catalog = catalog
        self._tables = tables
        self._clock = clock
        self._taken_at: dict[str, float] = {}

    async def refresh(self, workspace: Workspace) -> None:
        """See `Copied.refresh`; not more often than once a second."""
        now = self._clock.monotonic()
        if now - self._taken_at.get(workspace.id, -_SNAPSHOT_SECONDS_MIN) < _SNAPSHOT_SECONDS_MIN:
            return
        self._taken_at[workspace.id] = now
        await self.take(workspace)

    async def take_all(self) -> None:
        """Take a snapshot of every workspace.

        Raises:
            ServerError: see `Copied.refresh`.
        """
        for workspace in self._catalog.snapshot.workspaces.values():
            await self.take(workspace)

    async def take(self, workspace: Workspace) -> None:
        """Take a snapshot.

        Raises:
            ServerError: see `Copied.refresh`.
        """
        at = self._client.topology
        query = (
            f"SELECT table, sum(rows), sum(bytes_on_disk) FROM {at.system('parts')} "  # noqa: S608  ours
            "WHERE active AND database = {database:String} GROUP BY table"
        )
        found = await self._client.rows(query, {"database": workspace.database})
        sizes = {at.plain(table): (int(rows), int(size)) for table, rows, size in found}
        minute = int(self._clock.now()) // _MINUTE * _MINUTE
        rows = []
        for each in self._catalog.snapshot.datasources_of(workspace.id):
            stored, refused = sizes.get(each.table, (0, 0)), sizes.get(each.table + QUARANTINE_SUFFIX, (0, 0))
            rows.append(
                {
                    "datasource_id": each.id,
                    "datasource_name": each.name,
                    "timestamp": minute,
                    "bytes": stored[1],
                    "rows": stored[0],
                    "bytes_quarantine": refused[1],
                    "rows_quarantine": refused[0],
                }
            )
        if rows:
            await self._tables.add(workspace, "datasources_storage", rows)


def _state(job: Job) -> tuple[Any, ...]:
    return job.updated_at, job.started_at, job.status, job.progress


def _job_row(job: Job) -> dict[str, Any]:
    metadata = {
        "progress_percentage": job.progress,
        "datasource_name": job.datasource_name,
        "pipe_name": job.pipe_name,
        "attempts": job.attempts,
        **{name: _plain(value) for name, value in job.shown.items() if not isinstance(value, dict | list)},
    }
    return {
        "job_id": job.id,
        "job_type": job.kind,
        "status": job.status.value,
        "error": harmless(job.error) or None,
        "workspace_id": job.workspace_id,
        "request_id": job.request_id or None,
        "pipe_id": job.pipe_id or None,
        "datasource_id": job.datasource_id or None,
        "created_at": milliseconds(job.created_at),
        "started_at": None if job.started_at is None else milliseconds(job.started_at),
        "updated_at": milliseconds(max(job.updated_at, job.started_at or 0.0)),
        "job_metadata": msgspec.json.encode(metadata).decode(),
    }


def _plain(value: Any) -> Any:
    return harmless(value) if isinstance(value, str) else value


def milliseconds(moment: float) -> str:
    """Return a moment as the Jobs API shows it, cut to milliseconds; the Z is for servers that are not in UTC."""
    return f"{wire_time(moment)[:-3]}Z"
