"""Reading: how queries and endpoints are put together, and the service data sources that tell about them."""

import os
from dataclasses import dataclass, replace

from gateway.api.reading import Reads
from gateway.bootstrap.basis import Basis, Common
from gateway.bootstrap.copying import copy_checks
from gateway.catalog import Catalog, Pipe
from gateway.config import Settings
from gateway.control.copy_checks import CopyChecks
from gateway.control.oplog import OpsLogWriter
from gateway.control.pipe_probe import PipeProbe
from gateway.control.reading import ReadControl
from gateway.control.service import Copied, JobsLog, StorageLog
from gateway.control.sources import SourceControl
from gateway.control.variables import value
from gateway.query.service import QueryLimits, QueryService


@dataclass(frozen=True, slots=True)
class Reading:
    """What answers queries."""

    control: ReadControl
    reads: Reads
    probe: PipeProbe
    checks: CopyChecks


def reading(basis: Basis, common: Common) -> Reading:
    """Return what answers queries in a worker."""
    settings, catalog, clock = basis.settings, basis.catalog, basis.clock
    found, queries = sources(basis, common.writer), QueryService(common.reader)
    limits = query_limits(settings)
    control = ReadControl(
        catalog,
        found,
        queries,
        limits,
        lambda snapshot, which, name: value(snapshot, common.seal, which, name),
        clock,
    )
    checks = copy_checks(basis, found, queries, common.seal)
    reads = Reads(common.reads, clock, lambda pipe: _label(catalog, pipe))
    return Reading(control, reads, PipeProbe(queries, found, limits), checks)


def query_limits(settings: Settings) -> QueryLimits:
    """Return what one query may take. More threads than CPUs cost an embedded engine half as much again."""
    own = QueryLimits(seconds_max=settings.query_seconds_max, result_bytes_max=settings.query_result_bytes_max)
    return own if settings.clickhouse_url else replace(own, threads_max=min(own.threads_max, os.cpu_count() or 1))


def sources(basis: Basis, writer: OpsLogWriter) -> SourceControl:
    """Return what has the service data sources ready for a query."""
    catalog, tables, clock = basis.catalog, basis.tables, basis.clock
    copied: dict[str, Copied] = {
        "datasources_ops_log": writer,
        "block_log": writer,
        "audit_log": writer,
        "pipe_stats_rt": writer,
        "pipe_stats": writer,
        "endpoint_errors": writer,
        "jobs_log": JobsLog(basis.store.database, catalog, tables, clock),
        "datasources_storage": StorageLog(basis.client, catalog, tables, clock),
    }
    return SourceControl(tables, copied)


def _label(catalog: Catalog, pipe: Pipe) -> str:
    workspace = catalog.snapshot.workspaces.get(pipe.workspace_id)
    return f"{workspace.name}.{pipe.name}" if workspace else pipe.id
