"""Bootstrap: the one place where concrete classes meet. Tests build the same graph through the same function."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pyarrow as pa

from gateway.admission import ROOM_BYTES, Admission, Buckets, parse_limits
from gateway.api.analyze import AnalyzeApi
from gateway.api.datasource_changes import DatasourceChangesApi
from gateway.api.datasources import DatasourcesApi
from gateway.api.endpoints import EndpointsApi
from gateway.api.events import EventsApi
from gateway.api.imports import ImportsApi
from gateway.api.jobs import JobsApi
from gateway.api.ops import OpsApi, Readiness
from gateway.api.pipe_changes import PipeChangesApi
from gateway.api.pipe_docs import PipeDocsApi
from gateway.api.pipes import PipesApi
from gateway.api.quarantine import QuarantineApi
from gateway.api.routes import Apis, table
from gateway.api.sql import SqlApi
from gateway.api.sql_tools import SqlToolsApi
from gateway.api.tokens import TokensApi
from gateway.api.variables import VariablesApi
from gateway.api.workspaces import WorkspacesApi
from gateway.assembly import reading, service
from gateway.auth.seal import Seal
from gateway.auth.service import Authenticator
from gateway.buffer.accumulator import BatchLimits
from gateway.buffer.buffer import Buffer
from gateway.buffer.layout import Layout
from gateway.buffer.options import BufferOptions
from gateway.buffer.records import Item
from gateway.catalog import Catalog, CatalogStore
from gateway.clickhouse.client import Client, ClientOptions
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.inserter import ClickHouseInserter
from gateway.clickhouse.reader import HttpReader
from gateway.config import (
    Settings,
    WorkerIdentity,
    limits_file,
    log_directory,
    orphan_directories,
    place_of,
    uploads_directory,
)
from gateway.control.analyze import AnalyzeControl
from gateway.control.audit import Auditing
from gateway.control.auto_create import AutoCreate
from gateway.control.changes import DatasourceChanges
from gateway.control.databases import Databases
from gateway.control.datasources import DatasourceControl
from gateway.control.imports import ImportControl, ImportLimits
from gateway.control.jobs import JobControl
from gateway.control.oplog import OpsLogWriter, WatchedInserter
from gateway.control.pipe_changes import PipeChanges
from gateway.control.pipes import PipeControl
from gateway.control.quarantine import QuarantineControl
from gateway.control.rows import RowControl
from gateway.control.service import ServiceTables
from gateway.control.sql_tools import SqlTools
from gateway.control.tokens import TokenControl
from gateway.control.variables import VariableControl
from gateway.control.workspaces import WorkspaceControl
from gateway.core.clock import Clock
from gateway.core.shared import shared_memory
from gateway.flush.flusher import Flusher, FlushOptions
from gateway.imports import delete_rows, replay
from gateway.imports import run as imports
from gateway.ingest.jsonrows import JSON_SETTINGS, json_rows, needs_json_rows
from gateway.ingest.service import IngestOptions, Ingestor, quarantine_refused
from gateway.jobs import JobHandler, JobRunner, JobStore, RunnerOptions
from gateway.outbound.address import parse_allow_list
from gateway.outbound.fetch import Fetcher, FetchOptions
from gateway.telemetry.logs import get_logger
from gateway.telemetry.oplog import OpsLog
from gateway.wal import LogOptions
from gateway.web.forwarded import Proxies
from gateway.web.front import Front

_logger = get_logger(__name__)


@dataclass(slots=True)
class Lane:
    """A log and who empties it: the worker's own, or one it adopted."""

    directory: Path
    buffer: Buffer
    flusher: Flusher


@dataclass(slots=True)
class Worker:
    """Everything one worker process consists of, made and not yet running."""

    store: CatalogStore
    catalog: Catalog
    client: Client
    lane: Lane
    adopted: list[Lane]
    front: Front
    oplog: OpsLogWriter
    reader: HttpReader


@dataclass(slots=True)
class JobWorker:
    """Everything one process that does jobs consists of, made and not yet running."""

    store: CatalogStore
    catalog: Catalog
    client: Client
    runner: JobRunner
    oplog: OpsLogWriter
    databases: Databases


async def build(settings: Settings, identity: WorkerIdentity, clock: Clock) -> Worker:
    """Return a worker for these settings: its catalog loaded, its log taken up.

    Raises:
        Unavailable: the metadata database does not answer.
        LogLocked: another process has this worker's log.
    """
    store, catalog, client = await _opened(settings, identity, clock)
    jobs = JobStore(store.database, clock)
    ops = OpsLog(clock)
    runner = _runner(settings, identity, jobs, _handlers(settings, catalog, store, client, clock, ops), clock)
    await runner.take_over()
    seal = Seal(settings.secret.encode())
    read = reading(settings, ops, store, catalog, client, seal, clock)
    inserter = WatchedInserter(
        ClickHouseInserter(client, lambda *which: _locate(catalog, *which), JSON_SETTINGS, store.was_dropped),
        ops,
        clock,
    )

    def lane(directory: Path) -> Lane:
        buffer = Buffer.open(directory, _log_options(settings), _buffer_options(settings), clock)
        flusher = Flusher(
            buffer,
            inserter,
            lambda layout, row, reason: _quarantined(catalog, layout, row, reason, clock.now()),
            FlushOptions(settings.flush_concurrency, lambda which: label(catalog, which), needs_json_rows, json_rows),
            clock,
            Random(),  # noqa: S311  spreads retries
        )
        return Lane(directory, buffer, flusher)

    own = lane(log_directory(settings.data_dir, identity.index))
    adopted = [lane(path) for path in orphan_directories(settings.data_dir, identity.index, identity.count)]
    ingestor = Ingestor(own.buffer, IngestOptions(settings.hold_seconds_max, settings.wait_seconds_max), clock)
    authenticator = Authenticator(catalog, settings.secret.encode(), settings.admin_token or None, clock=clock)
    may_change = settings.datasource_changes == "allowed"
    control = DatasourceControl(catalog, store, client, settings.dedup_window, ops, may_change=may_change)
    pipes = PipeControl(catalog, authenticator, may_change=may_change)
    apis = Apis(
        EventsApi(
            control,
            AutoCreate(control, is_on=settings.auto_create and may_change),
            ingestor,
            lambda which: label(catalog, which),
            lambda: catalog.snapshot,
        ),
        DatasourcesApi(control),
        ImportsApi(
            control,
            ImportControl(
                control,
                client,
                jobs,
                runner,
                _fetcher(settings, clock),
                _import_limits(settings),
                place_of(settings.data_dir),
                clock,
            ),
            uploads_directory(settings.data_dir),
        ),
        AnalyzeApi(AnalyzeControl(_fetcher(settings, clock), clock), uploads_directory(settings.data_dir)),
        DatasourceChangesApi(
            control,
            DatasourceChanges(control, catalog, store, ops, clock),
            RowControl(control, delete_rows.RowDeleter(client, clock, ops), jobs, runner),
        ),
        QuarantineApi(QuarantineControl(control, catalog, client, jobs)),
        PipesApi(pipes, read.probe),
        PipeChangesApi(pipes, PipeChanges(pipes, store, read.probe, clock)),
        PipeDocsApi(pipes),
        SqlApi(read.control, read.reads),
        SqlToolsApi(SqlTools(client)),
        EndpointsApi(read.control, read.reads),
        TokensApi(TokenControl(catalog, store, authenticator, clock)),
        JobsApi(JobControl(jobs)),
        VariablesApi(VariableControl(catalog, store, seal)),
        WorkspacesApi(WorkspaceControl(catalog, store, authenticator, Databases(client, store, clock), clock)),
        OpsApi(authenticator, lambda: readiness(own, catalog), settings.tokens_endpoint),
    )
    front = Front(
        table(apis, settings.body_bytes_max),
        authenticator,
        _admission(settings, identity, catalog, clock),
        clock,
        cors=settings.cors,
        proxies=Proxies(settings.trusted_proxies),
        auditor=Auditing(catalog, ops).note,
    )
    return Worker(store, catalog, client, own, adopted, front, read.service.writer, read.reader)


async def build_jobs(settings: Settings, identity: WorkerIdentity, clock: Clock) -> JobWorker:
    """Return a process that does jobs, its catalog loaded.

    Raises:
        Unavailable: the metadata database does not answer.
    """
    store, catalog, client = await _opened(settings, identity, clock)
    jobs = JobStore(store.database, clock)
    ops = OpsLog(clock)
    runner = _runner(settings, identity, jobs, _handlers(settings, catalog, store, client, clock, ops), clock)
    made = service(ops, store, catalog, ServiceTables(client), clock, follows=True)
    return JobWorker(store, catalog, client, runner, made.writer, Databases(client, store, clock))


def _handlers(
    settings: Settings, catalog: Catalog, store: CatalogStore, client: Client, clock: Clock, ops: OpsLog
) -> dict[str, JobHandler]:
    """Return the code of every kind of job."""
    del store
    options = imports.ImportOptions(
        uploads_directory(settings.data_dir), settings.import_url_bytes_max, settings.import_unfolded_bytes_max
    )
    random = Random()  # noqa: S311  spreads retries
    tools = imports.Importing(client, catalog, _fetcher(settings, clock), ops, options, clock, random)
    return {
        delete_rows.KIND: delete_rows.RowDeleter(client, clock, ops),
        imports.KIND: imports.ImportHandler(tools),
        replay.KIND: replay.ReplayHandler(replay.Replaying(client, catalog, ops, clock, random)),
    }


def _fetcher(settings: Settings, clock: Clock) -> Fetcher:
    allow = parse_allow_list(settings.outbound_allow)
    return Fetcher(FetchOptions(allow, seconds_max=settings.outbound_seconds_max), clock)


def _import_limits(settings: Settings) -> ImportLimits:
    return ImportLimits(
        body_bytes_max=settings.import_body_bytes_max,
        parquet_body_bytes_max=settings.import_parquet_body_bytes_max,
        unfolded_bytes_max=settings.import_unfolded_bytes_max,
        sync_bytes_max=settings.import_sync_bytes_max,
        wait_seconds_max=settings.wait_seconds_max,
    )


def _runner(
    settings: Settings, identity: WorkerIdentity, jobs: JobStore, handlers: dict[str, JobHandler], clock: Clock
) -> JobRunner:
    """Return what does jobs, in the loop of a job worker, or at once in a worker that answers HTTP."""
    place = place_of(settings.data_dir)
    options = RunnerOptions(owner=f"{place}:{identity.name}", place=place, concurrency=settings.worker_concurrency)
    return JobRunner(
        jobs, handlers, options, clock, lambda error: isinstance(error, ServerError) and error.code is None
    )


async def _opened(settings: Settings, identity: WorkerIdentity, clock: Clock) -> tuple[CatalogStore, Catalog, Client]:
    store = await CatalogStore.open(database_url(settings), clock)
    catalog = Catalog(store, clock, mark=store.mark)
    await catalog.start()
    return store, catalog, Client(ClientOptions(identity.clickhouse_url or settings.clickhouse_url))


def readiness(lane: Lane, catalog: Catalog) -> Readiness:
    """Return whether events would be taken now; see `api.ops`."""
    buffer = lane.buffer
    reasons = () if buffer.has_room else ("no room for rows: the buffer or its disk budget is full",)
    notes = {
        "clickhouse": "no answer" if lane.flusher.is_out else "ok",
        "pending_rows": sum(buffer.pending_rows.values()),
        "oldest_pending_row_seconds": round(buffer.oldest_age_seconds(), 3),
        "log_bytes": buffer.disk_bytes,
        "catalog_age_seconds": round(catalog.age_seconds(), 3),
    }
    return Readiness(reasons, notes)


def database_url(settings: Settings) -> str:
    """Return where the metadata is."""
    return settings.database_url or f"sqlite+aiosqlite:///{settings.data_dir.resolve() / 'metadata.db'}"


def label(catalog: Catalog, datasource_id: str) -> str:
    """Return what metrics call a data source: `<workspace>.<name>`, its id if it is gone."""
    found = catalog.snapshot.datasources.get(datasource_id)
    workspace = catalog.snapshot.workspaces.get(found.workspace_id) if found else None
    return f"{workspace.name}.{found.name}" if found and workspace else datasource_id


def _locate(catalog: Catalog, datasource_id: str, quarantine: bool) -> tuple[str, str] | None:
    found = catalog.snapshot.datasources.get(datasource_id)
    workspace = catalog.snapshot.workspaces.get(found.workspace_id) if found else None
    if found is None or workspace is None:
        return None
    return workspace.database, found.quarantine_table if quarantine else found.table


def _quarantined(
    catalog: Catalog, layout: Layout, row: pa.Table, reason: str, now: float
) -> list[tuple[Layout, Item]] | None:
    """Return a refused row as its quarantine wants it; None if its data source was dropped a moment ago."""
    found = catalog.snapshot.datasources.get(layout.datasource_id)
    return None if found is None else quarantine_refused(found, row, reason, now)


def _admission(settings: Settings, identity: WorkerIdentity, catalog: Catalog, clock: Clock) -> Admission:
    """Return who lets requests in; what was taken is known to all workers of the node."""
    limits = parse_limits(settings.rate_limits)
    if settings.events_requests_per_second_max:
        limits["datasource.requests"] = settings.events_requests_per_second_max
    room = None
    if identity.count > 1:
        try:
            room = shared_memory(limits_file(settings.data_dir), ROOM_BYTES)
        except OSError as error:  # a full disk costs the others' part of the limits, not the start
            _logger.warning("limits.not_shared", reason=str(error))
    return Admission(
        limits,
        Buckets(room),
        clock,
        overrides=lambda workspace_id: _limits_of(catalog, workspace_id),
        moment=lambda: catalog.snapshot,
        queries_max=settings.query_concurrency_max,
    )


def _limits_of(catalog: Catalog, workspace_id: str) -> Mapping[str, int]:
    found = catalog.snapshot.workspaces.get(workspace_id)
    return found.limits if found else {}


def _log_options(settings: Settings) -> LogOptions:
    # The buffer keeps the budget, so that seals and acks, which make room, are written when it is used up.
    headroom = 4 * settings.log_segment_bytes_max
    return LogOptions(
        policy=settings.log_sync,
        segment_bytes_max=settings.log_segment_bytes_max,
        bytes_max=settings.log_bytes_max + headroom,
        staged_bytes_max=settings.buffer_memory_bytes_max,
    )


def _buffer_options(settings: Settings) -> BufferOptions:
    limits = BatchLimits(settings.batch_rows_max, settings.batch_bytes_max, settings.batch_age_seconds_max)
    return BufferOptions(limits, settings.buffer_memory_bytes_max, settings.log_bytes_max)
