"""Worker: a worker that answers HTTP: what events need, and how the rest is loaded."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random

import pyarrow as pa

from gateway.admission import ROOM_BYTES, Admission, Buckets, parse_limits
from gateway.api.events import EventsApi
from gateway.api.first import first_routes
from gateway.api.ops import OpsApi, Readiness
from gateway.auth.seal import Seal
from gateway.auth.service import Authenticator
from gateway.bootstrap.basis import Common, opened
from gateway.buffer.accumulator import BatchLimits
from gateway.buffer.buffer import Buffer
from gateway.buffer.layout import Layout
from gateway.buffer.options import BufferOptions
from gateway.buffer.records import Item
from gateway.catalog import Catalog, CatalogStore
from gateway.clickhouse.client import Client
from gateway.clickhouse.holds import holds_of
from gateway.clickhouse.inserter import ClickHouseInserter
from gateway.clickhouse.reader import HttpReader
from gateway.config import (
    Settings,
    WorkerIdentity,
    limits_file,
    log_directory,
    orphan_directories,
)
from gateway.control.audit import Auditing
from gateway.control.auto_create import AutoCreate
from gateway.control.datasources import DatasourceControl
from gateway.control.oplog import OpsLogWriter, WatchedInserter
from gateway.control.readlog import ReadsWriter
from gateway.control.variables import values
from gateway.core.clock import Clock
from gateway.core.shared import shared_memory
from gateway.flush.flusher import Flusher, FlushOptions
from gateway.ingest.jsonrows import JSON_SETTINGS, json_rows, needs_json_rows
from gateway.ingest.service import IngestOptions, Ingestor, quarantine_refused
from gateway.telemetry.logs import get_logger
from gateway.telemetry.reads import ReadsLog
from gateway.wal import LogOptions
from gateway.web.forwarded import Proxies
from gateway.web.front import Front, Route, RouteTable

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
    routes: RouteTable


async def build(settings: Settings, identity: WorkerIdentity, clock: Clock) -> Worker:
    """Return a worker for these settings: its catalog loaded, its log taken up.

    Raises:
        Unavailable: the metadata database does not answer.
        LogLocked: another process has this worker's log.
    """
    basis = await opened(settings, identity, clock)
    store, catalog, client, ops = basis.store, basis.catalog, basis.client, basis.ops
    seal, reads = Seal(settings.secret.encode()), ReadsLog()
    reads_writer = ReadsWriter(reads, catalog, basis.tables, lambda snapshot, which: values(seal, snapshot, which))
    writer = OpsLogWriter(ops, catalog, basis.tables, clock, reads=reads_writer)
    inserter = WatchedInserter(
        ClickHouseInserter(
            client,
            lambda *which: _locate(catalog, *which),
            JSON_SETTINGS,
            store.was_dropped,
            holds_of(catalog, clock),
        ),
        ops,
        clock,
    )

    def lane(directory: Path) -> Lane:
        buffer = Buffer.open(directory, _log_options(settings), _buffer_options(settings), clock)
        flusher = Flusher(
            buffer,
            inserter,
            lambda layout, row, reason: _quarantined(catalog, layout, row, reason, clock.now()),
            FlushOptions(
                settings.flush_concurrency,
                lambda which: label(catalog, which),
                needs_json_rows,
                json_rows,
                lambda table: _view(catalog, table),
            ),
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
    common = Common(control, authenticator, seal, writer, reads, _reader(settings, client))

    async def rest() -> list[Route]:
        module = await asyncio.to_thread(import_module, "gateway.bootstrap.families")
        routes: list[Route] = await module.families(basis, common)
        return routes

    events = EventsApi(
        control,
        AutoCreate(control, is_on=settings.auto_create and may_change),
        ingestor,
        lambda which: label(catalog, which),
        lambda: catalog.snapshot,
    )
    ops_api = OpsApi(authenticator, lambda: readiness(own, catalog), settings.tokens_endpoint)
    routes = RouteTable(first_routes(events, ops_api, settings.body_bytes_max), rest)
    front = Front(
        routes,
        authenticator,
        _admission(settings, identity, catalog, clock),
        clock,
        cors=settings.cors,
        proxies=Proxies(settings.trusted_proxies),
        auditor=Auditing(catalog, ops).note,
    )
    return Worker(store, catalog, client, own, adopted, front, writer, common.reader, routes)


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


def label(catalog: Catalog, datasource_id: str) -> str:
    """Return what metrics call a data source: `<workspace>.<name>`, its id if it is gone."""
    found = catalog.snapshot.datasources.get(datasource_id)
    workspace = catalog.snapshot.workspaces.get(found.workspace_id) if found else None
    return f"{workspace.name}.{found.name}" if found and workspace else datasource_id


def _view(catalog: Catalog, table: str) -> str:
    """Return what sentences call the materialized view in `table`: by its node, if it is one's."""
    node_id = table.partition("__")[0]
    found = ((pipe, pipe.node(node_id)) for pipe in catalog.snapshot.pipes.values())
    return next((f"node '{node.name}' of '{pipe.name}'" for pipe, node in found if node is not None), table)


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


def _reader(settings: Settings, client: Client) -> HttpReader:
    """Return the way for the queries of others, as a user who may do nothing else if there is one."""
    user, options = settings.clickhouse_read_user, client.options
    return HttpReader(options.as_user(user, settings.clickhouse_read_password) if user else options)


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
