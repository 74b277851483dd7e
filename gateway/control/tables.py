"""Tables: the two tables of a data source in ClickHouse, made, changed, emptied, measured, dropped.

What a statement does is `clickhouse.ddl`'s to say; here it is done, and what the server refuses becomes a sentence
without the names that only we know.
"""

from typing import Final

import structlog

from gateway.catalog import Datasource, Workspace
from gateway.clickhouse import ddl
from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.clickhouse.topology import FIRST_SHARD, Topology, sharding_of
from gateway.control.describe import Statistics
from gateway.core.errors import Conflict, GatewayError, InvalidRequest, Unavailable
from gateway.schema.alter import REMOVE_TTL, Alteration
from gateway.schema.columns import CREATE_SETTINGS
from gateway.schema.datafile import Datafile
from gateway.schema.names import QUARANTINE_SUFFIX
from gateway.schema.quarantine import QUARANTINE_ENGINE, quarantine_columns, quarantine_schema

_log = structlog.get_logger(__name__)

# An alter is recorded when the table knows its new columns; older parts are written anew behind it, in their time.
_ALTER_SETTINGS: Final = {**CREATE_SETTINGS, "alter_sync": 0, "mutations_sync": 0}

# On a cluster: how long the servers may take to know the columns of an alter, and how often they are asked.
_KNOWN_SECONDS_MAX: Final = 10.0
_LOOK_SECONDS: Final = 0.05

# The column is there; a replica has an alter before this one to do.
_AT_ONCE: Final = frozenset({15, 517})

# Tables with rows that are marked as deleted and not yet gone have to be counted, some in each query.
_COUNTED_AT_ONCE: Final = 50

_COLUMNS: Final = (
    "SELECT table, name FROM system.columns WHERE database = {database:String} AND table IN ({table:String}, "
    "{quarantine:String})"
)
_HAS_TTL: Final = (
    "SELECT position(engine_full, ' TTL ') > 0 FROM system.tables WHERE database = {database:String} "
    "AND name = {table:String}"
)


class Tables:
    """See the module. One per worker."""

    def __init__(self, client: Client, dedup_window: int) -> None:
        self._client = client
        self._at = client.topology
        self._dedup_window = dedup_window

    async def create(self, workspace: Workspace, table: str, name: str, wanted: Datafile) -> None:
        """Make both tables, or none. The quarantine first: what is queryable has one.

        Raises:
            InvalidRequest: ClickHouse refuses, and says why.
            Unavailable: it does not answer.
        """
        database = workspace.database
        quarantine = Datafile(quarantine_schema(wanted.schema), QUARANTINE_ENGINE)
        at, window, refused = self._at, self._dedup_window, f"{table}{QUARANTINE_SUFFIX}"
        statements = (
            ddl.create_database(at, database),
            *ddl.create_table(at, database, refused, quarantine, window, FIRST_SHARD),
            *ddl.create_table(at, database, table, wanted, window, sharding_of(wanted.engine)),
        )
        try:
            await self._client.commands(statements, CREATE_SETTINGS)
        except ServerError as error:
            if error.code is not None:
                await self.drop(workspace, table)
            raise _refused(error, workspace, table, name, "data source") from error

    async def drop(self, workspace: Workspace, table: str) -> None:
        """Drop both tables, which nothing names any more. What cannot be dropped now is left, and logged."""
        for each in (table, f"{table}{QUARANTINE_SUFFIX}"):
            for statement in ddl.drop_table(self._at, workspace.database, each):
                try:
                    await self._client.command(statement)
                except ServerError as error:
                    _log.warning("table.left", database=workspace.database, table=each, reason=str(error))

    async def alter(self, workspace: Workspace, datasource: Datasource, change: Alteration) -> None:
        """Change both tables; each wholly, or not at all. The quarantine first, as in `create`.

        Raises:
            InvalidRequest: ClickHouse refuses, and says why.
            Conflict: somebody else changes it at this moment.
            Unavailable: it does not answer.
        """
        try:
            for table, operations in (
                (datasource.quarantine_table, change.quarantine),
                (datasource.table, await self._needed(workspace, datasource, change.table)),
            ):
                if operations:
                    statements = ddl.alter_table(self._at, workspace.database, table, operations)
                    await self._client.commands(statements, _ALTER_SETTINGS)
                    await self._await_columns(workspace, table)
        except ServerError as error:
            if error.code in _AT_ONCE:
                raise Conflict(f'Data Source "{datasource.name}" was altered at the same time; repeat it') from error
            raise _refused(error, workspace, datasource.table, datasource.name, "change") from error

    async def _await_columns(self, workspace: Workspace, table: str) -> None:
        """Wait, on a cluster, until every server has the same columns, for a while: a replica follows a moment later.

        Raises:
            ServerError: ClickHouse does not say.
        """
        clock, names = (
            self._client.clock,
            {"database": workspace.database, "table": table, "local": self._at.local(table)},
        )
        deadline = clock.monotonic() + _KNOWN_SECONDS_MAX
        while self._at.cluster and clock.monotonic() < deadline:
            if (await self._client.rows(columns_known(self._at), names))[0][0] <= 1:
                return
            await clock.sleep(_LOOK_SECONDS)

    async def drop_strays(self, workspace: Workspace, datasource: Datasource) -> None:
        """Drop the columns that `datasource`, as recorded, does not have: what an alter that came to nothing left.

        Raises:
            InvalidRequest, Unavailable: see `alter`.
        """
        known = {
            datasource.table: datasource.schema.names,
            datasource.quarantine_table: {column.name for column in quarantine_columns(datasource.schema)},
        }
        parameters = {
            "database": workspace.database,
            "table": self._at.local(datasource.table),
            "quarantine": self._at.local(datasource.quarantine_table),
        }
        try:
            found = await self._client.rows(_COLUMNS, parameters)
            for table, names in known.items():
                strays = [name for where, name in found if self._at.plain(where) == table and name not in names]
                if strays:
                    statements = ddl.alter_table(self._at, workspace.database, table, ddl.drop_columns(strays))
                    await self._client.commands(statements, _ALTER_SETTINGS)
        except ServerError as error:
            raise _refused(error, workspace, datasource.table, datasource.name, "change") from error

    async def truncate(self, workspace: Workspace, table: str, name: str) -> None:
        """Delete all rows of one table.

        Raises:
            InvalidRequest, Unavailable: see `alter`.
        """
        try:
            await self._client.command(ddl.truncate_table(self._at, workspace.database, table))
        except ServerError as error:
            raise _refused(error, workspace, table, name, "truncate") from error

    async def statistics(self, workspace: Workspace) -> dict[str, Statistics]:
        """Return how much is in each data source of the workspace, by id; nothing while ClickHouse does not answer.

        Rows that are marked as deleted do not count.
        """
        database = workspace.database
        try:
            found = await self._client.rows(sizes(self._at), {"database": database})
            known = {self._at.plain(table): (int(rows), int(size)) for table, rows, size, _ in found}
            marked = [self._at.plain(table) for table, _, _, has_marked in found if has_marked]
            for start in range(0, len(marked), _COUNTED_AT_ONCE):
                query = ddl.count_each(database, marked[start : start + _COUNTED_AT_ONCE])
                for table, rows in await self._client.rows(query):
                    known[table] = (int(rows), known[table][1])
        except ServerError:
            return {}
        # Also those of which only the quarantine has rows.
        names = dict.fromkeys(table.removesuffix(QUARANTINE_SUFFIX) for table in known)
        nothing = (0, 0)
        return {
            name: Statistics(*known.get(name, nothing), known.get(f"{name}{QUARANTINE_SUFFIX}", nothing)[0])
            for name in names
        }

    async def _needed(self, workspace: Workspace, datasource: Datasource, operations: tuple[str, ...]) -> list[str]:
        """Return `operations` without the removal of a TTL that is gone already: the server would refuse them all."""
        if REMOVE_TTL not in operations:
            return list(operations)
        found = await self._client.rows(
            _HAS_TTL, {"database": workspace.database, "table": self._at.local(datasource.table)}
        )
        has_ttl = bool(found and found[0][0])
        return [each for each in operations if has_ttl or each != REMOVE_TTL]


def sizes(at: Topology) -> str:
    """Return the query for rows and bytes of each local table of a database, and whether some are marked as deleted."""
    what = "table, sum(rows), sum(bytes_on_disk), max(has_lightweight_delete)"
    return f"SELECT {what} FROM {at.system('parts')} WHERE active AND database = {{database:String}} GROUP BY table"  # noqa: S608


def columns_known(at: Topology) -> str:
    """Return the query for how many opinions the servers have of the columns of `{table}` and of the one it is over."""
    each = "SELECT arraySort(groupUniqArray((name, type))) AS columns"
    where = "database = {database:String} AND table IN ({table:String}, {local:String})"
    found = f"{each} FROM {at.everywhere('columns')} WHERE {where} GROUP BY hostName(), table"
    return f"SELECT uniqExact(columns) FROM ({found})"  # noqa: S608  ours


def _refused(error: ServerError, workspace: Workspace, table: str, name: str, what: str) -> GatewayError:
    if error.code is None:
        return Unavailable("ClickHouse does not answer, try again shortly", 1)
    reason = str(error).replace(f"{workspace.database}.", "").replace(table, name)
    return InvalidRequest(f"ClickHouse refuses this {what}: {reason}")
