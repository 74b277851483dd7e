"""Basis: what every process that serves or does jobs stands on."""

from dataclasses import dataclass

from gateway.auth.seal import Seal
from gateway.auth.service import Authenticator
from gateway.catalog import Catalog, CatalogStore
from gateway.catalog.layout import IncompatibleCatalog
from gateway.clickhouse.client import Client, ClientOptions
from gateway.clickhouse.reader import HttpReader
from gateway.clickhouse.topology import Topology
from gateway.config import ConfigurationError, Settings, WorkerIdentity
from gateway.control.datasources import DatasourceControl
from gateway.control.oplog import OpsLogWriter
from gateway.control.service import ServiceTables
from gateway.core.clock import Clock
from gateway.telemetry.oplog import OpsLog
from gateway.telemetry.reads import ReadsLog


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
        ConfigurationError: it is a later version's, and not for this one.
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
    return Basis(settings, identity, clock, store, catalog, client, OpsLog(clock), ServiceTables(client))


def database_url(settings: Settings) -> str:
    """Return where the metadata is."""
    return settings.database_url or f"sqlite+aiosqlite:///{settings.data_dir.resolve() / 'metadata.db'}"
