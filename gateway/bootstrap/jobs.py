"""Jobs: the code of every kind of job, and a process that does them."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from gateway.auth.seal import Seal
from gateway.bootstrap.basis import Basis, opened
from gateway.bootstrap.copying import Copies, copies
from gateway.bootstrap.reading import sources
from gateway.catalog import Catalog, CatalogStore
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.config import Settings, WorkerIdentity, place_of, uploads_directory
from gateway.control.audit_jobs import AuditHandler
from gateway.control.databases import Databases
from gateway.control.oplog import OpsLogWriter
from gateway.control.populating import PopulateHandler, Populating
from gateway.control.service import JobsLog, StorageLog
from gateway.control.view_objects import POPULATE, ViewObjects
from gateway.core.clock import Clock
from gateway.imports import delete_rows, replay
from gateway.imports import run as imports
from gateway.jobs import JobHandler, JobRunner, JobStore, RunnerOptions
from gateway.jobs.models import UNSEEN
from gateway.outbound.address import parse_allow_list
from gateway.outbound.fetch import Fetcher, FetchOptions


@dataclass(slots=True)
class JobWorker:
    """Everything one process that does jobs consists of, made and not yet running."""

    store: CatalogStore
    catalog: Catalog
    client: Client
    runner: JobRunner
    oplog: OpsLogWriter
    databases: Databases
    copies: Copies
    views: ViewObjects


async def build_jobs(settings: Settings, identity: WorkerIdentity, clock: Clock) -> JobWorker:
    """Return a process that does jobs, its catalog loaded.

    Raises:
        Unavailable: the metadata database does not answer.
    """
    basis = await opened(settings, identity, clock)
    store, catalog, client = basis.store, basis.catalog, basis.client
    tables = basis.tables
    # Here also what nobody asks for is written: for the past.
    follows = JobsLog(store.database, catalog, tables, clock), StorageLog(client, catalog, tables, clock)
    writer = OpsLogWriter(basis.ops, catalog, tables, clock, *follows)
    copying = copies(basis, sources(basis, writer), Seal(settings.secret.encode()))
    jobs = JobStore(store.database, clock)
    views = ViewObjects(client, catalog, store, jobs, clock)
    populating = Populating(client, catalog, store, views, basis.ops, clock, Random())  # noqa: S311  spreads retries
    audits = AuditHandler(catalog, basis.ops)
    runs = runner(basis, jobs, {**copying.handlers, POPULATE: PopulateHandler(populating), UNSEEN: audits})
    return JobWorker(store, catalog, client, runs, writer, Databases(client, store, clock), copying, views)


def runner(basis: Basis, jobs: JobStore, more: Mapping[str, JobHandler] | None = None) -> JobRunner:
    """Return what does jobs, in the loop of a job worker, or at once in a worker that answers HTTP.

    Args:
        basis: of the process.
        jobs: the jobs.
        more: the code of kinds that nobody has done at once.
    """
    settings = basis.settings
    place = place_of(settings.data_dir)
    options = RunnerOptions(
        owner=f"{place}:{basis.identity.name}", place=place, concurrency=settings.worker_concurrency
    )
    return JobRunner(
        jobs,
        {**_handlers(basis), **(more or {})},
        options,
        basis.clock,
        lambda error: isinstance(error, ServerError) and error.code is None,
    )


def fetcher(basis: Basis) -> Fetcher:
    """Return what gets files from elsewhere."""
    allow = parse_allow_list(basis.settings.outbound_allow)
    return Fetcher(FetchOptions(allow, seconds_max=basis.settings.outbound_seconds_max), basis.clock)


def _handlers(basis: Basis) -> dict[str, JobHandler]:
    """Return the code of the kinds of jobs that may be done at once."""
    settings, catalog, client, clock, ops = basis.settings, basis.catalog, basis.client, basis.clock, basis.ops
    options = imports.ImportOptions(
        uploads_directory(settings.data_dir), settings.import_url_bytes_max, settings.import_unfolded_bytes_max
    )
    random = Random()  # noqa: S311  spreads retries
    tools = imports.Importing(client, catalog, fetcher(basis), ops, options, clock, random)
    return {
        delete_rows.KIND: delete_rows.RowDeleter(client, clock, ops),
        imports.KIND: imports.ImportHandler(tools),
        replay.KIND: replay.ReplayHandler(replay.Replaying(client, catalog, ops, clock, random)),
    }
