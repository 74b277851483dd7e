"""Worker: a worker that answers HTTP: what events need, and how the rest is loaded."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from gateway.admission import ROOM_BYTES, Admission, Buckets, parse_limits
from gateway.api.events import EventsApi
from gateway.api.first import first_routes
from gateway.api.ops import OpsApi, Readiness
from gateway.auth.seal import Seal
from gateway.auth.service import Authenticator
from gateway.bootstrap.basis import Common, opened
from gateway.bootstrap.lane import Lane, inserter, label, open_lane
from gateway.bootstrap.tracing import tracer
from gateway.catalog import Catalog, CatalogStore
from gateway.clickhouse.client import Client
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
from gateway.control.doubts import Doubts
from gateway.control.oplog import OpsLogWriter
from gateway.control.readlog import ReadsWriter
from gateway.control.variables import values
from gateway.core.clock import Clock
from gateway.core.shared import shared_memory
from gateway.ingest.service import IngestOptions, Ingestor
from gateway.telemetry.logs import get_logger
from gateway.telemetry.reads import ReadsLog
from gateway.web.forwarded import Proxies
from gateway.web.front import Front, Route, RouteTable

if TYPE_CHECKING:
    from gateway.telemetry.otel import OtelTracer

_logger = get_logger(__name__)


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
    doubts: Doubts
    tracer: "OtelTracer | None"


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
    into, tracing = inserter(basis), tracer(settings, identity, clock)
    own = open_lane(basis, into, log_directory(settings.data_dir, identity.index), tracing)
    orphans = orphan_directories(settings.data_dir, identity.index, identity.count)
    adopted = [open_lane(basis, into, path, tracing) for path in orphans]
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
        AutoCreate(control, ops, is_on=settings.auto_create and may_change),
        ingestor,
        lambda which: label(catalog, which),
        lambda: catalog.snapshot,
    )
    ops_api = OpsApi(
        authenticator, lambda: readiness(own, catalog, is_leaving=front.is_leaving), settings.tokens_endpoint
    )
    routes = RouteTable(first_routes(events, ops_api, settings.body_bytes_max), rest)
    front = Front(
        routes,
        authenticator,
        _admission(settings, identity, catalog, clock),
        clock,
        cors=settings.cors,
        proxies=Proxies(settings.trusted_proxies),
        auditor=Auditing(catalog, ops).note,
        tracer=tracing,
    )
    doubts = Doubts(
        catalog, store, lambda which: any(lane.buffer.is_in_doubt(which) for lane in (own, *adopted)), clock
    )
    return Worker(store, catalog, client, own, adopted, front, writer, common.reader, routes, doubts, tracing)


def readiness(lane: Lane, catalog: Catalog, *, is_leaving: bool = False) -> Readiness:
    """Return whether events should be sent here now; see `api.ops`."""
    buffer = lane.buffer
    found = {
        "it is stopping: send requests elsewhere": is_leaving,
        "no room for rows: the buffer or its disk budget is full": not buffer.has_room,
    }
    reasons = tuple(reason for reason, holds in found.items() if holds)
    notes = {
        "clickhouse": "no answer" if lane.flusher.is_out else "ok",
        "pending_rows": sum(buffer.pending_rows.values()),
        "oldest_pending_row_seconds": round(buffer.oldest_age_seconds(), 3),
        "log_bytes": buffer.disk_bytes,
        "catalog_age_seconds": round(catalog.age_seconds(), 3),
    }
    return Readiness(reasons, notes)


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
