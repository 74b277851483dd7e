"""Basis: what every process that serves or does jobs stands on."""

import asyncio
from dataclasses import dataclass
from typing import Final

from gateway.auth.seal import Seal
from gateway.auth.service import Authenticator
from gateway.catalog import Catalog, CatalogStore
from gateway.catalog.layout import IncompatibleCatalog
from gateway.clickhouse.client import Client, ClientOptions
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.made import MadeOtherwise, check_made
from gateway.clickhouse.reader import HttpReader
from gateway.clickhouse.topology import Topology
from gateway.config import ConfigurationError, Settings, WorkerIdentity
from gateway.control.datasources import DatasourceControl
from gateway.control.oplog import OpsLogWriter
from gateway.control.service import ServiceTables
from gateway.core.clock import Clock
from gateway.telemetry.logs import get_logger
from gateway.telemetry.oplog import OpsLog
from gateway.telemetry.reads import ReadsLog

_logger = get_logger(__name__)

# A start does not wait for a ClickHouse that is away: rows are taken without it.
_LOOK_SECONDS_MAX: Final = 5.0


@dataclass(frozen=True, slots=True)
class Basis:
    """Who this process is, and what it has from the beginning."""

    settings: Settings
    identity: WorkerIdentity
    clock: Clock
    store: CatalogStore
    catalog: Catalog
    client: Client
    ops: OpsLog
    tables: ServiceTables


@dataclass(frozen=True, slots=True)
class Common:
    """What the families of handlers of a worker have in common."""

    control: DatasourceControl
    authenticator: Authenticator
    seal: Seal
    writer: OpsLogWriter
    reads: ReadsLog
    reader: HttpReader


async def opened(settings: Settings, identity: WorkerIdentity, clock: Clock) -> Basis:
    """Return the basis of a process, its catalog loaded.

    Raises:
        Unavailable: the metadata database does not answer.
        ConfigurationError: it is a later version's, and not for this one; or ClickHouse has the tables of another
            topology.
    """
    try:
        store = await CatalogStore.open(database_url(settings), clock, settings.data_dir)
    except IncompatibleCatalog as error:
        raise ConfigurationError(str(error)) from error
    catalog = Catalog(store, clock, mark=store.mark, is_told_all=store.is_told_all)
    await catalog.start()
    topology = Topology(
        settings.clickhouse_cluster, settings.clickhouse_cluster_path, settings.clickhouse_insert_quorum
    )
    client = Client(ClientOptions(identity.clickhouse_url or settings.clickhouse_url, topology=topology), clock)
    if settings.clickhouse_url:
        try:
            await _check_made(client, catalog)
        except BaseException:
            await catalog.aclose()
            await client.aclose()
            await store.aclose()
            raise
    return Basis(settings, identity, clock, store, catalog, client, OpsLog(clock), ServiceTables(client))


async def _check_made(client: Client, catalog: Catalog) -> None:
    """Raise if ClickHouse answers, and has tables that were made for another topology.

    Raises:
        ConfigurationError: so it is.
    """
    databases = [each.database for each in catalog.snapshot.workspaces.values()]
    try:
        async with asyncio.timeout(_LOOK_SECONDS_MAX):
            await check_made(client, databases)
    except MadeOtherwise as error:
        raise ConfigurationError(str(error)) from error
    except (ServerError, TimeoutError) as error:
        _logger.warning("clickhouse.not_looked_at", reason=str(error) or "no answer in time")


def database_url(settings: Settings) -> str:
    """Return where the metadata is."""
    return settings.database_url or f"sqlite+aiosqlite:///{settings.data_dir.resolve() / 'metadata.db'}"
