"""Assembly: how reading is put together: queries, endpoints, and the service data sources that tell about them."""

from dataclasses import dataclass

from gateway.api.reading import Reads
from gateway.auth.seal import Seal
from gateway.catalog import Catalog, CatalogStore, Pipe
from gateway.clickhouse.client import Client
from gateway.clickhouse.reader import HttpReader
from gateway.config import Settings
from gateway.control.oplog import OpsLogWriter
from gateway.control.pipe_probe import PipeProbe
from gateway.control.reading import ReadControl
from gateway.control.readlog import ReadsWriter
from gateway.control.service import Copied, JobsLog, ServiceTables, StorageLog
from gateway.control.sources import SourceControl
from gateway.control.variables import value, values
from gateway.core.clock import Clock
from gateway.query.service import QueryLimits, QueryService
from gateway.telemetry.oplog import OpsLog
from gateway.telemetry.reads import ReadsLog


@dataclass(frozen=True, slots=True)
class Service:
    """The service data sources: who writes them, and who has them ready for a query."""

    writer: OpsLogWriter
    sources: SourceControl


@dataclass(frozen=True, slots=True)
class Reading:
    """What answers queries."""

    service: Service
    control: ReadControl
    reads: Reads
    reader: HttpReader
    probe: PipeProbe


def service(
    ops: OpsLog,
    store: CatalogStore,
    catalog: Catalog,
    tables: ServiceTables,
    clock: Clock,
    *,
    follows: bool = False,
    reads: ReadsWriter | None = None,
) -> Service:
    """Return what writes and finds them; with `follows` also what nobody asks for is written: for the past."""
    jobs = JobsLog(store.database, catalog, tables, clock)
    storage = StorageLog(tables.client, catalog, tables, clock)
    writer = OpsLogWriter(ops, catalog, tables, clock, jobs if follows else None, storage if follows else None, reads)
    copied: dict[str, Copied] = {
        "datasources_ops_log": writer,
        "block_log": writer,
        "audit_log": writer,
        "pipe_stats_rt": writer,
        "pipe_stats": writer,
        "endpoint_errors": writer,
        "jobs_log": jobs,
        "datasources_storage": storage,
    }
    return Service(writer, SourceControl(tables, copied))


def reading(
    settings: Settings, ops: OpsLog, store: CatalogStore, catalog: Catalog, client: Client, seal: Seal, clock: Clock
) -> Reading:
    """Return what answers queries in a worker."""
    log, tables = ReadsLog(), ServiceTables(client)
    writer = ReadsWriter(log, catalog, tables, lambda snapshot, which: values(seal, snapshot, which))
    made = service(ops, store, catalog, tables, clock, reads=writer)
    reader = HttpReader(client.options)
    queries = QueryService(reader)
    limits = QueryLimits(seconds_max=settings.query_seconds_max, result_bytes_max=settings.query_result_bytes_max)
    control = ReadControl(
        catalog,
        made.sources,
        queries,
        limits,
        lambda snapshot, which, name: value(snapshot, seal, which, name),
        clock,
    )
    return Reading(
        made,
        control,
        Reads(log, clock, lambda pipe: _label(catalog, pipe)),
        reader,
        PipeProbe(queries, made.sources, limits),
    )


def _label(catalog: Catalog, pipe: Pipe) -> str:
    workspace = catalog.snapshot.workspaces.get(pipe.workspace_id)
    return f"{workspace.name}.{pipe.name}" if workspace else pipe.id
