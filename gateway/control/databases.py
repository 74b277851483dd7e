"""Databases: the databases of workspaces that were dropped, dropped as well.

A workspace is forgotten by the record first. What a kill, or a ClickHouse that is away, leaves behind is found by the
record's tombstones. A database that no tombstone names is never touched: it may be another installation's.
"""

from gateway.catalog import CatalogStore, Workspace
from gateway.clickhouse import ddl
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.topology import Topology
from gateway.core.clock import Clock
from gateway.core.errors import Unavailable
from gateway.telemetry.logs import get_logger

_logger = get_logger(__name__)

_SWEEP_SECONDS = 60.0


class Databases:
    """See the module. One per process."""

    def __init__(self, client: Client, store: CatalogStore, clock: Clock) -> None:
        self._client = client
        self._store = store
        self._clock = clock

    async def drop(self, database: str) -> None:
        """Drop a database that no workspace has any more. If that cannot be done now, `sweep` does it later."""
        try:
            await self._client.command(ddl.drop_database(self._client.topology, database))
        except ServerError as error:
            _logger.warning("database.left", database=database, reason=str(error))

    async def sweep(self) -> list[str]:
        """Drop what is left of dropped workspaces, and return the names of those databases.

        Raises:
            ServerError: ClickHouse does not answer.
            Unavailable: the metadata database does not answer.
        """
        dropped = {Workspace.database_of(each) for each in await self._store.dropped_workspaces()}
        if not dropped:
            return []
        found = {str(name) for (name,) in await self._client.rows(names(self._client.topology))}
        kept = {each.database for each in await self._store.list_workspaces()}
        left = sorted(found & dropped - kept)
        for database in left:
            await self.drop(database)
        return left

    async def run(self) -> None:
        """Sweep, now and then, until cancelled."""
        while True:
            try:
                left = await self.sweep()
            except (ServerError, Unavailable) as error:
                _logger.warning("databases.sweep_failed", reason=str(error))
            else:
                if left:
                    _logger.info("databases.swept", databases=left)
            await self._clock.sleep(_SWEEP_SECONDS)


def names(at: Topology) -> str:
    """Return the query for the databases there are."""
    return f"SELECT DISTINCT name FROM {at.everywhere('databases')}"  # noqa: S608  ours
